//! What is saved of a group, what happens once it is, and how a group is restored from it.
//!
//! As in Kafka, a group is saved when its leader's assignment has come, when it becomes empty, and
//! when a static member is replaced without a rebalance. A generation that never got that far is
//! not saved: whoever takes over makes it again, and its members rejoin.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::group::{ClassicGroup, Phase};
use super::member::{Member, Protocol};
use super::message::Note;
use super::timers::TimerKey;
use super::{Effect, GroupError, LeftMember, Limits, SaveFailure, SaveId, Ticket};

/// The durable part of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedGroup {
    /// The generation.
    pub generation: i32,
    /// The protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol; none if there are no members.
    pub protocol_name: Option<String>,
    /// The leader's member id; none if there are no members.
    pub leader: Option<String>,
    /// The members.
    pub members: Vec<SavedMember>,
}

/// The durable part of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMember {
    /// The member's id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Its session timeout in milliseconds.
    pub session_timeout_ms: u32,
    /// Its rebalance timeout in milliseconds.
    pub rebalance_timeout_ms: u32,
    /// What it supports, preferred first.
    pub protocols: Vec<Protocol>,
    /// Its assignment.
    pub assignment: Bytes,
}

impl SavedMember {
    pub(super) fn new(member: &Member, assignment: Bytes) -> Self {
        SavedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: whole_ms(member.session_timeout),
            rebalance_timeout_ms: whole_ms(member.rebalance_timeout),
            protocols: member.protocols.clone(),
            assignment,
        }
    }
}

fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What waits for a save.
#[derive(Clone, Debug)]
pub(super) enum PendingSave {
    /// The leader's assignment, by member id.
    Assignment(BTreeMap<String, Bytes>),
    /// The group has become empty; answers to those who left.
    Emptied {
        leaves: Vec<(Ticket, Vec<LeftMember>)>,
    },
    /// A static member has come back with a new id.
    StaticReplaced(Box<Replacement>),
}

/// A static member's change of id. Its join is parked with the member of the new id.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    pub(super) ticket: Ticket,
    /// The member as it was, to be put back if the save fails.
    pub(super) old: Member,
    pub(super) new_id: String,
    /// The leader as the old member knew it.
    pub(super) old_leader: String,
    /// See [`JoinRequest::supports_skipping_assignment`](super::JoinRequest).
    pub(super) skips_assignment: bool,
}

impl ClassicGroup {
    /// The group as another agent has left it. Members get a fresh session; a group with more than
    /// [`Limits::members_max`] of them rebalances at once, to shed some.
    pub fn restore(limits: Limits, saved: SavedGroup, now: Duration) -> Self {
        let mut group = ClassicGroup::new(limits);
        group.now = now;
        group.generation = saved.generation;
        group.protocol_type = saved.protocol_type;
        group.protocol_name = saved.protocol_name;
        for member in saved.members {
            group.restore_member(member);
        }
        if let Some(leader) = &saved.leader {
            group.roster.set_leader(leader);
        }
        if !group.roster.is_empty() {
            group.phase = Phase::Stable;
        }
        if group.roster.len() > group.limits.members_max {
            group.prepare_rebalance("the restored group is over its maximum size".to_owned());
        }
        group
    }

    fn restore_member(&mut self, saved: SavedMember) {
        let id = saved.member_id;
        let taken = saved
            .instance_id
            .as_deref()
            .and_then(|i| self.roster.static_member_id(i));
        if taken.is_some() || self.roster.get(&id).is_some() {
            return;
        }
        self.roster.add(Member {
            id: id.clone(),
            instance_id: saved.instance_id,
            client_id: saved.client_id,
            client_host: saved.client_host,
            session_timeout: Duration::from_millis(saved.session_timeout_ms.into()),
            rebalance_timeout: Duration::from_millis(saved.rebalance_timeout_ms.into()),
            protocols: saved.protocols,
            assignment: saved.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        });
        self.reset_session(&id);
    }

