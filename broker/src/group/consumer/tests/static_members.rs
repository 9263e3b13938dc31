//! Static members: they leave for a while and come back under another member id.

use super::*;
use crate::group::machine::{LeaveRequest, LeavingMember};

fn with(instance_id: &'static str) -> impl Fn(&mut ConsumerHeartbeat) {
    move |request| request.instance_id = Some(instance_id.into())
}

fn leaves_for_a_while(client: &Client) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        epoch: -2,
        ..client.heartbeat()
    }
}

#[test]
fn a_static_member_comes_back_to_what_it_had_without_a_rebalance() {
    let mut driver = Driver::new();
    let mut a = driver.join_with("a", with("i"));
    let mut b = driver.join("b");
    driver.settle(&mut [&mut a, &mut b]);
    assert_eq!(driver.send(leaves_for_a_while(&a)).unwrap().epoch, -2);
    driver.beat(&mut b).unwrap();
    assert_eq!(b.owned.len(), 3);
    let back = driver.join_with("a2", with("i"));
    assert_eq!((back.epoch, back.owns()), (a.epoch, a.owns()));
    assert_eq!(driver.group.describe().epoch, 2);
    assert_eq!(driver.beat(&mut a), Err(GroupError::FencedInstanceId));
}

#[test]
fn an_instance_id_that_is_in_use_is_not_given_to_another() {
    let mut driver = Driver::new();
    driver.join_with("a", with("i"));
    let mut other = joins("b");
    with("i")(&mut other);
    assert_eq!(
        driver.send(other.clone()),
        Err(GroupError::UnreleasedInstanceId)
    );
    other.epoch = 1;
    assert_eq!(
        driver.send(other.clone()),
        Err(GroupError::FencedInstanceId)
    );
    other.instance_id = Some("j".into());
    assert_eq!(driver.send(other), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_static_member_that_stays_away_is_gone_for_good() {
    let mut driver = Driver::new();
    let mut a = driver.join_with("a", with("i"));
    let mut b = driver.join("b");
    driver.settle(&mut [&mut a, &mut b]);
    driver.send(leaves_for_a_while(&a)).unwrap();
    driver.pass(SESSION / 2);
    driver.beat(&mut b).unwrap();
    driver.pass(SESSION / 2 + Duration::from_secs(1));
    driver.settle(&mut [&mut b]);
    assert_eq!(b.owned.len(), 6);
}

#[test]
fn whoever_administers_the_group_removes_any_member() {
    let mut driver = Driver::new();
    let mut a = driver.join_with("a", with("i"));
    let mut b = driver.join("b");
    let mut c = driver.join("c");
    driver.settle(&mut [&mut a, &mut b, &mut c]);
    let named = |member_id: &str, instance_id: Option<&str>| LeavingMember {
        member_id: member_id.into(),
        instance_id: instance_id.map(str::to_owned),
        reason: None,
    };
    let members = vec![
        named("", Some("i")),
        named("b", None),
        named("nobody", None),
        named("", Some("nobody")),
    ];
    let leave = LeaveRequest { members };
    let answer = driver.step(|ticket| Event::Leave(ticket, leave));
    let Some(Answer::Leave(Ok(left))) = answer else {
        panic!("{answer:?}");
    };
    let errors: Vec<_> = left.iter().map(|left| left.error).collect();
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(errors, [None, None, unknown, unknown]);
    assert_eq!(driver.beat(&mut b), Err(GroupError::UnknownMemberId));
    driver.settle(&mut [&mut c]);
    assert_eq!(c.owned.len(), 6);
}
