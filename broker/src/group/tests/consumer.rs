//! Consumer groups (KIP-848) under their agents.

use super::*;
use crate::group::consumer::{Assignment, ConsumerHeartbeat, HeartbeatAnswer, Refusal};
use crate::group::kind::GroupType;
use crate::group::machine::GroupState;

fn heartbeat(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_id: member.into(),
        epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: (epoch == 0).then_some(Duration::from_secs(60)),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: (epoch == 0).then(|| vec!["t".into()]),
        regex: None,
        assignor: None,
        owned: (epoch == 0).then(Assignment::default),
    }
}

impl Agent {
    async fn beat(&self, group: &str, member: &str, epoch: i32) -> Result<i32, GroupError> {
        let answer = self.beat_with(group, heartbeat(member, epoch)).await;
        answer.map(|a| a.epoch).map_err(|refusal| refusal.error)
    }

    async fn beat_with(
        &self,
        group: &str,
        heartbeat: ConsumerHeartbeat,
    ) -> Result<HeartbeatAnswer, Refusal> {
        self.groups.consumer_heartbeat(group, heartbeat).await
    }
}

async fn two() -> (Agent, Agent) {
    let log = MemoryLog::new();
    let a = agent(&log, "a", GroupOptions::default()).await;
    let b = agent(&log, "b", GroupOptions::default()).await;
    a.create_topic().await;
    b.catch_up().await;
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_commits_and_leaves() {
    let a = alone(GroupOptions::default()).await;
    let joined = a.beat_with("g", heartbeat("m", 0)).await.unwrap();
    assert_eq!((joined.epoch, joined.assignment.unwrap().len()), (1, 3));
    assert_eq!(a.beat("g", "m", 1).await, Ok(1));
    assert_eq!(a.commit("g", "m", 1, 42).await, Ok(()));
    let stale = a.commit("g", "m", 2, 43).await;
    assert_eq!(stale, Err(GroupError::StaleMemberEpoch));
    let fetch = |epoch| a.groups.check_fetch("g", Some("m".into()), epoch);
    assert_eq!(fetch(1).await, Ok(()));
    assert_eq!(fetch(0).await, Err(GroupError::StaleMemberEpoch));
    let listed = a.groups.list();
    assert_eq!(listed[0].group_type, GroupType::Consumer);
    assert_eq!(
        (listed[0].state, &*listed[0].protocol_type),
        (GroupState::Stable, "consumer")
    );
    let view = a.groups.describe_consumer("g").await.unwrap();
    assert_eq!((view.epoch, &*view.members[0].assigned[0].name), (1, "t"));
    let classic = a.groups.describe("g").await;
    assert_eq!(classic.unwrap_err(), GroupError::GroupIdNotFound);
    assert_eq!(a.groups.delete("g").await, Err(GroupError::NonEmptyGroup));
    assert_eq!(a.beat("g", "m", -1).await, Ok(-1));
    assert_eq!(a.committed("g").await, Some(42));
    assert_eq!(a.groups.delete("g").await, Ok(()));
    assert!(!a.is_in_metadata("g"));
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_leaves_no_trace() {
    let a = alone(GroupOptions::default()).await;
    assert_eq!(a.beat("g", "m", 5).await, Err(GroupError::GroupIdNotFound));
    assert!(!a.is_in_metadata("g"));
    let absent = a.groups.describe_consumer("g").await;
    assert_eq!(absent.unwrap_err(), GroupError::GroupIdNotFound);
}

#[tokio::test(start_paused = true)]
async fn a_member_is_told_nothing_that_is_not_durable() {
    let a = Arc::new(alone(GroupOptions::default()).await);
    a.beat("g", "m", 0).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let joining = a.clone();
    let join = tokio::spawn(async move { joining.beat("g", "n", 0).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!join.is_finished());
    a.log.set_faults(Faults::default());
    assert_eq!(join.await.unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn after_a_save_of_unknown_outcome_the_group_is_what_the_log_says() {
    let options = GroupOptions::default();
    let patience = options.save_timeout + Duration::from_secs(1);
    let a = Arc::new(alone(options).await);
    a.beat("g", "m", 0).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let joining = a.clone();
    let join = tokio::spawn(async move { joining.beat("g", "n", 0).await });
    let refused = tokio::time::timeout(patience, join).await.unwrap().unwrap();
    assert_eq!(refused, Err(GroupError::CoordinatorNotAvailable));
    a.log.set_faults(Faults::default());
    // It was written after all; the answer that was lost is given again.
    let again = a.beat("g", "n", 0).await;
    assert_eq!(again, Ok(2));
    assert_eq!(a.beat("g", "m", 1).await, Ok(1));
    let view = a.groups.describe_consumer("g").await.unwrap();
    assert_eq!((view.epoch, view.members.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn members_go_on_under_another_agent_without_a_rebalance() {
    let (a, b) = two().await;
    a.beat("g", "m", 0).await.unwrap();
    a.commit("g", "m", 1, 42).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    b.expire(&a).await;
    assert_eq!(b.beat("g", "m", 1).await, Ok(1));
    assert_eq!(b.commit("g", "m", 1, 43).await, Ok(()));
    let view = b.groups.describe_consumer("g").await.unwrap();
    assert_eq!((view.epoch, view.state), (1, GroupState::Stable));
    assert_eq!(view.members[0].assigned[0].partitions, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn of_two_coordinators_exactly_one_can_admit_a_member() {
    let (a, b) = two().await;
    let a = Arc::new(a);
    a.beat("g", "m", 0).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let behind = a.clone();
    let late = tokio::spawn(async move { behind.beat("g", "late", 0).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    b.expire(&a).await;
    assert_eq!(b.beat("g", "n", 0).await, Ok(2));
    a.log.set_faults(Faults::default());
    assert!(late.await.unwrap().is_err());
    b.catch_up().await;
    let view = b.groups.describe_consumer("g").await.unwrap();
    let members: Vec<&str> = view.members.iter().map(|m| &*m.member.id).collect();
    assert_eq!(members, ["m", "n"]);
}

#[tokio::test(start_paused = true)]
async fn a_live_group_goes_from_classic_to_consumer_and_back() {
    let a = alone(GroupOptions::default()).await;
    let member = || JoinRequest {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0"),
        }],
        ..joins("old")
    };
    let joined = a.groups.join("g", member()).await.unwrap();
    let sync = SyncRequest {
        member_id: "old".into(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![("old".into(), Bytes::new())],
    };
    a.groups.sync("g", sync).await.unwrap();
    a.commit("g", "old", 1, 42).await.unwrap();

    assert_eq!(a.beat("g", "new", 0).await, Ok(2));
    assert_eq!(a.groups.list()[0].group_type, GroupType::Consumer);
    let rebalance = a.heartbeat("g", "old", 1).await;
    assert_eq!(rebalance, Err(GroupError::RebalanceInProgress));
    let rejoins = JoinRequest {
        member_id: "old".into(),
        ..member()
    };
    let joined = a.groups.join("g", rejoins).await.unwrap();
    assert_eq!(joined.generation, 2);
    assert_eq!(a.commit("g", "old", 2, 43).await, Ok(()));
    assert_eq!(a.commit("g", "new", 2, 44).await, Ok(()));

    assert_eq!(a.beat("g", "new", -1).await, Ok(-1));
    let listed = a.groups.list();
    assert_eq!(listed[0].group_type, GroupType::Classic);
    assert_eq!(listed[0].state, GroupState::PreparingRebalance);
    let rejoins = JoinRequest {
        member_id: "old".into(),
        ..member()
    };
    let joined = a.groups.join("g", rejoins).await.unwrap();
    assert_eq!((joined.generation, &*joined.leader), (4, "old"));
    assert_eq!(a.committed("g").await, Some(44));
    a.catch_up().await;
    let saved = a
        .session
        .replica()
        .read(|s| s.group("g").unwrap().saved.clone());
    let names: Vec<&String> = saved.keys().collect();
    assert_eq!(names, ["classic", "classic/old"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_group_takes_the_type_of_who_joins_it() {
    let a = alone(GroupOptions::default()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.leave("g", "m").await;
    assert_eq!(a.beat("g", "n", 0).await, Ok(1));
    assert_eq!(a.groups.list()[0].group_type, GroupType::Consumer);
    a.beat("g", "n", -1).await.unwrap();
    a.settle("g", "m").await;
    assert_eq!(a.groups.list()[0].group_type, GroupType::Classic);
    assert_eq!(a.committed("g").await, Some(42));
}
