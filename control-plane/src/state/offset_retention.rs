//! When committed offsets expire (KIP-211), and the command that forgets those that have.
//!
//! Which topics the members of a group are subscribed to only its coordinator can tell; the rest is here.

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{CommittedOffset, Context, Group, GroupRejection, State};

/// Forgets committed offsets that have not been committed anew since their coordinator looked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpireOffsets {
    /// Group id.
    pub group: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// Of what, and the log's time of the commit that was seen.
    pub seen: Vec<(TopicPartition, i64)>,
}

impl ExpireOffsets {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), GroupRejection> {
        let group = state.coordinated(&self.group, self.epoch, by)?;
        for (partition, committed_ms) in &self.seen {
            let known = group.offsets.get(partition);
            if known.is_some_and(|offset| offset.committed_ms == *committed_ms) {
                group.offsets.remove(partition);
            }
        }
        Ok(())
    }
}

impl CommittedOffset {
    /// Whether the offset may be forgotten at `now_ms` if nobody is subscribed to its topic, `empty_since_ms` being
    /// since when its group has no members. An offset that came with a retention of its own keeps to that.
    pub fn is_expired(&self, empty_since_ms: Option<i64>, retention_ms: i64, now_ms: i64) -> bool {
        let idle_since = empty_since_ms.map_or(self.committed_ms, |at| at.max(self.committed_ms));
        match self.expires_ms {
            Some(at) => now_ms >= at,
            None => now_ms.saturating_sub(idle_since) >= retention_ms,
        }
    }
}

impl Group {
    /// The offsets that may be forgotten, but for those of topics that members are subscribed to, with the times of
    /// their commits.
    pub fn expired_offsets(
        &self,
        retention_ms: i64,
        now_ms: i64,
    ) -> impl Iterator<Item = (TopicPartition, i64)> {
        let empty_since_ms = self.empty_since_ms;
        let expired = self
            .offsets
            .iter()
            .filter(move |(_, offset)| offset.is_expired(empty_since_ms, retention_ms, now_ms));
        expired.map(|(&partition, offset)| (partition, offset.committed_ms))
    }

    /// Whether nobody is in the group, and it has nothing that would be missed.
    pub fn is_hollow(&self) -> bool {
        self.offsets.is_empty() && self.pending.is_empty() && !self.has_members()
    }

    /// Whether records of members are saved; see [`super::SaveGroup`].
    pub(super) fn has_members(&self) -> bool {
        self.saved.keys().any(|name| name.contains('/'))
    }

    /// After a save: notes since when the group has no members.
    pub(super) fn note_members(&mut self, now_ms: i64) {
        self.empty_since_ms = match self.has_members() {
            true => None,
            false => self.empty_since_ms.or(Some(now_ms)),
        };
    }
}
