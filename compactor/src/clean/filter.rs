//! Batches of data: which records stay, and the batch with those alone.

use bytes::Bytes;
use object_format::batch::{BatchHeader, BatchRewriter, RecordStream};

use super::walk::{Seen, walk};
use super::{Cleaned, Damaged, Offsets, Rules, without_records};

/// Which of a batch's records stay, a bit for each in their order.
#[derive(Default)]
struct Kept {
    bits: Vec<u64>,
    seen: usize,
    kept: usize,
    /// Whether a tombstone is among those that stay.
    tombstones: bool,
}

impl Kept {
    fn push(&mut self, stays: bool) {
        if self.seen.is_multiple_of(64) {
            self.bits.push(0);
        }
        if let Some(bits) = self.bits.last_mut() {
            *bits |= u64::from(stays) << (self.seen % 64);
        }
        self.seen += 1;
        self.kept += usize::from(stays);
    }

    fn has(&self, index: usize) -> bool {
        let bits = self.bits.get(index / 64);
        bits.is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}

/// Cleans a batch of data that was not aborted. It is read twice if records go: where they are to
/// be kept, nothing but one key and what is written is in memory.
pub(super) fn clean(
    batch: &Bytes,
    header: &BatchHeader,
    offsets: Offsets,
    rules: &Rules<'_>,
) -> Result<Cleaned, Damaged> {
    let mut kept = Kept::default();
    walk(batch, header, offsets, |record| -> Result<(), Damaged> {
        let stays = stays(&record, header, rules);
        kept.tombstones |= stays && !record.has_value;
        kept.push(stays);
        Ok(())
    })?;
    if kept.kept == 0 {
        return Ok(without_records(header, offsets, rules));
    }
    let horizon = header
        .delete_horizon()
        .or_else(|| kept.tombstones.then(|| rules.delete_horizon()));
    if kept.kept == kept.seen && horizon == header.delete_horizon() {
        return Ok(Cleaned::Same);
    }
    let mut records = RecordStream::open(batch, header)?;
    let mut to = BatchRewriter::new(*header, offsets.base, horizon)?;
    let mut index = 0;
    while let Some(record) = records.next_record()? {
        if kept.has(index) {
            to.push(record)?;
        }
        index += 1;
    }
    Ok(Cleaned::Rewritten(to.finish()?))
}

fn stays(record: &Seen<'_>, header: &BatchHeader, rules: &Rules<'_>) -> bool {
    if record.offset > rules.keep_last {
        return true;
    }
    let Some(key) = record.key else {
        return false;
    };
    let is_latest = rules
        .map
        .latest(key)
        .is_none_or(|latest| record.offset >= latest);
    let horizon = header.delete_horizon();
    is_latest && (record.has_value || horizon.is_none_or(|horizon| rules.now_ms < horizon))
}
