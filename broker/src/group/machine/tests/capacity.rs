//! What bounds a group: its maximum size, and that of the members that are yet to join.

use super::*;

fn at_most(members_max: usize) -> Fixture {
    Fixture::of(ClassicGroup::new(Limits {
        members_max,
        ..limits()
    }))
}

#[test]
fn a_full_group_takes_no_more() {
    let mut f = at_most(2);
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    let third = f.join(joins("c"));
    let refused = f.join_answer(third).expect_err("the group is full");
    assert_eq!(refused.error, GroupError::GroupMaxSizeReached);
    assert_eq!(refused.member_id, "");
    f.pass(DELAY * 3);
    for ticket in tickets {
        assert_eq!(f.joined(ticket).generation, 1);
    }
    f.complete_sync(&["a", "b"], 1);

    let late = f.join(joins("d"));
    assert_eq!(f.join_error(late), GroupError::GroupMaxSizeReached);
    assert_eq!(
        f.heartbeat("a", 1),
        Ok(()),
        "a refused member disturbs nobody"
    );
}

#[test]
fn members_that_say_too_much_together_are_turned_away() {
    let says = |id: &str, bytes: usize| JoinRequest {
        protocols: vec![protocol("range", &"x".repeat(bytes))],
        ..joins(id)
    };
    let limits = Limits {
        members_bytes_max: 1_000,
        ..limits()
    };
    let mut f = Fixture::of(ClassicGroup::new(limits));
    let ticket = f.join(says("a", 600));
    let refused = f.join(says("b", 600));
    assert_eq!(f.join_error(refused), GroupError::GroupMaxSizeReached);
    f.pass(DELAY * 3);
    assert_eq!(f.joined(ticket).generation, 1);
    f.complete_sync(&["a"], 1);
    // What it said before does not count beside what it says now, and it may say less.
    let again = JoinRequest {
        member_id: "a".to_owned(),
        ..says("unused", 700)
    };
    let ticket = f.join(again);
    assert_eq!(f.joined(ticket).generation, 2);
    f.complete_sync(&["a"], 2);
    f.join(says("b", 100));
    assert_eq!(f.group.members_len(), 2);
    f.group.step(f.now, Event::Unload);
    assert_eq!(f.group.members_bytes(), 0);
}

#[test]
fn a_member_is_let_back_into_a_full_group() {
    let mut f = at_most(2);
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 3);
    f.all_joined(tickets);
    f.complete_sync(&["a", "b"], 1);

    let tickets = [f.join(rejoins("a")), f.join(rejoins("b"))];
    for ticket in tickets {
        assert_eq!(f.joined(ticket).generation, 2);
    }
}

#[test]
fn a_group_above_its_maximum_sheds_the_last_to_rejoin() {
    let mut f = Fixture::stable(&["a", "b", "c"]);
    let again = f.join(rejoins("a"));
    f.join(rejoins("b"));
    f.join(rejoins("c"));
    assert_eq!(f.joined(again).generation, 2);
    f.answers.clear();
    f.sync(leads("a", 2, &["a", "b", "c"]));
    let saved = f.save_done();
    f.answers.clear();

    let limits = Limits {
        members_max: 2,
        ..limits()
    };
    let mut f = Fixture::of(ClassicGroup::restore(limits, saved, f.now));
    assert_eq!(f.group.state(), GroupState::PreparingRebalance);
    let kept = [f.join(rejoins("b")), f.join(rejoins("c"))];
    let shed = f.join(rejoins("a"));
    assert_eq!(f.join_error(shed), GroupError::GroupMaxSizeReached);
    for ticket in kept {
        let joined = f.joined(ticket);
        assert_eq!((joined.generation, joined.leader.as_str()), (3, "b"));
    }
}

#[test]
fn ids_given_out_are_bounded_and_expire() {
    let limits = Limits {
        pending_members_max: 2,
        ..limits()
    };
    let mut f = Fixture::of(ClassicGroup::new(limits));
    let asks = |id: &str| JoinRequest {
        requires_known_member_id: true,
        ..joins(id)
    };
    for id in ["a", "b"] {
        let ticket = f.join(asks(id));
        assert_eq!(f.join_error(ticket), GroupError::MemberIdRequired);
    }
    let third = f.join(asks("c"));
    assert_eq!(f.join_error(third), GroupError::CoordinatorLoadInProgress);
    assert!(!f.group.is_idle());

    f.pass(SESSION);
    assert!(f.group.is_idle(), "the ids have expired");
    let late = f.join(rejoins("a"));
    assert_eq!(f.join_error(late), GroupError::UnknownMemberId);
    let third = f.join(asks("c"));
    assert_eq!(f.join_error(third), GroupError::MemberIdRequired);
}

#[test]
fn an_id_that_is_taken_is_not_given_out() {
    let mut f = Fixture::stable(&["a"]);
    let ticket = f.join(joins("a"));
    assert_eq!(f.join_error(ticket), GroupError::CoordinatorNotAvailable);
    let ticket = f.join(joins(""));
    assert_eq!(f.join_error(ticket), GroupError::CoordinatorNotAvailable);
    assert_eq!(f.group.members_len(), 1);
}

#[test]
fn a_burst_of_joins_is_bounded() {
    let limits = Limits {
        members_max: 1_000,
        pending_members_max: 500,
        ..limits()
    };
    let mut f = Fixture::of(ClassicGroup::new(limits));
    let mut refused = [0; 2];
    for n in 0..20_000 {
        let requires_known_member_id = n % 2 == 0;
        let ticket = f.join(JoinRequest {
            requires_known_member_id,
            ..joins(&format!("m{n}"))
        });
        let Some(Effect::RespondJoin(t, Err(answer))) = f.answers.pop() else {
            continue;
        };
        assert_eq!(t, ticket);
        match answer.error {
            GroupError::MemberIdRequired => {}
            GroupError::CoordinatorLoadInProgress => refused[0] += 1,
            GroupError::GroupMaxSizeReached => refused[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(f.group.members_len(), 1_000);
    assert_eq!(refused, [1_000 - 500, 20_000 - 2 * 1_000]);
}

#[test]
fn a_thousand_members_become_stable() {
    let ids: Vec<String> = (0..1_000).map(|n| format!("m{n:04}")).collect();
    let mut f = Fixture::stable_of(ids.iter().map(|id| joins(id)).collect());
    assert_eq!(f.heartbeat("m0999", 1), Ok(()));
    f.leave(&[("m0500", None)]);
    let rest = ids.iter().filter(|id| *id != "m0500");
    let tickets: Vec<Ticket> = rest.map(|id| f.join(rejoins(id))).collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        let joined = f.joined(ticket);
        assert_eq!(joined.generation, 2);
        assert_eq!(joined.members.len(), if n == 0 { 999 } else { 0 });
    }
}
