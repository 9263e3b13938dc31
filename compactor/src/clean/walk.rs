//! The records of a batch, each seen once and checked against the header.

use bytes::Bytes;
use object_format::batch::{BatchHeader, RecordStream};

use super::{Damaged, Offsets};

/// What decides whether a record stays.
pub(super) struct Seen<'a> {
    pub(super) offset: i64,
    /// `None` if it is null.
    pub(super) key: Option<&'a [u8]>,
    /// False for a tombstone.
    pub(super) has_value: bool,
}

/// Shows every record of the batch to `see`; one key is in memory at a time.
///
/// # Errors
/// What `see` says; [`Damaged`] if the records are not as many as the header says, or their offsets
/// are not in order and among those that the batch takes.
pub(super) fn walk<E: From<Damaged>>(
    batch: &Bytes,
    header: &BatchHeader,
    offsets: Offsets,
    mut see: impl FnMut(Seen<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut records = RecordStream::open(batch, header).map_err(Damaged::from)?;
    let mut key = vec![];
    let mut next = offsets.base;
    while let Some(mut record) = records.next_record().map_err(Damaged::from)? {
        let offset = offsets.base.saturating_add(record.offset_delta.into());
        if !(next..=offsets.last).contains(&offset) {
            return Err(Damaged::Lie("a record's offset is out of order").into());
        }
        next = offset.saturating_add(1);
        let has_key = record.key(&mut key).map_err(Damaged::from)?;
        let has_value = record.pass_value_and_headers().map_err(Damaged::from)?;
        see(Seen {
            offset,
            key: has_key.then_some(&key),
            has_value,
        })?;
    }
    records.end().map_err(Damaged::from)?;
    Ok(())
}
