//! Writing a batch again with some of its records, as compaction does: offsets, timestamps,
//! headers, the producer and its sequence numbers stay what they were.

use std::io::{self, Write};

use bytes::{BufMut, Bytes, BytesMut};

use super::build::put_varint;
use super::compression::Compressor;
use super::stamp::seal;
use super::{
    BatchHeader, CODEC_MASK, Codec, DELETE_HORIZON, HEADER_LEN, LENGTH_OVERHEAD, StreamedRecord,
    TimestampType,
};

/// Timestamp of nothing.
const NO_TIMESTAMP: i64 = -1;

/// Collects records of one batch, in their order, for a batch that takes its place.
#[derive(Debug)]
pub struct BatchRewriter {
    from: BatchHeader,
    base_offset: i64,
    delete_horizon: Option<i64>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    count: i32,
    prefix: BytesMut,
    out: Compressor,
}

impl BatchRewriter {
    /// For the batch whose header is `from` and whose first offset is `base_offset`, compressed as
    /// that is. With a delete horizon, in ms since 1970, the base timestamp is that (KIP-534).
    ///
    /// # Errors
    /// If the codec is unknown or its library cannot begin.
    pub fn new(
        from: BatchHeader,
        base_offset: i64,
        delete_horizon: Option<i64>,
    ) -> io::Result<Self> {
        let codec = from
            .codec()
            .ok_or_else(|| io::Error::other("unknown codec"))?;
        Ok(Self {
            from,
            base_offset,
            delete_horizon,
            base_timestamp: delete_horizon,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            prefix: BytesMut::new(),
            out: Compressor::new(codec, vec![0; HEADER_LEN])?,
        })
    }

    /// Adds a record of which nothing after the offset has been read.
    ///
    /// # Errors
    /// As for [`RecordStream::next_record`](super::RecordStream::next_record).
    pub fn push(&mut self, record: StreamedRecord<'_>) -> io::Result<()> {
        let timestamp = record.timestamp(&self.from);
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        let prefix = &mut self.prefix;
        prefix.clear();
        prefix.put_u8(record.attributes);
        put_varint(prefix, timestamp.wrapping_sub(base_timestamp));
        put_varint(prefix, i64::from(record.offset_delta));
        let len = prefix.len() as u64 + record.rest_len();
        let mut len_bytes = BytesMut::with_capacity(5);
        put_varint(&mut len_bytes, len as i64);
        self.out.write_all(&len_bytes)?;
        self.out.write_all(prefix)?;
        record.copy_rest(&mut self.out)
    }

    /// The batch. The last offset delta is that of the original.
    ///
    /// # Errors
    /// If the codec cannot end, or the batch is too long for its header to say so.
    pub fn finish(self) -> io::Result<Bytes> {
        let mut out = self.out.finish()?;
        let mut header = self.from;
        header.base_offset = self.base_offset;
        header.batch_length =
            i32::try_from(out.len() - LENGTH_OVERHEAD).map_err(io::Error::other)?;
        header.record_count = self.count;
        header.base_timestamp = self.base_timestamp.unwrap_or(NO_TIMESTAMP);
        if self.delete_horizon.is_some() {
            header.attributes |= DELETE_HORIZON;
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = self.max_timestamp;
        }
        seal(&header, &mut out);
        Ok(out.into())
    }
}

/// The batch without any of its records: readers get past its offsets, and its producer's sequence
/// numbers can be seen in it.
pub fn emptied(header: &BatchHeader, base_offset: i64) -> Bytes {
    let mut out = vec![0; HEADER_LEN];
    let header = BatchHeader {
        base_offset,
        batch_length: (HEADER_LEN - LENGTH_OVERHEAD) as i32,
        attributes: header.attributes & !(CODEC_MASK | DELETE_HORIZON)
            | i16::from(Codec::None.id()),
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    seal(&header, &mut out);
    out.into()
}
