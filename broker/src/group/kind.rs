//! The types of groups, and the machine that the task of a group drives: one of those, behind one face.

use std::fmt;
use std::time::Duration;

use super::machine::{
    ClassicGroup, CommitIdentity, Effect, Event, GroupError, GroupState, GroupView, JoinRefused,
    Joined, LeftMember, Limits, Note, SaveId, Synced, Ticket,
};
use super::records::{self, Change, Ledger, Records};

/// Kafka's types of groups; they display as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GroupType {
    /// Members choose a leader that assigns (JoinGroup), or none: offsets only.
    Classic,
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupType::Classic => "classic",
        })
    }
}

/// What the task of a group must do, in the order given.
#[derive(Debug)]
pub(super) enum Output {
    Respond(Ticket, Answer),
    /// As [`Effect::Save`].
    Save(SaveId, Change),
    Note(Note),
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    Leave(Result<Vec<LeftMember>, GroupError>),
}

/// The machine of one group.
#[derive(Debug)]
pub(super) enum Machine {
    Classic(Classic),
}

/// A classic group and what of it was saved last.
#[derive(Debug)]
pub(super) struct Classic {
    group: ClassicGroup,
    ledger: Ledger,
}

impl Machine {
    /// The group that was saved so. What cannot be read begins anew; its offsets stay.
    pub(super) fn restore(group: &str, limits: Limits, saved: Records, now: Duration) -> Self {
        let classic = match records::classic(&saved) {
            Some(classic) => ClassicGroup::restore(limits, classic, now),
            None => {
                if !saved.is_empty() {
                    tracing::error!(
                        group,
                        "a saved group cannot be read: it begins anew, its offsets stay"
                    );
                }
                ClassicGroup::new(limits)
            }
        };
        Machine::Classic(Classic {
            group: classic,
            ledger: Ledger::new(saved),
        })
    }

    pub(super) fn group_type(&self) -> GroupType {
        match self {
            Machine::Classic(_) => GroupType::Classic,
        }
    }

    /// Takes in a request of the classic protocol, or what every machine is told.
    pub(super) fn step(&mut self, now: Duration, event: Event) -> Vec<Output> {
        match self {
            Machine::Classic(classic) => classic.step(now, event),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match self {
            Machine::Classic(classic) => classic.group.next_deadline(),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        match self {
            Machine::Classic(classic) => classic.group.state(),
        }
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        match self {
            Machine::Classic(classic) => classic.group.protocol_type(),
        }
    }

    /// It has or had members.
    pub(super) fn has_lived(&self) -> bool {
        match self {
            Machine::Classic(classic) => {
                classic.group.generation() > 0 || classic.group.members_len() > 0
            }
        }
    }

    /// Whether nobody is in the group or about to be: the machine may be dropped.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Machine::Classic(classic) => classic.group.is_idle(),
        }
    }

    /// How many bytes the members say of themselves together.
    pub(super) fn members_bytes(&self) -> usize {
        match self {
            Machine::Classic(classic) => classic.group.members_bytes(),
        }
    }

    /// Whether offsets may be committed.
    pub(super) fn check_commit(
        &mut self,
        now: Duration,
        who: &CommitIdentity<'_>,
    ) -> Result<(), GroupError> {
        match self {
            Machine::Classic(classic) => classic.group.check_commit(now, who),
        }
    }

    /// Whether offsets of the group may be deleted at all.
    pub(super) fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self {
            Machine::Classic(classic) => classic.group.check_offset_delete(),
        }
    }

    /// Whether members use committed offsets of the topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Machine::Classic(classic) => classic.group.is_subscribed_to(topic),
        }
    }

    /// Whether the group may be deleted; see [`ClassicGroup::check_delete`].
    pub(super) fn check_delete(&self) -> Result<(), GroupError> {
        match self {
            Machine::Classic(classic) => classic.group.check_delete(),
        }
    }

    /// The group as DescribeGroups shows it.
    pub(super) fn describe(&self) -> Result<GroupView, GroupError> {
        match self {
            Machine::Classic(classic) => Ok(classic.group.describe()),
        }
    }
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

/// What ListGroups shows of a group that no task serves; it would be restored so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub group_type: GroupType,
    pub state: GroupState,
    pub protocol_type: Option<String>,
    /// It has or had members.
    pub has_lived: bool,
}

impl Default for Summary {
    /// Of a group that is not restored yet.
    fn default() -> Self {
        Self {
            group_type: GroupType::Classic,
            state: GroupState::Empty,
            protocol_type: None,
            has_lived: false,
        }
    }
}

impl Summary {
    /// Of a group that was saved so.
    pub(super) fn of_saved(saved: &Records) -> Self {
        let Some(classic) = records::classic_summary(saved) else {
            return Self::default();
        };
        let state = match classic.has_members {
            true => GroupState::Stable,
            false => GroupState::Empty,
        };
        Self {
            state,
            protocol_type: classic.protocol_type,
            has_lived: true,
            ..Self::default()
        }
    }

    /// Of a group that is served.
    pub(super) fn update(&mut self, machine: &Machine) {
        self.group_type = machine.group_type();
        self.state = machine.state();
        self.has_lived = machine.has_lived();
        if self.protocol_type.as_deref() != machine.protocol_type() {
            self.protocol_type = machine.protocol_type().map(str::to_owned);
        }
    }
}
