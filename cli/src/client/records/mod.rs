//! Record batches (message format v2, KIP-98) as a client writes and reads them.
//!
//! The header is a view over bytes; records are parsed in place and borrow from the batch. Header
//! names may repeat within a record, so they are kept as a list.

mod compression;
mod decode;
mod encode;
mod isolation;

pub use compression::Compression;
pub use decode::{BatchView, RecordView, split_batches};
pub use encode::{BatchEncoder, RecordLayout, compress, seal, stamp_time};
pub use isolation::AbortedFilter;

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

/// Where the fields of a batch header are.
mod at {
    pub const BASE_OFFSET: usize = 0;
    pub const LENGTH: usize = 8;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const COUNT: usize = 57;
}

/// What cannot be read as a record batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("offset {offset}: {reason}")]
pub struct BadBatch {
    /// Base offset the batch claims.
    pub offset: i64,
    /// What is wrong with it.
    pub reason: String,
}

/// Identity of an idempotent producer (InitProducerId).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Producer id; -1 without idempotence.
    pub id: i64,
    /// Epoch of the id.
    pub epoch: i16,
}

impl ProducerIdentity {
    /// Not idempotent.
    pub const NONE: Self = Self { id: -1, epoch: -1 };
}

#[cfg(test)]
mod tests;
