//! Saves: what waits for them, what becomes of it when they fail, and what a takeover restores.

use super::*;

/// A group whose leader `a` has sent the assignment, with `b` waiting for it too.
fn assigning() -> (Fixture, Ticket, Ticket) {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    let follower = f.sync(syncs("b", 1));
    let leader = f.sync(leads("a", 1, &["a", "b"]));
    (f, leader, follower)
}

#[test]
fn what_the_leader_leaves_out_or_makes_up() {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    let follower = f.sync(syncs("b", 1));
    f.sync(leads("a", 1, &["a", "nobody"]));
    let saved = f.save_done();
    let ids: Vec<_> = saved.members.iter().map(|m| m.member_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(f.sync_answer(follower), Ok(Bytes::new()));
}

#[test]
fn a_follower_that_comes_during_the_save_waits_for_it() {
    let mut f = Fixture::new();
    let tickets = [f.join(joins("a")), f.join(joins("b"))];
    f.pass(DELAY * 2);
    f.all_joined(tickets);
    f.sync(leads("a", 1, &["a", "b"]));
    let follower = f.sync(syncs("b", 1));
    assert!(f.is_parked(follower));
    assert_eq!(f.group.state(), GroupState::CompletingRebalance);
    f.save_done();
    assert_eq!(f.sync_answer(follower), Ok(assigned("b", 1)));
}

#[test]
fn a_leader_that_repeats_itself_changes_nothing() {
    let (mut f, leader, follower) = assigning();
    let again = f.sync(SyncRequest {
        assignments: vec![("b".to_owned(), Bytes::from("other"))],
        ..syncs("a", 1)
    });
    assert_eq!(
        f.sync_answer(leader),
        Err(GroupError::RebalanceInProgress),
        "superseded"
    );
    assert_eq!(f.saves.len(), 1);
    f.save_done();
    assert_eq!(f.sync_answer(again), Ok(assigned("a", 1)));
    assert_eq!(f.sync_answer(follower), Ok(assigned("b", 1)));
}

#[test]
fn an_assignment_that_is_not_saved_is_not_handed_out() {
    let failures = [
        (SaveFailure::Unknown, GroupError::CoordinatorNotAvailable),
        (SaveFailure::TooLarge, GroupError::UnknownServerError),
    ];
    for (failure, error) in failures {
        let (mut f, leader, follower) = assigning();
        f.save_fails(failure);
        assert_eq!(f.sync_answer(leader), Err(error));
        assert_eq!(f.sync_answer(follower), Err(error));
        assert_eq!(f.group.state(), GroupState::PreparingRebalance);
        let view = f.group.describe();
        assert!(view.members.iter().all(|m| m.assignment.is_empty()));

        let tickets = [f.join(rejoins("a")), f.join(rejoins("b"))];
        for ticket in tickets {
            assert_eq!(f.joined(ticket).generation, 2);
        }
        f.complete_sync(&["a", "b"], 2);
    }
}

#[test]
fn an_abandoned_generation_leaves_no_assignment_behind() {
    let mut f = Fixture::stable(&["a", "b"]);
    let tickets = [f.join(rejoins("a")), f.join(rejoins("b"))];
    f.all_joined(tickets);
    f.leave(&[("b", None)]);
    let view = f.group.describe();
    assert_eq!(view.members.len(), 1);
    assert_eq!(view.members[0].assignment, Bytes::new());
}

#[test]
fn a_fenced_coordinator_sends_everyone_away() {
    let (mut f, leader, follower) = assigning();
    let left = f.leave(&[("x", None)]);
    f.leave_errors(left);
    f.save_fails(SaveFailure::Fenced);
    assert_eq!(f.sync_answer(leader), Err(GroupError::NotCoordinator));
    assert_eq!(f.sync_answer(follower), Err(GroupError::NotCoordinator));
    assert_eq!(f.group.state(), GroupState::Dead);
    assert_eq!(f.group.next_deadline(), None);
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::NotCoordinator));
    let ticket = f.join(joins("c"));
    assert_eq!(f.join_error(ticket), GroupError::NotCoordinator);
    let ticket = f.sync(syncs("a", 1));
    assert_eq!(f.sync_answer(ticket), Err(GroupError::NotCoordinator));
    let ticket = f.leave(&[("a", None)]);
    assert_eq!(f.leave_answer(ticket), Err(GroupError::NotCoordinator));
}

