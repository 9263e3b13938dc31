//! SyncGroup (versions 0 to 5).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::group::{ClassicGroup, Phase};
use super::saved::PendingSave;
use super::timers::TimerKey;
use super::{Effect, GroupError, SyncRequest, Ticket};

impl ClassicGroup {
    pub(super) fn sync(&mut self, ticket: Ticket, request: SyncRequest) {
        if let Err(error) = self.check_sync(&request) {
            return self.emit(Effect::RespondSync(ticket, Err(error)));
        }
        let id = request.member_id.as_str();
        self.roster.remove_pending_sync(id);
        if self.roster.pending_sync().is_empty() {
            self.timers.cancel(&TimerKey::Sync);
        }
        if self.phase == Phase::Stable {
            let synced = self.synced(id);
            return self.emit(Effect::RespondSync(ticket, Ok(synced)));
        }
        if let Some(superseded) = self.roster.park_sync(id, ticket) {
            self.emit(Effect::RespondSync(
                superseded,
                Err(GroupError::RebalanceInProgress),
            ));
        }
        // SUBTLE: a leader that repeats its SyncGroup does not replace the assignment being saved,
        // or members might get another one than what is durable.
        let first = self.phase == Phase::CompletingRebalance { saving: None };
        if first && self.roster.is_leader(id) {
            self.save_assignment(request.assignments);
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        if let Phase::Dead(error) = self.phase {
            return Err(error);
        }
        self.roster
            .validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |expected: &Option<String>, actual: &Option<String>| {
            expected.is_some() && actual.is_some() && expected != actual
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::PreparingRebalance { .. } => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Saves the leader's assignment. Members it does not mention get an empty one; those it
    /// mentions and that do not exist are ignored.
    fn save_assignment(&mut self, assignments: Vec<(String, Bytes)>) {
        let mut given: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        let assignments: BTreeMap<String, Bytes> = self
            .roster
            .ids()
            .into_iter()
            .map(|id| {
                let assignment = given.remove(&id).unwrap_or_default();
                (id, assignment)
            })
            .collect();
        let pending = PendingSave::Assignment(assignments.clone());
        let id = self.save(pending, |m| {
            assignments.get(&m.id).cloned().unwrap_or_default()
        });
        self.phase = Phase::CompletingRebalance { saving: Some(id) };
    }
}
