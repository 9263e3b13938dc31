//! Tests of the machine alone: scenarios of KIP-848, of the migration of groups, and random ones.

mod epochs;
mod migration;
mod random;
mod static_members;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_format::{TopicId, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::group::machine::{Event, GroupError, Limits, SaveId, Ticket};
use crate::group::output::{Answer, Output};
use crate::group::records::Records;
use crate::group::topics::Topics;

const SESSION: Duration = Duration::from_secs(45);
const REBALANCE: Duration = Duration::from_secs(60);

fn topic_id(name: &str) -> TopicId {
    TopicId(Uuid::from_u128(
        name.bytes().fold(0, |id, b| id * 256 + u128::from(b)),
    ))
}

fn topics(epoch: u64, of: &[(&str, u32)]) -> Arc<Topics> {
    let topic = |&(name, partitions): &(&str, u32)| (name.to_owned(), topic_id(name), partitions);
    Arc::new(Topics::new(epoch, of.iter().map(topic)))
}

/// A group, the time, and what is durable of it.
struct Driver {
    group: ConsumerGroup,
    now: Duration,
    topics: Arc<Topics>,
    saved: Records,
    tickets: u64,
}

/// A member as its client sees it.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    instance_id: Option<String>,
    epoch: i32,
    owned: Assignment,
}

impl Driver {
    /// A group of nobody, topic `t` with six partitions.
    fn new() -> Self {
        Self::with(ConsumerLimits::default())
    }

    fn with(limits: ConsumerLimits) -> Self {
        Self {
            group: ConsumerGroup::new(limits, Limits::default(), [], SaveId(0)),
            now: Duration::ZERO,
            topics: topics(1, &[("t", 6), ("u", 3)]),
            saved: Records::new(),
            tickets: 0,
        }
    }

    /// Applies saves at once; gives the answer, if there is one.
    fn take(&mut self, outputs: Vec<Output>) -> Option<Answer> {
        let mut answer = None;
        for output in outputs {
            match output {
                Output::Save(_, change) => {
                    for name in change.removed {
                        self.saved.remove(&name);
                    }
                    self.saved.extend(change.puts);
                }
                Output::Respond(ticket, said) => {
                    assert_eq!(ticket, Ticket(self.tickets));
                    assert!(answer.is_none(), "answered twice");
                    answer = Some(said);
                }
                Output::Note(_) => {}
            }
        }
        assert_eq!(
            self.saved,
            self.group.records(),
            "all that changes is saved"
        );
        answer
    }

    fn send(&mut self, request: ConsumerHeartbeat) -> Result<HeartbeatAnswer, GroupError> {
        self.tickets += 1;
        self.group.set_topics(self.topics.clone());
        let outputs = self
            .group
            .heartbeat(self.now, Ticket(self.tickets), request);
        match self.take(outputs) {
            Some(Answer::MemberHeartbeat(answer)) => answer.map_err(|refusal| refusal.error),
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, event: impl FnOnce(Ticket) -> Event) -> Option<Answer> {
        self.tickets += 1;
        self.group.set_topics(self.topics.clone());
        let outputs = self.group.step(self.now, event(Ticket(self.tickets)));
        self.take(outputs)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.step(|_| Event::Tick);
    }

    /// The group as another agent restores it.
    fn take_over(&mut self) {
        if self.saved.is_empty() {
            return;
        }
        let (limits, classic) = (self.group.limits.clone(), Limits::default());
        self.group = ConsumerGroup::restore(limits, classic, &self.saved, self.now).unwrap();
        self.group.set_topics(self.topics.clone());
    }

    fn join(&mut self, id: &str) -> Client {
        self.join_with(id, |_| {})
    }

    fn join_with(&mut self, id: &str, change: impl FnOnce(&mut ConsumerHeartbeat)) -> Client {
        let mut request = joins(id);
        change(&mut request);
        let instance_id = request.instance_id.clone();
        let answer = self.send(request).unwrap();
        Client {
            id: id.into(),
            instance_id,
            epoch: answer.epoch,
            owned: answer.assignment.unwrap(),
        }
    }

    /// A heartbeat with what the client owns, and what it makes of the answer.
    fn beat(&mut self, client: &mut Client) -> Result<(), GroupError> {
        let answer = self.send(client.heartbeat())?;
        client.epoch = answer.epoch;
        if let Some(assignment) = answer.assignment {
            client.owned = assignment;
        }
        Ok(())
    }

    /// Heartbeats of everybody until nothing changes.
    fn settle(&mut self, clients: &mut [&mut Client]) {
        for _ in 0..20 {
            for client in clients.iter_mut() {
                self.beat(client).unwrap();
            }
        }
        assert_eq!(self.group.state().to_string(), "Stable");
    }
}

impl Client {
    fn heartbeat(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            epoch: self.epoch,
            instance_id: self.instance_id.clone(),
            rebalance_timeout: None,
            topics: None,
            owned: Some(self.owned.clone()),
            ..joins(&self.id)
        }
    }

    /// `t0 t1`.
    fn owns(&self) -> String {
        shown(&self.owned)
    }
}

fn shown(assignment: &Assignment) -> String {
    let partition = |p: TopicPartition| {
        let name = p.topic.0.as_u128() as u8 as char;
        format!("{name}{}", p.partition)
    };
    assignment
        .iter()
        .map(partition)
        .collect::<Vec<_>>()
        .join(" ")
}

fn joins(id: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_id: id.into(),
        epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout: Some(REBALANCE),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        topics: Some(vec!["t".into()]),
        regex: None,
        assignor: None,
        owned: Some(Assignment::default()),
    }
}
