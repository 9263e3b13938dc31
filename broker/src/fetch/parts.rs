//! What lies in a partition, in the order of its offsets: the records of extents, and between them the markers that end
//! transactions, which have no bytes in any object and are rendered when they are read.

use std::iter::Peekable;

use bytes::Bytes;
use control_plane::state::{Marker, Partition, State, TransactionEnd};
use object_format::batch::control_batch;

use super::plan::Slice;

/// Length of a rendered marker.
pub const MARKER_BYTES: u64 = 78;

/// A part of a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The records of an extent.
    Records(Slice),
    /// The end of a transaction, at its offset.
    Marker(i64, Marker),
}

impl Part {
    /// Its first offset.
    pub fn base_offset(&self) -> i64 {
        match self {
            Self::Records(slice) => slice.base_offset,
            Self::Marker(offset, _) => *offset,
        }
    }

    /// The offset after its last.
    pub fn end_offset(&self) -> i64 {
        match self {
            Self::Records(slice) => slice.end_offset(),
            Self::Marker(offset, _) => offset.saturating_add(1),
        }
    }

    /// The greatest timestamp in it, in milliseconds since 1970. That of a marker counts, as in Kafka.
    pub fn max_timestamp(&self) -> i64 {
        match self {
            Self::Records(slice) => slice.max_timestamp,
            Self::Marker(_, marker) => marker.timestamp_ms,
        }
    }

    /// About how many of its bytes are between two offsets: all, or a share by offsets, and never 0.
    pub fn bytes_between(&self, from: i64, to: i64) -> u64 {
        let Self::Records(slice) = self else {
            return MARKER_BYTES;
        };
        let shown = self.end_offset().min(to) - slice.base_offset.max(from);
        let shown = u64::try_from(shown).unwrap_or(0);
        let share = u128::from(slice.bytes) * u128::from(shown) / u128::from(slice.offsets.max(1));
        u64::try_from(share).unwrap_or(slice.bytes).max(1)
    }
}

/// The batch that a marker is read as.
pub fn render(offset: i64, marker: &Marker) -> Bytes {
    let producer = marker.producer;
    let commit = marker.end == TransactionEnd::Commit;
    control_batch(
        offset,
        producer.id,
        producer.epoch,
        commit,
        marker.timestamp_ms,
    )
}

/// A partition's parts between two offsets, from the one that holds `from` on.
pub fn parts_between<'a>(
    state: &'a State,
    partition: &'a Partition,
    from: i64,
    to: i64,
) -> impl Iterator<Item = Part> + 'a {
    let records = partition
        .extents_from(from)
        .take_while(move |(base, _)| *base < to && from < to)
        .map(|(base, extent)| Part::Records(Slice::of(state, base, extent)));
    let markers = partition
        .markers_from(from)
        .take_while(move |(offset, _)| *offset < to)
        .map(|(offset, marker)| Part::Marker(offset, *marker));
    Merged {
        records: records.peekable(),
        markers: markers.peekable(),
    }
}

/// Both kinds of parts in the order of their offsets; every step looks at one of each.
struct Merged<R: Iterator<Item = Part>, M: Iterator<Item = Part>> {
    records: Peekable<R>,
    markers: Peekable<M>,
}

impl<R: Iterator<Item = Part>, M: Iterator<Item = Part>> Iterator for Merged<R, M> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let markers = &mut self.markers;
        let is_next = |records: &Part| {
            let marker = markers.peek();
            marker.is_none_or(|marker| records.base_offset() < marker.base_offset())
        };
        self.records
            .next_if(is_next)
            .or_else(|| self.markers.next())
    }
}

#[cfg(test)]
mod tests;
