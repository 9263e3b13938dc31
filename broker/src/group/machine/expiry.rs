//! What time alone brings about: sessions and waits that end.

use super::RemovalCause;
use super::group::{ClassicGroup, Phase};
use super::timers::TimerKey;

impl ClassicGroup {
    /// Fires what is due. A timer set anew meanwhile fires at most once, so this ends even if
    /// timeouts are zero.
    pub(super) fn tick(&mut self) {
        for (at, key) in self.timers.due(self.now) {
            if !self.timers.take(at, &key) {
                continue;
            }
            match key {
                TimerKey::Join => {
                    self.join_phase_over();
                }
                TimerKey::Sync => self.sync_phase_over(),
                TimerKey::Session(id) => self.session_over(&id),
            }
        }
    }

    fn session_over(&mut self, id: &str) {
        if self.remove_pending_member(id) {
            self.complete_join_without();
            return;
        }
        let Some(member) = self.roster.get(id) else {
            return;
        };
        if member.has_satisfied_heartbeat() {
            // Its session starts anew when the parked request is answered.
            return;
        }
        self.remove_member(id, RemovalCause::SessionExpired);
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance { .. } => {
                self.prepare_rebalance(format!("the session of member {id} has expired"));
            }
            _ => {
                self.complete_join_without();
            }
        }
    }

    /// Removes the members that have not sent SyncGroup in time.
    fn sync_phase_over(&mut self) {
        if !matches!(
            self.phase,
            Phase::Stable | Phase::CompletingRebalance { .. }
        ) {
            return;
        }
        let late = self.roster.pending_sync().clone();
        if late.is_empty() {
            return;
        }
        for id in &late {
            self.remove_member(id, RemovalCause::DidNotSync);
        }
        self.prepare_rebalance(format!("{} members have not synced in time", late.len()));
    }
}
