//! Encodes batches, for what the broker itself writes, for the tools and for tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::stamp::seal;
use super::{
    BatchHeader, CONTROL, Codec, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, TRANSACTIONAL,
};

/// A record header: name and value.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Collects records and renders one batch. The records get consecutive offsets.
///
/// Sizes are the caller's business: a batch must stay below `i32::MAX` bytes.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: BytesMut,
    scratch: BytesMut,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// No records yet, no producer, base offset 0, leader epoch -1, as a client sends it.
    pub fn new() -> Self {
        Self {
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            records: BytesMut::new(),
            scratch: BytesMut::new(),
        }
    }

    /// Sets the offset of the first record.
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the leader epoch.
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Makes it the batch of an idempotent producer.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes |= TRANSACTIONAL;
        self
    }

    /// Makes it a control batch.
    pub fn control(mut self) -> Self {
        self.attributes |= CONTROL;
        self
    }

    /// Adds a record without headers.
    pub fn record(self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        self.record_with(timestamp_ms, key, value, &[])
    }

    /// Adds a record with headers.
    pub fn record_with(
        mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Self {
        self.push(timestamp_ms, key, value, headers);
        self
    }

    /// Adds a record with headers, for use in a loop.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let body = &mut self.scratch;
        body.clear();
        body.put_i8(0);
        put_varint(body, timestamp_ms.wrapping_sub(self.base_timestamp));
        put_varint(body, i64::from(self.count));
        put_nullable(body, key);
        put_nullable(body, value);
        put_varint(body, headers.len() as i64);
        for &(name, value) in headers {
            put_nullable(body, Some(name));
            put_nullable(body, value);
        }
        put_varint(&mut self.records, body.len() as i64);
        self.records.put_slice(body);
        self.count += 1;
    }

    /// Number of records so far.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes the batch has so far, uncompressed, header included.
    pub fn bytes(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Renders the batch, uncompressed.
    pub fn build(self) -> Bytes {
        self.build_with(Codec::None, Bytes::copy_from_slice)
    }

    /// Renders the batch with its records compressed by `compress`, which must be what `codec`
    /// says.
    pub fn build_with(self, codec: Codec, compress: impl FnOnce(&[u8]) -> Bytes) -> Bytes {
        let section = compress(&self.records);
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: (HEADER_LEN - LENGTH_OVERHEAD + section.len()) as i32,
            partition_leader_epoch: self.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.attributes | i16::from(codec.id()),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.count,
        };
        let mut out = BytesMut::with_capacity(HEADER_LEN + section.len());
        out.put_bytes(0, HEADER_LEN);
        out.put_slice(&section);
        seal(&header, &mut out);
        out.freeze()
    }
}

/// A zigzag varint. One of 32 bits has the same bytes as the same number of 64 bits.
pub(super) fn put_varint(out: &mut BytesMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
    }
}
