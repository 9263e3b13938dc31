//! JoinGroup: ids, protocols, the delay of an empty group, who leads and what it learns.

use super::*;

#[test]
fn a_group_forms() {
    let mut f = Fixture::new();
    let first = f.join(joins("a"));
    let second = f.join(joins("b"));
    f.pass(DELAY * 2);

    let leader = f.joined(first);
    assert_eq!((leader.generation, leader.leader.as_str()), (1, "a"));
    assert_eq!(leader.protocol_name.as_deref(), Some("range"));
    let seen: Vec<&str> = leader
        .members
        .iter()
        .map(|m| m.member_id.as_str())
        .collect();
    assert_eq!(seen, ["a", "b"]);
    assert_eq!(leader.members[1].metadata, Bytes::from("topics"));
    let follower = f.joined(second);
    assert_eq!((follower.generation, follower.leader.as_str()), (1, "a"));
    assert_eq!(follower.members, []);

    let follower = f.sync(syncs("b", 1));
    let leader = f.sync(leads("a", 1, &["a", "b"]));
    assert!(
        f.is_parked(follower) && f.is_parked(leader),
        "nothing before the save"
    );
    let saved = f.save_done();
    assert_eq!((saved.generation, saved.leader.as_deref()), (1, Some("a")));
    assert_eq!(f.sync_answer(follower), Ok(assigned("b", 1)));
    assert_eq!(f.sync_answer(leader), Ok(assigned("a", 1)));
    assert_eq!(f.heartbeat("a", 1), Ok(()));

    let left = f.leave(&[("b", None)]);
    assert_eq!(f.leave_errors(left), [None]);
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_new_member_is_told_its_id_first() {
    let mut f = Fixture::new();
    let asks = JoinRequest {
        requires_known_member_id: true,
        ..joins("a")
    };
    let ticket = f.join(asks);
    let refused = f.join_answer(ticket).expect_err("it must join again");
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(refused.member_id, "a");
    assert_eq!(f.group.state(), GroupState::Empty);

    let ticket = f.join(rejoins("a"));
    f.pass(DELAY * 2);
    assert_eq!(f.joined(ticket).leader, "a");
}

#[test]
fn what_cannot_join_is_refused() {
    type Change = fn(&mut JoinRequest);
    let empty: &[(&str, Change, GroupError)] = &[
        (
            "no protocol type",
            |r| r.protocol_type.clear(),
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "no protocols",
            |r| r.protocols.clear(),
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "an unknown id",
            |r| r.member_id = "x".to_owned(),
            GroupError::UnknownMemberId,
        ),
        (
            "too short a session",
            |r| r.session_timeout = Duration::from_millis(5_999),
            GroupError::InvalidSessionTimeout,
        ),
        (
            "too long a session",
            |r| r.session_timeout = Duration::from_millis(1_800_001),
            GroupError::InvalidSessionTimeout,
        ),
    ];
    let stable: &[(&str, Change, GroupError)] = &[
        (
            "another protocol type",
            |r| r.protocol_type = "connect".to_owned(),
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "no common protocol",
            |r| r.protocols = vec![protocol("sticky", "")],
            GroupError::InconsistentGroupProtocol,
        ),
        (
            "an unknown instance id with a member id",
            |r| {
                r.member_id = "a".to_owned();
                r.instance_id = Some("i".to_owned());
            },
            GroupError::UnknownMemberId,
        ),
    ];
    for (what, change, error) in empty.iter().chain(stable) {
        let of_empty = empty.iter().any(|(name, ..)| name == what);
        let mut f = if of_empty {
            Fixture::new()
        } else {
            Fixture::stable(&["a"])
        };
        let before = f.group.state();
        let mut request = joins("new");
        change(&mut request);
        let id = request.member_id.clone();
        let ticket = f.join(request);
        let refused = f.join_answer(ticket).expect_err(what);
        assert_eq!((refused.error, refused.member_id), (*error, id), "{what}");
        assert_eq!(f.group.state(), before, "{what}");
    }
}

#[test]
fn an_empty_group_waits_longer_while_members_come() {
    let mut f = Fixture::new();
    let first = f.join(joins("a"));
    f.pass(DELAY - Duration::from_millis(1));
    let second = f.join(joins("b"));
    f.pass(Duration::from_millis(1));
    assert!(f.is_parked(first), "b has extended the wait");
    f.pass(DELAY - Duration::from_millis(1));
    assert!(f.is_parked(first));
    f.pass(Duration::from_millis(1));
    assert_eq!(f.joined(first).members.len(), 2);
    f.joined(second);
}

#[test]
fn the_wait_of_an_empty_group_ends_with_the_rebalance_timeout() {
    let mut f = Fixture::new();
    let began = f.now;
    let first = f.join(joins("m000"));
    let mut members = 1;
    while f.is_parked(first) {
        f.pass(DELAY / 2);
        f.join(joins(&format!("m{members:03}")));
        members += 1;
        assert!(members < 1_000, "the wait never ends");
    }
    let waited = f.now - began;
    assert!(
        waited >= REBALANCE - DELAY && waited <= REBALANCE + DELAY,
        "{waited:?}"
    );
}

#[test]
fn without_an_initial_delay_the_first_member_is_answered_at_once() {
    let limits = Limits {
        initial_rebalance_delay: Duration::ZERO,
        ..limits()
    };
    let mut f = Fixture::of(ClassicGroup::new(limits));
    let ticket = f.join(joins("a"));
    assert_eq!(f.group.next_deadline(), Some(f.now));
    f.pass(Duration::ZERO);
    assert_eq!(f.joined(ticket).generation, 1);
}

#[test]
fn the_protocol_is_chosen_by_votes_among_those_all_support() {
    let wants = |id: &str, names: &[&str]| JoinRequest {
        protocols: names
            .iter()
            .map(|name| protocol(name, &format!("{id}:{name}")))
            .collect(),
        ..joins(id)
    };
    let tables: &[(&[&[&str]], &str)] = &[
        (
            &[
                &["range", "sticky"],
                &["sticky", "range"],
                &["sticky", "range"],
            ],
            "sticky",
        ),
        (&[&["only-a", "range"], &["only-b", "range"]], "range"),
        (
            &[&["sticky", "range"], &["sticky", "range"], &["range"]],
            "range",
        ),
        (
            &[
                &["range", "range", "sticky"],
                &["sticky", "range"],
                &["sticky", "range"],
            ],
            "sticky",
        ),
    ];
    for (members, chosen) in tables {
        let mut f = Fixture::new();
        let mut tickets = Vec::new();
        for (n, names) in members.iter().enumerate() {
            tickets.push(f.join(wants(&format!("m{n}"), names)));
        }
        f.pass(DELAY * 3);
        let leader = f.joined(tickets[0]);
        assert_eq!(leader.protocol_name.as_deref(), Some(*chosen));
        let metadata = leader.members.iter().map(|m| m.metadata.clone());
        let expected = (0..members.len()).map(|n| Bytes::from(format!("m{n}:{chosen}")));
        assert!(
            metadata.eq(expected),
            "the leader sees the chosen protocol's metadata"
        );
    }
}

#[test]
fn a_follower_that_rejoins_unchanged_disturbs_nobody() {
    let mut f = Fixture::stable(&["a", "b"]);
    let ticket = f.join(rejoins("b"));
    let joined = f.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (1, "a"));
    assert_eq!(joined.members, []);
    let ticket = f.sync(syncs("b", 1));
    assert_eq!(f.sync_answer(ticket), Ok(assigned("b", 1)));
    assert_eq!(f.heartbeat("a", 1), Ok(()));
}

