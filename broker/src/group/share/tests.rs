//! Tests of the machine alone: scenarios of KIP-932, and random ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_format::{TopicId, TopicPartition};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::group::consumer::{Assignment, HeartbeatAnswer};
use crate::group::machine::{Event, GroupError, GroupState, SaveId, Ticket};
use crate::group::output::{Answer, Output};
use crate::group::records::Records;
use crate::group::topics::Topics;

const SESSION: Duration = Duration::from_secs(45);

fn topics(epoch: u64, of: &[(&str, u32)]) -> Arc<Topics> {
    let topic = |&(name, partitions): &(&str, u32)| {
        let id = name.bytes().fold(0, |id, b| id * 256 + u128::from(b));
        (name.to_owned(), TopicId(Uuid::from_u128(id)), partitions)
    };
    Arc::new(Topics::new(epoch, of.iter().map(topic)))
}

/// A group, the time, and what is durable of it.
struct Driver {
    group: ShareGroup,
    now: Duration,
    topics: Arc<Topics>,
    saved: Records,
}

impl Driver {
    /// A group of nobody, topic `t` with four partitions.
    fn new(limits: ShareLimits) -> Self {
        Self {
            group: ShareGroup::new(limits, [], SaveId(0)),
            now: Duration::ZERO,
            topics: topics(1, &[("t", 4)]),
            saved: Records::new(),
        }
    }

    /// Applies saves at once; gives the answer, if there is one.
    fn take(&mut self, outputs: Vec<Output>) -> Option<Answer> {
        let mut answer = None;
        for output in outputs {
            match output {
                Output::Save(_, change) => {
                    assert!(answer.is_none(), "told before it is saved");
                    for name in change.removed {
                        self.saved.remove(&name);
                    }
                    self.saved.extend(change.puts);
                }
                Output::Respond(_, said) => answer = Some(said),
                Output::Note(_) => {}
            }
        }
        answer
    }

    fn send(&mut self, request: ShareHeartbeat) -> Result<HeartbeatAnswer, GroupError> {
        self.group.set_topics(self.topics.clone());
        let outputs = self.group.heartbeat(self.now, Ticket(1), request);
        match self.take(outputs) {
            Some(Answer::MemberHeartbeat(answer)) => answer.map_err(|refusal| refusal.error),
            other => panic!("{other:?}"),
        }
    }

    fn join(&mut self, id: &str) -> HeartbeatAnswer {
        self.send(joins(id, &["t"])).unwrap()
    }

    fn beat(&mut self, id: &str, epoch: i32) -> Result<HeartbeatAnswer, GroupError> {
        let topics = None;
        self.send(ShareHeartbeat {
            epoch,
            topics,
            ..joins(id, &[])
        })
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.set_topics(self.topics.clone());
        let outputs = self.group.step(self.now, Event::Tick);
        self.take(outputs);
    }

    /// The group as another agent restores it.
    fn take_over(&mut self) {
        let before = (self.group.head, self.group.members.clone());
        let limits = self.group.limits.clone();
        self.group = ShareGroup::restore(limits, &self.saved, self.now).unwrap();
        self.group.set_topics(self.topics.clone());
        let after = (self.group.head, self.group.members.clone());
        assert_eq!(after, before, "all that changes is saved");
    }

    /// What members are to have, by their ids.
    fn targets(&self) -> Vec<(&str, usize)> {
        let members = self.group.members.values();
        members.map(|m| (&*m.id, m.target.len())).collect()
    }
}

fn joins(id: &str, topics: &[&str]) -> ShareHeartbeat {
    ShareHeartbeat {
        member_id: id.into(),
        epoch: 0,
        rack_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: Some(topics.iter().map(|&t| t.into()).collect()),
    }
}

