//! Idempotent producers: which batch comes next, and what a retry is answered with (I4; KIP-98, KIP-360).

use std::collections::VecDeque;

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{BatchProducer, BatchRejection, Context, State};

/// How many of its newest batches a producer may repeat, as in Kafka.
const BATCHES_KEPT: usize = 5;

/// What a partition knows of one producer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProducerState {
    /// Newest epoch seen.
    pub epoch: i16,
    /// The log's time of its newest batch.
    pub seen_ms: i64,
    /// Offset of the first record of its transaction under way here.
    pub transaction_first_offset: Option<i64>,
    /// Whether a transaction of it has ended here.
    pub is_marked: bool,
    batches: VecDeque<ProducedBatch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct ProducedBatch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sequenced {
    /// Append it.
    Next,
    /// It is there already, from this offset on.
    Duplicate(i64),
}

/// Sequences wrap round to 0 after `i32::MAX`.
fn sequence_after(sequence: i32, records: u32) -> i32 {
    let wrapped = (i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1);
    wrapped as i32
}

impl ProducerState {
    /// Judges a batch of `records` records against what is known, if anything. `must_start` says that a producer of
    /// whom nothing is known cannot have written before.
    pub(super) fn judge(
        known: Option<&Self>,
        batch: &BatchProducer,
        records: u32,
        must_start: bool,
    ) -> Result<Sequenced, BatchRejection> {
        let first = batch.base_sequence;
        let Some(known) = known else {
            return match first {
                0 => Ok(Sequenced::Next),
                _ if !must_start => Ok(Sequenced::Next),
                _ => Err(BatchRejection::OutOfOrderSequence),
            };
        };
        if batch.epoch < known.epoch {
            return Err(BatchRejection::ProducerFenced);
        }
        if batch.epoch > known.epoch {
            return if first == 0 {
                Ok(Sequenced::Next)
            } else {
                Err(BatchRejection::OutOfOrderSequence)
            };
        }
        let last = sequence_after(first, records - 1);
        let same = |b: &&ProducedBatch| b.first_sequence == first && b.last_sequence == last;
        if let Some(stored) = known.batches.iter().find(same) {
            return Ok(Sequenced::Duplicate(stored.base_offset));
        }
        let newest = known.batches.back();
        match newest {
            Some(b) if sequence_after(b.last_sequence, 1) == first => Ok(Sequenced::Next),
            // Its epoch was raised by a marker.
            None if first == 0 => Ok(Sequenced::Next),
            _ => Err(BatchRejection::OutOfOrderSequence),
        }
    }

    /// Notes a batch that was judged to be next.
    pub(super) fn note(
        known: Option<Self>,
        batch: &BatchProducer,
        records: u32,
        base_offset: i64,
        now_ms: i64,
    ) -> Self {
        let transaction_first_offset = known.as_ref().and_then(|k| k.transaction_first_offset);
        let is_marked = known.as_ref().is_some_and(|k| k.is_marked);
        let mut batches = known
            .filter(|k| k.epoch == batch.epoch)
            .map_or_else(VecDeque::new, |k| k.batches);
        if batches.len() == BATCHES_KEPT {
            batches.pop_front();
        }
        let last_sequence = sequence_after(batch.base_sequence, records - 1);
        let first_sequence = batch.base_sequence;
        batches.push_back(ProducedBatch {
            first_sequence,
            last_sequence,
            base_offset,
        });
        Self {
            epoch: batch.epoch,
            seen_ms: now_ms,
            transaction_first_offset,
            is_marked,
            batches,
        }
    }

    /// After a marker of `epoch`: what an older epoch wrote can neither be repeated nor continued.
    pub(super) fn raise_to(&mut self, epoch: i16, now_ms: i64) {
        self.seen_ms = now_ms;
        self.is_marked = true;
        if epoch > self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    /// What comes next is its first.
    pub(super) fn forget_sequence(&mut self) {
        self.batches.clear();
    }

    /// Sequence of its newest record.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |b| b.last_sequence)
    }
}

/// Gives out a producer id that was never given out before (InitProducerId).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllocateProducerId {}

impl AllocateProducerId {
    pub(crate) fn apply(self, state: &mut State, _: Context, _: &mut Vec<TopicPartition>) -> i64 {
        let id = state.producer_id_next;
        state.producer_id_next += 1;
        id
    }
}
