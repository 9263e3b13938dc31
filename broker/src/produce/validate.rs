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
    if header.base_offset != 0 {
        return Err(ProduceError::BaseOffset(header.base_offset));
    }
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
    check_timestamps(&bytes, &header, topic, now_ms)?;
    Ok(ValidBatch {
        bytes,
        header,
        log_append_time_ms: -1,
    })
}

/// A record without a timestamp says this.
const NO_TIMESTAMP: i64 = -1;

/// Fails if a record is older or newer than the topic allows, as far as that is known without decompressing.
fn check_timestamps(
    bytes: &Bytes,
    header: &BatchHeader,
    topic: &TopicConfig,
    now_ms: i64,
) -> Result<(), ProduceError> {
    let newest = header.max_timestamp;
    if newest.saturating_sub(now_ms) > topic.timestamp_after_max_ms {
        return Err(ProduceError::Timestamp(newest));
    }
    // Seldom set, so seldom walked for.
    if topic.timestamp_before_max_ms == i64::MAX {
        return Ok(());
    }
    match oldest_timestamp(bytes, header) {
        Some(oldest) if now_ms.saturating_sub(oldest) > topic.timestamp_before_max_ms => {
            Err(ProduceError::Timestamp(oldest))
        }
        _ => Ok(()),
    }
}

/// The least timestamp of the records; of those that are compressed that of the first, which is in the header.
fn oldest_timestamp(bytes: &Bytes, header: &BatchHeader) -> Option<i64> {
    let has_one = |timestamp: &i64| *timestamp != NO_TIMESTAMP;
    match batch::records(bytes, header) {
        Ok(records) => {
            let timestamps = records.filter_map(Result::ok).map(|r| r.timestamp(header));
            timestamps.filter(has_one).min()
        }
        Err(_) => Some(header.base_timestamp.min(header.max_timestamp)).filter(has_one),
    }
}

#[cfg(test)]
mod tests {
    use object_format::batch::{BatchBuilder, Codec};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const BOUND: i64 = 1_000;

    fn bounded() -> TopicConfig {
        TopicConfig {
            timestamp_before_max_ms: BOUND,
            timestamp_after_max_ms: BOUND,
            ..crate::config::TopicDefaults::default().0
        }
    }

    fn batch_of(timestamps: &[i64], codec: Codec) -> Bytes {
        let records = timestamps.iter();
        let builder = records.fold(BatchBuilder::new(), |builder, &at| {
            builder.record(at, None, Some(b"v"))
        });
        builder.build_with(codec, Bytes::copy_from_slice)
    }

    fn judge(timestamps: &[i64], codec: Codec, topic: &TopicConfig) -> Result<i64, i64> {
        let bytes = batch_of(timestamps, codec);
        match validate(Some(bytes), topic, NOW, String::new) {
            Ok(valid) => Ok(valid.log_append_time_ms),
            Err(ProduceError::Timestamp(refused)) => Err(refused),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn one_record_out_of_bounds_refuses_the_batch() {
        let topic = bounded();
        let plain = |timestamps: &[i64]| judge(timestamps, Codec::None, &topic);
        assert_eq!(plain(&[NOW - BOUND, NOW, NOW + BOUND]), Ok(-1));
        assert_eq!(plain(&[NOW, NOW - BOUND - 1, NOW]), Err(NOW - BOUND - 1));
        assert_eq!(plain(&[NOW, NOW + BOUND + 1, NOW]), Err(NOW + BOUND + 1));
        assert_eq!(plain(&[NO_TIMESTAMP]), Ok(-1), "it has none");
        let unbounded = TopicConfig {
            timestamp_before_max_ms: i64::MAX,
            ..topic
        };
        assert_eq!(judge(&[0, NOW], Codec::None, &unbounded), Ok(-1));
    }

    #[test]
    fn of_compressed_records_the_first_and_the_newest_are_judged() {
        let topic = bounded();
        let zipped = |timestamps: &[i64]| judge(timestamps, Codec::Gzip, &topic);
        assert_eq!(zipped(&[NOW - BOUND, NOW + BOUND]), Ok(-1));
        assert_eq!(zipped(&[NOW - BOUND - 1, NOW]), Err(NOW - BOUND - 1));
        assert_eq!(zipped(&[NOW, NOW + BOUND + 1]), Err(NOW + BOUND + 1));
    }

    #[test]
    fn a_producer_does_not_say_where_its_records_go() {
        let mut bytes = batch_of(&[NOW], Codec::None).to_vec();
        bytes[7] = 1;
        let refused = validate(Some(bytes.into()), &bounded(), NOW, String::new);
        assert!(matches!(refused, Err(ProduceError::BaseOffset(1))));
    }

    #[test]
    fn where_the_broker_stamps_no_time_of_a_producer_is_wrong() {
        let topic = TopicConfig {
            timestamp_type: TimestampType::LogAppendTime,
            ..bounded()
        };
        assert_eq!(judge(&[0, NOW * 2], Codec::None, &topic), Ok(NOW));
    }
}
