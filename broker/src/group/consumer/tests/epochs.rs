//! Epochs, and the way of partitions from one member to another.

use super::*;

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut driver = Driver::new();
    let a = driver.join("a");
    assert_eq!((a.epoch, a.owns().as_str()), (1, "t0 t1 t2 t3 t4 t5"));
    assert_eq!(driver.group.state().to_string(), "Stable");
}

#[test]
fn a_partition_is_handed_over_only_once_it_is_given_up() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let mut b = driver.join("b");
    assert_eq!((b.epoch, b.owns().as_str()), (2, ""));
    assert_eq!(driver.group.state().to_string(), "Reconciling");
    // The first is to give up half, and stays in its epoch until it has.
    let before = a.clone();
    driver.beat(&mut a).unwrap();
    assert_eq!((a.epoch, a.owns().as_str()), (1, "t0 t1 t2"));
    driver.beat(&mut b).unwrap();
    assert_eq!(b.owns(), "");
    let answer = driver.send(before.heartbeat()).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, None));
    driver.beat(&mut b).unwrap();
    assert_eq!(b.owns(), "");
    // It says that it has: it is of the new epoch, and the other may have them.
    driver.beat(&mut a).unwrap();
    assert_eq!((a.epoch, a.owns().as_str()), (2, "t0 t1 t2"));
    driver.beat(&mut b).unwrap();
    assert_eq!((b.epoch, b.owns().as_str()), (2, "t3 t4 t5"));
    assert_eq!(driver.group.state().to_string(), "Stable");
}

#[test]
fn a_heartbeat_without_what_is_owned_does_not_give_anything_up() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    driver.join("b");
    driver.beat(&mut a).unwrap();
    let silent = ConsumerHeartbeat {
        owned: None,
        ..a.heartbeat()
    };
    assert_eq!(driver.send(silent).unwrap().epoch, 1);
    assert_eq!(driver.send(a.heartbeat()).unwrap().epoch, 2);
}

#[test]
fn an_unknown_epoch_is_fenced_but_for_the_one_whose_answer_may_be_lost() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let mut b = driver.join("b");
    driver.settle(&mut [&mut a, &mut b]);
    assert_eq!((a.epoch, b.epoch), (2, 2));
    let at = |client: &Client, epoch, owned: Option<Assignment>| ConsumerHeartbeat {
        epoch,
        owned,
        ..client.heartbeat()
    };
    let fenced = Err(GroupError::FencedMemberEpoch);
    assert_eq!(driver.send(at(&a, 3, None)).map(|a| a.epoch), fenced);
    assert_eq!(driver.send(at(&a, 1, None)).map(|a| a.epoch), fenced);
    // It missed the answer that took it from 1 to 2.
    let missed = at(&a, 1, Some(a.owned.clone()));
    assert_eq!(driver.send(missed).map(|a| a.epoch), Ok(2));
    let strange = at(&a, 1, Some(b.owned.clone()));
    assert_eq!(driver.send(strange).map(|a| a.epoch), fenced);
    // One that is there cannot join as if it were new.
    assert_eq!(driver.send(joins("a")).map(|a| a.epoch), fenced);
    let unknown = Client {
        id: "x".into(),
        ..a
    };
    let refused = driver.send(unknown.heartbeat());
    assert_eq!(refused, Err(GroupError::UnknownMemberId));
}

#[test]
fn a_lost_answer_to_a_join_may_be_asked_for_again() {
    let mut driver = Driver::new();
    driver.join("a");
    let again = driver.send(joins("a")).unwrap();
    assert_eq!(
        (again.epoch, shown(&again.assignment.unwrap()).len()),
        (1, 17)
    );
}

