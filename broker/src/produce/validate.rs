//! What a produced batch must be before anything of it is accepted, with Kafka's errors.

use bytes::Bytes;
use object_format::batch::{self, BatchHeader, TimestampType};

use super::{ProduceError, keys};
use crate::config::TopicConfig;

/// A batch that may be stored.
#[derive(Clone, Debug)]
pub(super) struct ValidBatch {
    /// As it is stored.
    pub bytes: Bytes,
    /// Its header.
    pub header: BatchHeader,
    /// The time it was stamped with, for topics with `LogAppendTime`; else -1.
    pub log_append_time_ms: i64,
}

/// Checks one partition's records of a Produce request and, where the topic says `LogAppendTime`, stamps them.
///
/// Compressed records are not looked into: what their headers say is all the broker needs, and CRC32C vouches for the
/// rest (docs/adr/0001). Only a compacted topic must know that each has a key; `partition` names it to whoever wrote
/// one that has none.
pub(super) fn validate(
    records: Option<Bytes>,
    topic: &TopicConfig,
    now_ms: i64,
    partition: impl FnOnce() -> String,
) -> Result<ValidBatch, ProduceError> {
    let bytes = records
        .filter(|r| !r.is_empty())
        .ok_or(ProduceError::NoBatch)?;
    let header = batch::validate(&bytes)?;
    if bytes.len() as u64 > topic.message_bytes_max {
        return Err(ProduceError::TooLarge {
            bytes: bytes.len() as u64,
            bytes_max: topic.message_bytes_max,
        });
    }
    if topic.is_compacted {
        keys::check(&bytes, &header, partition)?;
    }
    if topic.timestamp_type == TimestampType::LogAppendTime {
        let bytes = batch::with_log_append_time(&bytes, now_ms)?;
        let header = BatchHeader::parse(&bytes)?;
        return Ok(ValidBatch {
            bytes,
            header,
            log_append_time_ms: now_ms,
        });
    }
    let too_old = now_ms.saturating_sub(header.max_timestamp) > topic.timestamp_before_max_ms;
    let too_new = header.max_timestamp.saturating_sub(now_ms) > topic.timestamp_after_max_ms;
    if header.max_timestamp >= 0 && (too_old || too_new) {
        return Err(ProduceError::Timestamp(header.max_timestamp));
    }
    Ok(ValidBatch {
        bytes,
        header,
        log_append_time_ms: -1,
    })
}
