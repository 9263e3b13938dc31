//! Record batches written by hand (message format v2), so that any field can lie.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// One record: key and value, either of which may be null.
pub type KeyValue = (Option<Bytes>, Option<Bytes>);

const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const HEADER_BYTES: usize = 61;

/// A record batch. Fields are public: set them, then [`Batch::encode`]; what is computed from the
/// records can be overridden by the `Option`s.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Magic byte; 2 is the only one Kafka still writes.
    pub magic: i8,
    /// Codec, timestamp type, transactional and control bits.
    pub attributes: i16,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Timestamp of every record.
    pub timestamp: i64,
    /// The records.
    pub records: Vec<KeyValue>,
    /// Instead of the true length.
    pub length: Option<i32>,
    /// Instead of the true CRC-32C.
    pub crc: Option<u32>,
    /// Instead of the number of records.
    pub count: Option<i32>,
    /// Instead of the number of records less one.
    pub last_offset_delta: Option<i32>,
    /// Instead of the encoded records.
    pub payload: Option<Bytes>,
}

impl Batch {
    /// A batch without producer id, holding these values without keys.
    pub fn of_values<V: Into<Bytes>>(values: impl IntoIterator<Item = V>) -> Self {
        let records = values
            .into_iter()
            .map(|value| (None, Some(value.into())))
            .collect();
        Self {
            magic: 2,
            attributes: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            timestamp: 1_700_000_000_000,
            records,
            length: None,
            crc: None,
            count: None,
            last_offset_delta: None,
            payload: None,
        }
    }

    /// The same from an idempotent producer.
    pub fn by_producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let count = i32::try_from(self.records.len()).expect("few records");
        let mut batch = BytesMut::new();
        batch.put_i64(0);
        batch.put_i32(0);
        batch.put_i32(-1);
        batch.put_i8(self.magic);
        batch.put_u32(0);
        batch.put_i16(self.attributes);
        batch.put_i32(self.last_offset_delta.unwrap_or(count - 1));
        batch.put_i64(self.timestamp);
        batch.put_i64(self.timestamp);
        batch.put_i64(self.producer_id);
        batch.put_i16(self.producer_epoch);
        batch.put_i32(self.base_sequence);
        batch.put_i32(self.count.unwrap_or(count));
        match &self.payload {
            Some(payload) => batch.put_slice(payload),
            None => batch.put_slice(&encode_records(&self.records)),
        }
        let true_length = i32::try_from(batch.len() - LENGTH_AT - 4).expect("a small batch");
        let length = self.length.unwrap_or(true_length);
        batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        let crc = self
            .crc
            .unwrap_or_else(|| crc32c::crc32c(&batch[ATTRIBUTES_AT..]));
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        batch.freeze()
    }

    /// Base offsets and records of uncompressed batches as a broker returns them; a batch cut off
    /// at the end, which Kafka allows, is left out.
    ///
    /// # Panics
    /// A batch has a wrong CRC or cannot be read.
    pub fn decode_all(mut bytes: Bytes) -> Vec<(i64, Vec<KeyValue>)> {
        let mut batches = Vec::new();
        while bytes.len() >= HEADER_BYTES {
            let length = (&bytes[LENGTH_AT..]).get_i32();
            let total = LENGTH_AT + 4 + usize::try_from(length).expect("a positive batch length");
            if total > bytes.len() {
                break;
            }
            let batch = bytes.split_to(total);
            let crc = (&batch[CRC_AT..]).get_u32();
            assert_eq!(
                crc,
                crc32c::crc32c(&batch[ATTRIBUTES_AT..]),
                "CRC of a fetched batch"
            );
            let count = (&batch[HEADER_BYTES - 4..]).get_i32();
            let mut rest = batch.slice(HEADER_BYTES..);
            let records = (0..count).map(|_| decode_record(&mut rest)).collect();
            batches.push(((&batch[..]).get_i64(), records));
        }
        batches
    }
}

fn encode_records(records: &[KeyValue]) -> Bytes {
    let mut all = BytesMut::new();
    for (delta, (key, value)) in (0..).zip(records) {
        let mut record = BytesMut::new();
        record.put_i8(0);
        put_varint(&mut record, 0);
        put_varint(&mut record, delta);
        for part in [key, value] {
            put_varint(
                &mut record,
                part.as_ref().map_or(-1, |bytes| bytes.len() as i64),
            );
            record.put_slice(part.as_deref().unwrap_or_default());
        }
        put_varint(&mut record, 0);
        put_varint(&mut all, record.len() as i64);
        all.put_slice(&record);
    }
    all.freeze()
}

fn decode_record(bytes: &mut Bytes) -> KeyValue {
    let length = get_varint(bytes);
    let mut record = bytes.split_to(usize::try_from(length).expect("a positive record length"));
    record.advance(1);
    get_varint(&mut record);
    get_varint(&mut record);
    let mut part = || {
        let length = usize::try_from(get_varint(&mut record)).ok()?;
        Some(record.split_to(length))
    };
    (part(), part())
}

/// Appends a zig-zag varint.
pub(super) fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

fn get_varint(bytes: &mut Bytes) -> i64 {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
