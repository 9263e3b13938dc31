//! The records of a batch in whatever codec, read as a stream: only what is asked for is in memory.

use std::io::{self, BufRead, BufReader, Read, Take, Write};

use bytes::Bytes;

use super::compression::decompressed;
use super::{BatchHeader, HEADER_LEN, TimestampType};

/// Reads the records of a batch one after another.
pub struct RecordStream {
    /// Limited to what is left of the record being read.
    body: Take<BufReader<Box<dyn Read + Send>>>,
    left: u32,
}

impl std::fmt::Debug for RecordStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordStream")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// A record whose fields before the key are read. Its parts are read in their order, each once:
/// [`key`](Self::key) or [`pass_key`](Self::pass_key), then
/// [`pass_value_and_headers`](Self::pass_value_and_headers); or all as bytes by
/// [`copy_rest`](Self::copy_rest). What is not read is passed over.
#[derive(Debug)]
pub struct StreamedRecord<'a> {
    /// Unused by Kafka so far.
    pub attributes: u8,
    /// Its timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Its offset less the batch's base offset.
    pub offset_delta: i32,
    stream: &'a mut RecordStream,
}

impl RecordStream {
    /// The records of `batch`, which begins with `header`. Nothing else is checked here.
    ///
    /// # Errors
    /// If the codec is unknown, or what follows the header does not begin as it demands.
    pub fn open(batch: &Bytes, header: &BatchHeader) -> io::Result<Self> {
        let codec = header.codec().ok_or_else(|| bad("unknown codec"))?;
        let end = header.total_len().min(batch.len());
        let section = batch.slice(HEADER_LEN.min(end)..end);
        Ok(Self {
            body: BufReader::new(decompressed(section, codec)?).take(0),
            left: u32::try_from(header.record_count).unwrap_or(0),
        })
    }

    /// The next of as many records as the header says.
    ///
    /// # Errors
    /// If the bytes cannot be decompressed, end before the record does, or are not a record.
    pub fn next_record(&mut self) -> io::Result<Option<StreamedRecord<'_>>> {
        self.pass(self.body.limit())?;
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        self.body.set_limit(VARINT_BYTES_MAX);
        let len = u64::try_from(self.varint()?).map_err(|_| bad("a negative length"))?;
        self.body.set_limit(len);
        let mut attributes = [0];
        self.body.read_exact(&mut attributes)?;
        Ok(Some(StreamedRecord {
            attributes: attributes[0],
            timestamp_delta: varlong(&mut self.body, VARLONG_BYTES_MAX)?,
            offset_delta: self.varint()?,
            stream: self,
        }))
    }

    /// Checks that nothing follows the last record.
    ///
    /// # Errors
    /// If something does, or what is there cannot be decompressed.
    pub fn end(mut self) -> io::Result<()> {
        self.pass(self.body.limit())?;
        self.body.set_limit(1);
        match self.body.fill_buf()?.is_empty() {
            true => Ok(()),
            false => Err(bad("more bytes than records")),
        }
    }

    fn varint(&mut self) -> io::Result<i32> {
        i32::try_from(varlong(&mut self.body, VARINT_BYTES_MAX)?)
            .map_err(|_| bad("a number that is too large"))
    }

    /// The length of what comes next in the record, if that is not null.
    fn nullable_len(&mut self) -> io::Result<Option<u64>> {
        match self.varint()? {
            -1 => Ok(None),
            len => match u64::try_from(len) {
                Ok(len) if len <= self.body.limit() => Ok(Some(len)),
                _ => Err(bad("a length that cannot be")),
            },
        }
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        self.read(bytes, |_| Ok(()))
    }

    /// Gives the next `bytes` to `to`, piece by piece.
    fn read(&mut self, bytes: u64, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let there = self.body.fill_buf()?;
            if there.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = there.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            to(&there[..taken])?;
            self.body.consume(taken);
            left -= taken as u64;
        }
        Ok(())
    }
}

impl StreamedRecord<'_> {
    /// The record's timestamp in ms since 1970, as consumers see it.
    pub fn timestamp(&self, header: &BatchHeader) -> i64 {
        match header.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(self.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        }
    }

    /// Reads the key into `key`, whose content is replaced; false if it is null.
    ///
    /// # Errors
    /// As for [`RecordStream::next_record`].
    pub fn key(&mut self, key: &mut Vec<u8>) -> io::Result<bool> {
        key.clear();
        let Some(len) = self.stream.nullable_len()? else {
            return Ok(false);
        };
        self.stream.read(len, |piece| {
            key.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(true)
    }

    /// Passes over the key; false if it is null.
    ///
    /// # Errors
    /// As for [`RecordStream::next_record`].
    pub fn pass_key(&mut self) -> io::Result<bool> {
        let len = self.stream.nullable_len()?;
        self.stream.pass(len.unwrap_or(0))?;
        Ok(len.is_some())
    }

    /// Checks the form of what follows the key; false if the value is null.
    ///
    /// # Errors
    /// As for [`RecordStream::next_record`].
    pub fn pass_value_and_headers(&mut self) -> io::Result<bool> {
        let value = self.stream.nullable_len()?;
        self.stream.pass(value.unwrap_or(0))?;
        let headers = self.stream.varint()?;
        if headers < 0 {
            return Err(bad("a negative count"));
        }
        // Each header takes two bytes at least, so a lying count ends the loop by running out.
        for _ in 0..headers {
            let name = self.stream.nullable_len()?;
            self.stream.pass(name.ok_or_else(|| bad("a null name"))?)?;
            let value = self.stream.nullable_len()?;
            self.stream.pass(value.unwrap_or(0))?;
        }
        match self.stream.body.limit() {
            0 => Ok(value.is_some()),
            _ => Err(bad("a record longer than its parts")),
        }
    }

    /// Bytes of the record that are not read yet.
    pub fn rest_len(&self) -> u64 {
        self.stream.body.limit()
    }

    /// Writes those bytes to `to`.
    ///
    /// # Errors
    /// As for [`RecordStream::next_record`], and what writing says.
    pub fn copy_rest(self, to: &mut impl Write) -> io::Result<()> {
        let left = self.rest_len();
        self.stream.read(left, |piece| to.write_all(piece))
    }
}

const VARINT_BYTES_MAX: u64 = 5;
const VARLONG_BYTES_MAX: u64 = 10;

/// A zigzag varint of at most `bytes_max` bytes.
fn varlong(from: &mut impl Read, bytes_max: u64) -> io::Result<i64> {
    let mut raw = 0u64;
    for at in 0..bytes_max {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        let bits = u64::from(byte[0] & 0x7f);
        if at == VARLONG_BYTES_MAX - 1 && bits > 1 {
            break;
        }
        raw |= bits << (7 * at);
        if byte[0] < 0x80 {
            return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    Err(bad("a number that does not end"))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
