//! The types of groups, and the machine that the task of a group drives: one of those, behind one
//! face. A group changes its type when it has no members, or, between the classic and the consumer
//! protocol, while it lives (see [`consumer`](super::consumer)).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::GroupOptions;
use super::consumer::{
    self, ConsumerGroup, ConsumerGroupView, ConsumerHeartbeat, NotConvertible, Refusal,
};
use super::machine::{
    ClassicGroup, CommitIdentity, Effect, Event, GroupError, GroupState, GroupView, SaveFailure,
    Ticket,
};
use super::output::{Answer, Outbox, Output};
use super::records::{self, Ledger, Records};
use super::share::{self, ShareGroup, ShareGroupView, ShareHeartbeat};
use super::topics::Topics;
use crate::config::group::GroupConfig;

/// Kafka's types of groups; they display as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GroupType {
    /// Members choose a leader that assigns (JoinGroup), or none: offsets only.
    Classic,
    /// The coordinator assigns (KIP-848).
    Consumer,
    /// The coordinator assigns, and members share partitions (KIP-932).
    Share,
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
            GroupType::Share => "share",
        })
    }
}

/// The machine of one group.
#[derive(Debug)]
pub(super) struct Machine {
    group: String,
    options: GroupOptions,
    protocol: Protocol,
    /// Answers that wait for saves. A classic group holds back its own.
    outbox: Outbox,
    /// Unloaded, deleted, or no longer what is durable.
    is_dead: bool,
}

#[derive(Debug)]
enum Protocol {
    Classic(Box<Classic>),
    Consumer(Box<ConsumerGroup>),
    Share(Box<ShareGroup>),
}

/// A classic group and what of it was saved last.
#[derive(Debug)]
struct Classic {
    group: ClassicGroup,
    ledger: Ledger,
}

impl Machine {
    /// The group that was saved so. What cannot be read begins anew; its offsets stay.
    pub(super) fn restore(
        group: &str,
        options: &GroupOptions,
        saved: Records,
        now: Duration,
    ) -> Self {
        let protocol = if consumer::is_consumer(&saved) {
            let (limits, classic) = (options.consumer.clone(), options.limits.clone());
            ConsumerGroup::restore(limits, classic, &saved, now)
                .map(|consumer| Protocol::Consumer(Box::new(consumer)))
        } else if share::is_share(&saved) {
            ShareGroup::restore(options.share.clone(), &saved, now)
                .map(|share| Protocol::Share(Box::new(share)))
        } else {
            records::classic(&saved).map(|classic| {
                Protocol::Classic(Box::new(Classic {
                    group: ClassicGroup::restore(options.limits.clone(), classic, now),
                    ledger: Ledger::new(saved.clone()),
                }))
            })
        };
        if protocol.is_none() && !saved.is_empty() {
            tracing::error!(
                group,
                "a saved group cannot be read: it begins anew, its offsets stay"
            );
        }
        Self {
            group: group.to_owned(),
            options: options.clone(),
            protocol: protocol.unwrap_or_else(|| {
                Protocol::Classic(Box::new(Classic {
                    group: ClassicGroup::new(options.limits.clone()),
                    ledger: Ledger::new(saved),
                }))
            }),
            outbox: Outbox::default(),
            is_dead: false,
        }
    }

    pub(super) fn group_type(&self) -> GroupType {
        match self.protocol {
            Protocol::Classic(_) => GroupType::Classic,
            Protocol::Consumer(_) => GroupType::Consumer,
            Protocol::Share(_) => GroupType::Share,
        }
    }

    /// The configs of the group as they are now.
    pub(super) fn configure(&mut self, config: &GroupConfig) {
        self.options.configure(config);
        match &mut self.protocol {
            Protocol::Classic(_) => {}
            Protocol::Consumer(consumer) => consumer.configure(config),
            Protocol::Share(share) => share.configure(config),
        }
    }

