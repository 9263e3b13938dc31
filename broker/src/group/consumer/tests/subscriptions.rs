//! What members ask for: topics, expressions, assignors, and requests that contradict themselves.

use super::*;

#[test]
fn topics_that_come_grow_and_go_are_noticed_at_the_next_heartbeat() {
    let mut driver = Driver::new();
    let mut a = driver.join_with("a", |a| a.topics = Some(vec!["t".into(), "n".into()]));
    assert_eq!((a.epoch, a.owned.len()), (1, 6));
    driver.topics = topics(2, &[("t", 6), ("u", 3), ("n", 1)]);
    driver.beat(&mut a).unwrap();
    assert_eq!((a.epoch, a.owned.len()), (2, 7));
    driver.topics = topics(3, &[("t", 8), ("u", 3), ("n", 1)]);
    driver.beat(&mut a).unwrap();
    assert_eq!((a.epoch, a.owned.len()), (3, 9));
    // Of no concern.
    driver.topics = topics(4, &[("t", 8), ("u", 9), ("n", 1)]);
    driver.beat(&mut a).unwrap();
    assert_eq!((a.epoch, a.owned.len()), (3, 9));
    driver.topics = topics(5, &[("u", 9), ("n", 1)]);
    driver.settle(&mut [&mut a]);
    assert_eq!((a.epoch, a.owns().as_str()), (4, "n0"));
}

#[test]
fn a_topic_made_anew_under_its_name_is_another_topic() {
    let mut driver = Driver::new();
    let mut a = driver.join("a");
    let other = TopicId(Uuid::from_u128(u128::from(b'z')));
    driver.topics = Arc::new(Topics::new(2, [("t".to_owned(), other, 1)]));
    driver.settle(&mut [&mut a]);
    assert_eq!(a.owns(), "z0");
}

#[test]
fn an_expression_subscribes_to_what_it_matches_now_and_later() {
    let mut driver = Driver::new();
    let mut a = driver.join_with("a", |a| {
        a.topics = Some(vec![]);
        a.regex = Some("[tn]".into());
    });
    assert_eq!(a.owned.len(), 6);
    driver.topics = topics(2, &[("t", 6), ("u", 3), ("n", 2)]);
    driver.beat(&mut a).unwrap();
    assert_eq!(a.owned.len(), 8);
    let by_name = ConsumerHeartbeat {
        topics: Some(vec!["u".into()]),
        regex: Some(String::new()),
        ..a.heartbeat()
    };
    let answer = driver.send(by_name).unwrap();
    a.owned = answer.assignment.unwrap();
    assert_eq!((a.owns().as_str(), answer.epoch), ("", 2));
    driver.settle(&mut [&mut a]);
    assert_eq!(a.owns(), "u0 u1 u2");
    assert!(driver.group.is_subscribed_to("u") && !driver.group.is_subscribed_to("t"));
}

#[test]
fn the_assignor_is_the_one_most_members_name() {
    let mut driver = Driver::new();
    let with = |assignor: &'static str| {
        move |m: &mut ConsumerHeartbeat| m.assignor = Some(assignor.into())
    };
    driver.join("a");
    assert_eq!(driver.group.describe().assignor, "uniform");
    driver.join_with("b", with("range"));
    assert_eq!(driver.group.describe().assignor, "range");
}

#[test]
fn a_full_request_is_answered_with_the_assignment() {
    let mut driver = Driver::new();
    let a = driver.join("a");
    assert_eq!(driver.send(a.heartbeat()).unwrap().assignment, None);
    let full = ConsumerHeartbeat {
        rebalance_timeout: Some(REBALANCE),
        topics: Some(vec!["t".into()]),
        ..a.heartbeat()
    };
    let answer = driver.send(full).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, Some(a.owned)));
}

#[test]
fn requests_that_cannot_be_meant_are_refused() {
    let mut driver = Driver::new();
    type Change = fn(&mut ConsumerHeartbeat);
    let cases: [(Change, GroupError); 10] = [
        (
            |r| r.instance_id = Some(String::new()),
            GroupError::InvalidRequest,
        ),
        (
            |r| r.rack_id = Some(String::new()),
            GroupError::InvalidRequest,
        ),
        (|r| r.rebalance_timeout = None, GroupError::InvalidRequest),
        (|r| r.owned = None, GroupError::InvalidRequest),
        (|r| r.topics = None, GroupError::InvalidRequest),
        (|r| r.epoch = -3, GroupError::InvalidRequest),
        (|r| r.epoch = -2, GroupError::InvalidRequest),
        (
            |r| {
                r.epoch = 1;
                r.member_id = String::new();
            },
            GroupError::InvalidRequest,
        ),
        (
            |r| r.assignor = Some("best".into()),
            GroupError::UnsupportedAssignor,
        ),
        (
            |r| r.regex = Some("(".into()),
            GroupError::InvalidRegularExpression,
        ),
    ];
    for (i, (change, error)) in cases.into_iter().enumerate() {
        let mut request = joins("a");
        change(&mut request);
        assert_eq!(driver.send(request), Err(error), "case {i}");
    }
    assert!(!driver.group.has_members());
}
