//! Reading record batches: split a fetched run of batches, check each, walk its records in place.

use bytes::Bytes;

use super::{BadBatch, Compression, HEADER_BYTES, at};

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const LOG_APPEND_TIME: i16 = 1 << 3;

/// Splits what Fetch returned into batches, sharing its memory. A batch cut off at the end (Fetch
/// may return one) is left out.
pub fn split_batches(mut records: Bytes) -> Result<Vec<BatchView>, BadBatch> {
    let mut batches = Vec::new();
    while records.len() >= HEADER_BYTES {
        let offset = i64_at(&records, at::BASE_OFFSET);
        let bad = |reason: &str| BadBatch {
            offset,
            reason: reason.into(),
        };
        let length = usize::try_from(i32_at(&records, at::LENGTH))
            .map_err(|_| bad("negative batch length"))?;
        let end = length + at::LENGTH + 4;
        if end < HEADER_BYTES {
            return Err(bad("a batch shorter than its header"));
        }
        if records.len() < end {
            break;
        }
        if records[at::MAGIC] != 2 {
            return Err(bad("not message format v2"));
        }
        batches.push(BatchView {
            bytes: records.split_to(end),
        });
    }
    Ok(batches)
}

/// One whole batch.
#[derive(Clone, Debug)]
pub struct BatchView {
    bytes: Bytes,
}

impl BatchView {
    /// Offset of the first record.
    pub fn base_offset(&self) -> i64 {
        i64_at(&self.bytes, at::BASE_OFFSET)
    }

    /// Offset after the last record; compaction may have removed records before it.
    pub fn next_offset(&self) -> i64 {
        self.base_offset() + i64::from(i32_at(&self.bytes, at::LAST_OFFSET_DELTA)) + 1
    }

    /// Records in it.
    pub fn count(&self) -> i32 {
        i32_at(&self.bytes, at::COUNT)
    }

    /// Size in bytes, header included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds transaction markers instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Who wrote it; -1 without idempotence.
    pub fn producer_id(&self) -> i64 {
        i64_at(&self.bytes, at::PRODUCER_ID)
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes([self.bytes[at::ATTRIBUTES], self.bytes[at::ATTRIBUTES + 1]])
    }

    /// Checks the CRC and decompresses.
    pub fn records(&self) -> Result<Records, BadBatch> {
        let bad = |reason: String| BadBatch {
            offset: self.base_offset(),
            reason,
        };
        let crc = u32::from_be_bytes(array(&self.bytes, at::CRC));
        if crc32c::crc32c(&self.bytes[at::ATTRIBUTES..]) != crc {
            return Err(bad("wrong CRC".into()));
        }
        let codec = Compression::from_attributes(self.attributes())
            .ok_or_else(|| bad("unknown compression".into()))?;
        let bytes = codec
            .decompress(self.bytes.slice(HEADER_BYTES..))
            .map_err(bad)?;
        let base_timestamp = i64_at(&self.bytes, at::BASE_TIMESTAMP);
        let max_timestamp = i64_at(&self.bytes, at::MAX_TIMESTAMP);
        Ok(Records {
            bytes,
            base_offset: self.base_offset(),
            base_timestamp,
            append_time: (self.attributes() & LOG_APPEND_TIME != 0).then_some(max_timestamp),
            count: self.count(),
        })
    }
}

/// The records of one batch, decompressed.
pub struct Records {
    bytes: Bytes,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
    count: i32,
}

impl Records {
    /// Walks them in order; an error ends the walk.
    pub fn iter(&self) -> impl Iterator<Item = Result<RecordView<'_>, BadBatch>> {
        let mut rest = &self.bytes[..];
        let mut left = self.count;
        std::iter::from_fn(move || {
            if left <= 0 {
                return None;
            }
            left -= 1;
            let record = self.record(&mut rest);
            if record.is_none() {
                left = 0;
            }
            let reason = "a record does not parse".to_owned();
            Some(record.ok_or(BadBatch {
                offset: self.base_offset,
                reason,
            }))
        })
    }

    fn record<'a>(&self, rest: &mut &'a [u8]) -> Option<RecordView<'a>> {
        let length = usize::try_from(varint(rest)?).ok()?;
        let (mut body, after) = rest.split_at_checked(length)?;
        *rest = after;
        let body = &mut body;
        *body = body.get(1..)?;
        let timestamp = self.base_timestamp.checked_add(varint(body)?)?;
        let offset = self.base_offset.checked_add(varint(body)?)?;
        let key = nullable(body)?;
        let value = nullable(body)?;
        let headers = usize::try_from(varint(body)?).ok()?;
        Some(RecordView {
            offset,
            timestamp: self.append_time.unwrap_or(timestamp),
            key,
            value,
            header_count: headers,
            header_bytes: body,
        })
    }
}

/// One record, borrowing from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    header_count: usize,
    header_bytes: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Its headers in order, names possibly repeated.
    pub fn headers(&self) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
        let mut rest = self.header_bytes;
        let mut headers = Vec::new();
        for _ in 0..self.header_count {
            let Some(Some(name)) = nullable(&mut rest) else {
                break;
            };
            let Some(value) = nullable(&mut rest) else {
                break;
            };
            headers.push((name, value));
        }
        headers
    }
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64) ^ -((value & 1) as i64));
        }
    }
    None
}

fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length == -1 {
        return Some(None);
    }
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(bytes))
}

fn array<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[position..position + N]);
    array
}

fn i64_at(bytes: &[u8], position: usize) -> i64 {
    i64::from_be_bytes(array(bytes, position))
}

fn i32_at(bytes: &[u8], position: usize) -> i32 {
    i32::from_be_bytes(array(bytes, position))
}
