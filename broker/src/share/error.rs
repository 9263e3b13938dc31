//! Why share requests are refused, and what clients are told.

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use super::partition::RecordsError;
use crate::fetch::FetchError;

/// Why a share request, or one partition of it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum ShareError {
    /// Nobody leads the share-partition now, or it is not known who does.
    #[error("the share-partition has no leader now")]
    NotLeader,
    /// The topic id is not known.
    #[error("there is no topic of this id")]
    UnknownTopicId,
    /// The topic has no such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// See [`RecordsError::InvalidRecordState`].
    #[error("the member does not hold the records")]
    InvalidRecordState,
    /// The request makes no sense.
    #[error("the request makes no sense")]
    InvalidRequest,
    /// There is no such session.
    #[error("there is no such share session")]
    SessionNotFound,
    /// The session is at another epoch.
    #[error("the share session is at another epoch")]
    InvalidSessionEpoch,
    /// There are as many sessions as may be.
    #[error("there are as many share sessions as may be")]
    SessionLimitReached,
    /// The stored records cannot be read.
    #[error("the stored records cannot be read")]
    Storage,
    /// The stored records are damaged.
    #[error("the stored records are damaged")]
    Corrupt,
}

impl ShareError {
    /// Kafka's code for it.
    pub(crate) fn code(self) -> i16 {
        let error = match self {
            Self::NotLeader => ResponseError::NotLeaderOrFollower,
            Self::UnknownTopicId => ResponseError::UnknownTopicId,
            Self::UnknownPartition => ResponseError::UnknownTopicOrPartition,
            Self::InvalidRecordState => ResponseError::InvalidRecordState,
            Self::InvalidRequest => ResponseError::InvalidRequest,
            Self::SessionNotFound => ResponseError::ShareSessionNotFound,
            Self::InvalidSessionEpoch => ResponseError::InvalidShareSessionEpoch,
            Self::SessionLimitReached => ResponseError::ShareSessionLimitReached,
            Self::Storage => ResponseError::KafkaStorageError,
            Self::Corrupt => ResponseError::CorruptMessage,
        };
        error.code()
    }
}

impl From<RecordsError> for ShareError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::InvalidRecordState => Self::InvalidRecordState,
            RecordsError::NotGivenOut => Self::InvalidRequest,
        }
    }
}

/// What a fault met while reading is to a share consumer.
pub(super) fn of_fetch(error: FetchError) -> ShareError {
    match error {
        FetchError::UnknownTopicId => ShareError::UnknownTopicId,
        FetchError::UnknownTopicOrPartition => ShareError::UnknownPartition,
        FetchError::CorruptMessage => ShareError::Corrupt,
        _ => ShareError::Storage,
    }
}
