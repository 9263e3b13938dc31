//! The life of a group under one agent.

use std::collections::BTreeSet;

use control_plane::state::Coordinator;

use super::*;
use crate::group::machine::GroupState;

#[tokio::test(start_paused = true)]
async fn a_member_joins_syncs_commits_and_leaves() {
    let a = alone(GroupOptions::default()).await;
    let joined = a.settle("g", "m").await;
    assert_eq!((joined.generation, joined.leader.as_str()), (1, "m"));
    assert_eq!(a.heartbeat("g", "m", 1).await, Ok(()));
    assert_eq!(a.commit("g", "m", 1, 42).await, Ok(()));
    assert_eq!(a.committed("g").await, Some(42));
    let stale = a.commit("g", "m", 0, 43).await;
    assert_eq!(stale, Err(GroupError::IllegalGeneration));
    assert_eq!(a.committed("g").await, Some(42));

    let view = a.groups.describe("g").await.unwrap();
    assert_eq!(view.state, GroupState::Stable);
    assert_eq!(view.members[0].assignment, "everything");
    a.leave("g", "m").await;
    let view = a.groups.describe("g").await.unwrap();
    assert_eq!((view.state, view.members.len()), (GroupState::Empty, 0));
    assert_eq!(a.committed("g").await, Some(42));
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_removed_by_time_alone() {
    let a = alone(GroupOptions::default()).await;
    a.settle("g", "m").await;
    for _ in 0..5 {
        tokio::time::sleep(SESSION * 9 / 10).await;
        assert_eq!(a.heartbeat("g", "m", 1).await, Ok(()));
    }
    tokio::time::sleep(SESSION + Duration::from_millis(10)).await;
    assert_eq!(a.groups.list()[0].state, GroupState::Empty);
    let unknown = a.heartbeat("g", "m", 1).await;
    assert_eq!(unknown, Err(GroupError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_of_anything_leaves_no_trace() {
    let a = alone(GroupOptions::default()).await;
    let unknown = a.heartbeat("g", "m", 1).await;
    assert_eq!(unknown, Err(GroupError::UnknownMemberId));
    let unknown = a.sync("g", "m", 1).await;
    assert_eq!(unknown.unwrap_err(), GroupError::UnknownMemberId);
    let unknown = a.commit("g", "m", 1, 5).await;
    assert_eq!(unknown, Err(GroupError::GroupIdNotFound));
    let unknown = a.groups.describe("g").await;
    assert_eq!(unknown.unwrap_err(), GroupError::GroupIdNotFound);
    let unknown = a.groups.delete("g").await;
    assert_eq!(unknown, Err(GroupError::GroupIdNotFound));
    assert!(!a.is_in_metadata("g") && a.groups.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_group_membership_may_commit() {
    let a = alone(GroupOptions::default()).await;
    assert_eq!(a.commit("g", "", -1, 5).await, Ok(()));
    assert_eq!(a.committed("g").await, Some(5));
    let listed = a.groups.list();
    assert_eq!(
        (listed[0].group.as_str(), listed[0].protocol_type.as_str()),
        ("g", "")
    );
    // Not into the group of others.
    a.settle("g2", "m").await;
    let stranger = a.commit("g2", "", -1, 5).await;
    assert_eq!(stranger, Err(GroupError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_once_it_is_empty_and_may_come_back() {
    let a = alone(GroupOptions::default()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 5).await.unwrap();
    assert_eq!(a.groups.delete("g").await, Err(GroupError::NonEmptyGroup));
    a.leave("g", "m").await;
    assert_eq!(a.groups.delete("g").await, Ok(()));
    assert!(!a.is_in_metadata("g"));
    assert_eq!(a.groups.delete("g").await, Err(GroupError::GroupIdNotFound));
    assert_eq!(a.settle("g", "n").await.generation, 1);
    assert_eq!(a.committed("g").await, None);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_subscribed_topics_are_not_deleted() {
    let a = alone(GroupOptions::default()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 5).await.unwrap();
    let topics = || vec![("t".to_owned(), BTreeSet::from([partition(0)]))];
    let kept = a.groups.delete_offsets("g", topics()).await.unwrap();
    assert_eq!(kept, BTreeSet::from(["t".to_owned()]));
    assert_eq!(a.committed("g").await, Some(5));
    a.leave("g", "m").await;
    let kept = a.groups.delete_offsets("g", topics()).await.unwrap();
    assert_eq!((kept.len(), a.committed("g").await), (0, None));
}

#[tokio::test(start_paused = true)]
async fn an_unused_group_leaves_the_memory_and_if_it_has_no_offsets_the_metadata() {
    let options = GroupOptions::default();
    let idle = options.idle + Duration::from_secs(1);
    let a = alone(options).await;
    for group in ["kept", "gone"] {
        a.settle(group, "m").await;
        if group == "kept" {
            a.commit(group, "m", 1, 5).await.unwrap();
        }
        a.leave(group, "m").await;
    }
    assert_eq!(a.groups.list().len(), 2);
    tokio::time::sleep(idle).await;
    a.catch_up().await;
    assert_eq!(a.groups.in_memory(), 0);
    assert!(a.is_in_metadata("kept") && !a.is_in_metadata("gone"));
    let listed = a.groups.list();
    assert_eq!((listed.len(), listed[0].state), (1, GroupState::Empty));
    // It comes back with its generation and its offsets.
    assert_eq!(a.settle("kept", "m").await.generation, 3);
    assert_eq!(a.committed("kept").await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_commit_under_way_keeps_an_unused_group() {
    let options = GroupOptions {
        save_timeout: GroupOptions::default().idle * 9,
        ..GroupOptions::default()
    };
    let idle = options.idle * 3;
    let a = Arc::new(alone(options).await);
    a.settle("g", "m").await;
    a.leave("g", "m").await;
    a.log.set_faults(Faults::unreachable());
    let committing = a.clone();
    let commit = tokio::spawn(async move { committing.commit("g", "", -1, 5).await });
    tokio::time::sleep(idle).await;
    a.log.set_faults(Faults::default());
    assert_eq!(commit.await.unwrap(), Ok(()));
    tokio::time::sleep(idle).await;
    assert_eq!(a.committed("g").await, Some(5));
    assert_eq!(a.groups.in_memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_acknowledged_no_sooner_than_it_is_in_the_log() {
    let a = Arc::new(alone(GroupOptions::default()).await);
    a.commit("g", "", -1, 1).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let committing = a.clone();
    let commit = tokio::spawn(async move { committing.commit("g", "", -1, 5).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!commit.is_finished());
    a.log.set_faults(Faults::default());
    assert_eq!(commit.await.unwrap(), Ok(()));
    assert_eq!(a.committed("g").await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_sends_everybody_elsewhere() {
    let a = Arc::new(alone(GroupOptions::default()).await);
    a.settle("g", "m").await;
    let joining = a.clone();
    let parked = tokio::spawn(async move { joining.join("g", "n").await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!parked.is_finished());
    a.shutdown.begin();
    let refused = parked.await.unwrap().unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    let gone = a.heartbeat("g", "m", 1).await;
    assert_eq!(gone, Err(GroupError::NotCoordinator));
    let refused = a.join("new", "m").await.unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    assert_eq!(a.groups.in_memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_once_however_often_the_group_is_left_alone() {
    let options = GroupOptions::default();
    let idle = options.idle + Duration::from_secs(1);
    let a = alone(options).await;
    for offset in 0..3 {
        a.commit("g", "", -1, offset).await.unwrap();
        tokio::time::sleep(idle).await;
    }
    let lease = a.session.replica().read(|s| s.coordinator("g"));
    let agent = a.session.epoch();
    assert_eq!(lease, Some(Coordinator { agent, epoch: 1 }));
}
