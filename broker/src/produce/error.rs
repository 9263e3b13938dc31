//! Why a batch is not acknowledged, and which Kafka error code says so.

use control_plane::state::BatchRejection;
use kafka_protocol::error::ResponseError;
use object_format::batch::BatchError;

use super::keys::Keyless;

/// Why a batch is not acknowledged. Each batch of a request is judged by itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// The partition's part of the request is empty.
    #[error("there is no record batch")]
    NoBatch,
    /// It is not a batch that a client may write.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It is over the topic's `max.message.bytes`.
    #[error("the record batch has {bytes} bytes, and the topic's max.message.bytes is {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Its timestamps are further from the broker's clock than the topic allows.
    #[error("timestamp {0} is outside of what the topic's message.timestamp.*.max.ms allow")]
    Timestamp(i64),
    /// Records without key on a compacted topic.
    #[error("{0}")]
    Keyless(Keyless),
    /// What is compressed cannot be read, or is not what the header says. Looked for on compacted topics only.
    #[error("the records cannot be read: {0}")]
    Records(String),
    /// It says at which offset it is to be; that is for the broker to say.
    #[error("the base offset of the record batch should be 0, but it is {0}")]
    BaseOffset(i64),
    /// It is compressed by zstd, in a request of a version older than that.
    #[error("requests of this version cannot have zstd in them")]
    ZstdTooEarly,
    /// It belongs to a transaction, and the request names no transactional id.
    #[error("a transactional batch in a request without a transactional id")]
    NoTransactionalId,
    /// No such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownPartition,
    /// No topic has this id.
    #[error("there is no topic with this id")]
    UnknownTopicId,
    /// The log says no.
    #[error(transparent)]
    Rejected(#[from] BatchRejection),
    /// It was not durable in time. It may yet be stored.
    #[error("the batch was not durable within the request's timeout")]
    TimedOut,
    /// This agent is fenced or shutting down. It may yet be stored.
    #[error("this agent cannot acknowledge any more: {0}")]
    Unable(String),
    /// `acks` is none of 0, 1 and -1.
    #[error("acks must be 0, 1 or -1")]
    Acks,
}

impl ProduceError {
    /// Kafka's error code.
    pub fn code(&self) -> i16 {
        use ResponseError as E;
        let error = match self {
            Self::NoBatch | Self::BaseOffset(_) => E::InvalidRecord,
            Self::Batch(batch) => return batch_code(batch),
            Self::TooLarge { .. } => E::MessageTooLarge,
            Self::Timestamp(_) => E::InvalidTimestamp,
            Self::Keyless(_) | Self::Records(_) => E::InvalidRecord,
            Self::ZstdTooEarly => E::UnsupportedCompressionType,
            Self::NoTransactionalId => E::TransactionalIdAuthorizationFailed,
            Self::UnknownPartition => E::UnknownTopicOrPartition,
            Self::UnknownTopicId => E::UnknownTopicId,
            Self::Rejected(BatchRejection::UnknownPartition) => E::UnknownTopicOrPartition,
            Self::Rejected(BatchRejection::OutOfOrderSequence) => E::OutOfOrderSequenceNumber,
            Self::Rejected(BatchRejection::ProducerFenced) => E::InvalidProducerEpoch,
            Self::Rejected(BatchRejection::UnknownProducer) => E::InvalidProducerIdMapping,
            Self::Rejected(BatchRejection::NotInTransaction | BatchRejection::NotTransactional) => {
                E::InvalidTxnState
            }
            Self::Rejected(BatchRejection::Malformed) => E::InvalidRecord,
            Self::TimedOut => E::RequestTimedOut,
            Self::Unable(_) => E::NotLeaderOrFollower,
            Self::Acks => E::InvalidRequiredAcks,
        };
        error.code()
    }
}

fn batch_code(error: &BatchError) -> i16 {
    use ResponseError as E;
    let error = match error {
        BatchError::Truncated { .. } | BatchError::Length(_) | BatchError::Crc { .. } => {
            E::CorruptMessage
        }
        BatchError::OldMagic(_) => E::UnsupportedForMessageFormat,
        BatchError::UnknownMagic(_) => E::InvalidRecord,
        BatchError::Trailing(_)
        | BatchError::RecordCount { .. }
        | BatchError::Producer { .. }
        | BatchError::Control
        | BatchError::Compressed(_)
        | BatchError::Record { .. } => E::InvalidRecord,
        BatchError::BrokerTimestamps(_) => E::InvalidTimestamp,
        BatchError::UnknownCodec(_) => E::UnsupportedCompressionType,
    };
    error.code()
}
