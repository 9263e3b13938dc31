//! Who may commit offsets, and what a commit does to the session.

use super::*;

fn commit(
    f: &mut Fixture,
    id: &str,
    instance: Option<&str>,
    generation: i32,
    transactional: bool,
) -> Result<(), GroupError> {
    let who = CommitIdentity {
        knows_member_epochs: true,
        member_id: id,
        instance_id: instance,
        generation,
        transactional,
    };
    f.group.check_commit(f.now, &who)
}

#[test]
fn who_may_commit() {
    use GroupError::*;
    let mut empty = Fixture::new();
    let mut preparing = Fixture::stable(&["a", "b"]);
    preparing.join(rejoins("a"));
    let mut completing = Fixture::new();
    completing.join(joins("a"));
    completing.pass(DELAY);
    let mut stable = Fixture::stable(&["a", "b"]);
    let mut dead = Fixture::stable(&["a"]);
    dead.step(Event::Deleted);

    // (id, generation, transactional) -> empty, preparing, completing, stable, dead
    let gone = Err(CoordinatorNotAvailable);
    let unknown = Err(UnknownMemberId);
    let old = Err(IllegalGeneration);
    let busy = Err(RebalanceInProgress);
    type Answers = [Result<(), GroupError>; 5];
    let table: &[(&str, i32, bool, Answers)] = &[
        ("", -1, false, [Ok(()), unknown, unknown, unknown, gone]),
        ("", -1, true, [Ok(()), Ok(()), Ok(()), Ok(()), gone]),
        ("a", 1, false, [unknown, Ok(()), busy, Ok(()), gone]),
        ("a", 1, true, [unknown, Ok(()), Ok(()), Ok(()), gone]),
        ("a", 0, false, [unknown, old, old, old, gone]),
        ("a", 2, true, [unknown, old, old, old, gone]),
        ("a", -1, false, [Ok(()), old, old, old, gone]),
        ("x", 1, false, [unknown, unknown, unknown, unknown, gone]),
        ("x", 1, true, [unknown, unknown, unknown, unknown, gone]),
    ];
    let groups = [
        &mut empty,
        &mut preparing,
        &mut completing,
        &mut stable,
        &mut dead,
    ];
    for (n, f) in groups.into_iter().enumerate() {
        for (id, generation, transactional, answers) in table {
            let answer = commit(f, id, None, *generation, *transactional);
            let state = f.group.state();
            assert_eq!(
                answer, answers[n],
                "{id:?} {generation} {transactional} in {state}"
            );
        }
    }
}

#[test]
fn a_replaced_static_member_may_not_commit() {
    let mut f = Fixture::stable_of(vec![joins_static("i", "a")]);
    f.join(joins_static("i", "b"));
    f.save_done();
    assert_eq!(
        commit(&mut f, "a", Some("i"), 1, false),
        Err(GroupError::FencedInstanceId)
    );
    assert_eq!(
        commit(&mut f, "a", None, 1, true),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(commit(&mut f, "b", Some("i"), 1, true), Ok(()));
    assert_eq!(
        commit(&mut f, "b", Some("j"), 1, false),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_commit_keeps_a_member_alive() {
    for (transactional, alive) in [(false, true), (true, false)] {
        let mut f = Fixture::stable(&["a"]);
        f.pass(SESSION - Duration::from_millis(1));
        assert_eq!(commit(&mut f, "a", None, 1, transactional), Ok(()));
        f.pass(Duration::from_millis(1));
        assert_eq!(
            f.group.members_len() == 1,
            alive,
            "transactional: {transactional}"
        );
    }
}

#[test]
fn offsets_of_subscribed_topics_are_in_use() {
    let subscribes = |id: &str, subscription: &'static [u8]| JoinRequest {
        protocols: vec![Protocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(subscription),
        }],
        ..joins(id)
    };
    let requests = vec![
        subscribes("a", b"\0\x01\0\0\0\x01\0\x01t"),
        subscribes("b", b"\0\x03\0\0\0\x02\0\x01t\0\x01u\xff\xff\xff\xff"),
    ];
    let mut f = Fixture::stable_of(requests);
    assert!(f.group.is_subscribed_to("t") && f.group.is_subscribed_to("u"));
    assert!(!f.group.is_subscribed_to("v"));
    f.leave(&[("a", None), ("b", None)]);
    assert!(!f.group.is_subscribed_to("t"), "nobody is");

    let f = Fixture::stable(&["a"]);
    assert!(f.group.is_subscribed_to("t"), "its metadata does not tell");
    assert!(!Fixture::new().group.is_subscribed_to("t"));
}

#[test]
fn a_group_is_deleted_only_while_it_is_empty() {
    let mut f = Fixture::new();
    assert_eq!(f.group.check_delete(), Ok(()));
    let ticket = f.join(joins("a"));
    assert_eq!(f.group.check_delete(), Err(GroupError::NonEmptyGroup));
    assert_eq!(
        f.group.check_offset_delete(),
        Ok(()),
        "consumers may, by topic"
    );
    f.pass(DELAY);
    f.joined(ticket);
    f.leave(&[("a", None)]);
    assert_eq!(f.group.check_delete(), Ok(()));
    f.step(Event::Deleted);
    assert_eq!(f.group.check_delete(), Err(GroupError::GroupIdNotFound));
    assert_eq!(
        f.group.check_offset_delete(),
        Err(GroupError::GroupIdNotFound)
    );
    let ticket = f.join(joins("b"));
    assert_eq!(f.join_error(ticket), GroupError::CoordinatorNotAvailable);

    let connect = JoinRequest {
        protocol_type: "connect".to_owned(),
        ..joins("w")
    };
    let mut f = Fixture::new();
    f.join(connect);
    assert_eq!(
        f.group.check_offset_delete(),
        Err(GroupError::NonEmptyGroup)
    );
}
