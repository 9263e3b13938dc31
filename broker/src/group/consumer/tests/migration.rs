//! Groups whose members speak two protocols, and the way from one to the other.

use bytes::Bytes;

use super::*;
use crate::group::machine::{
    HeartbeatRequest, JoinRequest, Joined, LeaveRequest, LeavingMember, Protocol, SavedGroup,
    SavedMember, SyncRequest, Synced,
};

/// A subscription to `t` that owns nothing.
const SUBSCRIPTION: &[u8] = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0";

fn saved_member(id: &str, partitions: &[u8]) -> SavedMember {
    let mut assignment = b"\0\x01\0\0\0\x01\0\x01t\0\0\0".to_vec();
    assignment.push(partitions.len() as u8);
    for &p in partitions {
        assignment.extend([0, 0, 0, p]);
    }
    assignment.extend([0xff; 4]);
    SavedMember {
        member_id: id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocols: protocols(),
        assignment: assignment.into(),
    }
}

fn protocols() -> Vec<Protocol> {
    vec![Protocol {
        name: "range".into(),
        metadata: Bytes::from_static(SUBSCRIPTION),
    }]
}

fn classic_group() -> SavedGroup {
    SavedGroup {
        generation: 7,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: Some("x".into()),
        members: vec![saved_member("x", &[0, 1, 2]), saved_member("y", &[3, 4, 5])],
    }
}

/// A classic group of `x` and `y` that is now a consumer group.
fn upgraded(limits: ConsumerLimits) -> Result<Driver, NotConvertible> {
    let mut driver = Driver::with(limits.clone());
    let stale = (vec!["classic".to_owned()], SaveId(9));
    let topics = driver.topics.clone();
    let classic = Limits::default();
    driver.saved.insert("classic".into(), Bytes::new());
    driver.group = to_consumer(limits, classic, classic_group(), topics, stale, driver.now)?;
    Ok(driver)
}

