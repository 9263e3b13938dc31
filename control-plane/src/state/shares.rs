//! Share-partitions (KIP-932): who leads them, and how far their share groups are.
//!
//! A share-partition is what a share group is to a partition. One agent at a time leads it: it gives out records and
//! takes acknowledgements. Acquisitions live in its memory; what is here survives it. Every change is fenced by the
//! leader's epoch, so of two agents that both believe they lead, one can save (I7). See docs/adr/0005.

use std::collections::BTreeMap;

use object_format::{AgentEpoch, TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::deleted::take_topic;
use super::{Context, State};

/// Most runs that are kept of one share-partition. Its leader keeps within Kafka's largest
/// `group.share.partition.max.record.locks`, which is 10,000 records.
pub const SHARE_RUNS_MAX: usize = 20_000;

/// A share-partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Who leads it; without effect once that registration is gone.
    pub leader: AgentEpoch,
    /// Raised whenever the leader changes or loses the lease.
    pub epoch: u64,
    /// Kafka's state epoch: raised when the start offset is set by an operator.
    pub state_epoch: u32,
    /// Every record before it is done with; none until its first leader has chosen it.
    pub start: Option<i64>,
    /// What became of records from `start` on, by first offset. What is not named is available and was never given
    /// out, or was held when its leader was lost.
    pub runs: BTreeMap<i64, ShareRun>,
}

/// What became of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareState {
    /// To be given out.
    Available,
    /// Processed.
    Acknowledged,
    /// Not to be given out again.
    Archived,
}

/// Records of which the same became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRun {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// What became of them.
    pub state: ShareState,
    /// How often they were given out.
    pub deliveries: u16,
}

/// Who leads a share-partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLease {
    /// The asker, or somebody alive who came first.
    pub leader: AgentEpoch,
    /// To be carried in every change.
    pub epoch: u64,
}

/// Why a change of a share-partition is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ShareRejection {
    /// There is no such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
    /// Somebody else leads it, or did since.
    #[error("this agent does not lead the share-partition any more")]
    NotLeader,
    /// The change comes from somebody who does not coordinate the group.
    #[error("this agent does not coordinate the group any more")]
    NotCoordinator,
    /// A run is empty, an offset negative, or there would be more runs than [`SHARE_RUNS_MAX`].
    #[error("a share-partition cannot be saved so")]
    BadRuns,
}

/// Asks to lead a share-partition of a group that exists. Granted if nobody alive does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquireShare {
    /// Group id.
    pub group: String,
    /// Of what.
    pub partition: TopicPartition,
}

impl AcquireShare {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<ShareLease, ShareRejection> {
        if !state.partitions.contains_key(&self.partition) {
            return Err(ShareRejection::UnknownPartition);
        }
        if !state.groups.contains_key(&self.group) {
            return Err(ShareRejection::UnknownGroup);
        }
        let of_group = state.shares.entry(self.group).or_default();
        let share = of_group.entry(self.partition).or_default();
        if share.leader != by.writer && !state.agents.contains_key(&share.leader) {
            share.leader = by.writer;
            share.epoch += 1;
        }
        Ok(ShareLease {
            leader: share.leader,
            epoch: share.epoch,
        })
    }
}

/// Gives up leading a share-partition. True if its writer led it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseShare {
    /// Group id.
    pub group: String,
    /// Of what.
    pub partition: TopicPartition,
    /// The leader's epoch.
    pub epoch: u64,
}

impl ReleaseShare {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> bool {
        match state.led_share(&self.group, self.partition, self.epoch, by) {
            Ok(share) => {
                share.leader = AgentEpoch::default();
                true
            }
            Err(_) => false,
        }
    }
}

/// Saves what became of records. What it does not name stays as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaveShare {
    /// Group id.
    pub group: String,
    /// Of what.
    pub partition: TopicPartition,
    /// The leader's epoch.
    pub epoch: u64,
    /// The start offset; without effect if it is before the one there is.
    pub start: i64,
    /// Takes the place of what was saved of these records.
    pub runs: Vec<ShareRun>,
}

impl SaveShare {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), ShareRejection> {
        let share = state.led_share(&self.group, self.partition, self.epoch, by)?;
        let is_empty =
            |run: &ShareRun| run.first < 0 || run.last < run.first || run.last == i64::MAX;
        // A run put into another one leaves two parts of it.
        let most = share.runs.len() + 2 * self.runs.len();
        if self.start < 0 || self.runs.iter().any(is_empty) || most > 2 * SHARE_RUNS_MAX {
            return Err(ShareRejection::BadRuns);
        }
        let start = share
            .start
            .map_or(self.start, |start| start.max(self.start));
        share.start = Some(start);
        for run in self.runs {
            share.put(run);
        }
        share.drop_before(start);
        Ok(())
    }
}

