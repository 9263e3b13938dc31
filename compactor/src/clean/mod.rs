//! Which records of a compacted topic stay, and the batches without those that go: the pure part of
//! `cleanup.policy=compact`. Semantics are those of Apache Kafka's log cleaner (KIP-534 for when
//! tombstones and markers go).
//!
//! A pass over a partition reads its batches from where the last pass ended ("dirty") and notes the
//! latest offset of each key ([`note_keys`]), up to some offset, [`Rules::keep_last`]; then it
//! cleans every batch from the log start offset to there ([`clean`]) by what it noted.
//!
//! What the caller answers for:
//! - Everything up to `keep_last` is decided: it lies below the last stable offset, and the aborted
//!   transactions among it are in [`AbortedRanges`].
//! - SUBTLE: every pass cleans from the log start offset on, at once or in the order of offsets. A
//!   tombstone may go only when all values before it are gone, or the dead key would come back to
//!   life; the pass that sets its horizon is the one that removes them.
//! - Where [`clean`] says [`Cleaned::Gone`] of the marker of an aborted transaction, the transaction
//!   is no longer told to readers, from the same moment on: a reader that is told of it and meets no
//!   marker takes all that the producer writes later for aborted.

mod aborted;
mod filter;
mod key_map;
mod marker;
mod note;
#[cfg(test)]
mod tests;
mod walk;

use std::io;

use bytes::Bytes;
use object_format::batch::{self, BatchError, BatchHeader};

pub use aborted::AbortedRanges;
pub use key_map::{Full, KeyMap};
pub use note::{NoteError, note_keys};

/// By what a pass cleans.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The latest offset of each key between where the last pass ended and `keep_last`.
    pub map: &'a KeyMap,
    /// The aborted transactions in what is cleaned.
    pub aborted: &'a AbortedRanges,
    /// When the pass began, in ms since 1970.
    pub now_ms: i64,
    /// The topic's `delete.retention.ms`: how long tombstones and markers stay after a first pass.
    pub delete_retention_ms: i64,
    /// The last offset that is cleaned. The batch that holds it stays, empty if need be, so that
    /// readers get past it; records after it stay, unless they are aborted.
    pub keep_last: i64,
}

impl Rules<'_> {
    /// When what a first pass meets now may go.
    fn delete_horizon(&self) -> i64 {
        self.now_ms.saturating_add(self.delete_retention_ms).max(0)
    }
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleaned {
    /// It stays as it is, byte for byte.
    Same,
    /// This takes its place: fewer records, or a delete horizon that it did not have. Producer,
    /// sequence numbers, codec and last offset are those of the original.
    Rewritten(Bytes),
    /// Nothing of it stays.
    Gone,
}

/// Why a batch can be neither read nor cleaned. It is to be left alone.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// It is not the batch that was stored.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Its records cannot be decompressed, or are none.
    #[error("the records are damaged: {0}")]
    Records(#[from] io::Error),
    /// The header and the records do not go together.
    #[error("{0}")]
    Lie(&'static str),
}

/// Cleans one whole batch whose first record has the offset `base_offset`; the offset in its header
/// is not looked at, and is right in what is rewritten.
///
/// # Errors
/// [`Damaged`] if its CRC is wrong or its records are not what its header says.
pub fn clean(batch: &Bytes, base_offset: i64, rules: &Rules<'_>) -> Result<Cleaned, Damaged> {
    let header = batch::verify_crc(batch)?;
    let offsets = Offsets::new(&header, base_offset)?;
    if header.is_control() {
        return marker::clean(batch, &header, offsets, rules);
    }
    if rules.aborted.has_batch(&header, base_offset) {
        return Ok(without_records(&header, offsets, rules));
    }
    filter::clean(batch, &header, offsets, rules)
}

/// The offsets that a batch takes.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    base: i64,
    last: i64,
}

impl Offsets {
    fn new(header: &BatchHeader, base: i64) -> Result<Self, Damaged> {
        let last = base.checked_add(i64::from(header.last_offset_delta));
        match last {
            Some(last) if 0 <= base && base <= last => Ok(Self { base, last }),
            _ => Err(Damaged::Lie("the batch ends before it begins")),
        }
    }

    fn hold(self, offset: i64) -> bool {
        (self.base..=self.last).contains(&offset)
    }
}

/// What becomes of a batch of which no record stays.
fn without_records(header: &BatchHeader, offsets: Offsets, rules: &Rules<'_>) -> Cleaned {
    match offsets.hold(rules.keep_last) {
        false => Cleaned::Gone,
        true if header.record_count == 0 => Cleaned::Same,
        true => Cleaned::Rewritten(batch::emptied(header, offsets.base)),
    }
}
