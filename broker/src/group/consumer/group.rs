//! The state of one consumer group, and the primitives its handlers are made of.

use std::sync::Arc;
use std::time::Duration;

use super::member::{Member, MemberState};
use super::pattern::Patterns;
use super::roster::Roster;
use super::saved::{self, Head, Unsaved};
use super::{Assignment, ConsumerLimits};
use crate::config::group::GroupConfig;
use crate::group::machine::{Event, GroupError, Limits, SaveId, Ticket};
use crate::group::output::{Answer, Output};
use crate::group::records::Records;
use crate::group::timers::Timers;
use crate::group::topics::Topics;

/// What a timer is for; each holds a member id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// The member must be heard of.
    Session(String),
    /// It must have given up what it is to give up.
    Rebalance(String),
    /// A member of the classic protocol must join again.
    Join(String),
    /// It must ask for its assignment.
    Sync(String),
}

/// The coordinator of one consumer group; see the header of [`consumer`](super).
#[derive(Debug)]
pub(in crate::group) struct ConsumerGroup {
    pub(super) limits: ConsumerLimits,
    /// Those of members of the classic protocol, and of the classic group it may become.
    pub(super) classic_limits: Limits,
    pub(super) topics: Arc<Topics>,
    /// The topics that [`ConsumerGroup::look_at_topics`] has looked at.
    pub(super) topics_seen: Option<u64>,
    pub(super) patterns: Patterns,
    pub(super) head: Head,
    pub(super) roster: Roster,
    pub(super) timers: Timers<TimerKey>,
    pub(super) unsaved: Unsaved,
    /// It is to become a classic group again.
    pub(super) is_outgrown: bool,
    /// The time of the step under way.
    pub(super) now: Duration,
    pub(super) outputs: Vec<Output>,
}

impl ConsumerGroup {
    /// A group without members. `stale` names the records of what it was before, `last_save` the
    /// last save that was asked for then.
    pub(in crate::group) fn new(
        limits: ConsumerLimits,
        classic_limits: Limits,
        stale: impl IntoIterator<Item = String>,
        last_save: SaveId,
    ) -> Self {
        Self {
            limits,
            classic_limits,
            topics: Arc::default(),
            topics_seen: None,
            patterns: Patterns::default(),
            head: Head::default(),
            roster: Roster::default(),
            timers: Timers::default(),
            unsaved: Unsaved {
                head: None,
                stale: stale.into_iter().collect(),
                last_save,
            },
            is_outgrown: false,
            now: Duration::ZERO,
            outputs: Vec::new(),
        }
    }

    /// The group as another agent has left it; its members get a fresh session. None if the records
    /// cannot be read.
    pub(in crate::group) fn restore(
        limits: ConsumerLimits,
        classic_limits: Limits,
        records: &Records,
        now: Duration,
    ) -> Option<Self> {
        let (head, members) = saved::read(records)?;
        let mut group = Self::new(limits, classic_limits, [], SaveId(0));
        group.now = now;
        group.head = head;
        group.unsaved.head = Some(head);
        for member in members {
            group.start_session(&member);
            if member.state == MemberState::UnrevokedPartitions && member.classic.is_none() {
                let key = TimerKey::Rebalance(member.id.clone());
                group.schedule(key, member.rebalance_timeout);
            }
            group.roster.put(member);
        }
        group.roster.take_changed();
        // The other agent may have ended before it had seen to that.
        group.is_outgrown = group.is_to_downgrade();
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

    /// Takes in a request of the classic protocol, or what every machine is told. Saves are none of
    /// its business: the outbox and the task see to them.
    pub(in crate::group) fn step(&mut self, now: Duration, event: Event) -> Vec<Output> {
        self.now = now;
        match event {
            Event::Join(ticket, request) => self.classic_join(ticket, request),
            Event::Sync(ticket, request) => self.classic_sync(ticket, &request),
            Event::Heartbeat(ticket, request) => self.classic_heartbeat(ticket, &request),
            Event::Leave(ticket, request) => self.classic_leave(ticket, request),
            Event::Tick => self.tick(),
            Event::Saved(_) | Event::SaveFailed(..) | Event::Unload | Event::Deleted => {}
        }
        std::mem::take(&mut self.outputs)
    }

    /// When [`Event::Tick`] is due next.
    pub(in crate::group) fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Saves what has changed, then answers.
    pub(super) fn respond(&mut self, ticket: Ticket, answer: Answer) {
        self.flush();
        self.outputs.push(Output::Respond(ticket, answer));
    }

    pub(super) fn schedule(&mut self, key: TimerKey, after: Duration) {
        self.timers.schedule(key, self.now.saturating_add(after));
    }

    /// Starts the session of a member anew.
    pub(super) fn start_session(&mut self, member: &Member) {
        let classic = member.classic.as_ref().map(|c| c.session_timeout);
        let timeout = classic.unwrap_or(self.limits.session_timeout);
        self.schedule(TimerKey::Session(member.id.clone()), timeout);
    }

    /// Checks a member id, and an instance id if there is one, against the members.
    pub(super) fn member(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<&Member, GroupError> {
        let Some(instance_id) = instance_id else {
            return self.roster.get(id).ok_or(GroupError::UnknownMemberId);
        };
        let member = self.roster.of_instance(instance_id);
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        match member.id == id {
            true => Ok(member),
            false => Err(GroupError::FencedInstanceId),
        }
    }

    /// Raises the epochs that a change of members or topics calls for, then takes the member its
    /// next step towards its target.
    pub(super) fn advance(&mut self, id: &str, subscribes_anew: bool, owned: Option<&Assignment>) {
        let mut is_due = subscribes_anew;
        if is_due || self.topics_seen != Some(self.topics.epoch) {
            is_due |= self.look_at_topics();
        }
        if is_due {
            let what = match subscribes_anew {
                true => "subscribes anew",
                false => "brings news of topics",
            };
            self.bump(format!("member {id} {what}"));
        }
        if self.head.epoch > self.head.target_epoch {
            self.retarget();
        }
        self.reconcile(id, owned);
    }

    fn reconcile(&mut self, id: &str, owned: Option<&Assignment>) {
        let Some(member) = self.roster.get(id) else {
            return;
        };
        let target_epoch = self.head.target_epoch;
        if member.is_reconciled_to(target_epoch) {
            return;
        }
        let is_held = |partition| self.roster.is_held(partition);
        let next = super::reconcile::reconcile(member, target_epoch, is_held, owned);
        if next == *member {
            return;
        }
        if next.classic.is_none() {
            let key = TimerKey::Rebalance(id.to_owned());
            match next.state {
                MemberState::UnrevokedPartitions => self.schedule(key, next.rebalance_timeout),
                MemberState::Stable | MemberState::UnreleasedPartitions => self.timers.cancel(&key),
            }
        }
        self.roster.put(next);
    }
}
