//! Decides, purely, what a fetch reads: for every partition an error, or where its records are and
//! the partition's ends. Reading shares only the plan with this.
//!
//! A plan knows extents and markers, not batches, so it is an upper bound: exact limits, in bytes of
//! whole batches, are kept where the batches are seen, in [`read`](super::read).

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use control_plane::state::{Extent, Partition, State};
use object_format::{ObjectId, TopicId, TopicPartition};

use super::FetchError;
use super::cache::BlockKey;
use super::outcome::AbortedTransaction;
use super::parts::{Part, parts_between};
use super::pool::Pool;

/// The leader epoch of every partition, for ever: no agent leads one.
pub const LEADER_EPOCH: i32 = 0;

/// Leader epoch of a client that does not care.
const NO_EPOCH: i32 = -1;

/// Most extents that one fetch reads.
const EXTENTS_MAX: usize = 4_096;

/// Most markers that one fetch reads.
const MARKERS_MAX: usize = 16_384;

/// Most extents that one fetch looks at in one partition.
const PARTITION_EXTENTS_MAX: usize = 512;

/// Most markers that one fetch looks at in one partition.
const PARTITION_MARKERS_MAX: usize = 4_096;

/// Most blocks that one fetch needs at once.
const BLOCKS_MAX: usize = 512;

/// Most bytes of blocks that one fetch needs at once, past those of its first extent, however much memory there is.
pub const BLOCK_BYTES_MAX: u64 = 128 << 20;

/// Of a large extent, only so much is loaded ahead of walking it.
pub const AHEAD_BYTES: u64 = 16 << 20;

/// How a request names a topic: by name up to version 12, by id from 13 on (KIP-516).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicRef {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(Arc<str>),
}

impl Default for TopicRef {
    fn default() -> Self {
        Self::Id(TopicId::default())
    }
}

impl TopicRef {
    /// The partition this means at present.
    pub fn resolve(&self, state: &State, partition: i32) -> Result<TopicPartition, FetchError> {
        let (topic, unknown) = match self {
            Self::Id(id) => {
                let known = state.topic(*id).map(|_| *id);
                (known, FetchError::UnknownTopicId)
            }
            Self::Name(name) => {
                let known = state.topic_named(name).map(|(id, _)| id);
                (known, FetchError::UnknownTopicOrPartition)
            }
        };
        let topic = topic.ok_or(unknown)?;
        let partition =
            u32::try_from(partition).map_err(|_| FetchError::UnknownTopicOrPartition)?;
        Ok(TopicPartition { topic, partition })
    }
}

/// Which records a reader is shown (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All.
    #[default]
    ReadUncommitted,
    /// Those before the last stable offset.
    ReadCommitted,
}

impl Isolation {
    /// The offset after the last that a reader is shown.
    pub fn end(self, partition: &Partition) -> i64 {
        match self {
            Self::ReadUncommitted => partition.high_watermark,
            Self::ReadCommitted => partition.last_stable_offset(),
        }
    }
}

/// What a request wants of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionFetch {
    /// Of which topic.
    pub topic: TopicRef,
    /// Index of the partition.
    pub partition: i32,
    /// First offset wanted.
    pub fetch_offset: i64,
    /// Kafka's `max.partition.fetch.bytes`.
    pub bytes_max: u64,
    /// The leader epoch the client believes in, or -1.
    pub current_leader_epoch: i32,
}

/// What a request wants of all its partitions.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Kafka's `fetch.max.bytes`.
    pub bytes_max: u64,
    /// Which records may be shown.
    pub isolation: Isolation,
}

/// Records side by side in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The object.
    pub object: ObjectId,
    /// The object's length.
    pub object_bytes: u64,
    /// Where in the object its first batch begins.
    pub position: u64,
    /// Bytes of all its batches.
    pub bytes: u64,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Number of offsets it covers.
    pub offsets: u64,
    /// Greatest timestamp of its records, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// Whether its batches carry their base offsets, with gaps between them.
    pub is_stamped: bool,
    /// Whose resources it is read with.
    pub pool: Pool,
}

impl Slice {
    /// The slice that a whole extent is.
    pub fn of(state: &State, base_offset: i64, extent: &Extent) -> Self {
        let end = extent.position.saturating_add(extent.bytes);
        let object = state.object(extent.object);
        let now_ms = state.log_time_ms();
        Self {
            object: extent.object,
            object_bytes: object.map_or(end, |object| object.bytes),
            pool: object.map_or(Pool::CatchUp, |object| {
                Pool::of(object.committed_ms, now_ms, object.is_compacted)
            }),
            position: extent.position,
            bytes: extent.bytes,
            base_offset,
            offsets: extent.offsets,
            max_timestamp: extent.max_timestamp,
            is_stamped: extent.is_stamped,
        }
    }

