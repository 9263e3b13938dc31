//! Groups: who coordinates them, the generation they agreed on, the offsets they committed.
//!
//! Members' liveness and parked requests live in the coordinator's memory; what is here survives it. Every change is
//! fenced by the coordinator's epoch, so of two agents that both believe they coordinate a group, one can save (I7).
//!
//! What a coordinator saves are named records whose meaning is its own. A save changes some of them, all or none:
//! one that is too large for a command comes in parts, which have no effect until the last of them is applied.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_format::{AgentEpoch, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, State};

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Who coordinates it; without effect once that registration is gone.
    pub coordinator: AgentEpoch,
    /// Raised whenever the coordinator changes.
    pub epoch: u64,
    /// Records by name, as its coordinator's machine saved them; empty if it never did.
    pub saved: BTreeMap<String, Bytes>,
    /// A save whose last part has not come yet.
    staged: StagedSave,
    /// The log's time of the save after which it had no members; none while it has some, or if it never had any.
    pub empty_since_ms: Option<i64>,
    /// Committed offsets.
    pub offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// What transactions under way commit if they do, by producer id.
    pub pending: BTreeMap<i64, BTreeMap<TopicPartition, CommittedOffset>>,
}

/// The parts of a save that have come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct StagedSave {
    parts: u32,
    puts: BTreeMap<String, Bytes>,
    removed: BTreeSet<String>,
}

/// An offset a group committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: i64,
    /// As the client gave it; -1 if it did not.
    pub leader_epoch: i32,
    /// As the client gave it.
    pub metadata: String,
    /// The log's time of the commit.
    pub committed_ms: i64,
    /// When it expires, if the commit said so (until version 4 of OffsetCommit); in the log's time.
    pub expires_ms: Option<i64>,
}

/// Outcome of [`AcquireGroup`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinator {
    /// Who coordinates the group: the asker, or somebody alive who came first.
    pub agent: AgentEpoch,
    /// To be carried in every change of the group.
    pub epoch: u64,
}

/// Why a change of a group is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum GroupRejection {
    /// Somebody else coordinates the group, or did since.
    #[error("this agent does not coordinate the group any more")]
    NotCoordinator,
    /// A part of a save does not follow the one before it.
    #[error("a part of this save is missing")]
    PartMissing,
}

/// Asks to coordinate a group. Granted if nobody alive does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquireGroup {
    /// Group id.
    pub group: String,
}

impl AcquireGroup {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Coordinator {
        let group = state.groups.entry(self.group).or_default();
        if group.coordinator != by.writer && !state.agents.contains_key(&group.coordinator) {
            group.coordinator = by.writer;
            group.epoch += 1;
            group.staged = StagedSave::default();
        }
        Coordinator {
            agent: group.coordinator,
            epoch: group.epoch,
        }
    }
}

/// Changes the records of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaveGroup {
    /// Group id.
    pub group: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// Which part of the save this is, counted from 0. The first forgets parts of a save that was not finished.
    pub part: u32,
    /// Whether all parts are there with this one, so that the save takes effect.
    pub is_last: bool,
    /// Records to be written, by name. Those of members, and no others, have a `/` in their names.
    pub puts: Vec<(String, Bytes)>,
    /// Records to be forgotten; one that is also written is written.
    pub removed: Vec<String>,
}

/// Commits offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitOffsets {
    /// Group id.
    pub group: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// One for each partition.
    pub offsets: Vec<OffsetToCommit>,
}

/// An offset to be committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OffsetToCommit {
    /// Of what.
    pub partition: TopicPartition,
    /// As in [`CommittedOffset`].
    pub offset: i64,
    /// As in [`CommittedOffset`].
    pub leader_epoch: i32,
    /// As in [`CommittedOffset`].
    pub metadata: String,
    /// How long it is kept after the commit whatever its group does, in milliseconds; none is as long as others are.
    pub retention_ms: Option<i64>,
}

/// Forgets committed offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteOffsets {
    /// Group id.
    pub group: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// Of what.
    pub partitions: Vec<TopicPartition>,
}

/// Forgets a group and its offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteGroup {
    /// Group id.
    pub group: String,
    /// The coordinator's epoch.
    pub epoch: u64,
}

impl SaveGroup {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), GroupRejection> {
        let group = state.coordinated(&self.group, self.epoch, by)?;
        if self.part == 0 {
            group.staged = StagedSave::default();
        }
        if self.part != group.staged.parts {
            return Err(GroupRejection::PartMissing);
        }
        group.staged.parts += 1;
        group.staged.puts.extend(self.puts);
        group.staged.removed.extend(self.removed);
        if self.is_last {
            let staged = std::mem::take(&mut group.staged);
            for name in &staged.removed {
                group.saved.remove(name);
            }
            group.saved.extend(staged.puts);
            group.note_members(by.now_ms);
        }
        Ok(())
    }
}

impl CommitOffsets {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), GroupRejection> {
        state.coordinated(&self.group, self.epoch, by)?;
        for offset in self.offsets {
            // The topic may have been deleted while the commit was under way.
            if state.partitions.contains_key(&offset.partition) {
                let group = state.coordinated(&self.group, self.epoch, by)?;
                let committed = CommittedOffset::new(&offset, by.now_ms);
                group.offsets.insert(offset.partition, committed);
            }
        }
        Ok(())
    }
}

impl CommittedOffset {
    pub(super) fn new(from: &OffsetToCommit, now_ms: i64) -> Self {
        Self {
            offset: from.offset,
            leader_epoch: from.leader_epoch,
            metadata: from.metadata.clone(),
            committed_ms: now_ms,
            expires_ms: from.retention_ms.map(|after| now_ms.saturating_add(after)),
        }
    }
}

impl Group {
    /// Whether a transaction under way may change the committed offset of a partition.
    pub fn is_unstable(&self, partition: TopicPartition) -> bool {
        self.pending.values().any(|p| p.contains_key(&partition))
    }
}

impl DeleteOffsets {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), GroupRejection> {
        let group = state.coordinated(&self.group, self.epoch, by)?;
        for partition in &self.partitions {
            group.offsets.remove(partition);
        }
        Ok(())
    }
}

impl DeleteGroup {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), GroupRejection> {
        state.coordinated(&self.group, self.epoch, by)?;
        state.groups.remove(&self.group);
        state.shares.remove(&self.group);
        Ok(())
    }
}

impl State {
    /// A group that was ever coordinated and not deleted since.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(id, group)| (id.as_str(), group))
    }

    /// Who coordinates a group, if that agent is alive.
    pub fn coordinator(&self, group: &str) -> Option<Coordinator> {
        let group = self.groups.get(group)?;
        let alive = self.agents.contains_key(&group.coordinator);
        alive.then_some(Coordinator {
            agent: group.coordinator,
            epoch: group.epoch,
        })
    }

    pub(super) fn coordinated(
        &mut self,
        group: &str,
        epoch: u64,
        by: Context,
    ) -> Result<&mut Group, GroupRejection> {
        let group = self
            .groups
            .get_mut(group)
            .ok_or(GroupRejection::NotCoordinator)?;
        let holds = group.coordinator == by.writer && group.epoch == epoch;
        if holds {
            Ok(group)
        } else {
            Err(GroupRejection::NotCoordinator)
        }
    }
}