#[test]
fn whoever_leaves_or_falls_silent_makes_room() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let mut b = driver.join("b");
    let mut c = driver.join("c");
    driver.settle(&mut [&mut a, &mut b, &mut c]);
    let leave = ConsumerHeartbeat {
        epoch: -1,
        ..b.heartbeat()
    };
    assert_eq!(driver.send(leave).unwrap().epoch, -1);
    driver.settle(&mut [&mut a, &mut c]);
    assert_eq!((a.owned.len(), c.owned.len(), a.epoch), (3, 3, 4));
    driver.pass(SESSION - Duration::from_secs(1));
    driver.beat(&mut a).unwrap();
    driver.pass(Duration::from_secs(2));
    driver.settle(&mut [&mut a]);
    assert_eq!((a.owned.len(), a.epoch), (6, 5));
    assert_eq!(driver.beat(&mut c), Err(GroupError::UnknownMemberId));
    driver.pass(SESSION * 2);
    assert_eq!(driver.group.state().to_string(), "Empty");
    assert_eq!(driver.saved.len(), 1, "only the group's own record is left");
}

#[test]
fn whoever_does_not_give_up_its_partitions_goes() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let mut b = driver.join("b");
    driver.beat(&mut a).unwrap();
    let stubborn = Client {
        owned: driver.group.describe().members[0].member.revoking.clone(),
        ..a.clone()
    };
    for _ in 0..4 {
        driver.pass(REBALANCE / 4);
        let _ = driver.send(stubborn.heartbeat());
        driver.beat(&mut b).unwrap();
    }
    driver.beat(&mut b).unwrap();
    assert_eq!(driver.beat(&mut a), Err(GroupError::UnknownMemberId));
    driver.settle(&mut [&mut b]);
    assert_eq!(b.owned.len(), 6);
}

#[test]
fn a_takeover_changes_nothing_for_the_members() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let mut b = driver.join_with("b", |b| b.regex = Some("u".into()));
    driver.settle(&mut [&mut a, &mut b]);
    let before = (a.epoch, a.owns(), b.epoch, b.owns());
    driver.take_over();
    driver.settle(&mut [&mut a, &mut b]);
    assert_eq!((a.epoch, a.owns(), b.epoch, b.owns()), before);
    // In the middle of a handover as well.
    let mut c = driver.join("c");
    driver.beat(&mut a).unwrap();
    driver.take_over();
    driver.beat(&mut c).unwrap();
    assert_eq!(c.owns(), "");
    driver.settle(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(a.owned.len() + b.owned.len() + c.owned.len(), 9);
    driver.take_over();
    driver.pass(SESSION * 2);
    assert_eq!(driver.group.state().to_string(), "Empty");
}

#[test]
fn a_group_is_bounded() {
    let mut driver = Driver::with(ConsumerLimits {
        members_max: 2,
        members_bytes_max: 300,
        ..ConsumerLimits::default()
    });
    let mut a = driver.join("a");
    driver.join("b");
    let full = driver.send(joins("c"));
    assert_eq!(full, Err(GroupError::GroupMaxSizeReached));
    driver.beat(&mut a).unwrap();
    let large = ConsumerHeartbeat {
        topics: Some(vec!["x".repeat(300)]),
        ..a.heartbeat()
    };
    assert_eq!(driver.send(large), Err(GroupError::GroupMaxSizeReached));
}

#[test]
fn only_members_of_their_epoch_commit_and_fetch() {
    let mut driver = Driver::new();
    let commit = |group: &ConsumerGroup, id: &str, epoch, knows| {
        let who = crate::group::machine::CommitIdentity {
            member_id: id,
            instance_id: None,
            generation: epoch,
            knows_member_epochs: knows,
            transactional: false,
        };
        group.check_commit(&who)
    };
    assert_eq!(commit(&driver.group, "", -1, true), Ok(()));
    driver.join("a");
    let group = &driver.group;
    assert_eq!(commit(group, "a", 1, true), Ok(()));
    assert_eq!(
        commit(group, "a", 0, true),
        Err(GroupError::StaleMemberEpoch)
    );
    assert_eq!(
        commit(group, "a", 1, false),
        Err(GroupError::UnsupportedVersion)
    );
    assert_eq!(
        commit(group, "", -1, true),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(group.check_fetch(None, -1), Ok(()));
    assert_eq!(group.check_fetch(Some("a"), 1), Ok(()));
    assert_eq!(
        group.check_fetch(Some("a"), 2),
        Err(GroupError::StaleMemberEpoch)
    );
    assert_eq!(
        group.check_fetch(Some("x"), 1),
        Err(GroupError::UnknownMemberId)
    );
}