    /// The offset after its last record.
    pub fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add_unsigned(self.offsets)
    }

    /// Where in the object it ends.
    pub fn end(&self) -> u64 {
        self.position.saturating_add(self.bytes)
    }

    /// The block of its object that has this index.
    pub fn block(&self, index: u64) -> BlockKey {
        BlockKey {
            object: self.object,
            index,
            object_bytes: self.object_bytes,
        }
    }

    /// Indices of the blocks it lies in that are loaded before it is walked.
    pub fn blocks_ahead(&self) -> Range<u64> {
        let end = self.position.saturating_add(self.bytes.min(AHEAD_BYTES));
        BlockKey::covering(self.object_bytes, self.position..end)
    }
}

/// What one partition answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Readable {
    /// Offset after the last record.
    pub high_watermark: i64,
    /// Offset after the last decided record.
    pub last_stable_offset: i64,
    /// First offset that may be read.
    pub log_start_offset: i64,
    /// First offset wanted.
    pub fetch_offset: i64,
    /// Offset after the last that may be shown.
    pub end_offset: i64,
    /// The partition's own limit in bytes.
    pub bytes_max: u64,
    /// About how many bytes there are to read, up to the partition's limit.
    pub available: u64,
    /// Where they are, as far as the request's limit goes.
    pub parts: Vec<Part>,
    /// The aborted transactions among them, by their ends; none unless reading committed.
    pub aborted: Option<Vec<AbortedTransaction>>,
}

/// What a fetch reads, in the order of the request.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// For every partition asked for.
    pub partitions: Vec<Result<Readable, FetchError>>,
    /// What each partition's name stands for at present.
    pub resolved: Vec<Option<TopicPartition>>,
    /// About how many bytes there are to read in all partitions, each up to its own limit.
    pub available: u64,
    /// The request's limit in bytes.
    pub bytes_max: u64,
    /// Whether there may be more to read than was looked at.
    pub is_cut: bool,
    /// The blocks to load before reading, each once.
    pub blocks: Vec<(BlockKey, Pool)>,
    /// Indices of the partitions whose end, as far as it is known here, is before the offset.
    pub beyond_end: Vec<usize>,
}

impl Plan {
    /// Number of partitions of which nothing is known here.
    pub fn unknown(&self) -> usize {
        let unknown = |p: &&Result<_, FetchError>| matches!(p, Err(e) if e.is_unknown_partition());
        self.partitions.iter().filter(unknown).count()
    }

    /// Whether some known partition has an error, which the client is told without waiting.
    pub fn has_error(&self) -> bool {
        let told = |p: &Result<_, FetchError>| matches!(p, Err(e) if !e.is_unknown_partition());
        self.partitions.iter().any(told)
    }

    /// Whose resources it is read with. Whoever reads anything old waits with those who are behind.
    pub fn pool(&self) -> Pool {
        let pools = self.blocks.iter().map(|(_, pool)| *pool);
        pools.max().unwrap_or_default()
    }

    /// About how many bytes will be read.
    pub fn planned(&self) -> u64 {
        self.available.min(self.bytes_max)
    }
}

/// Plans a fetch piece by piece, so that the metadata need not stand still while thousands of partitions are looked at.
/// Each partition is planned from what is known when its piece is.
pub struct Planner {
    limits: Limits,
    budget: Budget,
    plan: Plan,
}

impl Planner {
    /// Of no partition yet, for a fetch that may need blocks of `block_bytes_max` bytes at once.
    pub fn new(limits: Limits, block_bytes_max: u64) -> Self {
        Self {
            limits,
            budget: Budget::new(limits.bytes_max, block_bytes_max),
            plan: Plan {
                bytes_max: limits.bytes_max,
                ..Plan::default()
            },
        }
    }

    /// Adds partitions, in this order.
    pub fn add<'a>(&mut self, state: &State, wanted: impl IntoIterator<Item = &'a PartitionFetch>) {
        let plan = &mut self.plan;
        for fetch in wanted {
            let resolved = fetch.topic.resolve(state, fetch.partition);
            let readable = resolved
                .and_then(|of| plan_partition(state, of, fetch, self.limits, &mut self.budget));
            plan.available += readable.as_ref().map_or(0, |r| r.available);
            if readable == Err(FetchError::OffsetOutOfRange) {
                let partition = resolved.ok().and_then(|of| state.partition(of));
                if partition.is_some_and(|p| fetch.fetch_offset > p.high_watermark) {
                    plan.beyond_end.push(plan.partitions.len());
                }
            }
            plan.partitions.push(readable);
            plan.resolved.push(resolved.ok());
        }
    }

    /// The plan for all that was added.
    pub fn finish(self) -> Plan {
        Plan {
            blocks: self.budget.blocks,
            is_cut: self.budget.is_cut,
            ..self.plan
        }
    }
}

/// Plans a fetch of `wanted`, in that order, in one piece.
#[cfg(test)]
pub fn plan<'a>(
    state: &State,
    wanted: impl IntoIterator<Item = &'a PartitionFetch>,
    limits: Limits,
) -> Plan {
    let mut planner = Planner::new(limits, BLOCK_BYTES_MAX);
    planner.add(state, wanted);
    planner.finish()
}