#[test]
fn unloading_answers_parked_joins_and_leaves() {
    let mut f = Fixture::stable(&["a", "b"]);
    let join = f.join(rejoins("a"));
    f.step(Event::Unload);
    assert_eq!(f.join_error(join), GroupError::NotCoordinator);

    let mut f = Fixture::stable(&["a"]);
    let leave = f.leave(&[("a", None)]);
    f.step(Event::Unload);
    assert_eq!(f.leave_answer(leave), Err(GroupError::NotCoordinator));
    f.save_done();
    assert_eq!(f.answers, [], "the late save has nobody left to answer");
}

#[test]
fn a_save_that_a_rebalance_has_overtaken_hands_out_nothing() {
    for failure in [None, Some(SaveFailure::Unknown)] {
        let (mut f, leader, follower) = assigning();
        let join = f.join(joins("c"));
        assert_eq!(f.sync_answer(leader), Err(GroupError::RebalanceInProgress));
        assert_eq!(
            f.sync_answer(follower),
            Err(GroupError::RebalanceInProgress)
        );
        match failure {
            None => drop(f.save_done()),
            Some(failure) => f.save_fails(failure),
        }
        assert_eq!(f.group.state(), GroupState::PreparingRebalance);
        assert!(f.is_parked(join));
        let rejoined = [f.join(rejoins("a")), f.join(rejoins("b"))];
        f.joined(join);
        assert!(
            f.all_joined(rejoined)
                .iter()
                .all(|joined| joined.generation == 2)
        );
        f.complete_sync(&["a", "b", "c"], 2);
    }
}

#[test]
fn a_save_of_an_earlier_generation_does_not_complete_a_later_one() {
    let (mut f, ..) = assigning();
    f.leave(&[("b", None)]);
    let join = f.join(rejoins("a"));
    f.answers
        .retain(|a| !matches!(a, Effect::RespondSync(..) | Effect::RespondLeave(..)));
    assert_eq!(f.joined(join).generation, 2);
    let sync = f.sync(leads("a", 2, &["a"]));
    assert_eq!(f.saves.len(), 2);
    f.save_done();
    assert!(f.is_parked(sync), "that was generation 1");
    f.save_done();
    assert_eq!(f.sync_answer(sync), Ok(assigned("a", 2)));
}

#[test]
fn whoever_takes_over_goes_on_where_the_group_was() {
    let requests = vec![joins_static("i", "a"), joins("b")];
    let mut f = Fixture::new();
    let tickets: Vec<_> = requests.into_iter().map(|r| f.join(r)).collect();
    f.pass(DELAY * 2);
    for ticket in tickets {
        f.joined(ticket);
    }
    f.sync(leads("a", 1, &["a", "b"]));
    let saved = f.save_done();
    let before = f.group.describe();

    let now = Duration::from_secs(5);
    let mut g = Fixture::of(ClassicGroup::restore(limits(), saved, now));
    g.now = now;
    assert_eq!(g.group.describe(), before);
    assert_eq!(g.heartbeat_as("a", Some("i"), 1), Ok(()));
    assert_eq!(g.heartbeat("b", 1), Ok(()));
    let ticket = g.join(rejoins("b"));
    assert_eq!(
        g.joined(ticket).leader,
        "a",
        "a follower rejoins unchanged, no rebalance"
    );
    let ticket = g.sync(syncs("b", 1));
    assert_eq!(g.sync_answer(ticket), Ok(assigned("b", 1)));
    g.pass(SESSION);
    assert_eq!(g.group.state(), GroupState::Empty, "sessions run anew");
}

#[test]
fn an_empty_group_is_restored_empty_with_its_generation() {
    let mut f = Fixture::stable(&["a"]);
    f.leave(&[("a", None)]);
    let saved = f.save_done();
    let mut f = Fixture::of(ClassicGroup::restore(limits(), saved, f.now));
    assert_eq!(
        (f.group.state(), f.group.generation()),
        (GroupState::Empty, 2)
    );
    let ticket = f.join(joins("b"));
    f.pass(DELAY);
    assert_eq!(f.joined(ticket).generation, 3);
}

#[test]
fn a_damaged_save_makes_no_panic() {
    let (f, ..) = assigning();
    let mut saved = f.saves[0].1.clone();
    saved.leader = Some("nobody".to_owned());
    saved.generation = i32::MAX;
    saved.protocol_name = None;
    saved.members[1].protocols = vec![protocol("sticky", "")];
    let twin = saved.members[0].clone();
    saved.members.push(twin);
    let mut f = Fixture::of(ClassicGroup::restore(limits(), saved, f.now));
    assert_eq!(f.group.members_len(), 2);
    let ticket = f.join(rejoins("a"));
    assert_eq!(f.join_error(ticket), GroupError::InconsistentGroupProtocol);
    f.leave(&[("b", None)]);
    let ticket = f.join(rejoins("a"));
    assert_eq!(f.joined(ticket).generation, 1);
}
