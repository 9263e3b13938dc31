//! Kafka's record batch, version 2 (KIP-98): its 61-byte header, and what can be asked of a batch.
//!
//! ```text
//!  0 base offset i64         | 21 attributes i16          | 43 producer id i64
//!  8 batch length i32        | 23 last offset delta i32   | 51 producer epoch i16
//! 12 leader epoch i32        | 27 base timestamp i64      | 53 base sequence i32
//! 16 magic i8                | 35 max timestamp i64       | 57 record count i32
//! 17 CRC32C u32, from 21 on  |                            | 61 records, compressed as one
//! ```
//! All integers are big-endian. The older formats have their magic at the same place, and nothing
//! else in common with this one.

mod build;
mod compression;
mod control;
mod error;
mod record;
mod rewrite;
mod snappy;
mod split;
mod stamp;
mod stream;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
mod validate;

pub use build::BatchBuilder;
pub use compression::{Compressor, EXPANDED_MAX, compressed, decompressed};
pub use control::{COORDINATOR_EPOCH, control_batch};
pub use error::{BatchError, RecordFault};
pub use record::{Headers, RecordView, Records, records, records_in};
pub use rewrite::{BatchRewriter, emptied};
pub use split::{Split, split};
pub use stamp::{STAMP_LEN, stamp, with_log_append_time};
pub use stream::{RecordStream, StreamedRecord};
pub use validate::{validate, verify_crc};

/// Length in bytes of the header of a record batch, and so of the smallest one.
pub const HEADER_LEN: usize = 61;
/// Bytes before those that the batch length counts: base offset and batch length.
pub const LENGTH_OVERHEAD: usize = 12;
/// The only magic (version) of record batches that is stored.
pub const MAGIC: i8 = 2;
/// Producer id of a batch without a producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch without a producer.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch without a producer, and of a control batch.
pub const NO_SEQUENCE: i32 = -1;

const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Not compressed.
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, framed as snappy-java does or bare.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard (KIP-110).
    Zstd = 4,
}

impl Codec {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number in a batch's attributes, if there is one.
    pub fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// Its number in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Its name as in Kafka's `compression.type` ("none" where there is no compression).
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// What the timestamps of a batch mean (KIP-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record has the time its producer gave it.
    CreateTime,
    /// Every record has the batch's max timestamp, set by the broker.
    LogAppendTime,
}

/// The header of a record batch, as it stands in the bytes. Nothing but magic and a sane length is
/// checked by parsing; [`validate`] checks the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record. Of no meaning in a batch from a producer or in an object.
    pub base_offset: i64,
    /// Bytes of the batch after this field; see [`BatchHeader::total_len`].
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// Version of the format: [`MAGIC`].
    pub magic: i8,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags; see the methods.
    pub attributes: i16,
    /// Offset of the last record, less the base offset. Stays when compaction removes that record.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from: the first one's timestamp, in ms since 1970.
    pub base_timestamp: i64,
    /// Greatest timestamp in the batch, in ms since 1970.
    pub max_timestamp: i64,
    /// The idempotent producer, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Epoch of the producer, if there is one.
    pub producer_epoch: i16,
    /// Sequence number of the first record, if there is a producer.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Parses the header at the start of `bytes`, which may go on with the records and whatever
    /// follows them.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] if there are not 61 bytes, [`BatchError::OldMagic`] and
    /// [`BatchError::UnknownMagic`] if it is another format, [`BatchError::Length`] if the batch
    /// length cannot hold a header. Whether the batch is all there is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if let Some(&magic) = bytes.get(MAGIC_AT) {
            match magic as i8 {
                MAGIC => {}
                old @ (0 | 1) => return Err(BatchError::OldMagic(old)),
                other => return Err(BatchError::UnknownMagic(other)),
            }
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                have: bytes.len(),
            });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(array(header, 0)),
            batch_length: i32::from_be_bytes(array(header, 8)),
            partition_leader_epoch: i32::from_be_bytes(array(header, 12)),
            magic: header[MAGIC_AT] as i8,
            crc: u32::from_be_bytes(array(header, CRC_AT)),
            attributes: i16::from_be_bytes(array(header, 21)),
            last_offset_delta: i32::from_be_bytes(array(header, 23)),
            base_timestamp: i64::from_be_bytes(array(header, 27)),
            max_timestamp: i64::from_be_bytes(array(header, 35)),
            producer_id: i64::from_be_bytes(array(header, 43)),
            producer_epoch: i16::from_be_bytes(array(header, 51)),
            base_sequence: i32::from_be_bytes(array(header, 53)),
            record_count: i32::from_be_bytes(array(header, 57)),
        };
        if (header.batch_length as i64) < (HEADER_LEN - LENGTH_OVERHEAD) as i64 {
            return Err(BatchError::Length(header.batch_length));
        }
        Ok(header)
    }

    /// The header's 61 bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16] = self.magic as u8;
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, header included.
    pub fn total_len(&self) -> usize {
        LENGTH_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// The codec, or `None` if the attributes name one that does not exist.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_id(self.codec_id())
    }

    fn codec_id(&self) -> u8 {
        (self.attributes & CODEC_MASK) as u8
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is a marker for consumers and not data.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether the base timestamp is when compaction may drop the batch's tombstones (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON != 0
    }

    /// When compaction may drop the batch's tombstones or marker, in ms since 1970, if a first
    /// cleaning has set that (KIP-534).
    pub fn delete_horizon(&self) -> Option<i64> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Whether an idempotent producer wrote the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// How many offsets the batch takes, which is more than its records once compaction has
    /// removed some.
    pub fn offset_count(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }

    /// Sequence number of the last record. Sequences go round from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        last.rem_euclid(i64::from(i32::MAX) + 1) as i32
    }

    /// Timestamp of the batch's first record, the least one as far as the header can tell.
    pub fn min_timestamp(&self) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.min(self.max_timestamp),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }
}

/// The `N` bytes at `at`, which must be there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
