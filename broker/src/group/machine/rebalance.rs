//! Rebalances: how one begins, how long the group waits for its members, and how the next
//! generation comes about.

use std::time::Duration;

use bytes::Bytes;

use super::group::{ClassicGroup, InitialDelay, Phase};
use super::message::Note;
use super::saved::PendingSave;
use super::timers::TimerKey;
use super::{Effect, GroupError, RemovalCause, SaveId};

/// The least time between two attempts to complete a join phase in which nobody joined.
const POSTPONEMENT_MIN: Duration = Duration::from_secs(1);

// Functions here return the id of the save they have caused, if any: the response to a LeaveGroup
// that empties the group waits for it.
impl ClassicGroup {
    /// Begins a rebalance, or completes the join phase of the one under way if everyone is there.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: String) -> Option<SaveId> {
        match self.phase {
            Phase::Empty | Phase::CompletingRebalance { .. } | Phase::Stable => {
                self.prepare_rebalance(reason)
            }
            Phase::PreparingRebalance { .. } => self.maybe_complete_join(),
            Phase::Dead(_) => None,
        }
    }

    /// Begins a rebalance.
    pub(super) fn prepare_rebalance(&mut self, reason: String) -> Option<SaveId> {
        if matches!(self.phase, Phase::CompletingRebalance { .. }) {
            self.drop_assignments(GroupError::RebalanceInProgress);
        }
        self.roster.clear_pending_sync();
        self.timers.cancel(&TimerKey::Sync);
        let generation = self.generation;
        self.emit(Effect::Note(Note::RebalanceStarted { generation, reason }));

        if self.phase == Phase::Empty {
            let delay = self.limits.initial_rebalance_delay;
            let remaining = self.roster.rebalance_timeout().saturating_sub(delay);
            self.await_more_members(InitialDelay {
                delay,
                remaining,
                member_added: false,
            });
            return None;
        }
        self.phase = Phase::PreparingRebalance { initial: None };
        if self.roster.all_joined() {
            return self.complete_join();
        }
        self.schedule(TimerKey::Join, self.roster.rebalance_timeout());
        None
    }

    /// Completes the join phase if everyone is there. A group that was empty waits for its delay
    /// to end all the same.
    pub(super) fn maybe_complete_join(&mut self) -> Option<SaveId> {
        match self.phase {
            Phase::PreparingRebalance { initial: None } if self.roster.all_joined() => {
                self.complete_join()
            }
            _ => None,
        }
    }

    /// After someone was removed: as [`Self::maybe_complete_join`], but does not wait for the end
    /// of the initial delay.
    pub(super) fn complete_join_without(&mut self) -> Option<SaveId> {
        match self.phase {
            Phase::PreparingRebalance { .. } if self.roster.all_joined() => self.complete_join(),
            _ => None,
        }
    }

    /// The join timer has fired.
    pub(super) fn join_phase_over(&mut self) -> Option<SaveId> {
        match self.phase {
            Phase::PreparingRebalance {
                initial: Some(over),
            } if over.member_added && !over.remaining.is_zero() => {
                self.await_more_members(InitialDelay {
                    delay: self.limits.initial_rebalance_delay.min(over.remaining),
                    remaining: over.remaining.saturating_sub(over.delay),
                    member_added: false,
                });
                None
            }
            Phase::PreparingRebalance { .. } => self.complete_join(),
            _ => None,
        }
    }

    fn await_more_members(&mut self, initial: InitialDelay) {
        self.phase = Phase::PreparingRebalance {
            initial: Some(initial),
        };
        self.schedule(TimerKey::Join, initial.delay);
    }

    /// Ends the join phase: whoever has not joined goes, and the next generation begins. Static
    /// members stay until their session ends or they do not sync (KIP-345).
    fn complete_join(&mut self) -> Option<SaveId> {
        self.timers.cancel(&TimerKey::Join);
        let absent =
            |m: &&super::member::Member| m.awaiting_join.is_none() && m.instance_id.is_none();
        let absent: Vec<String> = self
            .roster
            .iter()
            .filter(absent)
            .map(|m| m.id.clone())
            .collect();
        for id in absent {
            self.remove_member(&id, RemovalCause::DidNotRejoin);
        }
        if self.roster.is_empty() {
            return Some(self.become_empty());
        }
        if self.roster.elect_joined_leader() {
            self.begin_generation();
        } else {
            // Only static members are left, and none has joined. Wait until one does, or until
            // their sessions end.
            let postponement = self.roster.rebalance_timeout().max(POSTPONEMENT_MIN);
            self.schedule(TimerKey::Join, postponement);
        }
        None
    }

    fn become_empty(&mut self) -> SaveId {
        self.next_generation();
        self.protocol_name = None;
        self.phase = Phase::Empty;
        self.save(PendingSave::Emptied { leaves: Vec::new() }, |m| {
            m.assignment.clone()
        })
    }

    fn begin_generation(&mut self) {
        self.next_generation();
        self.protocol_name = self.roster.select_protocol();
        self.phase = Phase::CompletingRebalance { saving: None };
        for id in self.roster.ids() {
            if let Some(ticket) = self.roster.take_join(&id) {
                self.answer_join(ticket, &id);
            }
            self.reset_session(&id);
            self.roster.set_not_new(&id);
            self.roster.add_pending_sync(id);
        }
        self.schedule(TimerKey::Sync, self.roster.rebalance_timeout());
    }

    fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
    }

    /// Answers every parked sync with an error, and forgets assignments of the generation that
    /// will not come to be.
    pub(super) fn drop_assignments(&mut self, error: GroupError) {
        for id in self.roster.ids() {
            self.roster.set_assignment(&id, Bytes::new());
            if self.answer_parked_sync(&id, Err(error)) {
                self.reset_session(&id);
            }
        }
    }
}
