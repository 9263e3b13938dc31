//! The state of one share group, and the primitives its handlers are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use object_format::TopicId;

use super::ShareLimits;
use super::assignor::{self, MemberSpec};
use super::saved::{self, Head, Member, Unsaved};
use crate::config::group::GroupConfig;
use crate::group::machine::{Event, GroupError, Note, RemovalCause, SaveId, Ticket};
use crate::group::output::{Answer, Output};
use crate::group::records::Records;
use crate::group::timers::Timers;
use crate::group::topics::Topics;
use crate::topology::mix;

/// The coordinator of one share group; see the header of [`share`](super).
#[derive(Debug)]
pub(in crate::group) struct ShareGroup {
    pub(super) limits: ShareLimits,
    pub(super) topics: Arc<Topics>,
    /// The topics that [`ShareGroup::look_at_topics`] has looked at.
    topics_seen: Option<u64>,
    pub(super) head: Head,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) said_bytes: usize,
    /// The session of each member, by its id.
    timers: Timers<String>,
    pub(super) unsaved: Unsaved,
    /// The time of the step under way.
    now: Duration,
    pub(super) outputs: Vec<Output>,
}

impl ShareGroup {
    /// A group without members. `stale` names the records of what it was before, `last_save` the last
    /// save that was asked for then.
    pub(in crate::group) fn new(
        limits: ShareLimits,
        stale: impl IntoIterator<Item = String>,
        last_save: SaveId,
    ) -> Self {
        Self {
            limits,
            topics: Arc::default(),
            topics_seen: None,
            head: Head::default(),
            members: BTreeMap::new(),
            said_bytes: 0,
            timers: Timers::default(),
            unsaved: Unsaved {
                stale: stale.into_iter().collect(),
                last_save,
                ..Unsaved::default()
            },
            now: Duration::ZERO,
            outputs: vec![],
        }
    }

    /// The group as another agent has left it; its members get a fresh session. None if the records
    /// cannot be read.
    pub(in crate::group) fn restore(
        limits: ShareLimits,
        records: &Records,
        now: Duration,
    ) -> Option<Self> {
        let (head, members) = saved::read(records)?;
        let mut group = Self::new(limits, [], SaveId(0));
        group.now = now;
        group.head = head;
        group.unsaved.head = Some(head);
        for member in members {
            group.start_session(&member.id);
            group.put(member);
        }
        group.unsaved.members.clear();
        Some(group)
    }

    /// The configs of the group as they are now.
    pub(in crate::group) fn configure(&mut self, config: &GroupConfig) {
        self.limits.configure(config);
    }

    /// The topics as they are now; to be told before each step.
    pub(in crate::group) fn set_topics(&mut self, topics: Arc<Topics>) {
        self.topics = topics;
    }

    /// Takes in what every machine is told. A share group knows no request of the classic protocol.
    pub(in crate::group) fn step(&mut self, now: Duration, event: Event) -> Vec<Output> {
        self.now = now;
        let refused = GroupError::InconsistentGroupProtocol;
        match event {
            Event::Join(ticket, request) => {
                let member_id = request.member_id;
                let refused = crate::group::machine::JoinRefused {
                    error: refused,
                    member_id,
                };
                self.respond(ticket, Answer::Join(Err(refused)));
            }
            Event::Sync(ticket, _) => {
                self.respond(ticket, Answer::Sync(Err(GroupError::UnknownMemberId)));
            }
            Event::Heartbeat(ticket, _) => {
                self.respond(ticket, Answer::Heartbeat(Err(GroupError::UnknownMemberId)));
            }
            Event::Leave(ticket, _) => {
                self.respond(ticket, Answer::Leave(Err(GroupError::UnknownMemberId)));
            }
            Event::Tick => self.tick(),
            Event::Saved(_) | Event::SaveFailed(..) | Event::Unload | Event::Deleted => {}
        }
        std::mem::take(&mut self.outputs)
    }

    pub(in crate::group) fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    pub(super) fn respond(&mut self, ticket: Ticket, answer: Answer) {
        self.outputs.push(Output::Respond(ticket, answer));
    }

    pub(super) fn start_session(&mut self, id: &str) {
        let at = self.now + self.limits.session_timeout;
        self.timers.schedule(id.to_owned(), at);
    }

    /// Puts a member in, or in the place of its former self.
    pub(super) fn put(&mut self, member: Member) {
        let id = member.id.clone();
        self.said_bytes += member.said_bytes();
        if let Some(former) = self.members.insert(id.clone(), member) {
            self.said_bytes -= former.said_bytes();
        }
        self.unsaved.members.insert(id);
    }

    fn tick(&mut self) {
        for (at, id) in self.timers.due(self.now) {
            if self.timers.take(at, &id) {
                self.remove(&id, RemovalCause::SessionExpired);
            }
        }
        self.flush();
    }

    /// Takes a member out; the others have its partitions.
    pub(super) fn remove(&mut self, id: &str, cause: RemovalCause) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        self.said_bytes -= member.said_bytes();
        self.timers.cancel(&id.to_owned());
        self.unsaved.members.insert(id.to_owned());
        let member_id = id.to_owned();
        let note = Note::MemberRemoved { member_id, cause };
        self.outputs.push(Output::Note(note));
        self.look_at_topics();
        self.retarget(format!("member {id} is gone"));
    }

    /// Looks at the topics that are subscribed to; says whether they are others than before, or have
    /// changed.
    pub(super) fn look_at_topics(&mut self) -> bool {
        self.topics_seen = Some(self.topics.epoch);
        let mut bytes = vec![];
        let names = self.members.values().flat_map(|member| &member.topics);
        for name in names.collect::<BTreeSet<_>>() {
            if let Some((id, partitions)) = self.topics.get(name) {
                bytes.extend_from_slice(id.0.as_bytes());
                bytes.extend_from_slice(&partitions.to_be_bytes());
            }
        }
        let hash = mix(&bytes);
        let has_changed = hash != self.head.topics_hash;
        self.head.topics_hash = hash;
        has_changed
    }

    /// Whether topics have changed since they were looked at last.
    pub(super) fn is_to_look(&self) -> bool {
        self.topics_seen != Some(self.topics.epoch)
    }

    /// Raises the group's epoch and assigns anew.
    pub(super) fn retarget(&mut self, reason: String) {
        let generation = self.head.epoch;
        self.head.epoch = self.head.epoch.saturating_add(1);
        let note = Note::RebalanceStarted { generation, reason };
        self.outputs.push(Output::Note(note));
        let mut partitions: BTreeMap<TopicId, u32> = BTreeMap::new();
        let mut specs = vec![];
        for member in self.members.values() {
            let known = member
                .topics
                .iter()
                .filter_map(|name| self.topics.get(name));
            let known: BTreeMap<TopicId, u32> = known.collect();
            let topics = known.keys().copied().collect();
            partitions.extend(known);
            specs.push(MemberSpec {
                topics,
                current: &member.target,
            });
        }
        let targets = assignor::assign(&specs, &partitions);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for (id, target) in ids.into_iter().zip(targets) {
            if let Some(member) = self.members.get_mut(&id)
                && member.target != target
            {
                member.target = target;
                self.unsaved.members.insert(id);
            }
        }
    }
}
