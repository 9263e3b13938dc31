//! How members go: they leave, or time runs out.

use super::group::{ConsumerGroup, TimerKey};
use super::member::MemberState;
use crate::group::machine::{Note, RemovalCause};
use crate::group::output::Output;

impl ConsumerGroup {
    /// Fires what is due.
    pub(super) fn tick(&mut self) {
        for (at, key) in self.timers.due(self.now) {
            if !self.timers.take(at, &key) {
                continue;
            }
            match key {
                TimerKey::Session(id) => self.fence(&id, RemovalCause::SessionExpired),
                TimerKey::Rebalance(id) => {
                    let member = self.roster.get(&id);
                    if member.is_some_and(|m| m.state == MemberState::UnrevokedPartitions) {
                        self.fence(&id, RemovalCause::DidNotRevoke);
                    }
                }
                TimerKey::Join(id) => self.fence(&id, RemovalCause::DidNotRejoin),
                TimerKey::Sync(id) => self.fence(&id, RemovalCause::DidNotSync),
            }
        }
        self.flush();
    }

    /// Takes a member out; the others have its partitions.
    pub(super) fn fence(&mut self, id: &str, cause: RemovalCause) {
        if self.remove(id, cause) {
            self.after_removal(format!("member {id} is gone"));
            self.is_outgrown = self.is_to_downgrade();
        }
    }

    /// Takes a member out without more ado; says whether it was one.
    pub(super) fn remove(&mut self, id: &str, cause: RemovalCause) -> bool {
        let removed = self.roster.remove(id).is_some();
        if removed {
            self.cancel_timers(id);
            let member_id = id.to_owned();
            let note = Note::MemberRemoved { member_id, cause };
            self.outputs.push(Output::Note(note));
        }
        removed
    }

    /// Raises the epoch after members were taken out; the next heartbeat makes the target.
    pub(super) fn after_removal(&mut self, reason: String) {
        self.look_at_topics();
        self.bump(reason);
    }

    pub(super) fn cancel_timers(&mut self, id: &str) {
        for key in [
            TimerKey::Session,
            TimerKey::Rebalance,
            TimerKey::Join,
            TimerKey::Sync,
        ] {
            self.timers.cancel(&key(id.to_owned()));
        }
    }
}
