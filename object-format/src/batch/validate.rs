//! Whether a batch may be stored: everything that can be known without decompressing it.
//!
//! The records of a compressed batch are not looked at: the number of records, the timestamps and
//! that there is anything in it at all are taken on the header's word. The CRC says that they
//! arrived as the producer wrote them, and reading them would cost more than all the rest of the
//! produce path. Kafka does decompress; a producer that lies in the header can only spoil the
//! partitions it may write to.

use super::record::Cursor;
use super::{BatchError, BatchHeader, CRC_FROM, Codec, HEADER_LEN, RecordFault, TimestampType};

/// Checks that `batch` is exactly one batch that a client may write: one pass for the CRC and, if
/// it is not compressed, one walk over the records. Allocates nothing.
///
/// The header is returned as it stands in the bytes, but for the max timestamp of an uncompressed
/// batch: that is what the records say, as Kafka corrects it too.
///
/// # Errors
/// The first of these that is true: not a batch of format 2, not exactly one whole batch, CRC,
/// codec, control batch, timestamp type, record count, producer, records.
pub fn validate(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let mut header = BatchHeader::parse(batch)?;
    let needed = header.total_len();
    if batch.len() < needed {
        return Err(BatchError::Truncated {
            needed,
            have: batch.len(),
        });
    }
    if batch.len() > needed {
        return Err(BatchError::Trailing(batch.len() - needed));
    }
    check_crc(batch, &header)?;
    let Some(codec) = header.codec() else {
        return Err(BatchError::UnknownCodec(header.codec_id()));
    };
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime || header.has_delete_horizon() {
        return Err(BatchError::BrokerTimestamps(header.attributes));
    }
    check_count(&header)?;
    check_producer(&header)?;
    if codec == Codec::None {
        header.max_timestamp = walk(&batch[HEADER_LEN..], &header)?;
    }
    Ok(header)
}

/// Checks the CRC of the one batch in `batch`, which may be one that the broker wrote.
///
/// # Errors
/// [`BatchError::Crc`], or whatever [`BatchHeader::parse`] says, [`BatchError::Truncated`] and
/// [`BatchError::Trailing`].
pub fn verify_crc(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let needed = header.total_len();
    if batch.len() < needed {
        return Err(BatchError::Truncated {
            needed,
            have: batch.len(),
        });
    }
    if batch.len() > needed {
        return Err(BatchError::Trailing(batch.len() - needed));
    }
    check_crc(batch, &header)?;
    Ok(header)
}

fn check_crc(batch: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    let computed = crc32c::crc32c(&batch[CRC_FROM..]);
    if computed != header.crc {
        return Err(BatchError::Crc {
            stored: header.crc,
            computed,
        });
    }
    Ok(())
}

fn check_count(header: &BatchHeader) -> Result<(), BatchError> {
    let BatchHeader {
        record_count: count,
        last_offset_delta,
        ..
    } = *header;
    if count <= 0 || i64::from(count) != header.offset_count() {
        return Err(BatchError::RecordCount {
            count,
            last_offset_delta,
        });
    }
    Ok(())
}

/// SUBTLE: without a producer id the epoch and the sequence mean nothing, and some clients
/// (KafkaJS) leave 0 in them.
fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let BatchHeader {
        producer_id,
        producer_epoch,
        base_sequence,
        ..
    } = *header;
    let good = if header.has_producer() {
        producer_epoch >= 0 && base_sequence >= 0
    } else {
        producer_id == super::NO_PRODUCER_ID && !header.is_transactional()
    };
    if good {
        Ok(())
    } else {
        Err(BatchError::Producer {
            producer_id,
            producer_epoch,
            base_sequence,
        })
    }
}

/// Walks the records and returns the greatest timestamp.
fn walk(section: &[u8], header: &BatchHeader) -> Result<i64, BatchError> {
    let mut cursor = Cursor::new(section);
    let mut delta_max = i64::MIN;
    for index in 0..header.record_count {
        let fail = |fault| BatchError::Record {
            index: index as u32,
            fault,
        };
        let record = cursor.record().map_err(fail)?;
        if record.offset_delta != index {
            return Err(fail(RecordFault::OffsetDelta(record.offset_delta)));
        }
        delta_max = delta_max.max(record.timestamp_delta);
    }
    if cursor.remaining() > 0 {
        return Err(BatchError::Record {
            index: header.record_count as u32,
            fault: RecordFault::Trailing(cursor.remaining()),
        });
    }
    Ok(header.base_timestamp.saturating_add(delta_max))
}
