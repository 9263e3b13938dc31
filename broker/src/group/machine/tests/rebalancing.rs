//! Sessions, deadlines, and what becomes of members that miss them.

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn heartbeats_are_checked() {
    let mut f = Fixture::stable(&["a"]);
    assert_eq!(f.heartbeat("a", 1), Ok(()));
    assert_eq!(f.heartbeat("a", 0), Err(GroupError::IllegalGeneration));
    assert_eq!(f.heartbeat("a", 2), Err(GroupError::IllegalGeneration));
    assert_eq!(f.heartbeat("x", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(
        f.heartbeat_as("a", Some("i"), 1),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(
        Fixture::new().heartbeat("a", 0),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_silent_member_is_removed_and_the_rest_rebalance() {
    let mut f = Fixture::stable(&["a", "b"]);
    f.pass(SESSION - MS);
    assert_eq!(f.heartbeat("b", 1), Ok(()));
    f.pass(MS);
    assert_eq!(f.heartbeat("b", 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::UnknownMemberId));
    let removed = Note::MemberRemoved {
        member_id: "a".to_owned(),
        cause: RemovalCause::SessionExpired,
    };
    assert!(f.notes.contains(&removed));

    let ticket = f.join(rejoins("b"));
    let joined = f.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "b"));
    f.complete_sync(&["b"], 2);
}

#[test]
fn heartbeats_keep_a_member_for_ever() {
    let mut f = Fixture::stable(&["a"]);
    for _ in 0..100 {
        f.pass(SESSION - MS);
        assert_eq!(f.heartbeat("a", 1), Ok(()));
    }
}

#[test]
fn when_all_sessions_end_the_group_is_empty_and_saved() {
    let mut f = Fixture::stable(&["a", "b"]);
    f.pass(SESSION);
    assert_eq!(f.group.state(), GroupState::Empty);
    let saved = f.save_done();
    assert_eq!((saved.generation, saved.members.len()), (2, 0));
    assert_eq!(f.group.next_deadline(), None);
}

#[test]
fn who_does_not_rejoin_in_time_is_removed() {
    let mut f = Fixture::stable(&["a", "b", "c"]);
    let ticket = f.join(joins("d"));
    let waiting = f.join(rejoins("c"));
    for _ in 0..12 {
        f.pass(REBALANCE / 12 - MS);
        for id in ["a", "b"] {
            assert_eq!(f.heartbeat(id, 1), Err(GroupError::RebalanceInProgress));
        }
    }
    assert!(f.is_parked(ticket));
    f.pass(MS * 12);
    let leader = f.joined(waiting);
    assert_eq!(
        (leader.generation, leader.leader.as_str()),
        (2, "c"),
        "the old leader is gone"
    );
    assert_eq!(leader.members.len(), 2);
    assert_eq!(f.joined(ticket).leader, "c");
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn the_longest_rebalance_timeout_counts() {
    let slow = JoinRequest {
        rebalance_timeout: REBALANCE * 2,
        ..joins("a")
    };
    let mut f = Fixture::stable_of(vec![slow, joins("b")]);
    let ticket = f.join(rejoins("b"));
    assert_eq!(f.joined(ticket).generation, 1, "a follower unchanged");
    let ticket = f.join(joins("c"));
    for _ in 0..13 {
        f.pass(SESSION - MS);
        f.heartbeat("a", 1).ok();
        f.heartbeat("b", 1).ok();
        if !f.is_parked(ticket) {
            break;
        }
        assert!(f.group.members_len() == 3);
    }
    assert!(!f.is_parked(ticket));
    assert_eq!(f.joined(ticket).members.len(), 1);
}

#[test]
fn a_parked_join_is_no_silence() {
    let mut f = Fixture::stable(&["a", "b"]);
    let ticket = f.join(rejoins("a"));
    for _ in 0..5 {
        f.pass(SESSION - MS);
        f.heartbeat("b", 1).ok();
    }
    assert!(f.is_parked(ticket), "parked far longer than its session");
    let other = f.join(rejoins("b"));
    assert_eq!(f.joined(ticket).generation, 2);
    f.joined(other);
    f.pass(SESSION - MS);
    assert_eq!(
        f.heartbeat("a", 2),
        Ok(()),
        "its session began with the answer"
    );
}

#[test]
fn the_join_of_a_new_member_is_not_parked_for_ever() {
    let slow = JoinRequest {
        rebalance_timeout: Duration::from_secs(3_600),
        ..joins("a")
    };
    let mut f = Fixture::stable_of(vec![slow]);
    let ticket = f.join(joins("b"));
    let mut waited = Duration::ZERO;
    while f.is_parked(ticket) {
        f.pass(SESSION / 2);
        f.heartbeat("a", 1).ok();
        waited += SESSION / 2;
        assert!(waited <= limits().new_member_join_timeout);
    }
    assert_eq!(waited, limits().new_member_join_timeout);
    let refused = f.join_answer(ticket).expect_err("it is to join anew");
    assert_eq!(
        (refused.error, refused.member_id.as_str()),
        (GroupError::UnknownMemberId, "")
    );
}

#[test]
fn who_does_not_sync_in_time_is_removed() {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b")), f.join(joins("c"))];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    let waiting = f.sync(syncs("c", 1));
    for _ in 0..7 {
        f.pass(SESSION - MS);
        f.heartbeat("a", 1).ok();
        f.heartbeat("b", 1).ok();
    }
    // The leader never sent an assignment, and b only heartbeats.
    assert_eq!(f.sync_answer(waiting), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(f.heartbeat("b", 1), Err(GroupError::UnknownMemberId));
    let ticket = f.join(rejoins("c"));
    assert_eq!(f.joined(ticket).leader, "c");
}

#[test]
fn a_member_that_never_fetches_its_assignment_is_removed_from_a_stable_group() {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    let ticket = f.sync(leads("a", 1, &["a", "b"]));
    f.save_done();
    assert_eq!(f.sync_answer(ticket), Ok(assigned("a", 1)));
    for _ in 0..7 {
        f.pass(SESSION - MS);
        f.heartbeat("a", 1).ok();
        f.heartbeat("b", 1).ok();
    }
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.heartbeat("b", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_group_whose_members_all_synced_is_left_alone() {
    let mut f = Fixture::stable(&["a", "b"]);
    for _ in 0..20 {
        f.pass(SESSION - MS);
        assert_eq!(f.heartbeat("a", 1), Ok(()));
        assert_eq!(f.heartbeat("b", 1), Ok(()));
    }
}

#[test]
fn syncs_are_checked() {
    let mut f = Fixture::stable(&["a"]);
    let named = |name: &str| SyncRequest {
        protocol_name: Some(name.to_owned()),
        ..syncs("a", 1)
    };
    let typed = |name: &str| SyncRequest {
        protocol_type: Some(name.to_owned()),
        ..syncs("a", 1)
    };
    let table = [
        (syncs("x", 1), Err(GroupError::UnknownMemberId)),
        (syncs("a", 0), Err(GroupError::IllegalGeneration)),
        (named("sticky"), Err(GroupError::InconsistentGroupProtocol)),
        (typed("connect"), Err(GroupError::InconsistentGroupProtocol)),
        (named("range"), Ok(assigned("a", 1))),
        (
            SyncRequest {
                protocol_type: None,
                ..syncs("a", 1)
            },
            Ok(assigned("a", 1)),
        ),
    ];
    for (request, answer) in table {
        let what = format!("{request:?}");
        let ticket = f.sync(request);
        assert_eq!(f.sync_answer(ticket), answer, "{what}");
    }
    f.join(joins("b"));
    let ticket = f.sync(syncs("a", 1));
    assert_eq!(f.sync_answer(ticket), Err(GroupError::RebalanceInProgress));
    let ticket = Fixture::new().sync(syncs("a", 0));
    let mut f = Fixture::new();
    assert_eq!(f.sync(syncs("a", 0)), ticket);
    assert_eq!(f.sync_answer(ticket), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_group_is_described_as_kafka_does() {
    let mut f = Fixture::stable(&["a", "b"]);
    let view = f.group.describe();
    assert_eq!(view.state.to_string(), "Stable");
    assert_eq!(
        (view.protocol_type.as_str(), view.protocol_name.as_str()),
        ("consumer", "range")
    );
    assert_eq!(view.members[1].assignment, assigned("b", 1));
    assert_eq!(view.members[1].metadata, Bytes::from("topics"));
    assert_eq!(view.members[1].client_host, "/127.0.0.1");

    f.join(rejoins("a"));
    let view = f.group.describe();
    assert_eq!(view.state.to_string(), "PreparingRebalance");
    assert_eq!(view.protocol_name, "", "known only while stable");
    assert_eq!(view.members[1].metadata, Bytes::new());
    assert_eq!(view.members.len(), 2);
}
