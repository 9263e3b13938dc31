//! Static membership (KIP-345) and what a returning leader is told (KIP-814).

use super::*;

fn two_static() -> Fixture {
    Fixture::stable_of(vec![joins_static("i", "a"), joins_static("j", "b")])
}

#[test]
fn a_returning_follower_takes_its_place_without_a_rebalance() {
    let mut f = two_static();
    let ticket = f.join(joins_static("j", "b2"));
    assert!(f.is_parked(ticket), "nothing before the save");
    let saved = f.save_done();
    assert_eq!(saved.members[1].member_id, "b2");
    assert_eq!(saved.members[1].assignment, assigned("b", 1));
    let joined = f.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (1, "a"));
    assert!(!joined.skip_assignment && joined.members.is_empty());

    let ticket = f.sync(SyncRequest {
        instance_id: Some("j".to_owned()),
        ..syncs("b2", 1)
    });
    assert_eq!(
        f.sync_answer(ticket),
        Ok(assigned("b", 1)),
        "it keeps its assignment"
    );
    assert_eq!(f.heartbeat_as("a", Some("i"), 1), Ok(()));
    let fenced = Err(GroupError::FencedInstanceId);
    assert_eq!(f.heartbeat_as("b", Some("j"), 1), fenced);
    let ticket = f.sync(SyncRequest {
        instance_id: Some("j".to_owned()),
        ..syncs("b", 1)
    });
    assert_eq!(f.sync_answer(ticket).map(drop), fenced);
    let ticket = f.join(JoinRequest {
        instance_id: Some("j".to_owned()),
        ..rejoins("b")
    });
    assert_eq!(f.join_error(ticket), GroupError::FencedInstanceId);
    assert_eq!(f.heartbeat("b", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_returning_leader_does_not_assign_again() {
    let mut f = two_static();
    let ticket = f.join(joins_static("i", "a2"));
    f.save_done();
    let joined = f.joined(ticket);
    assert_eq!(joined.leader, "a2");
    assert!(joined.skip_assignment);
    assert_eq!(joined.members.len(), 2, "it watches their topics");

    // A client that does not know KIP-814 is told that its former self leads.
    let old = JoinRequest {
        supports_skipping_assignment: false,
        ..joins_static("i", "a3")
    };
    let ticket = f.join(old);
    f.save_done();
    let joined = f.joined(ticket);
    assert_eq!(
        (joined.member_id.as_str(), joined.leader.as_str()),
        ("a3", "a2")
    );
    assert!(!joined.skip_assignment && joined.members.is_empty());
    assert_eq!(f.group.state(), GroupState::Stable);
}

#[test]
fn a_returning_member_that_changes_the_protocol_makes_a_rebalance() {
    let both = |instance: &str, id: &str, names: [&str; 2]| JoinRequest {
        protocols: names.iter().map(|name| protocol(name, "")).collect(),
        ..joins_static(instance, id)
    };
    let mut f = Fixture::stable_of(vec![
        both("i", "a", ["range", "sticky"]),
        both("j", "b", ["range", "sticky"]),
    ]);
    let only = JoinRequest {
        protocols: vec![protocol("sticky", "")],
        ..joins_static("j", "b2")
    };
    let ticket = f.join(only);
    assert_eq!(f.saves.len(), 0);
    assert!(f.is_parked(ticket));
    assert_eq!(
        f.heartbeat_as("a", Some("i"), 1),
        Err(GroupError::RebalanceInProgress)
    );
    let rejoin = both("i", "unused", ["range", "sticky"]);
    f.join(JoinRequest {
        member_id: "a".to_owned(),
        ..rejoin
    });
    assert_eq!(f.joined(ticket).protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn a_member_that_returns_before_the_assignment_makes_a_rebalance() {
    let mut f = Fixture::new();
    let tickets = [
        f.join(joins_static("i", "a")),
        f.join(joins_static("j", "b")),
    ];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    let waiting = f.sync(SyncRequest {
        instance_id: Some("j".to_owned()),
        ..syncs("b", 1)
    });
    let ticket = f.join(joins_static("j", "b2"));
    assert_eq!(f.sync_answer(waiting), Err(GroupError::FencedInstanceId));
    assert!(f.is_parked(ticket));
    f.join(JoinRequest {
        instance_id: Some("i".to_owned()),
        ..rejoins("a")
    });
    assert_eq!(f.joined(ticket).generation, 2);
}

#[test]
fn a_member_that_returns_during_a_rebalance_replaces_its_parked_self() {
    let mut f = two_static();
    let first = f.join(JoinRequest {
        instance_id: Some("i".to_owned()),
        ..rejoins("a")
    });
    let second = f.join(joins_static("i", "a2"));
    let refused = f.join_answer(first).expect_err("it is fenced");
    assert_eq!(refused.error, GroupError::FencedInstanceId);
    assert_eq!(refused.member_id, "a");
    f.join(JoinRequest {
        instance_id: Some("j".to_owned()),
        ..rejoins("b")
    });
    let joined = f.joined(second);
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "a2"));
    assert_eq!(joined.members.len(), 2);
}

#[test]
fn the_parked_join_of_a_returning_member_outlasts_a_session() {
    let mut f = Fixture::stable(&["a"]);
    f.join(joins_static("i", "b"));
    let back = f.join(joins_static("i", "b2"));
    for _ in 0..3 {
        f.pass(SESSION - Duration::from_millis(1));
        f.heartbeat("a", 1).ok();
    }
    assert!(f.is_parked(back));
    f.join(rejoins("a"));
    assert_eq!(f.joined(back).generation, 2);
}

#[test]
fn a_replacement_that_is_not_saved_is_undone() {
    let mut f = two_static();
    let ticket = f.join(joins_static("i", "a2"));
    f.save_fails(SaveFailure::Unknown);
    let refused = f.join_answer(ticket).expect_err("it was not saved");
    assert_eq!(refused.error, GroupError::CoordinatorNotAvailable);
    assert_eq!(f.heartbeat_as("a", Some("i"), 1), Ok(()));
    assert_eq!(
        f.heartbeat_as("a2", Some("i"), 1),
        Err(GroupError::FencedInstanceId)
    );

    let ticket = f.join(joins_static("i", "a3"));
    f.save_done();
    let joined = f.joined(ticket);
    assert!(joined.skip_assignment, "it leads still");
    assert_eq!(f.group.describe().members.len(), 2);

    f.join(joins_static("i", "a4"));
    f.save_fails(SaveFailure::Unknown);
    f.pass(SESSION);
    assert_eq!(
        f.group.members_len(),
        0,
        "the session of who was put back runs"
    );
}

#[test]
fn a_rebalance_during_the_save_answers_the_returning_member() {
    for failure in [None, Some(SaveFailure::Unknown)] {
        let mut f = two_static();
        let back = f.join(joins_static("i", "a2"));
        let new = f.join(joins("c"));
        match failure {
            None => drop(f.save_done()),
            Some(failure) => f.save_fails(failure),
        }
        assert!(f.is_parked(back), "it takes part in the rebalance");
        f.join(JoinRequest {
            instance_id: Some("j".to_owned()),
            ..rejoins("b")
        });
        let joined = f.joined(back);
        assert_eq!((joined.generation, joined.leader.as_str()), (2, "a2"));
        f.joined(new);
    }
}

#[test]
fn a_member_that_returns_twice_during_the_save_is_there_once() {
    let mut f = two_static();
    let first = f.join(joins_static("i", "a2"));
    let second = f.join(joins_static("i", "a3"));
    assert_eq!(f.join_error(first), GroupError::FencedInstanceId);
    f.save_done();
    assert!(f.is_parked(second), "that was the save of the first");
    f.save_done();
    assert_eq!(f.joined(second).member_id, "a3");
    assert_eq!(f.group.members_len(), 2);
}

#[test]
fn a_returning_member_has_a_session_even_if_the_save_outlasts_one() {
    let mut f = Fixture::stable_of(vec![joins_static("i", "a")]);
    let ticket = f.join(joins_static("i", "a2"));
    f.pass(SESSION * 2);
    f.save_done();
    f.joined(ticket);
    assert_eq!(f.group.members_len(), 1);
    f.pass(SESSION);
    assert_eq!(f.group.members_len(), 0, "it was never heard of again");
}

#[test]
fn an_absent_static_member_stays_until_its_session_ends() {
    let long = |id| JoinRequest {
        session_timeout: REBALANCE * 5,
        ..joins_static("j", id)
    };
    let mut f = Fixture::stable_of(vec![joins("a"), long("b")]);
    let ticket = f.join(rejoins("a"));
    f.pass(REBALANCE);
    let joined = f.joined(ticket);
    assert_eq!(
        (joined.generation, joined.members.len()),
        (2, 2),
        "b is still a member"
    );
    let sync = f.sync(leads("a", 2, &["a", "b"]));
    f.save_done();
    assert_eq!(f.sync_answer(sync), Ok(assigned("a", 2)));
    // It returns within its session, and finds the assignment made for it.
    let ticket = f.join(long("b2"));
    f.save_done();
    assert_eq!(f.joined(ticket).generation, 2);
    let sync = f.sync(syncs("b2", 2));
    assert_eq!(f.sync_answer(sync), Ok(assigned("b", 2)));
    for _ in 0..7 {
        f.pass(SESSION - Duration::from_millis(1));
        assert_eq!(
            f.heartbeat("a", 2),
            Ok(()),
            "b2 has synced, nobody is missing"
        );
    }
}

#[test]
fn an_absent_static_member_that_never_syncs_is_removed() {
    let long = JoinRequest {
        session_timeout: REBALANCE * 5,
        ..joins_static("j", "b")
    };
    let mut f = Fixture::stable_of(vec![joins("a"), long]);
    f.join(rejoins("a"));
    f.pass(REBALANCE);
    f.sync(leads("a", 2, &["a", "b"]));
    f.save_done();
    for _ in 0..7 {
        f.pass(SESSION - Duration::from_millis(1));
        f.heartbeat("a", 2).ok();
    }
    assert_eq!(f.group.members_len(), 1);
    assert_eq!(f.heartbeat("a", 2), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_join_phase_without_a_timeout_does_not_spin() {
    let mut hasty = JoinRequest {
        rebalance_timeout: Duration::ZERO,
        ..joins_static("i", "a")
    };
    hasty.session_timeout = REBALANCE;
    let mut f = Fixture::stable_of(vec![hasty, joins("b")]);
    let mut ticks = 0;
    let end = f.now + REBALANCE;
    while let Some(at) = f.group.next_deadline().filter(|at| *at < end) {
        f.now = at;
        f.step(Event::Tick);
        ticks += 1;
        assert!(ticks < 200, "a timer is due all the time");
    }
    assert_eq!(
        f.group.state(),
        GroupState::PreparingRebalance,
        "b has gone, a is awaited"
    );
}

#[test]
fn a_join_phase_nobody_came_to_is_put_off() {
    let long = |i: &str, id: &str| JoinRequest {
        session_timeout: REBALANCE * 3,
        ..joins_static(i, id)
    };
    let mut f = Fixture::stable_of(vec![long("i", "a"), long("j", "b"), joins("c")]);
    f.pass(SESSION);
    assert_eq!(f.group.members_len(), 2, "c is gone");
    f.pass(REBALANCE);
    assert_eq!(
        f.group.state(),
        GroupState::PreparingRebalance,
        "but nobody has rejoined"
    );
    assert_eq!(f.group.generation(), 1);
    let back = f.join(joins_static("j", "b2"));
    f.pass(REBALANCE);
    assert_eq!(f.joined(back).leader, "b2", "the absent leader is replaced");
}
