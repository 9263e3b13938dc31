//! What a fetch or an offset lookup can say instead of records, and the one table to Kafka's codes.

use kafka_protocol::ResponseError;

/// Why a partition, or the whole request, gets no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FetchError {
    /// The offset is before the log start offset or after the high watermark.
    #[error("the offset is not within the partition")]
    OffsetOutOfRange,
    /// Whether the offset exists cannot be told while the metadata log cannot be read.
    #[error("the end of the partition is not known at present")]
    OffsetNotAvailable,
    /// No topic of this name, or not so many partitions.
    #[error("there is no such topic or partition")]
    UnknownTopicOrPartition,
    /// No topic of this id.
    #[error("there is no topic of this id")]
    UnknownTopicId,
    /// The client's leader epoch is older than the partition's.
    #[error("the leader epoch is older than the partition's")]
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than the partition's, which always is 0.
    #[error("the leader epoch is newer than the partition's")]
    UnknownLeaderEpoch,
    /// What the bucket holds is not what was written.
    #[error("the stored records are damaged")]
    CorruptMessage,
    /// The bucket does not give the records.
    #[error("the records cannot be read from the store")]
    Storage,
    /// The fetch session was evicted, or never was.
    #[error("there is no such fetch session")]
    SessionIdNotFound,
    /// The request is not the one after the session's last.
    #[error("this is not the fetch session's next request")]
    InvalidSessionEpoch,
    /// The session was begun with names and goes on with ids, or the other way round.
    #[error("the fetch session was begun with the other way of naming topics")]
    SessionTopicId,
    /// The request makes no sense.
    #[error("the request is not valid")]
    InvalidRequest,
    /// The partition's message format has no such lookup.
    #[error("this lookup is not supported")]
    UnsupportedVersion,
}

impl From<FetchError> for ResponseError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::OffsetOutOfRange => Self::OffsetOutOfRange,
            FetchError::OffsetNotAvailable => Self::OffsetNotAvailable,
            FetchError::UnknownTopicOrPartition => Self::UnknownTopicOrPartition,
            FetchError::UnknownTopicId => Self::UnknownTopicId,
            FetchError::FencedLeaderEpoch => Self::FencedLeaderEpoch,
            FetchError::UnknownLeaderEpoch => Self::UnknownLeaderEpoch,
            FetchError::CorruptMessage => Self::CorruptMessage,
            FetchError::Storage => Self::KafkaStorageError,
            FetchError::SessionIdNotFound => Self::FetchSessionIdNotFound,
            FetchError::InvalidSessionEpoch => Self::InvalidFetchSessionEpoch,
            FetchError::SessionTopicId => Self::FetchSessionTopicIdError,
            FetchError::InvalidRequest => Self::InvalidRequest,
            FetchError::UnsupportedVersion => Self::UnsupportedVersion,
        }
    }
}

impl FetchError {
    /// Kafka's number for it.
    pub fn code(self) -> i16 {
        ResponseError::from(self).code()
    }

    /// Whether it says that the client's picture of the topics is not this agent's.
    ///
    /// SUBTLE: such a partition does not end a long poll that has others to wait for, as in Kafka;
    /// else a consumer of one deleted topic among its topics would spin.
    pub fn is_unknown_partition(self) -> bool {
        matches!(self, Self::UnknownTopicOrPartition | Self::UnknownTopicId)
    }
}