#[test]
fn the_leader_and_changed_metadata_make_a_rebalance() {
    let changed = JoinRequest {
        protocols: vec![protocol("range", "more")],
        ..rejoins("b")
    };
    for request in [rejoins("a"), changed] {
        let mut f = Fixture::stable(&["a", "b"]);
        let id = request.member_id.clone();
        let other = if id == "a" { "b" } else { "a" };
        let ticket = f.join(request);
        assert!(f.is_parked(ticket));
        assert_eq!(f.heartbeat(other, 1), Err(GroupError::RebalanceInProgress));
        let other_ticket = f.join(rejoins(other));
        assert_eq!(f.joined(ticket).generation, 2);
        assert_eq!(f.joined(other_ticket).generation, 2);
    }
}

#[test]
fn a_join_repeated_before_the_assignment_is_answered_again() {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 2);
    let [leader, _] = f.all_joined(tickets);
    let again = f.join(rejoins("a"));
    assert_eq!(f.joined(again), leader);

    // With other metadata it is a rebalance, and who waits for its assignment learns so.
    let waiting = f.sync(syncs("b", 1));
    let changed = JoinRequest {
        protocols: vec![protocol("range", "more")],
        ..rejoins("a")
    };
    let ticket = f.join(changed);
    assert_eq!(f.sync_answer(waiting), Err(GroupError::RebalanceInProgress));
    f.join(rejoins("b"));
    assert_eq!(f.joined(ticket).members[0].metadata, Bytes::from("more"));
}

