//! The state of one group, and the primitives the handlers are made of: answering parked requests,
//! session timers, saves.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::member::Member;
use super::message::Note;
use super::roster::Roster;
use super::saved::{PendingSave, SavedGroup, SavedMember};
use super::timers::{TimerKey, Timers};
use super::{
    Effect, Event, GroupError, JoinRefused, Joined, JoinedMember, Limits, RemovalCause, SaveId,
    Synced, Ticket,
};

/// Where the group is in its life. Kafka's states, with what only one state needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No members. Its offsets may live on.
    Empty,
    /// Members are to join. `initial` when the group was empty before.
    PreparingRebalance { initial: Option<InitialDelay> },
    /// Members have joined, and wait for the leader's assignment; `saving` once it has come.
    CompletingRebalance { saving: Option<SaveId> },
    /// Every member has, or may fetch, its assignment.
    Stable,
    /// Unloaded, fenced or deleted; every request is answered with the error.
    Dead(GroupError),
}

/// The wait of a group that was empty for more members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// The delay that is running.
    pub(super) delay: Duration,
    /// By how much it may still be extended.
    pub(super) remaining: Duration,
    /// A member has come since it began, which is what extends it.
    pub(super) member_added: bool,
}

/// The coordinator of one classic group; see the header of [`machine`](super).
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) roster: Roster,
    pub(super) timers: Timers,
    pub(super) saves: BTreeMap<SaveId, PendingSave>,
    last_save: SaveId,
    /// The time of the step under way.
    pub(super) now: Duration,
    effects: Vec<Effect>,
}

impl ClassicGroup {
    /// A group nobody has joined yet.
    pub fn new(limits: Limits) -> Self {
        ClassicGroup {
            limits,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            roster: Roster::default(),
            timers: Timers::default(),
            saves: BTreeMap::new(),
            last_save: SaveId(0),
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// Saves are numbered after `last`, which was the last of the machine before this one.
    pub(in crate::group) fn resume_after(&mut self, last: SaveId) {
        self.last_save = last;
    }

    /// The last save that was asked for.
    pub(in crate::group) fn last_save(&self) -> SaveId {
        self.last_save
    }

    /// Takes over a group that another machine has left: saves it, and has its members join again.
    pub(in crate::group) fn adopt(&mut self, reason: &str) -> Vec<Effect> {
        let leaves = Vec::new();
        self.save(PendingSave::Emptied { leaves }, |m| m.assignment.clone());
        self.prepare_rebalance(reason.to_owned());
        std::mem::take(&mut self.effects)
    }

    /// Ends the machine; whoever waits is told `error`.
    pub(in crate::group) fn disband(&mut self, error: GroupError) -> Vec<Effect> {
        self.die(error);
        std::mem::take(&mut self.effects)
    }

    /// Takes in one event; returns what is to be done about it. `now` is of the monotonic clock.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Join(ticket, request) => self.join(ticket, request),
            Event::Sync(ticket, request) => self.sync(ticket, request),
            Event::Heartbeat(ticket, request) => self.heartbeat(ticket, &request),
            Event::Leave(ticket, request) => self.leave(ticket, request),
            Event::Saved(id) => self.saved(id),
            Event::SaveFailed(id, failure) => self.save_failed(id, failure),
            Event::Unload => self.die(GroupError::NotCoordinator),
            Event::Deleted => self.die(GroupError::CoordinatorNotAvailable),
            Event::Tick => self.tick(),
        }
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    pub(super) fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Answers whoever waits and stops everything.
    fn die(&mut self, error: GroupError) {
        for id in self.roster.ids() {
            self.refuse_parked_join(&id, error, &id);
            self.answer_parked_sync(&id, Err(error));
        }
        for save in std::mem::take(&mut self.saves).into_values() {
            self.abandon_save(save, error);
        }
        self.timers.clear();
        self.roster = Roster::default();
        self.phase = Phase::Dead(error);
    }

    /// [`Event::SaveFailed`] with [`SaveFailure::Fenced`](super::SaveFailure).
    pub(super) fn fenced(&mut self) {
        self.die(GroupError::NotCoordinator);
    }

    pub(super) fn schedule(&mut self, key: TimerKey, after: Duration) {
        self.timers.schedule(key, self.now.saturating_add(after));
    }

    /// Starts the session of a member anew.
    pub(super) fn reset_session(&mut self, id: &str) {
        if let Some(timeout) = self.roster.get(id).map(|m| m.session_timeout) {
            self.schedule(TimerKey::Session(id.to_owned()), timeout);
        }
    }

    pub(super) fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: &str) {
        let member_id = member_id.to_owned();
        self.emit(Effect::RespondJoin(
            ticket,
            Err(JoinRefused { error, member_id }),
        ));
    }

