//! Which offsets belong to aborted transactions.

use object_format::batch::BatchHeader;

/// Which records belong to aborted transactions.
#[derive(Clone, Debug, Default)]
pub struct AbortedRanges {
    /// By producer and first offset. A producer has one transaction at a time.
    ranges: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    producer_id: i64,
    first_offset: i64,
    marker_offset: i64,
}

impl AbortedRanges {
    /// From the producer id, the first offset and the offset of the abort marker of each
    /// transaction, in any order.
    pub fn new(transactions: impl IntoIterator<Item = (i64, i64, i64)>) -> Self {
        let ranges = transactions.into_iter();
        let mut ranges: Vec<Range> = ranges
            .map(|(producer_id, first_offset, marker_offset)| Range {
                producer_id,
                first_offset,
                marker_offset,
            })
            .collect();
        ranges.sort_unstable();
        Self { ranges }
    }

    /// Whether what the producer wrote at `offset` in a transaction was aborted. What it wrote
    /// outside of transactions never is.
    pub fn covers(&self, producer_id: i64, offset: i64) -> bool {
        let after = self.ranges.partition_point(|range| {
            (range.producer_id, range.first_offset) <= (producer_id, offset)
        });
        match after.checked_sub(1).map(|at| self.ranges[at]) {
            Some(range) => range.producer_id == producer_id && offset < range.marker_offset,
            None => false,
        }
    }

    /// Whether a batch of data is part of an aborted transaction, as a whole.
    pub(super) fn has_batch(&self, header: &BatchHeader, base_offset: i64) -> bool {
        header.is_transactional() && self.covers(header.producer_id, base_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_ends_before_its_marker_and_is_its_producers() {
        let aborted = AbortedRanges::new([(7, 30, 35), (7, 10, 20), (8, 12, 14)]);
        let covered = |producer| (0..40).filter(move |offset| aborted.covers(producer, *offset));
        assert!(covered.clone()(7).eq((10..20).chain(30..35)));
        assert!(covered.clone()(8).eq(12..14));
        assert!(covered(9).next().is_none());
        assert!(!AbortedRanges::default().covers(7, 10));
    }
}
