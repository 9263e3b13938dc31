//! The records inside a batch, once they are not compressed: walked without allocation.
//!
//! SUBTLE: record headers are a list and not a map; the same name may come twice, and order counts.

use bytes::Bytes;

use super::{BatchError, BatchHeader, Codec, HEADER_LEN, RecordFault, TimestampType};

/// Reads the parts of a record from a slice, never past its end.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// One record, borrowed from where it lies.
pub(super) struct RawRecord<'a> {
    pub(super) attributes: i8,
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) header_count: u32,
    pub(super) headers: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordFault> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(RecordFault::Overrun)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordFault> {
        let (&byte, rest) = self.rest.split_first().ok_or(RecordFault::Overrun)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A zigzag varint of at most 32 bits.
    #[inline]
    fn varint(&mut self) -> Result<i32, RecordFault> {
        let first = self.byte()?;
        let raw = if first < 0x80 {
            u32::from(first)
        } else {
            let raw = self.long_varint(first, 5)?;
            u32::try_from(raw).map_err(|_| RecordFault::Varint)?
        };
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag varint of at most 64 bits.
    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordFault> {
        let first = self.byte()?;
        let raw = if first < 0x80 {
            u64::from(first)
        } else {
            self.long_varint(first, 10)?
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn long_varint(&mut self, first: u8, bytes_max: u32) -> Result<u64, RecordFault> {
        let mut raw = u64::from(first & 0x7f);
        for at in 1..bytes_max {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * at;
            if shift == 63 && bits > 1 {
                return Err(RecordFault::Varint);
            }
            raw |= bits << shift;
            if byte < 0x80 {
                return Ok(raw);
            }
        }
        Err(RecordFault::Varint)
    }

    /// Bytes after their length.
    #[inline]
    fn sized(&mut self) -> Result<&'a [u8], RecordFault> {
        let len = usize::try_from(self.varint()?).map_err(|_| RecordFault::NegativeSize)?;
        self.take(len)
    }

    /// Bytes after their length, where the length -1 stands for null.
    #[inline]
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordFault> {
        match self.varint()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| RecordFault::NegativeSize)?;
                self.take(len).map(Some)
            }
        }
    }

    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), RecordFault> {
        Ok((self.sized()?, self.nullable()?))
    }

    /// The next record, every part of it checked.
    #[inline]
    pub(super) fn record(&mut self) -> Result<RawRecord<'a>, RecordFault> {
        let mut body = Cursor::new(self.sized()?);
        let attributes = body.byte()? as i8;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let header_count = u32::try_from(body.varint()?).map_err(|_| RecordFault::NegativeSize)?;
        let headers = body.rest;
        // Each header takes two bytes at least, so a lying count ends the loop by running out.
        for _ in 0..header_count {
            body.header()?;
        }
        if !body.rest.is_empty() {
            return Err(RecordFault::Slack(body.rest.len()));
        }
        Ok(RawRecord {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
            headers,
        })
    }
}

/// One record of a batch; its parts share the batch's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Unused by Kafka so far.
    pub attributes: i8,
    /// Its timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Its offset less the batch's base offset.
    pub offset_delta: i32,
    /// The key, or `None` if it is null.
    pub key: Option<Bytes>,
    /// The value, or `None` if it is null (a tombstone where the topic is compacted).
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Headers,
}

impl RecordView {
    /// The record's timestamp in ms since 1970, as consumers see it.
    pub fn timestamp(&self, header: &BatchHeader) -> i64 {
        match header.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(self.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        }
    }
}

/// Iterates over a record's headers: name and value. Duplicate names are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    left: u32,
    rest: Bytes,
}

impl Iterator for Headers {
    type Item = (Bytes, Option<Bytes>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut cursor = Cursor::new(&self.rest);
        // Was checked when the record was read.
        let (name, value) = cursor.header().ok()?;
        let item = (
            self.rest.slice_ref(name),
            value.map(|value| self.rest.slice_ref(value)),
        );
        let used = self.rest.len() - cursor.remaining();
        self.rest = self.rest.slice(used..);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers {}

/// Iterates over the records of a batch; stops after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    section: Bytes,
    index: u32,
    count: u32,
}

/// The records of an uncompressed batch, which must begin at the start of `batch` and be whole.
///
/// # Errors
/// [`BatchError::Compressed`] if the records must be decompressed first (see [`records_in`]),
/// [`BatchError::Truncated`] if the batch is not all there.
pub fn records(batch: &Bytes, header: &BatchHeader) -> Result<Records, BatchError> {
    match header.codec() {
        None => return Err(BatchError::UnknownCodec(header.codec_id())),
        Some(Codec::None) => {}
        Some(codec) => return Err(BatchError::Compressed(codec.name())),
    }
    let needed = header.total_len();
    if batch.len() < needed {
        return Err(BatchError::Truncated {
            needed,
            have: batch.len(),
        });
    }
    Ok(records_in(batch.slice(HEADER_LEN..needed), header))
}

/// The records in what a batch holds after its header, decompressed.
pub fn records_in(section: Bytes, header: &BatchHeader) -> Records {
    Records {
        section,
        index: 0,
        count: u32::try_from(header.record_count).unwrap_or(0),
    }
}

impl Records {
    /// Whether some record has no key, which a topic with `cleanup.policy=compact` does not take.
    ///
    /// # Errors
    /// [`BatchError::Record`] if a record is malformed.
    pub fn has_keyless_record(self) -> Result<bool, BatchError> {
        let mut cursor = Cursor::new(&self.section);
        for index in self.index..self.count {
            let record = cursor
                .record()
                .map_err(|fault| BatchError::Record { index, fault })?;
            if record.key.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn view(&mut self) -> Result<RecordView, RecordFault> {
        let mut cursor = Cursor::new(&self.section);
        let raw = cursor.record()?;
        let share = |part: &[u8]| self.section.slice_ref(part);
        let view = RecordView {
            attributes: raw.attributes,
            timestamp_delta: raw.timestamp_delta,
            offset_delta: raw.offset_delta,
            key: raw.key.map(share),
            value: raw.value.map(share),
            headers: Headers {
                left: raw.header_count,
                rest: share(raw.headers),
            },
        };
        let used = self.section.len() - cursor.remaining();
        self.section = self.section.slice(used..);
        Ok(view)
    }
}

impl Iterator for Records {
    type Item = Result<RecordView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let item = self
            .view()
            .map_err(|fault| BatchError::Record { index, fault });
        if item.is_err() {
            self.index = self.count;
        }
        Some(item)
    }
}