/// Whether a client's leader epoch is the partition's.
pub fn check_leader_epoch(epoch: i32) -> Result<(), FetchError> {
    match epoch {
        NO_EPOCH | LEADER_EPOCH => Ok(()),
        newer if newer > LEADER_EPOCH => Err(FetchError::UnknownLeaderEpoch),
        _ => Err(FetchError::FencedLeaderEpoch),
    }
}

fn plan_partition(
    state: &State,
    of: TopicPartition,
    fetch: &PartitionFetch,
    limits: Limits,
    budget: &mut Budget,
) -> Result<Readable, FetchError> {
    let partition = state
        .partition(of)
        .ok_or(FetchError::UnknownTopicOrPartition)?;
    check_leader_epoch(fetch.current_leader_epoch)?;
    let within = partition.log_start_offset..=partition.high_watermark;
    if !within.contains(&fetch.fetch_offset) {
        return Err(FetchError::OffsetOutOfRange);
    }
    let end_offset = limits.isolation.end(partition);
    let mut readable = Readable {
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset(),
        log_start_offset: partition.log_start_offset,
        fetch_offset: fetch.fetch_offset,
        end_offset,
        bytes_max: fetch.bytes_max,
        available: 0,
        parts: vec![],
        aborted: None,
    };
    if readable.fetch_offset < end_offset {
        place_parts(state, partition, &mut readable, budget);
    }
    if limits.isolation == Isolation::ReadCommitted {
        let planned_to = readable.parts.last().map_or(0, Part::end_offset);
        readable.aborted = Some(aborted(partition, &readable, planned_to));
    }
    Ok(readable)
}

/// Adds parts until the limits are reached.
fn place_parts(state: &State, partition: &Partition, readable: &mut Readable, budget: &mut Budget) {
    let mut found = 0;
    let mut open = true;
    let (mut extents, mut markers) = (0, 0);
    let (from, end) = (readable.fetch_offset, readable.end_offset);
    // A limit of 0 still lets the first batch of a response through.
    let bytes_max = readable.bytes_max.max(1);
    for part in parts_between(state, partition, from, end) {
        if found >= bytes_max {
            break;
        }
        if extents == PARTITION_EXTENTS_MAX || markers == PARTITION_MARKERS_MAX {
            budget.is_cut = true;
            break;
        }
        match part {
            Part::Records(_) => extents += 1,
            Part::Marker(..) => markers += 1,
        }
        let bytes = part.bytes_between(from, end).min(bytes_max - found);
        open = open && budget.take(&part, bytes);
        if open {
            readable.parts.push(part);
        }
        found += bytes;
    }
    readable.available = found;
}

/// The aborted transactions that may have records between the fetch offset and `to`.
///
/// SUBTLE: to be kept with the plan. When the records have been read, what is known of them may have been deleted.
fn aborted(partition: &Partition, readable: &Readable, to: i64) -> Vec<AbortedTransaction> {
    let to = to.min(readable.end_offset);
    let aborted = partition.aborted_between(readable.fetch_offset, to);
    aborted
        .map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        })
        .collect()
}

/// What a request may still take.
struct Budget {
    bytes_max: u64,
    block_bytes_max: u64,
    bytes: u64,
    extents: usize,
    markers: usize,
    block_bytes: u64,
    is_cut: bool,
    known: HashSet<BlockKey>,
    blocks: Vec<(BlockKey, Pool)>,
}

impl Budget {
    fn new(bytes_max: u64, block_bytes_max: u64) -> Self {
        Self {
            bytes_max,
            block_bytes_max,
            bytes: 0,
            extents: 0,
            markers: 0,
            block_bytes: 0,
            is_cut: false,
            known: HashSet::new(),
            blocks: vec![],
        }
    }

    /// Whether a part, of which about `bytes` are wanted, still fits; takes it if so. The first
    /// part of a request always does, so that some partition makes progress.
    fn take(&mut self, part: &Part, bytes: u64) -> bool {
        let is_first = self.extents + self.markers == 0;
        let fits = is_first || (self.bytes < self.bytes_max && self.fits(part));
        if fits {
            self.bytes += bytes;
            self.add(part);
        }
        fits
    }

    fn fits(&self, part: &Part) -> bool {
        let Part::Records(slice) = part else {
            return self.markers < MARKERS_MAX;
        };
        let fresh = slice
            .blocks_ahead()
            .map(|index| slice.block(index))
            .filter(|key| !self.known.contains(key));
        let (count, bytes) = fresh.fold((0, 0), |(n, sum), key| (n + 1, sum + key.len()));
        self.extents < EXTENTS_MAX
            && self.blocks.len() + count <= BLOCKS_MAX
            && self.block_bytes + bytes <= self.block_bytes_max
    }

    fn add(&mut self, part: &Part) {
        let Part::Records(slice) = part else {
            self.markers += 1;
            return;
        };
        self.extents += 1;
        for index in slice.blocks_ahead() {
            let key = slice.block(index);
            if self.known.insert(key) {
                self.block_bytes += key.len();
                self.blocks.push((key, slice.pool));
            }
        }
    }
}

#[cfg(test)]
mod tests;
