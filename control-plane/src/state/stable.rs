//! What transactions leave in a partition: markers, aborted ranges, and the last stable offset (KIP-98).

use serde::{Deserialize, Serialize};

use super::{Partition, Producer, TransactionEnd};

/// The end of a transaction in a partition. It takes one offset, and has no bytes but those it is rendered to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Whose transaction, with the epoch that is in force since.
    pub producer: Producer,
    /// How it ended.
    pub end: TransactionEnd,
    /// The log's time of the end.
    pub timestamp_ms: i64,
}

/// A transaction whose records readers of committed records pass over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// The last stable offset just after its end: no range that ends later begins before it.
    stable_after: i64,
}

impl Marker {
    pub(super) fn new(producer: Producer, end: TransactionEnd, timestamp_ms: i64) -> Self {
        Self {
            producer,
            end,
            timestamp_ms,
        }
    }
}

impl Partition {
    /// Records at or after the last stable offset are undecided.
    pub fn last_stable_offset(&self) -> i64 {
        let undecided = self.undecided.first().copied();
        undecided.map_or(self.high_watermark, |first| {
            first.max(self.log_start_offset)
        })
    }

    /// How many markers have not become part of an extent.
    pub fn markers_count(&self) -> usize {
        self.markers.len()
    }

    /// Markers from `offset` on, by their offsets.
    pub fn markers_from(&self, offset: i64) -> impl Iterator<Item = (i64, &Marker)> {
        self.markers
            .range(offset..)
            .map(|(&at, marker)| (at, marker))
    }

    /// The aborted transactions that may have records between `from` and `to`, in the order of their ends.
    pub fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = &Aborted> {
        let mut settled = false;
        self.aborted
            .range(from..)
            .map(|(_, aborted)| aborted)
            .take_while(move |aborted| {
                let within = !settled;
                settled = aborted.stable_after >= to;
                within
            })
            .filter(move |aborted| aborted.first_offset < to)
    }

    /// All aborted transactions that are told to readers, by the offsets of their markers.
    pub fn aborted(&self) -> impl Iterator<Item = (i64, &Aborted)> {
        self.aborted.iter().map(|(&at, aborted)| (at, aborted))
    }

    /// Whether the producer has written here with a newer epoch.
    pub(super) fn knows_newer(&self, producer: Producer) -> bool {
        let known = self.producers.get(&producer.id);
        known.is_some_and(|known| known.epoch > producer.epoch)
    }

    /// Notes that a producer's records from `base_offset` on are undecided, if they were not before.
    pub(super) fn note_undecided(&mut self, producer_id: i64, base_offset: i64) {
        if let Some(known) = self.producers.get_mut(&producer_id)
            && known.transaction_first_offset.is_none()
        {
            known.transaction_first_offset = Some(base_offset);
            self.undecided.insert(base_offset);
        }
    }

    /// Appends a marker, which decides what its producer has written since the one before it.
    pub(super) fn end_transaction(&mut self, marker: Marker) {
        let offset = self.high_watermark;
        let Some(end) = offset.checked_add(1) else {
            return;
        };
        self.high_watermark = end;
        self.markers.insert(offset, marker);
        let Some(known) = self.producers.get_mut(&marker.producer.id) else {
            return;
        };
        known.raise_to(marker.producer.epoch, marker.timestamp_ms);
        let Some(first_offset) = known.transaction_first_offset.take() else {
            return;
        };
        self.undecided.remove(&first_offset);
        if marker.end == TransactionEnd::Abort {
            let aborted = Aborted {
                producer_id: marker.producer.id,
                first_offset,
                stable_after: self.last_stable_offset(),
            };
            self.aborted.insert(offset, aborted);
        }
    }

    /// Forgets what is before the log start offset.
    pub(super) fn trim_transactions(&mut self) {
        let start = self.log_start_offset;
        self.markers = self.markers.split_off(&start);
        self.aborted = self.aborted.split_off(&start);
    }
}
