//! Share groups (KIP-932) under their agents.

use control_plane::state::{AcquireShare, SaveShare};

use super::*;
use crate::group::consumer::{Assignment, ConsumerHeartbeat};
use crate::group::kind::GroupType;
use crate::group::machine::GroupState;
use crate::group::share::ShareHeartbeat;

fn heartbeat(member: &str, epoch: i32) -> ShareHeartbeat {
    ShareHeartbeat {
        member_id: member.into(),
        epoch,
        rack_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: (epoch == 0).then(|| vec!["t".into()]),
    }
}

fn consumer_heartbeat() -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_id: "c".into(),
        epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: Some(Duration::from_secs(60)),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: Some(vec!["t".into()]),
        regex: None,
        assignor: None,
        owned: Some(Assignment::default()),
    }
}

impl Agent {
    async fn share_beat(&self, group: &str, member: &str, epoch: i32) -> Result<i32, GroupError> {
        let heartbeat = heartbeat(member, epoch);
        let answer = self.groups.share_heartbeat(group, heartbeat).await;
        answer.map(|a| a.epoch).map_err(|refusal| refusal.error)
    }

    /// Leads a share-partition of partition 0 as far as this offset.
    async fn share_up_to(&self, group: &str, start: i64) {
        let acquire = AcquireShare {
            group: group.into(),
            partition: partition(0),
        };
        let lease = self.session.submit(acquire).await.unwrap().unwrap();
        let save = SaveShare {
            group: group.into(),
            partition: partition(0),
            epoch: lease.epoch,
            start,
            runs: vec![],
        };
        self.session.submit(save).await.unwrap().unwrap();
    }

    fn share_start(&self, group: &str) -> Option<i64> {
        let replica = self.session.replica();
        replica.read(|s| s.share(group, partition(0)).and_then(|share| share.start))
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_group_lives_and_is_no_other_group() {
    let a = alone(GroupOptions::default()).await;
    let joined = a.groups.share_heartbeat("g", heartbeat("m", 0)).await;
    let joined = joined.unwrap();
    assert_eq!((joined.epoch, joined.assignment.unwrap().len()), (1, 3));
    assert_eq!(a.share_beat("g", "m", 1).await, Ok(1));
    let listed = a.groups.list().remove(0);
    let shown = (
        listed.group_type,
        listed.state,
        listed.protocol_type.as_str(),
    );
    assert_eq!(shown, (GroupType::Share, GroupState::Stable, "share"));
    let view = a.groups.describe_share("g").await.unwrap();
    assert_eq!((view.epoch, &*view.members[0].assigned[0].name), (1, "t"));
    let absent = GroupError::GroupIdNotFound;
    assert_eq!(a.groups.describe("g").await.unwrap_err(), absent);
    assert_eq!(a.groups.describe_consumer("g").await.unwrap_err(), absent);
    let consumer = a.groups.consumer_heartbeat("g", consumer_heartbeat()).await;
    assert_eq!(consumer.unwrap_err().error, absent);
    let classic = a.join("g", "c").await.unwrap_err();
    assert_eq!(classic.error, GroupError::InconsistentGroupProtocol);
    assert_eq!(a.commit("g", "", -1, 3).await, Err(absent));
    assert_eq!(a.groups.delete("g").await, Err(GroupError::NonEmptyGroup));
    assert_eq!(a.share_beat("g", "m", -1).await, Ok(-1));
    assert_eq!(a.groups.delete("g").await, Ok(()));
    assert!(!a.is_in_metadata("g"));
}

#[tokio::test(start_paused = true)]
async fn another_group_does_not_become_a_share_group() {
    let a = alone(GroupOptions::default()).await;
    let refused = Err(GroupError::GroupIdNotFound);
    a.settle("classic", "m").await;
    assert_eq!(a.share_beat("classic", "s", 0).await, refused);
    a.commit("offsets", "", -1, 3).await.unwrap();
    assert_eq!(a.share_beat("offsets", "s", 0).await, refused);
    assert_eq!(a.committed("offsets").await, Some(3));
    let consumer = consumer_heartbeat();
    a.groups.consumer_heartbeat("new", consumer).await.unwrap();
    assert_eq!(a.share_beat("new", "s", 0).await, refused);
    assert_eq!(a.share_beat("absent", "s", 3).await, refused);
    assert!(!a.is_in_metadata("absent"));
}

#[tokio::test(start_paused = true)]
async fn start_offsets_are_set_only_while_nobody_is_there() {
    let a = alone(GroupOptions::default()).await;
    let reset =
        |group: &'static str, start| a.groups.reset_shares(group, vec![(partition(0), start)]);
    assert_eq!(reset("g", Some(3)).await, Err(GroupError::GroupIdNotFound));
    a.share_beat("g", "m", 0).await.unwrap();
    a.share_up_to("g", 7).await;
    assert_eq!(reset("g", Some(3)).await, Err(GroupError::NonEmptyGroup));
    a.share_beat("g", "m", -1).await.unwrap();
    assert_eq!(reset("g", Some(3)).await, Ok(()));
    assert_eq!(a.share_start("g"), Some(3));
    assert_eq!(reset("g", None).await, Ok(()));
    assert_eq!(a.share_start("g"), None);
    a.commit("classic", "", -1, 3).await.unwrap();
    let refused = reset("classic", Some(3)).await;
    assert_eq!(refused, Err(GroupError::GroupIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_somewhere_is_kept_and_one_that_is_nowhere_is_not() {
    let a = alone(GroupOptions::default()).await;
    for group in ["here", "nowhere"] {
        a.share_beat(group, "m", 0).await.unwrap();
    }
    a.share_up_to("here", 7).await;
    for group in ["here", "nowhere"] {
        a.share_beat(group, "m", -1).await.unwrap();
    }
    let idle = a.groups.options().idle;
    tokio::time::sleep(idle * 2).await;
    assert_eq!(a.groups.in_memory(), 0);
    assert!(a.is_in_metadata("here") && !a.is_in_metadata("nowhere"));
    crate::group::retention::sweep(&a.groups).await;
    assert_eq!(a.share_start("here"), Some(7));
    // Deleted with its places.
    assert_eq!(a.groups.delete("here").await, Ok(()));
    assert_eq!(a.share_start("here"), None);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_knows_the_members() {
    let log = MemoryLog::new();
    let a = agent(&log, "a", GroupOptions::default()).await;
    let b = agent(&log, "b", GroupOptions::default()).await;
    a.create_topic().await;
    a.share_beat("g", "m", 0).await.unwrap();
    b.catch_up().await;
    let moved = GroupError::NotCoordinator;
    assert_eq!(b.share_beat("g", "m", 1).await, Err(moved));
    b.expire(&a).await;
    // Listed before anybody asks for it.
    assert_eq!(b.groups.list()[0].group_type, GroupType::Share);
    assert_eq!(b.share_beat("g", "m", 1).await, Ok(1));
    assert_eq!(b.share_beat("g", "n", 0).await, Ok(2));
    assert_eq!(b.share_beat("g", "m", 1).await, Ok(2));
    // The first agent, which does not know yet, can change nothing.
    assert!(a.share_beat("g", "x", 0).await.is_err());
    assert_eq!(b.groups.describe_share("g").await.unwrap().members.len(), 2);
}