    /// Takes in a request of the classic protocol, or what every machine is told.
    pub(super) fn step(
        &mut self,
        now: Duration,
        topics: &Arc<Topics>,
        event: Event,
    ) -> Vec<Output> {
        let mut outputs = match &event {
            Event::Saved(id) => self.outbox.saved(*id),
            Event::SaveFailed(_, failure) => self.save_failed(*failure),
            Event::Unload => self.die(GroupError::NotCoordinator),
            Event::Deleted => self.die(GroupError::CoordinatorNotAvailable),
            Event::Join(..) => {
                self.become_classic_if_empty();
                Vec::new()
            }
            _ => Vec::new(),
        };
        let stepped = match &mut self.protocol {
            Protocol::Classic(classic) => classic.step(now, event),
            Protocol::Consumer(_) | Protocol::Share(_) if self.is_dead => Vec::new(),
            Protocol::Consumer(consumer) => {
                consumer.set_topics(topics.clone());
                consumer.step(now, event)
            }
            Protocol::Share(share) => {
                share.set_topics(topics.clone());
                share.step(now, event)
            }
        };
        outputs.extend(self.admit(stepped));
        outputs.extend(self.downgrade(now));
        outputs
    }

    /// Takes in a heartbeat of a member of the consumer protocol.
    pub(super) fn consumer_heartbeat(
        &mut self,
        now: Duration,
        topics: &Arc<Topics>,
        ticket: Ticket,
        request: ConsumerHeartbeat,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        if let Err(refusal) = request.check(&self.options.consumer) {
            return vec![refused(ticket, refusal)];
        }
        if let Protocol::Classic(classic) = &mut self.protocol {
            let upgraded = match request.epoch == 0 {
                true => classic.upgrade(now, topics, &self.options),
                false => Err(NotConvertible("it is a classic group")),
            };
            match upgraded {
                Ok((consumer, disbanded)) => {
                    outputs.extend(disbanded);
                    self.protocol = Protocol::Consumer(Box::new(consumer));
                }
                Err(NotConvertible(why)) => {
                    tracing::info!(group = self.group, why, "is not made a consumer group");
                    return vec![self.is_not(ticket, "consumer")];
                }
            }
        }
        match &mut self.protocol {
            Protocol::Consumer(consumer) => {
                consumer.set_topics(topics.clone());
                let stepped = consumer.heartbeat(now, ticket, request);
                outputs.extend(self.admit(stepped));
            }
            Protocol::Classic(_) | Protocol::Share(_) => {
                outputs.push(self.is_not(ticket, "consumer"));
            }
        }
        outputs.extend(self.downgrade(now));
        outputs
    }

    /// Takes in a heartbeat of a member of the share protocol. `exists` says whether there is anything
    /// of the group: a group that is not there becomes a share group, another one never does.
    pub(super) fn share_heartbeat(
        &mut self,
        now: Duration,
        topics: &Arc<Topics>,
        ticket: Ticket,
        request: ShareHeartbeat,
        exists: bool,
    ) -> Vec<Output> {
        if let Protocol::Classic(classic) = &self.protocol
            && request.epoch == 0
            && !exists
            && self.is_idle()
        {
            let (stale, last_save) = (classic.ledger.names(), classic.group.last_save());
            let share = ShareGroup::new(self.options.share.clone(), stale, last_save);
            self.protocol = Protocol::Share(Box::new(share));
        }
        match &mut self.protocol {
            Protocol::Share(share) => {
                share.set_topics(topics.clone());
                let stepped = share.heartbeat(now, ticket, request);
                self.admit(stepped)
            }
            Protocol::Classic(_) | Protocol::Consumer(_) => vec![self.is_not(ticket, "share")],
        }
    }

    fn is_not(&self, ticket: Ticket, what: &str) -> Output {
        let message = format!("Group {} is not a {what} group.", self.group);
        refused(ticket, Refusal::new(GroupError::GroupIdNotFound, message))
    }

    /// Holds back the answers that must wait for saves.
    fn admit(&mut self, outputs: Vec<Output>) -> Vec<Output> {
        match (&self.protocol, self.outbox.is_clear()) {
            (Protocol::Classic(_), true) => outputs,
            _ => self.outbox.admit(outputs),
        }
    }

    /// What the group knows is no longer what is durable: it is to be restored.
    fn save_failed(&mut self, failure: SaveFailure) -> Vec<Output> {
        let error = match failure {
            SaveFailure::Fenced => GroupError::NotCoordinator,
            SaveFailure::TooLarge => GroupError::UnknownServerError,
            SaveFailure::Unknown => GroupError::CoordinatorNotAvailable,
        };
        self.is_dead |= !matches!(self.protocol, Protocol::Classic(_));
        self.outbox.failed(error)
    }

    fn die(&mut self, error: GroupError) -> Vec<Output> {
        self.is_dead = true;
        self.outbox.failed(error)
    }

