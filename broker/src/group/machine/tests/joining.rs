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
