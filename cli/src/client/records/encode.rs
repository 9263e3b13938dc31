//! Writing record batches: append records, finish once, seal (identity, sequence, CRC) per send.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::{Compression, HEADER_BYTES, ProducerIdentity, at};

/// Builds one batch. Timestamps are those of the records; offsets count from 0.
#[derive(Default)]
pub struct BatchEncoder {
    records: BytesMut,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    scratch: BytesMut,
}

/// Where a record's value is, from the start of an uncompressed batch.
pub type RecordLayout = Range<usize>;

impl BatchEncoder {
    /// Adds a record; returns where its value will be in an uncompressed batch.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> RecordLayout {
        if self.count == 0 {
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let body = &mut self.scratch;
        body.clear();
        body.put_u8(0);
        put_varint(body, timestamp_ms - self.base_timestamp);
        put_varint(body, i64::from(self.count));
        put_bytes(body, key);
        put_bytes(body, value);
        let value_end = body.len();
        put_varint(body, headers.len() as i64);
        for (name, content) in headers {
            put_bytes(body, Some(name));
            put_bytes(body, *content);
        }
        put_varint(&mut self.records, body.len() as i64);
        let value_end = HEADER_BYTES + self.records.len() + value_end;
        self.records.extend_from_slice(&self.scratch);
        self.count += 1;
        value_end - value.map_or(0, <[u8]>::len)..value_end
    }

    /// Records so far.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Size of the batch so far, before compression, in bytes.
    pub fn len(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch, not yet sealed; the encoder is empty after it.
    pub fn finish(&mut self, compression: Compression) -> Result<BytesMut, String> {
        let mut batch = BytesMut::with_capacity(self.len());
        batch.put_bytes(0, HEADER_BYTES);
        compression.compress(&self.records, &mut batch)?;
        let last = self.count - 1;
        put_at(&mut batch, at::MAGIC, &[2]);
        put_at(
            &mut batch,
            at::ATTRIBUTES,
            &compression.number().to_be_bytes(),
        );
        put_at(&mut batch, at::LAST_OFFSET_DELTA, &last.to_be_bytes());
        put_at(
            &mut batch,
            at::BASE_TIMESTAMP,
            &self.base_timestamp.to_be_bytes(),
        );
        put_at(
            &mut batch,
            at::MAX_TIMESTAMP,
            &self.max_timestamp.to_be_bytes(),
        );
        put_at(&mut batch, at::COUNT, &self.count.to_be_bytes());
        put_at(&mut batch, at::BASE_OFFSET + 12, &(-1_i32).to_be_bytes());
        let length = (batch.len() - at::LENGTH - 4) as i32;
        put_at(&mut batch, at::LENGTH, &length.to_be_bytes());
        self.records.clear();
        self.count = 0;
        Ok(batch)
    }
}

/// Compresses a batch: appends the records of `batch`, which is not compressed, to `to`, which has a
/// copy of its header, and adjusts that.
pub fn compress(codec: Compression, batch: &[u8], to: &mut BytesMut) -> Result<(), String> {
    codec.compress(&batch[HEADER_BYTES..], to)?;
    put_at(to, at::ATTRIBUTES, &codec.number().to_be_bytes());
    let length = (to.len() - at::LENGTH - 4) as i32;
    put_at(to, at::LENGTH, &length.to_be_bytes());
    Ok(())
}

/// Sets both timestamps of a batch whose records all have delta 0.
pub fn stamp_time(batch: &mut [u8], timestamp_ms: i64) {
    put_at(batch, at::BASE_TIMESTAMP, &timestamp_ms.to_be_bytes());
    put_at(batch, at::MAX_TIMESTAMP, &timestamp_ms.to_be_bytes());
}

/// Writes the producer's identity and first sequence, and computes the CRC: the last thing done to
/// a batch before it is sent.
pub fn seal(batch: &mut [u8], producer: ProducerIdentity, base_sequence: i32) {
    put_at(batch, at::PRODUCER_ID, &producer.id.to_be_bytes());
    put_at(batch, at::PRODUCER_EPOCH, &producer.epoch.to_be_bytes());
    put_at(batch, at::BASE_SEQUENCE, &base_sequence.to_be_bytes());
    let crc = crc32c::crc32c(&batch[at::ATTRIBUTES..]);
    put_at(batch, at::CRC, &crc.to_be_bytes());
}

fn put_at(batch: &mut [u8], position: usize, bytes: &[u8]) {
    batch[position..position + bytes.len()].copy_from_slice(bytes);
}

/// Zigzag, seven bits at a time.
fn put_varint(to: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    to.put_u8(rest as u8);
}

fn put_bytes(to: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(to, bytes.len() as i64);
            to.extend_from_slice(bytes);
        }
        None => put_varint(to, -1),
    }
}