#[test]
fn members_share_what_there_is_and_take_it_at_once() {
    let mut driver = Driver::new(ShareLimits::default());
    let a = driver.join("a");
    assert_eq!((a.epoch, a.assignment.map(|a| a.len())), (1, Some(4)));
    assert_eq!(a.interval, Duration::from_secs(5));
    let b = driver.join("b");
    assert_eq!((b.epoch, b.assignment.map(|a| a.len())), (2, Some(2)));
    // The first hears of it with its next heartbeat, and of nothing new after that.
    let a = driver.beat("a", 1).unwrap();
    assert_eq!((a.epoch, a.assignment.map(|a| a.len())), (2, Some(2)));
    let a = driver.beat("a", 2).unwrap();
    assert_eq!((a.epoch, a.assignment), (2, None));
    assert_eq!(driver.beat("b", -1).unwrap().epoch, -1);
    let a = driver.beat("a", 2).unwrap();
    assert_eq!((a.epoch, a.assignment.map(|a| a.len())), (3, Some(4)));
    assert_eq!(driver.group.state(), GroupState::Stable);
    driver.beat("a", -1).unwrap();
    assert_eq!(driver.group.state(), GroupState::Empty);
    driver.take_over();
}

#[test]
fn only_the_epoch_that_was_told_is_taken_or_the_one_before() {
    let mut driver = Driver::new(ShareLimits::default());
    driver.join("a");
    driver.join("b");
    driver.beat("a", 1).unwrap();
    // The answer was lost.
    assert_eq!(driver.beat("a", 1).unwrap().epoch, 2);
    assert_eq!(driver.beat("a", 3), Err(GroupError::FencedMemberEpoch));
    driver.join("c");
    driver.beat("a", 2).unwrap();
    assert_eq!(driver.beat("a", 1), Err(GroupError::FencedMemberEpoch));
    assert_eq!(driver.beat("x", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(driver.beat("x", -1), Err(GroupError::UnknownMemberId));
    // Who joins again is who it was.
    let a = driver.join("a");
    assert_eq!((a.epoch, driver.group.members.len()), (3, 3));
}

#[test]
fn who_is_silent_goes_and_who_is_restored_gets_time() {
    let mut driver = Driver::new(ShareLimits::default());
    driver.join("a");
    driver.pass(SESSION / 2);
    driver.join("b");
    driver.take_over();
    driver.pass(SESSION - Duration::from_millis(1));
    assert_eq!(driver.targets(), [("a", 2), ("b", 2)]);
    driver.beat("b", 2).unwrap();
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.targets(), [("b", 4)]);
    assert_eq!(driver.beat("a", 1), Err(GroupError::UnknownMemberId));
    driver.take_over();
}

#[test]
fn topics_are_followed() {
    let mut driver = Driver::new(ShareLimits::default());
    let none = driver.send(joins("a", &["u"])).unwrap();
    assert_eq!(none.assignment, Some(Assignment::default()));
    driver.topics = topics(2, &[("t", 4), ("u", 1)]);
    let some = driver.beat("a", 1).unwrap();
    assert_eq!((some.epoch, some.assignment.map(|a| a.len())), (2, Some(1)));
    // Others than its own do not matter.
    driver.topics = topics(3, &[("t", 5), ("u", 1)]);
    assert_eq!(driver.beat("a", 2).unwrap().epoch, 2);
    let other = ShareHeartbeat {
        epoch: 2,
        ..joins("a", &["t"])
    };
    let other = driver.send(other).unwrap();
    assert_eq!(
        (other.epoch, other.assignment.map(|a| a.len())),
        (3, Some(5))
    );
    driver.topics = topics(4, &[]);
    assert_eq!(
        driver.beat("a", 3).unwrap().assignment,
        Some(Assignment::default())
    );
}

#[test]
fn a_group_is_bounded() {
    let limits = ShareLimits {
        members_max: 2,
        members_bytes_max: 100,
        ..ShareLimits::default()
    };
    let mut driver = Driver::new(limits);
    driver.join("a");
    let long = "t".repeat(90);
    let full = Err(GroupError::GroupMaxSizeReached);
    assert_eq!(driver.send(joins("b", &[&long])), full);
    assert!(driver.send(joins("b", &["u"])).is_ok());
    assert_eq!(driver.send(joins("c", &["u"])), full);
    driver.beat("a", -1).unwrap();
    assert!(driver.send(joins("c", &["u"])).is_ok());
}

#[test]
fn senseless_requests_are_refused() {
    let refused = |change: fn(&mut ShareHeartbeat)| {
        let mut request = joins("a", &["t"]);
        change(&mut request);
        request.check().map_err(|refusal| refusal.error)
    };
    assert_eq!(refused(|_| {}), Ok(()));
    let invalid = Err(GroupError::InvalidRequest);
    assert_eq!(refused(|r| r.member_id.clear()), invalid);
    assert_eq!(refused(|r| r.epoch = -2), invalid);
    assert_eq!(refused(|r| r.topics = None), invalid);
    assert_eq!(refused(|r| r.topics = Some(vec![])), invalid);
    assert_eq!(refused(|r| r.rack_id = Some(String::new())), invalid);
    assert_eq!(refused(|r| (r.epoch, r.topics) = (3, None)), Ok(()));
}

#[derive(Clone, Debug)]
enum Action {
    Join(u8, u8),
    Beat(u8),
    /// A heartbeat whose answer is lost.
    LoseAnswer(u8),
    Leave(u8),
    Topics(u32, u32),
    Pass(u64),
    TakeOver,
}

fn action() -> impl Strategy<Value = Action> {
    let id = 0_u8..5;
    prop_oneof![
        3 => (id.clone(), 1_u8..4).prop_map(|(id, topics)| Action::Join(id, topics)),
        10 => id.clone().prop_map(Action::Beat),
        3 => id.clone().prop_map(Action::LoseAnswer),
        1 => id.prop_map(Action::Leave),
        1 => (0_u32..6, 0_u32..6).prop_map(|(t, u)| Action::Topics(t, u)),
        1 => (0_u64..50).prop_map(Action::Pass),
        1 => Just(Action::TakeOver),
    ]
}

proptest! {
    /// Whatever happens, the epoch does not decrease, what is known is what is saved, and once
    /// everybody is heard of each has what it is to have and every partition is somebody's.
    #[test]
    fn everything_settles(actions in prop::collection::vec(action(), 1..80)) {
        let mut driver = Driver::new(ShareLimits::default());
        let mut epochs: BTreeMap<u8, i32> = BTreeMap::new();
        let mut group_epoch = 0;
        for action in actions {
            match action {
                Action::Join(id, which) => {
                    let known = ["t", "u"].into_iter().enumerate();
                    let topics = known.filter(|(i, _)| which & (1 << i) != 0);
                    let topics: Vec<&str> = topics.map(|(_, topic)| topic).collect();
                    let joined = driver.send(joins(&id.to_string(), &topics)).unwrap();
                    epochs.insert(id, joined.epoch);
                }
                Action::Beat(id) | Action::LoseAnswer(id) => {
                    let epoch = epochs.get(&id).copied().unwrap_or(1);
                    match driver.beat(&id.to_string(), epoch) {
                        Ok(_) if matches!(action, Action::LoseAnswer(_)) => {}
                        Ok(answer) => drop(epochs.insert(id, answer.epoch)),
                        Err(_) => drop(epochs.remove(&id)),
                    }
                }
                Action::Leave(id) => {
                    let _ = driver.beat(&id.to_string(), -1);
                    epochs.remove(&id);
                }
                Action::Topics(t, u) => {
                    let of = [("t", t), ("u", u)].into_iter().filter(|(_, n)| *n > 0);
                    let of: Vec<(&str, u32)> = of.collect();
                    driver.topics = topics(driver.topics.epoch + 1, &of);
                }
                Action::Pass(seconds) => driver.pass(Duration::from_secs(seconds)),
                Action::TakeOver if driver.saved.is_empty() => {}
                Action::TakeOver => driver.take_over(),
            }
            prop_assert!(driver.group.head.epoch >= group_epoch);
            group_epoch = driver.group.head.epoch;
        }
        for _ in 0..2 {
            let members: Vec<(String, i32)> =
                driver.group.members.values().map(|m| (m.id.clone(), m.epoch)).collect();
            for (id, epoch) in members {
                driver.beat(&id, epoch).unwrap();
            }
        }
        let members: Vec<_> = driver.group.members.values().cloned().collect();
        for member in &members {
            prop_assert_eq!(&member.assigned, &member.target);
            prop_assert_eq!(member.epoch, driver.group.head.epoch);
        }
        for name in ["t", "u"] {
            let Some((topic, count)) = driver.topics.get(name) else { continue };
            let is_wanted = members.iter().any(|m| m.topics.contains(name));
            for partition in 0..count {
                let partition = TopicPartition { topic, partition };
                let has = members.iter().any(|m| m.assigned.contains(partition));
                prop_assert_eq!(has, is_wanted);
            }
        }
        if !driver.saved.is_empty() {
            driver.take_over();
        }
    }
}