    /// Answers the parked join of a member with an error, if it has one. `response_id` is the
    /// member id in the response.
    pub(super) fn refuse_parked_join(&mut self, id: &str, error: GroupError, response_id: &str) {
        if let Some(ticket) = self.roster.take_join(id) {
            self.refuse_join(ticket, error, response_id);
        }
    }

    /// Answers a join with the current generation.
    pub(super) fn answer_join(&mut self, ticket: Ticket, id: &str) {
        let members = match self.roster.is_leader(id) {
            true => self.joined_members(),
            false => Vec::new(),
        };
        let joined = Joined {
            members,
            ..self.current_generation(id)
        };
        self.emit(Effect::RespondJoin(ticket, Ok(joined)));
    }

    /// What a member learns of the current generation, without the other members.
    pub(super) fn current_generation(&self, id: &str) -> Joined {
        Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.roster.leader().unwrap_or_default().to_owned(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }

    /// The members as the leader sees them.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref();
        let joined = |m: &Member| JoinedMember {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            metadata: m.metadata(protocol),
        };
        self.roster.iter().map(joined).collect()
    }

    /// A member's present assignment.
    pub(super) fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self
                .roster
                .get(id)
                .map(|m| m.assignment.clone())
                .unwrap_or_default(),
        }
    }

    /// Answers the parked sync of a member; says whether there was one.
    pub(super) fn answer_parked_sync(
        &mut self,
        id: &str,
        answer: Result<Synced, GroupError>,
    ) -> bool {
        let ticket = self.roster.take_sync(id);
        if let Some(ticket) = ticket {
            self.emit(Effect::RespondSync(ticket, answer));
        }
        ticket.is_some()
    }

    /// Takes a member out of the group. What it has parked is answered with UNKNOWN_MEMBER_ID, so
    /// that a client that is still there joins anew.
    pub(super) fn remove_member(&mut self, id: &str, cause: RemovalCause) {
        self.refuse_parked_join(id, GroupError::UnknownMemberId, "");
        self.answer_parked_sync(id, Err(GroupError::UnknownMemberId));
        self.timers.cancel(&TimerKey::Session(id.to_owned()));
        self.roster.remove(id);
        self.emit(Effect::Note(Note::MemberRemoved {
            member_id: id.to_owned(),
            cause,
        }));
    }

    /// Forgets an id that was given out; says whether it was pending.
    pub(super) fn remove_pending_member(&mut self, id: &str) -> bool {
        let removed = self.roster.remove_pending_join(id);
        if removed {
            self.timers.cancel(&TimerKey::Session(id.to_owned()));
        }
        removed
    }

    /// Emits a save of the group as it is now, with each member's assignment as given by
    /// `assignment`.
    pub(super) fn save(
        &mut self,
        pending: PendingSave,
        assignment: impl Fn(&Member) -> Bytes,
    ) -> SaveId {
        let id = SaveId(self.last_save.0 + 1);
        self.last_save = id;
        let group = self.saved_with(assignment);
        self.saves.insert(id, pending);
        self.emit(Effect::Save(id, group));
        id
    }

    /// The group as it is now.
    pub(in crate::group) fn snapshot(&self) -> SavedGroup {
        self.saved_with(|m| m.assignment.clone())
    }

    fn saved_with(&self, assignment: impl Fn(&Member) -> Bytes) -> SavedGroup {
        let member = |m| SavedMember::new(m, assignment(m));
        SavedGroup {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.roster.leader().map(str::to_owned),
            members: self.roster.iter().map(member).collect(),
        }
    }
}
