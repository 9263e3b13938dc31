//! What the broker sets in a batch that a client wrote.

use bytes::{Bytes, BytesMut};

use super::{BatchError, BatchHeader, CRC_AT, CRC_FROM, HEADER_LEN, LOG_APPEND_TIME};

/// How many bytes at the start of a batch the broker stamps when it is read.
pub const STAMP_LEN: usize = 16;

/// The first 16 bytes of a batch: base offset, batch length, leader epoch. The CRC does not cover
/// them, so the rest of the batch is sent as it is stored.
pub fn stamp(base_offset: i64, leader_epoch: i32, batch_length: i32) -> [u8; STAMP_LEN] {
    let mut out = [0; STAMP_LEN];
    out[0..8].copy_from_slice(&base_offset.to_be_bytes());
    out[8..12].copy_from_slice(&batch_length.to_be_bytes());
    out[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    out
}

/// A copy of a whole batch in which every record has the timestamp `now_ms`, as topics with
/// `message.timestamp.type=LogAppendTime` want it: timestamp type and max timestamp are set and the
/// CRC is made anew; records and base timestamp stay.
///
/// # Errors
/// Whatever [`BatchHeader::parse`] says.
pub fn with_log_append_time(batch: &[u8], now_ms: i64) -> Result<Bytes, BatchError> {
    let mut header = BatchHeader::parse(batch)?;
    header.attributes |= LOG_APPEND_TIME;
    header.max_timestamp = now_ms;
    let mut out = BytesMut::from(batch);
    seal(&header, &mut out);
    Ok(out.freeze())
}

/// Writes `header` over the first bytes of the batch in `out`, with the CRC that it then has.
pub(super) fn seal(header: &BatchHeader, out: &mut [u8]) {
    out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    let crc = crc32c::crc32c(&out[CRC_FROM..]);
    out[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}
