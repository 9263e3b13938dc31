//! Control batches: the markers that end transactions.
//!
//! The first pass that meets a marker sets its horizon; one after that horizon drops it. The data of
//! an aborted transaction lies before its marker, so it is gone by then. Kafka keeps the marker of a
//! commit for as long as data of the transaction is there; no consumer looks at it, and what a
//! broker would read from it is in the metadata here, so it goes like that of an abort.

use bytes::Bytes;
use object_format::batch::{BatchHeader, BatchRewriter, RecordStream};

use super::walk::walk;
use super::{Cleaned, Damaged, Offsets, Rules};

const ABORT: [u8; 2] = [0, 0];
const COMMIT: [u8; 2] = [0, 1];

/// SUBTLE: a marker that holds the last cleaned offset stays whole and not empty as in Kafka, so
/// that an aborted transaction has its marker until [`Cleaned::Gone`] says otherwise.
pub(super) fn clean(
    batch: &Bytes,
    header: &BatchHeader,
    offsets: Offsets,
    rules: &Rules<'_>,
) -> Result<Cleaned, Damaged> {
    let holds_last = offsets.hold(rules.keep_last);
    if header.record_count == 0 {
        return Ok(gone_unless(holds_last));
    }
    if !ends_transaction(batch, header, offsets)? {
        return Ok(Cleaned::Same);
    }
    match header.delete_horizon() {
        Some(horizon) if horizon <= rules.now_ms => Ok(gone_unless(holds_last)),
        Some(_) => Ok(Cleaned::Same),
        None => with_horizon(batch, header, offsets, rules),
    }
}

fn gone_unless(holds_last: bool) -> Cleaned {
    match holds_last {
        true => Cleaned::Same,
        false => Cleaned::Gone,
    }
}

/// Whether it is a marker of abort or commit, by the key of its first record: a version and a type.
/// Others are not understood and stay.
fn ends_transaction(
    batch: &Bytes,
    header: &BatchHeader,
    offsets: Offsets,
) -> Result<bool, Damaged> {
    let mut first = None;
    walk(batch, header, offsets, |record| {
        let kind = record.key.and_then(|key| key.get(2..4));
        let kind = kind.ok_or(Damaged::Lie("a control record without a type"))?;
        first.get_or_insert(kind == ABORT || kind == COMMIT);
        Ok::<_, Damaged>(())
    })?;
    Ok(first.unwrap_or(false))
}

fn with_horizon(
    batch: &Bytes,
    header: &BatchHeader,
    offsets: Offsets,
    rules: &Rules<'_>,
) -> Result<Cleaned, Damaged> {
    let mut records = RecordStream::open(batch, header)?;
    let mut to = BatchRewriter::new(*header, offsets.base, Some(rules.delete_horizon()))?;
    while let Some(record) = records.next_record()? {
        to.push(record)?;
    }
    Ok(Cleaned::Rewritten(to.finish()?))
}
