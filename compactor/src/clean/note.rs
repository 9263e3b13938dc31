//! The first half of a pass: which offset is the latest of each key.

use bytes::Bytes;
use object_format::batch;

use super::walk::walk;
use super::{AbortedRanges, Damaged, Full, KeyMap, Offsets};

/// Why not all keys of a batch are noted.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// The map is full.
    #[error(transparent)]
    Full(#[from] Full),
    /// The batch cannot be read.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Notes the keys of one whole batch whose first record has the offset `base_offset`. Markers and
/// aborted data are passed over.
///
/// # Errors
/// [`NoteError::Full`]: the pass must end before this batch. What was noted of it does no harm: the
/// records that replace the older ones are there, and nothing of this batch is cleaned. (So a batch
/// that has more keys than even an empty map takes is best left out: the pass goes on after it, and
/// what it holds stays.)
/// [`NoteError::Damaged`]: as for [`clean`](super::clean).
pub fn note_keys(
    batch: &Bytes,
    base_offset: i64,
    aborted: &AbortedRanges,
    map: &mut KeyMap,
) -> Result<(), NoteError> {
    let header = batch::verify_crc(batch).map_err(Damaged::from)?;
    let offsets = Offsets::new(&header, base_offset)?;
    if header.is_control() || aborted.has_batch(&header, base_offset) {
        return Ok(());
    }
    walk(batch, &header, offsets, |record| match record.key {
        Some(key) => Ok(map.note(key, record.offset)?),
        None => Ok(()),
    })
}