#[test]
fn a_join_sent_twice_answers_the_first_one_too() {
    let mut f = Fixture::stable(&["a", "b"]);
    let lost = f.join(rejoins("a"));
    let again = f.join(rejoins("a"));
    assert_eq!(f.join_error(lost), GroupError::RebalanceInProgress);
    f.join(rejoins("b"));
    assert_eq!(f.joined(again).generation, 2);
}

#[test]
fn a_member_with_an_id_yet_to_join_holds_up_the_rebalance() {
    let mut f = Fixture::stable(&["a"]);
    let asks = JoinRequest {
        requires_known_member_id: true,
        ..joins("b")
    };
    let ticket = f.join(asks);
    f.join_error(ticket);
    assert_eq!(f.heartbeat("a", 1), Ok(()), "no rebalance yet");
    let leader = f.join(rejoins("a"));
    assert!(f.is_parked(leader), "b is expected");
    f.pass(SESSION);
    assert_eq!(f.joined(leader).members.len(), 1, "b has not come");
}

#[test]
fn a_pending_id_is_not_for_a_static_member() {
    let mut f = Fixture::new();
    let ticket = f.join(JoinRequest {
        requires_known_member_id: true,
        ..joins("a")
    });
    f.join_error(ticket);
    let ticket = f.join(JoinRequest {
        instance_id: Some("i".to_owned()),
        ..rejoins("a")
    });
    assert_eq!(f.join_error(ticket), GroupError::UnknownMemberId);
}

#[test]
fn the_reason_of_a_join_is_told_and_cut() {
    let mut f = Fixture::stable(&["a"]);
    f.notes.clear();
    let reason = Some("é".repeat(1_000));
    f.join(JoinRequest {
        reason,
        ..rejoins("a")
    });
    let Some(Note::RebalanceStarted {
        generation: 1,
        reason,
    }) = f.notes.first()
    else {
        panic!("no note of the rebalance: {:?}", f.notes);
    };
    assert!(reason.contains("member a leads and rejoins; client reason: éé"));
    assert!(reason.len() < 400);
}

#[test]
fn a_group_may_change_its_protocol_type_while_it_is_empty() {
    let mut f = Fixture::stable(&["a"]);
    f.leave(&[("a", None)]);
    f.save_done();
    let ticket = f.join(JoinRequest {
        protocol_type: "connect".to_owned(),
        ..joins("b")
    });
    f.pass(DELAY);
    let joined = f.joined(ticket);
    assert_eq!(joined.protocol_type.as_deref(), Some("connect"));
    assert_eq!(
        joined.generation, 3,
        "the empty group was a generation of its own"
    );
}