/// Sets the start offset of a share-partition anew, or forgets the share-partition. Whoever led it does not any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResetShare {
    /// Group id.
    pub group: String,
    /// The epoch of the group's coordinator.
    pub group_epoch: u64,
    /// Of what.
    pub partition: TopicPartition,
    /// The start offset; none to forget the share-partition.
    pub start: Option<i64>,
}

impl ResetShare {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), ShareRejection> {
        let coordinator = state.coordinator(&self.group);
        let coordinates =
            |c: super::Coordinator| c.agent == by.writer && c.epoch == self.group_epoch;
        if !coordinator.is_some_and(coordinates) {
            return Err(ShareRejection::NotCoordinator);
        }
        if !state.partitions.contains_key(&self.partition) {
            return Err(ShareRejection::UnknownPartition);
        }
        if self.start.is_some_and(|start| start < 0) {
            return Err(ShareRejection::BadRuns);
        }
        let of_group = state.shares.entry(self.group.clone()).or_default();
        match self.start {
            Some(start) => {
                let share = of_group.entry(self.partition).or_default();
                share.leader = AgentEpoch::default();
                share.epoch += 1;
                share.state_epoch += 1;
                share.start = Some(start);
                share.runs.clear();
            }
            None => {
                of_group.remove(&self.partition);
            }
        }
        if of_group.is_empty() {
            state.shares.remove(&self.group);
        }
        Ok(())
    }
}

impl Share {
    /// The same, led by nobody.
    pub(super) fn without_leader(self) -> Self {
        Self {
            leader: AgentEpoch::default(),
            ..self
        }
    }

    fn put(&mut self, run: ShareRun) {
        self.split_at(run.first);
        self.split_at(run.last + 1);
        let covered: Vec<i64> = self
            .runs
            .range(run.first..=run.last)
            .map(|(&f, _)| f)
            .collect();
        for first in covered {
            self.runs.remove(&first);
        }
        if run.state == ShareState::Available && run.deliveries == 0 {
            return;
        }
        self.runs.insert(run.first, run);
        self.join(run.last + 1);
        self.join(run.first);
    }

    fn drop_before(&mut self, offset: i64) {
        self.split_at(offset);
        self.runs = self.runs.split_off(&offset);
    }

    fn split_at(&mut self, offset: i64) {
        let before = self.runs.range_mut(..offset).next_back();
        if let Some((_, run)) = before
            && run.last >= offset
        {
            let rest = ShareRun {
                first: offset,
                ..*run
            };
            run.last = offset - 1;
            self.runs.insert(offset, rest);
        }
    }

    /// Makes one of the run that begins at `offset` and the one before it, if they touch and are alike.
    fn join(&mut self, offset: i64) {
        let Some(after) = self.runs.get(&offset).copied() else {
            return;
        };
        let Some((_, before)) = self.runs.range_mut(..offset).next_back() else {
            return;
        };
        if (before.last + 1, before.state, before.deliveries)
            == (offset, after.state, after.deliveries)
        {
            before.last = after.last;
            self.runs.remove(&offset);
        }
    }
}

impl State {
    /// A share-partition that was ever led and not forgotten since.
    pub fn share(&self, group: &str, partition: TopicPartition) -> Option<&Share> {
        self.shares.get(group)?.get(&partition)
    }

    /// All share-partitions of a group.
    pub fn shares_of(&self, group: &str) -> impl Iterator<Item = (TopicPartition, &Share)> {
        let shares = self.shares.get(group).into_iter().flatten();
        shares.map(|(&partition, share)| (partition, share))
    }

    /// Who leads a share-partition, if that agent is alive.
    pub fn share_leader(&self, group: &str, partition: TopicPartition) -> Option<ShareLease> {
        let share = self.share(group, partition)?;
        let is_alive = self.agents.contains_key(&share.leader);
        is_alive.then_some(ShareLease {
            leader: share.leader,
            epoch: share.epoch,
        })
    }

    fn led_share(
        &mut self,
        group: &str,
        partition: TopicPartition,
        epoch: u64,
        by: Context,
    ) -> Result<&mut Share, ShareRejection> {
        let share = self
            .shares
            .get_mut(group)
            .and_then(|s| s.get_mut(&partition));
        share
            .filter(|share| share.leader == by.writer && share.epoch == epoch)
            .ok_or(ShareRejection::NotLeader)
    }

    /// Takes out the share-partitions of a topic, by groups.
    pub(super) fn take_shares_of_topic(
        &mut self,
        topic: TopicId,
    ) -> BTreeMap<String, BTreeMap<TopicPartition, Share>> {
        let mut taken = BTreeMap::new();
        self.shares.retain(|group, of_group| {
            let gone = take_topic(of_group, topic);
            if !gone.is_empty() {
                taken.insert(group.clone(), gone);
            }
            !of_group.is_empty()
        });
        taken
    }
}

#[cfg(test)]
mod tests;
