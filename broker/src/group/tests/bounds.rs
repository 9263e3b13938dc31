//! What is bounded, and what many groups cost.

use super::*;

#[tokio::test(start_paused = true)]
async fn past_the_bounds_clients_are_told_to_try_again() {
    let options = GroupOptions {
        groups_max: 2,
        asks_max: 1,
        ..GroupOptions::default()
    };
    let a = Arc::new(alone(options).await);
    a.commit("g1", "", -1, 1).await.unwrap();
    a.commit("g2", "", -1, 1).await.unwrap();
    let busy = Err(GroupError::CoordinatorLoadInProgress);
    assert_eq!(a.commit("g3", "", -1, 1).await, busy);
    assert!(!a.is_in_metadata("g3"));
    assert_eq!(a.commit("g1", "", -1, 2).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_group_are_bounded() {
    let options = GroupOptions {
        asks_max: 2,
        ..GroupOptions::default()
    };
    let a = Arc::new(alone(options).await);
    // Its lease cannot be taken, so requests for it wait.
    a.log.set_faults(Faults::unreachable());
    let mut waiting = Vec::new();
    for i in 0..3 {
        let joining = a.clone();
        waiting.push(tokio::spawn(async move {
            joining.join("g", &format!("m{i}")).await
        }));
        tokio::task::yield_now().await;
    }
    let refused = waiting.pop().unwrap().await.unwrap().unwrap_err();
    assert_eq!(refused.error, GroupError::CoordinatorLoadInProgress);
    a.log.set_faults(Faults::default());
    for joined in waiting {
        assert_eq!(joined.await.unwrap().unwrap().generation, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_lease_is_told_in_time_to_look_again() {
    let a = alone(GroupOptions::default()).await;
    a.log.set_faults(Faults::unreachable());
    let joined = tokio::time::timeout(Duration::from_secs(25), a.join("g", "m")).await;
    let refused = joined.expect("it is told in time").unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    a.log.set_faults(Faults::default());
    assert_eq!(a.settle("g", "m").await.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn what_members_say_of_themselves_is_bounded_over_all_groups() {
    let protocols = joins("m").protocols;
    let protocols = protocols[0].name.len() + protocols[0].metadata.len();
    let in_group = protocols + "client".len() + "/127.0.0.1".len();
    // Whoever waits to join counts besides.
    let options = GroupOptions {
        members_bytes_max: in_group + protocols,
        ..GroupOptions::default()
    };
    let a = alone(options).await;
    for group in ["g1", "g2"] {
        a.settle(group, "m").await;
    }
    let refused = a.join("g3", "m").await.unwrap_err();
    assert_eq!(refused.error, GroupError::CoordinatorLoadInProgress);
    a.leave("g1", "m").await;
    a.settle("g3", "m").await;
}

#[tokio::test(start_paused = true)]
async fn a_save_that_takes_too_long_lets_its_members_go_on() {
    let options = GroupOptions::default();
    let patience = options.save_timeout;
    let a = Arc::new(alone(options).await);
    a.join("g", "m").await.unwrap();
    a.log.set_faults(Faults::unreachable());
    let syncing = a.clone();
    let sync = tokio::spawn(async move { syncing.sync("g", "m", 1).await });
    let refused = tokio::time::timeout(patience + Duration::from_secs(1), sync);
    let refused = refused.await.unwrap().unwrap();
    assert_eq!(refused.unwrap_err(), GroupError::CoordinatorNotAvailable);
    a.log.set_faults(Faults::default());
    let rejoined = JoinRequest {
        member_id: "m".into(),
        ..joins("m")
    };
    let rejoined = a.groups.join("g", rejoined).await.unwrap();
    assert!(a.sync("g", "m", rejoined.generation).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_too_long_is_to_be_tried_again() {
    let a = Arc::new(alone(GroupOptions::default()).await);
    let joined = a.settle("g", "m").await;
    a.log.set_faults(Faults::unreachable());
    let patience = Duration::from_millis(5_001);
    let commit = tokio::time::timeout(patience, a.commit("g", "m", joined.generation, 7));
    let late = Err(GroupError::CoordinatorNotAvailable);
    assert_eq!(commit.await.expect("an answer in time"), late);
    a.log.set_faults(Faults::default());
    // The change was not taken back, and it keeps its place before the next.
    a.commit("g", "m", joined.generation, 8).await.unwrap();
    assert_eq!(a.committed("g").await, Some(8));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_groups_are_served_at_once() {
    let a = alone(GroupOptions::default()).await;
    let names: Vec<String> = (0..10_000).map(|i| format!("g{i}")).collect();
    let commits = names.iter().map(|group| a.commit(group, "", -1, 1));
    for committed in futures::future::join_all(commits).await {
        assert_eq!(committed, Ok(()));
    }
    assert_eq!(a.groups.in_memory(), 10_000);
    assert_eq!(a.groups.list().len(), 10_000);
    // Acquisitions and commits shared entries.
    let entries = a.session.replica().position().0;
    assert!(entries < 200, "{entries} entries");
}

#[tokio::test(start_paused = true)]
async fn an_assignment_too_large_to_be_saved_is_not_handed_out() {
    let a = alone(GroupOptions::default()).await;
    let joined = a.join("g", "m").await.unwrap();
    let sync = SyncRequest {
        member_id: "m".into(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![("m".into(), Bytes::from(vec![7; 2 << 20]))],
    };
    let refused = a.groups.sync("g", sync).await.unwrap_err();
    assert_eq!(refused, GroupError::UnknownServerError);
    let rebalancing = a.heartbeat("g", "m", joined.generation).await;
    assert_eq!(rebalancing, Err(GroupError::RebalanceInProgress));
}