    pub(super) fn saved(&mut self, id: SaveId) {
        match self.saves.remove(&id) {
            Some(PendingSave::Assignment(assignments)) => self.assignment_saved(id, assignments),
            Some(PendingSave::Emptied { leaves }) => {
                for (ticket, left) in leaves {
                    self.emit(Effect::RespondLeave(ticket, Ok(left)));
                }
            }
            Some(PendingSave::StaticReplaced(replacement)) => self.replacement_saved(&replacement),
            None => {}
        }
    }

    pub(super) fn save_failed(&mut self, id: SaveId, failure: SaveFailure) {
        let error = match failure {
            SaveFailure::Fenced => return self.fenced(),
            SaveFailure::TooLarge => GroupError::UnknownServerError,
            SaveFailure::Unknown => GroupError::CoordinatorNotAvailable,
        };
        match self.saves.remove(&id) {
            Some(PendingSave::Assignment(_)) => self.assignment_not_saved(id, error),
            Some(PendingSave::StaticReplaced(replacement)) => {
                self.replacement_not_saved(*replacement, error);
            }
            Some(save @ PendingSave::Emptied { .. }) => self.abandon_save(save, error),
            None => {}
        }
    }

    /// Answers whoever waits for a save and for nothing else.
    pub(super) fn abandon_save(&mut self, save: PendingSave, error: GroupError) {
        if let PendingSave::Emptied { leaves } = save {
            for (ticket, _) in leaves {
                self.emit(Effect::RespondLeave(ticket, Err(error)));
            }
        }
    }

    /// Hands out the assignment, unless the group has gone on to another rebalance meanwhile.
    fn assignment_saved(&mut self, id: SaveId, assignments: BTreeMap<String, Bytes>) {
        if self.phase != (Phase::CompletingRebalance { saving: Some(id) }) {
            return;
        }
        self.phase = Phase::Stable;
        for (member_id, assignment) in assignments {
            self.roster.set_assignment(&member_id, assignment);
            let synced = self.synced(&member_id);
            if self.answer_parked_sync(&member_id, Ok(synced)) {
                self.reset_session(&member_id);
            }
        }
        let (generation, members) = (self.generation, self.roster.len());
        self.emit(Effect::Note(Note::Stabilized {
            generation,
            members,
        }));
    }

    fn assignment_not_saved(&mut self, id: SaveId, error: GroupError) {
        if self.phase == (Phase::CompletingRebalance { saving: Some(id) }) {
            self.drop_assignments(error);
            self.prepare_rebalance(format!("the assignment was not saved: {error}"));
        }
    }

    /// Takes the parked join of a replaced static member, if it still waits for the save only. A
    /// rebalance that began meanwhile answers it instead, and saves the member with the rest.
    fn take_replacement(&mut self, replacement: &Replacement) -> bool {
        let id = &replacement.new_id;
        let parked = self.roster.get(id).and_then(|m| m.awaiting_join);
        let waits = self.phase == Phase::Stable && parked == Some(replacement.ticket);
        if waits {
            self.roster.take_join(id);
            self.reset_session(id);
        }
        waits
    }

    fn replacement_saved(&mut self, replacement: &Replacement) {
        if self.take_replacement(replacement) {
            self.answer_replacement(replacement);
        }
    }

    /// Puts the former self of a static member back; its client tries again.
    fn replacement_not_saved(&mut self, replacement: Replacement, error: GroupError) {
        if !self.take_replacement(&replacement) {
            return;
        }
        let Replacement {
            ticket,
            old,
            new_id,
            ..
        } = replacement;
        self.timers.cancel(&TimerKey::Session(new_id.clone()));
        self.roster.rename(&new_id, &old.id);
        self.roster.update(
            &old.id,
            old.protocols,
            old.session_timeout,
            old.rebalance_timeout,
        );
        self.reset_session(&old.id);
        self.refuse_join(ticket, error, "");
    }
}
