//! LeaveGroup: one, many, pending and static members.

use super::*;

#[test]
fn many_leave_at_once_with_an_answer_each() {
    let mut f = Fixture::stable(&["a", "b", "c"]);
    let ticket = f.leave(&[
        ("b", None),
        ("x", None),
        ("c", Some("i")),
        ("", Some("i")),
        ("", None),
    ]);
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(
        f.leave_errors(ticket),
        [None, unknown, unknown, unknown, unknown]
    );
    assert_eq!(f.group.members_len(), 2);
    assert_eq!(f.heartbeat("a", 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.heartbeat("b", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn the_reason_of_a_leave_is_told() {
    let mut f = Fixture::stable(&["a", "b"]);
    f.notes.clear();
    let leaving = LeavingMember {
        member_id: "b".to_owned(),
        instance_id: None,
        reason: Some("the consumer is being closed".to_owned()),
    };
    f.step(Event::Leave(
        Ticket(99),
        LeaveRequest {
            members: vec![leaving],
        },
    ));
    let reason = "member b (instance none) leaves; client reason: the consumer is being closed";
    let started = Note::RebalanceStarted {
        generation: 1,
        reason: reason.to_owned(),
    };
    assert!(f.notes.contains(&started), "{:?}", f.notes);
}

#[test]
fn a_leave_of_nobody_known_disturbs_nobody() {
    let mut f = Fixture::stable(&["a"]);
    let ticket = f.leave(&[("x", None)]);
    assert_eq!(f.leave_errors(ticket), [Some(GroupError::UnknownMemberId)]);
    assert_eq!(f.heartbeat("a", 1), Ok(()));
}

#[test]
fn the_last_to_leave_is_answered_once_the_empty_group_is_saved() {
    let mut f = Fixture::stable(&["a", "b"]);
    let ticket = f.leave(&[("a", None), ("b", None)]);
    assert!(f.is_parked(ticket));
    let saved = f.save_done();
    assert_eq!((saved.generation, saved.members.len()), (2, 0));
    assert_eq!((saved.leader, saved.protocol_name), (None, None));
    assert_eq!(saved.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(f.leave_errors(ticket), [None, None]);
    assert_eq!(f.group.state(), GroupState::Empty);
    assert!(f.group.is_idle());
}

#[test]
fn a_failed_save_of_an_empty_group_is_told_to_who_left() {
    let mut f = Fixture::stable(&["a"]);
    let ticket = f.leave(&[("a", None)]);
    f.save_fails(SaveFailure::Unknown);
    assert_eq!(
        f.leave_answer(ticket),
        Err(GroupError::CoordinatorNotAvailable)
    );
    assert_eq!(f.group.state(), GroupState::Empty);
}

#[test]
fn a_pending_member_may_leave() {
    let mut f = Fixture::stable(&["a"]);
    let ticket = f.join(JoinRequest {
        requires_known_member_id: true,
        ..joins("b")
    });
    f.join_error(ticket);
    let rejoin = f.join(rejoins("a"));
    assert!(f.is_parked(rejoin));
    let ticket = f.leave(&[("b", None)]);
    assert_eq!(f.leave_errors(ticket), [None]);
    assert_eq!(
        f.joined(rejoin).generation,
        2,
        "nobody is waited for any more"
    );
}

#[test]
fn who_leaves_while_a_request_is_parked_gets_both_answers() {
    let mut f = Fixture::stable(&["a", "b"]);
    let join = f.join(rejoins("a"));
    let ticket = f.leave(&[("a", None)]);
    assert_eq!(f.join_error(join), GroupError::UnknownMemberId);
    assert_eq!(f.leave_errors(ticket), [None]);

    let join = f.join(rejoins("b"));
    assert_eq!(f.joined(join).leader, "b", "leadership has passed on");
    let other = f.join(joins("c"));
    let join = f.join(rejoins("b"));
    f.joined(join);
    f.joined(other);
    let sync = f.sync(syncs("c", 3));
    let ticket = f.leave(&[("c", None)]);
    assert_eq!(f.sync_answer(sync), Err(GroupError::UnknownMemberId));
    assert_eq!(f.leave_errors(ticket), [None]);
}

#[test]
fn static_members_leave_by_instance_id_or_by_both() {
    let requests = vec![joins_static("i", "a"), joins_static("j", "b"), joins("c")];
    let mut f = Fixture::stable_of(requests);
    let ticket = f.leave(&[
        ("b", Some("i")),
        ("x", Some("j")),
        ("", Some("i")),
        ("b", Some("j")),
    ]);
    let fenced = Some(GroupError::FencedInstanceId);
    assert_eq!(f.leave_errors(ticket), [fenced, fenced, None, None]);
    assert_eq!(f.group.members_len(), 1);
}