impl Driver {
    fn classic_join(&mut self, id: &str, owned: &[u8]) -> Result<Joined, GroupError> {
        let mut metadata = SUBSCRIPTION[..SUBSCRIPTION.len() - 4].to_vec();
        metadata.extend(b"\0\0\0\x01\0\x01t\0\0\0");
        metadata.push(owned.len() as u8);
        owned.iter().for_each(|&p| metadata.extend([0, 0, 0, p]));
        let request = JoinRequest {
            member_id: id.into(),
            candidate_member_id: "new".into(),
            instance_id: None,
            client_id: "client".into(),
            client_host: "/h".into(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: REBALANCE,
            protocol_type: "consumer".into(),
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: metadata.into(),
            }],
            reason: None,
            requires_known_member_id: true,
            supports_skipping_assignment: true,
        };
        match self.step(|ticket| Event::Join(ticket, request)) {
            Some(Answer::Join(answer)) => answer.map_err(|refused| refused.error),
            other => panic!("{other:?}"),
        }
    }

    fn classic_sync(&mut self, id: &str, generation: i32) -> Result<Synced, GroupError> {
        let request = SyncRequest {
            member_id: id.into(),
            instance_id: None,
            generation,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: vec![],
        };
        match self.step(|ticket| Event::Sync(ticket, request)) {
            Some(Answer::Sync(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn classic_beat(&mut self, id: &str, generation: i32) -> Result<(), GroupError> {
        let request = HeartbeatRequest {
            member_id: id.into(),
            instance_id: None,
            generation,
        };
        match self.step(|ticket| Event::Heartbeat(ticket, request)) {
            Some(Answer::Heartbeat(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }
}

fn owned(synced: &Synced, topics: &Topics) -> String {
    let named = super::super::embedded::assignment(&synced.assignment).unwrap();
    shown(&super::super::embedded::assignment_of(&named, topics))
}

#[test]
fn members_of_both_protocols_share_the_partitions() {
    let mut driver = upgraded(ConsumerLimits::default()).unwrap();
    let mut c = driver.join("c");
    assert_eq!((c.epoch, c.owns().as_str()), (8, ""));
    assert!(
        !driver.saved.contains_key("classic"),
        "the classic records are gone"
    );
    // The others are told to join again, give up what they must, and get the rest by SyncGroup.
    assert_eq!(
        driver.classic_beat("x", 7),
        Err(GroupError::RebalanceInProgress)
    );
    let joined = driver.classic_join("x", &[0, 1, 2]).unwrap();
    assert_eq!((joined.generation, joined.leader.as_str()), (7, ""));
    let synced = driver.classic_sync("x", 7).unwrap();
    assert_eq!(owned(&synced, &driver.topics), "t0 t1");
    assert_eq!(
        driver.classic_beat("x", 7),
        Err(GroupError::RebalanceInProgress)
    );
    driver.beat(&mut c).unwrap();
    assert_eq!(c.owns(), "");
    let joined = driver.classic_join("x", &[0, 1]).unwrap();
    assert_eq!(joined.generation, 8);
    let synced = driver.classic_sync("x", 8).unwrap();
    assert_eq!(owned(&synced, &driver.topics), "t0 t1");
    assert_eq!(driver.classic_beat("x", 8), Ok(()));
    driver.beat(&mut c).unwrap();
    assert_eq!(c.owns(), "t2");
}

#[test]
fn a_classic_member_that_does_not_join_again_goes() {
    let mut driver = upgraded(ConsumerLimits::default()).unwrap();
    let mut c = driver.join("c");
    for _ in 0..8 {
        let _ = driver.classic_beat("x", 7);
        driver.pass(Duration::from_secs(8));
        driver.beat(&mut c).unwrap();
    }
    assert_eq!(
        driver.classic_beat("x", 7),
        Err(GroupError::UnknownMemberId)
    );
    // `y` was not heard of for longer than its session.
    driver.settle(&mut [&mut c]);
    assert_eq!(c.owned.len(), 6);
}

#[test]
fn a_new_classic_member_joins_a_consumer_group() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    assert_eq!(
        driver.classic_join("", &[]),
        Err(GroupError::MemberIdRequired)
    );
    let joined = driver.classic_join("new", &[]).unwrap();
    assert_eq!(joined.generation, 2);
    assert_eq!(
        owned(&driver.classic_sync("new", 2).unwrap(), &driver.topics),
        ""
    );
    assert_eq!(driver.classic_beat("new", 2), Ok(()));
    driver.beat(&mut a).unwrap();
    driver.beat(&mut a).unwrap();
    // Its partitions are free: it is to fetch them.
    assert_eq!(
        driver.classic_beat("new", 2),
        Err(GroupError::RebalanceInProgress)
    );
    assert_eq!(driver.classic_join("new", &[]).unwrap().generation, 2);
    let synced = driver.classic_sync("new", 2).unwrap();
    assert_eq!(owned(&synced, &driver.topics), "t3 t4 t5");
    let stale = driver.classic_sync("new", 1).unwrap_err();
    assert_eq!(stale, GroupError::IllegalGeneration);
    assert_eq!(
        driver.classic_beat("a", 2),
        Err(GroupError::UnknownMemberId)
    );
    let member = LeavingMember {
        member_id: "new".into(),
        instance_id: None,
        reason: None,
    };
    let leave = LeaveRequest {
        members: vec![member],
    };
    driver.step(|ticket| Event::Leave(ticket, leave));
    driver.settle(&mut [&mut a]);
    assert_eq!(a.owned.len(), 6);
}

#[test]
fn the_last_member_of_the_consumer_protocol_leaves_a_classic_group() {
    let mut driver = upgraded(ConsumerLimits::default()).unwrap();
    let c = driver.join("c");
    assert!(!driver.group.is_outgrown());
    let leave = ConsumerHeartbeat {
        epoch: -1,
        ..c.heartbeat()
    };
    driver.send(leave).unwrap();
    assert!(driver.group.is_outgrown());
    let classic = driver.group.to_classic();
    assert_eq!((classic.generation, classic.members.len()), (9, 2));
    assert_eq!(classic.protocol_name.as_deref(), Some("range"));
    assert_eq!(classic.members[0].protocols, protocols());
    // An agent that takes over in between sees to it.
    driver.take_over();
    assert!(driver.group.is_outgrown());
}

#[test]
fn removing_the_last_member_of_the_consumer_protocol_leaves_a_classic_group_too() {
    let mut driver = upgraded(ConsumerLimits::default()).unwrap();
    driver.join("c");
    let member = LeavingMember {
        member_id: "c".into(),
        instance_id: None,
        reason: None,
    };
    let leave = LeaveRequest {
        members: vec![member],
    };
    driver.step(|ticket| Event::Leave(ticket, leave));
    assert!(driver.group.is_outgrown());
}

#[test]
fn the_policy_decides_which_way_groups_may_go() {
    let with = |migration| ConsumerLimits {
        migration,
        ..ConsumerLimits::default()
    };
    for policy in [MigrationPolicy::Disabled, MigrationPolicy::Downgrade] {
        assert!(upgraded(with(policy)).is_err());
    }
    let mut driver = upgraded(with(MigrationPolicy::Upgrade)).unwrap();
    let c = driver.join("c");
    driver
        .send(ConsumerHeartbeat {
            epoch: -1,
            ..c.heartbeat()
        })
        .unwrap();
    assert!(!driver.group.is_outgrown());
}