    /// A consumer group without members makes room for a classic one.
    fn become_classic_if_empty(&mut self) {
        if let Protocol::Consumer(consumer) = &self.protocol
            && !consumer.has_members()
        {
            let mut group = ClassicGroup::new(self.options.limits.clone());
            group.resume_after(consumer.last_save());
            let ledger = Ledger::new(consumer.records());
            self.protocol = Protocol::Classic(Box::new(Classic { group, ledger }));
        }
    }

    /// A consumer group whose last member of the consumer protocol has gone is a classic group again.
    fn downgrade(&mut self, now: Duration) -> Vec<Output> {
        let Protocol::Consumer(consumer) = &self.protocol else {
            return Vec::new();
        };
        if !consumer.is_outgrown() || self.is_dead {
            return Vec::new();
        }
        let limits = self.options.limits.clone();
        let mut group = ClassicGroup::restore(limits, consumer.to_classic(), now);
        group.resume_after(consumer.last_save());
        let mut classic = Classic {
            group,
            ledger: Ledger::new(consumer.records()),
        };
        let effects = classic
            .group
            .adopt("the group no longer has members of another protocol");
        let outputs = effects.into_iter().map(|e| classic.output(e)).collect();
        self.protocol = Protocol::Classic(Box::new(classic));
        tracing::info!(
            group = self.group,
            "a consumer group is a classic group again"
        );
        self.outbox.admit(outputs)
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match &self.protocol {
            Protocol::Classic(classic) => classic.group.next_deadline(),
            Protocol::Consumer(consumer) => consumer.next_deadline(),
            Protocol::Share(share) => share.next_deadline(),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        match &self.protocol {
            _ if self.is_dead => GroupState::Dead,
            Protocol::Classic(classic) => classic.group.state(),
            Protocol::Consumer(consumer) => consumer.state(),
            Protocol::Share(share) => share.state(),
        }
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        match &self.protocol {
            Protocol::Classic(classic) => classic.group.protocol_type(),
            Protocol::Consumer(consumer) => Some(consumer.protocol_type()),
            Protocol::Share(_) => Some(share::PROTOCOL_TYPE),
        }
    }

    /// It has or had members.
    pub(super) fn has_lived(&self) -> bool {
        match &self.protocol {
            Protocol::Classic(classic) => {
                classic.group.generation() > 0 || classic.group.members_len() > 0
            }
            Protocol::Consumer(_) | Protocol::Share(_) => true,
        }
    }

    /// Whether nobody is in the group or about to be: the machine may be dropped.
    pub(super) fn is_idle(&self) -> bool {
        let is_empty = match &self.protocol {
            Protocol::Classic(classic) => classic.group.is_idle(),
            Protocol::Consumer(consumer) => !consumer.has_members(),
            Protocol::Share(share) => !share.has_members(),
        };
        is_empty && self.outbox.is_clear()
    }

    /// How many bytes the members say of themselves together.
    pub(super) fn members_bytes(&self) -> usize {
        match &self.protocol {
            Protocol::Classic(classic) => classic.group.members_bytes(),
            Protocol::Consumer(consumer) => consumer.members_bytes(),
            Protocol::Share(share) => share.members_bytes(),
        }
    }

    /// Whether offsets may be committed.
    pub(super) fn check_commit(
        &mut self,
        now: Duration,
        who: &CommitIdentity<'_>,
    ) -> Result<(), GroupError> {
        match &mut self.protocol {
            Protocol::Classic(classic) => classic.group.check_commit(now, who),
            Protocol::Consumer(consumer) => consumer.check_commit(who),
            // It commits no offsets.
            Protocol::Share(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// Whether committed offsets may be fetched by a member of this id and epoch.
    pub(super) fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        match &self.protocol {
            Protocol::Classic(_) | Protocol::Share(_) => Ok(()),
            Protocol::Consumer(consumer) => consumer.check_fetch(member, epoch),
        }
    }

    /// Whether offsets of the group may be deleted at all.
    pub(super) fn check_offset_delete(&self) -> Result<(), GroupError> {
        match &self.protocol {
            _ if self.is_dead => Err(GroupError::GroupIdNotFound),
            Protocol::Classic(classic) => classic.group.check_offset_delete(),
            Protocol::Consumer(_) => Ok(()),
            Protocol::Share(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// Whether members use committed offsets of the topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.protocol {
            Protocol::Classic(classic) => classic.group.is_subscribed_to(topic),
            Protocol::Consumer(consumer) => consumer.is_subscribed_to(topic),
            Protocol::Share(share) => share.is_subscribed_to(topic),
        }
    }

    /// Whether the group may be deleted; see [`ClassicGroup::check_delete`].
    pub(super) fn check_delete(&self) -> Result<(), GroupError> {
        match &self.protocol {
            _ if self.is_dead => Err(GroupError::GroupIdNotFound),
            Protocol::Classic(classic) => classic.group.check_delete(),
            Protocol::Consumer(consumer) if consumer.has_members() => {
                Err(GroupError::NonEmptyGroup)
            }
            Protocol::Share(share) if share.has_members() => Err(GroupError::NonEmptyGroup),
            Protocol::Consumer(_) | Protocol::Share(_) => Ok(()),
        }
    }

    /// The group as DescribeGroups shows it, which knows classic groups only.
    pub(super) fn describe(&self) -> Result<GroupView, GroupError> {
        match &self.protocol {
            Protocol::Classic(classic) => Ok(classic.group.describe()),
            Protocol::Consumer(_) | Protocol::Share(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// The group as ConsumerGroupDescribe shows it, which knows consumer groups only.
    pub(super) fn describe_consumer(
        &mut self,
        topics: &Arc<Topics>,
    ) -> Result<ConsumerGroupView, GroupError> {
        match &mut self.protocol {
            Protocol::Consumer(consumer) => {
                consumer.set_topics(topics.clone());
                Ok(consumer.describe())
            }
            Protocol::Classic(_) | Protocol::Share(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// The group as ShareGroupDescribe shows it, which knows share groups only.
    pub(super) fn describe_share(
        &mut self,
        topics: &Arc<Topics>,
    ) -> Result<ShareGroupView, GroupError> {
        match &mut self.protocol {
            Protocol::Share(share) => {
                share.set_topics(topics.clone());
                Ok(share.describe())
            }
            Protocol::Classic(_) | Protocol::Consumer(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// Whether the start offsets of share-partitions may be set from outside.
    pub(super) fn check_share_reset(&self) -> Result<(), GroupError> {
        match &self.protocol {
            Protocol::Share(share) if share.has_members() => Err(GroupError::NonEmptyGroup),
            Protocol::Share(_) if !self.is_dead => Ok(()),
            _ => Err(GroupError::GroupIdNotFound),
        }
    }
}

fn refused(ticket: Ticket, refusal: Refusal) -> Output {
    Output::Respond(ticket, Answer::MemberHeartbeat(Err(refusal)))
}

impl Classic {
    fn step(&mut self, now: Duration, event: Event) -> Vec<Output> {
        if matches!(event, Event::SaveFailed(..)) {
            self.ledger.doubt();
        }
        let is_saved = matches!(event, Event::Saved(_));
        let effects = self.group.step(now, event);
        if is_saved && self.group.is_saved() {
            self.ledger.settled();
        }
        effects.into_iter().map(|e| self.output(e)).collect()
    }

    /// The consumer group that this becomes, and what its members are told.
    fn upgrade(
        &mut self,
        now: Duration,
        topics: &Arc<Topics>,
        options: &GroupOptions,
    ) -> Result<(ConsumerGroup, Vec<Output>), NotConvertible> {
        let stale = self.ledger.names();
        let (limits, classic) = (options.consumer.clone(), options.limits.clone());
        let last_save = self.group.last_save();
        let consumer = if self.group.members_len() == 0 {
            ConsumerGroup::new(limits, classic, stale, last_save)
        } else {
            let saved = self.group.snapshot();
            let stale = (stale, last_save);
            consumer::to_consumer(limits, classic, saved, topics.clone(), stale, now)?
        };
        let effects = self.group.disband(GroupError::RebalanceInProgress);
        let outputs = effects.into_iter().map(|e| self.output(e)).collect();
        Ok((consumer, outputs))
    }

    fn output(&mut self, effect: Effect) -> Output {
        match effect {
            Effect::RespondJoin(ticket, answer) => Output::Respond(ticket, Answer::Join(answer)),
            Effect::RespondSync(ticket, answer) => Output::Respond(ticket, Answer::Sync(answer)),
            Effect::RespondHeartbeat(ticket, answer) => {
                Output::Respond(ticket, Answer::Heartbeat(answer))
            }
            Effect::RespondLeave(ticket, answer) => Output::Respond(ticket, Answer::Leave(answer)),
            Effect::Save(id, group) => {
                Output::Save(id, self.ledger.change(records::of_classic(group)))
            }
            Effect::Note(note) => Output::Note(note),
        }
    }
}
