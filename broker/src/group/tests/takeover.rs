//! Two agents and one group: who is gone is succeeded, and of two that believe they coordinate it one can (I7).

use super::*;
use crate::group::machine::GroupState;

async fn two() -> (Agent, Agent) {
    let log = MemoryLog::new();
    let a = agent(&log, "a", GroupOptions::default()).await;
    let b = agent(&log, "b", GroupOptions::default()).await;
    a.create_topic().await;
    b.catch_up().await;
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn another_agent_says_that_it_is_not_the_coordinator() {
    let (a, b) = two().await;
    a.settle("g", "m").await;
    b.catch_up().await;
    assert!(b.groups.is_elsewhere("g") && !a.groups.is_elsewhere("g"));
    let refused = b.join("g", "n").await.unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    let moved = Err(GroupError::NotCoordinator);
    assert_eq!(b.heartbeat("g", "m", 1).await, moved);
    assert_eq!(b.commit("g", "m", 1, 5).await, moved);
    assert_eq!(b.groups.delete("g").await, moved);
    assert_eq!((a.groups.list().len(), b.groups.list().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_ask_at_once_one_becomes_the_coordinator() {
    let (a, b) = two().await;
    let slow = Faults {
        delay_max: Duration::from_millis(200),
        ..Faults::default()
    };
    a.log.set_faults(slow.clone());
    b.log.set_faults(slow);
    let (at_a, at_b) = tokio::join!(a.commit("g", "", -1, 1), b.commit("g", "", -1, 2));
    let (winner, offset) = match (at_a, at_b) {
        (Ok(()), Err(GroupError::NotCoordinator)) => (&a, 1),
        (Err(GroupError::NotCoordinator), Ok(())) => (&b, 2),
        both => panic!("{both:?}"),
    };
    assert_eq!(winner.committed("g").await, Some(offset));
}

#[tokio::test(start_paused = true)]
async fn generation_members_and_offsets_survive_their_coordinator() {
    let (a, b) = two().await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.log.set_faults(Faults::unreachable());
    b.expire(&a).await;
    assert!(!b.groups.is_elsewhere("g"));
    assert_eq!(b.committed("g").await, Some(42));
    // The member goes on without a rebalance.
    assert_eq!(b.heartbeat("g", "m", 1).await, Ok(()));
    assert_eq!(b.commit("g", "m", 1, 43).await, Ok(()));
    assert_eq!(b.committed("g").await, Some(43));
    let view = b.groups.describe("g").await.unwrap();
    assert_eq!(view.state, GroupState::Stable);
    assert_eq!(view.members[0].assignment, "everything");
}

#[tokio::test(start_paused = true)]
async fn of_two_coordinators_exactly_one_can_commit() {
    let (a, b) = two().await;
    let a = Arc::new(a);
    a.settle("g", "m").await;
    a.log.set_faults(Faults::unreachable());
    let behind = a.clone();
    let late = tokio::spawn(async move { behind.commit("g", "m", 1, 666).await });
    b.expire(&a).await;
    assert_eq!(b.commit("g", "m", 1, 5).await, Ok(()));
    // It has not heard of its end, and goes on in good faith.
    assert_eq!(a.heartbeat("g", "m", 1).await, Ok(()));
    assert!(!late.is_finished());
    a.log.set_faults(Faults::default());
    assert_eq!(late.await.unwrap(), Err(GroupError::NotCoordinator));
    assert_eq!(b.committed("g").await, Some(5));
    let gone = a.heartbeat("g", "m", 1).await;
    assert_eq!(gone, Err(GroupError::NotCoordinator));
    assert_eq!(a.groups.in_memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_coordinators_exactly_one_can_save_a_generation() {
    let (a, b) = two().await;
    let a = Arc::new(a);
    let joined = a.join("g", "m").await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let behind = a.clone();
    let late = tokio::spawn(async move { behind.sync("g", "m", joined.generation).await });
    b.expire(&a).await;
    let at_b = b.settle("g", "n").await;
    a.log.set_faults(Faults::default());
    // Nobody gets an assignment that is not durable.
    assert!(late.await.unwrap().is_err());
    b.catch_up().await;
    let saved = b
        .session
        .replica()
        .read(|s| s.group("g").map(|g| g.saved.clone()));
    let saved = crate::group::records::classic(&saved.unwrap()).unwrap();
    assert_eq!(saved.leader.as_deref(), Some("n"));
    assert_eq!(b.heartbeat("g", "n", at_b.generation).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_commit_left_behind_by_the_dead_is_seen_by_the_successor() {
    let (a, b) = two().await;
    let a = Arc::new(a);
    a.commit("g", "", -1, 1).await.unwrap();
    // The entry lands, and nobody is told.
    a.log.set_faults(Faults {
        append_unknown_kept: 1.0,
        read_failed: 1.0,
        ..Faults::default()
    });
    let behind = a.clone();
    let late = tokio::spawn(async move { behind.commit("g", "", -1, 2).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!late.is_finished());
    late.abort();
    b.expire(&a).await;
    b.commit("h", "", -1, 1).await.unwrap();
    assert_eq!(b.committed("g").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn groups_that_nobody_coordinates_are_listed_by_one_agent() {
    let (a, b) = two().await;
    for i in 0..20 {
        a.commit(&format!("g{i}"), "", -1, 1).await.unwrap();
    }
    a.settle("members", "m").await;
    let c = agent(&a.log, "c", GroupOptions::default()).await;
    a.log.set_faults(Faults::unreachable());
    b.expire(&a).await;
    c.catch_up().await;
    let (at_b, at_c) = (b.groups.list(), c.groups.list());
    assert!(!at_b.is_empty() && !at_c.is_empty());
    let mut all: Vec<_> = at_b.into_iter().chain(at_c).collect();
    all.sort_by(|x, y| x.group.cmp(&y.group));
    all.dedup_by(|x, y| x.group == y.group);
    assert_eq!(all.len(), 21);
    let members = all.last().unwrap();
    assert_eq!(members.state, GroupState::Stable);
    assert_eq!(members.protocol_type, "consumer");
}
