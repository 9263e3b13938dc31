//! Decides, purely, what is rewritten for its layout: small objects of many partitions into a run for each partition,
//! and short runs of a partition into longer ones.
//!
//! Every step makes what it rewrites into fewer and longer runs, and one that is long enough is left alone, so there
//! is an end to it. Runs are merged only into one several times as long as the longest of them, so that a byte is
//! rewritten a number of times that is logarithmic in the length of a run (see [`merge`]).

mod markers;
mod merge;
mod objects;
#[cfg(test)]
mod tests;

use std::time::Duration;

use control_plane::state::{Extent, Marker, ObjectState, Partition};
use object_format::TopicPartition;

pub use markers::{MARKERS_MIN, markers};
pub use merge::merge;
pub use objects::{Chosen, choose, fresh_backlog, gather};

/// How many runs are merged at least, unless few objects are left.
pub const FAN_IN: usize = 8;

/// What bounds rewriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `compaction.objects.min`.
    pub objects_min: usize,
    /// `compaction.age.max.ms`.
    pub age_max: Duration,
    /// `compaction.run.bytes`.
    pub run_bytes: u64,
    /// `compaction.object.bytes`.
    pub object_bytes: u64,
    /// `compaction.job.bytes`.
    pub job_bytes: u64,
    /// `compaction.memory.bytes`.
    pub memory_bytes: u64,
}

impl Limits {
    /// A run shorter than this is worth rewriting.
    fn short_bytes(&self) -> u64 {
        self.run_bytes / 2
    }

    /// Whether an object waits to be rewritten: a producer's, with short runs.
    pub fn is_fresh(&self, object: &ObjectState) -> bool {
        !object.is_compacted && object.live_bytes / object.extents.max(1) < self.short_bytes()
    }

    /// Whether most of an object's bytes are of no use any more.
    fn is_sparse(&self, object: &ObjectState) -> bool {
        // Header, footer, and an entry in the index for each run.
        let overhead = 84 + 68 * object.extents;
        object.bytes.saturating_sub(object.live_bytes + overhead) > object.bytes / 2
    }
}

/// A stretch of a partition that becomes one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Whose.
    pub partition: TopicPartition,
    /// What lies in it, in the order of offsets; not empty.
    pub parts: Vec<Part>,
}

/// A part of a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The records of an extent that begins at this offset.
    Records(i64, Extent),
    /// The end of a transaction, at its offset.
    Marker(i64, Marker),
}

impl Part {
    /// Its first offset.
    pub fn base_offset(&self) -> i64 {
        match self {
            Self::Records(base, _) | Self::Marker(base, _) => *base,
        }
    }

    /// The offset after its last.
    pub fn end_offset(&self) -> i64 {
        match self {
            Self::Records(base, extent) => extent.end_offset(*base),
            Self::Marker(at, _) => at.saturating_add(1),
        }
    }

    /// Its bytes in the bucket.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Records(_, extent) => extent.bytes,
            Self::Marker(..) => 0,
        }
    }
}

impl Stretch {
    /// These extents of a partition, which follow one another, with the markers between them and those before the
    /// first that follow nothing else.
    pub fn of(
        of: TopicPartition,
        partition: &Partition,
        extents: &[(i64, Extent)],
    ) -> Option<Self> {
        let (first, (last, extent)) = (extents.first()?.0, extents.last()?);
        let before = partition.extents.range(..first).next_back();
        let from = before.map_or(0, |(base, extent)| extent.end_offset(*base));
        let end = extent.end_offset(*last);
        let markers = partition.markers_from(from).take_while(|(at, _)| *at < end);
        let markers = markers.map(|(at, marker)| Part::Marker(at, *marker));
        let records = extents
            .iter()
            .map(|(base, extent)| Part::Records(*base, *extent));
        let mut parts: Vec<Part> = records.chain(markers).collect();
        parts.sort_by_key(Part::base_offset);
        Some(Self {
            partition: of,
            parts,
        })
    }

    /// Bytes of its records.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// Whether its offsets follow one another without a gap, so that batches need not carry them.
    pub fn is_dense(&self) -> bool {
        let stamped = |part: &Part| matches!(part, Part::Records(_, e) if e.is_stamped);
        let follow = |pair: &[Part]| pair[0].end_offset() == pair[1].base_offset();
        self.parts.windows(2).all(follow) && !self.parts.iter().any(stamped)
    }
}
