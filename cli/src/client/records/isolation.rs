//! Which batches a read_committed reader shows (KIP-98): not the markers, and not the batches of
//! transactions that were aborted.

use std::collections::{BTreeMap, BTreeSet};

use super::BatchView;

/// Walks the batches of one Fetch response of one partition, in order.
#[derive(Debug, Default)]
pub struct AbortedFilter {
    /// First offsets of aborted transactions not met yet, by offset.
    ahead: BTreeMap<i64, BTreeSet<i64>>,
    /// Producers inside an aborted transaction.
    open: BTreeSet<i64>,
}

impl AbortedFilter {
    /// From the producers and first offsets in a Fetch response; empty for read_uncommitted.
    pub fn new(aborted: &[(i64, i64)]) -> Self {
        let mut filter = Self::default();
        for &(producer, first_offset) in aborted {
            filter
                .ahead
                .entry(first_offset)
                .or_default()
                .insert(producer);
        }
        filter
    }

    /// Whether the records of the next batch are to be shown.
    pub fn shows(&mut self, batch: &BatchView) -> bool {
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() < batch.next_offset()
        {
            self.open.extend(entry.remove());
        }
        if batch.is_control() {
            // The marker ends the transaction of its producer, whichever way.
            self.open.remove(&batch.producer_id());
            return false;
        }
        !(batch.is_transactional() && self.open.contains(&batch.producer_id()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchEncoder, Compression, ProducerIdentity, at, seal, split_batches};
    use super::*;

    fn batch(offset: i64, producer: i64, attributes: i16) -> BatchView {
        let mut encoder = BatchEncoder::default();
        encoder.push(0, None, Some(b"v"), &[]);
        let mut bytes = encoder.finish(Compression::None).unwrap();
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        bytes[at::ATTRIBUTES..at::ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
        seal(
            &mut bytes,
            ProducerIdentity {
                id: producer,
                epoch: 0,
            },
            0,
        );
        split_batches(bytes.freeze()).unwrap().remove(0)
    }

    #[test]
    fn aborted_batches_and_markers_are_left_out() {
        let (transactional, marker) = (1 << 4, (1 << 4) | (1 << 5));
        let mut filter = AbortedFilter::new(&[(7, 1), (7, 6)]);
        let log = [
            (batch(0, 7, transactional), true),
            (batch(1, 7, transactional), false),
            (batch(2, 8, transactional), true),
            (batch(3, 7, marker), false),
            (batch(4, 7, transactional), true),
            (batch(5, 7, marker), false),
            (batch(6, 7, transactional), false),
            (batch(7, 7, 0), true),
        ];
        for (batch, shown) in &log {
            assert_eq!(
                filter.shows(batch),
                *shown,
                "offset {}",
                batch.base_offset()
            );
        }
    }
}
