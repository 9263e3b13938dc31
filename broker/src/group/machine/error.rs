//! The errors a group answers with, and their Kafka error codes.

use thiserror::Error;

/// Why a group refused a request. Each has exactly one Kafka error code, see [`GroupError::code`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupError {
    /// The group could not be saved for a reason that repeating will not cure.
    #[error("the group could not be saved")]
    UnknownServerError,
    /// Too many members are waiting to be admitted; the client backs off and retries here.
    #[error("the coordinator is busy with this group")]
    CoordinatorLoadInProgress,
    /// The group is gone or could not be saved; the client looks for the coordinator and retries.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// This process no longer coordinates the group.
    #[error("this is not the coordinator of the group")]
    NotCoordinator,
    /// The member is of another generation than the group.
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    /// The member shares no protocol with the group, or names another one than was chosen.
    #[error("the protocol does not agree with the group's")]
    InconsistentGroupProtocol,
    /// The member id is not one of the group.
    #[error("the member is not known to the group")]
    UnknownMemberId,
    /// The session timeout is outside `group.min.session.timeout.ms`..=`group.max.session.timeout.ms`.
    #[error("the session timeout is outside the allowed range")]
    InvalidSessionTimeout,
    /// The group is rebalancing; the member must join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The group has members, and what was asked needs it to have none.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// The group does not exist.
    #[error("the group does not exist")]
    GroupIdNotFound,
    /// The member must join again with the id given in the response (KIP-394).
    #[error("the member must join with the id it was given")]
    MemberIdRequired,
    /// The group has `group.max.size` members.
    #[error("the group has reached its maximum size")]
    GroupMaxSizeReached,
    /// Another member has taken over the instance id (KIP-345).
    #[error("the instance id belongs to another member now")]
    FencedInstanceId,
    /// The client's version of the API does not know what is needed here.
    #[error("this version of the API cannot do that")]
    UnsupportedVersion,
    /// The request contradicts itself, or lacks what it needs.
    #[error("the request is not valid")]
    InvalidRequest,
    /// The member's epoch is not the one it was told; it must join anew (KIP-848).
    #[error("the member epoch is not the member's current one")]
    FencedMemberEpoch,
    /// Another member has the instance id, and has not left (KIP-848).
    #[error("the instance id is still in use")]
    UnreleasedInstanceId,
    /// No such server-side assignor is served (KIP-848).
    #[error("the assignor is not supported")]
    UnsupportedAssignor,
    /// The member's epoch has changed since (KIP-848).
    #[error("the member epoch is stale")]
    StaleMemberEpoch,
    /// The producer is not in a transaction that commits offsets of the group (KIP-98).
    #[error("the group is not part of a transaction of this producer")]
    InvalidTxnState,
    /// There is a newer producer with the same transactional id (KIP-98).
    #[error("there is a newer producer with the same transactional id")]
    InvalidProducerEpoch,
    /// The transactional id has another producer id, or none (KIP-98).
    #[error("the producer id is not assigned to the transactional id")]
    InvalidProducerIdMapping,
    /// It is no regular expression (KIP-848).
    #[error("the regular expression is not valid")]
    InvalidRegularExpression,
}

impl GroupError {
    /// The Kafka protocol's error code.
    pub const fn code(self) -> i16 {
        match self {
            GroupError::UnknownServerError => -1,
            GroupError::CoordinatorLoadInProgress => 14,
            GroupError::CoordinatorNotAvailable => 15,
            GroupError::NotCoordinator => 16,
            GroupError::IllegalGeneration => 22,
            GroupError::InvalidProducerEpoch => 47,
            GroupError::InvalidTxnState => 48,
            GroupError::InvalidProducerIdMapping => 49,
            GroupError::InconsistentGroupProtocol => 23,
            GroupError::UnknownMemberId => 25,
            GroupError::InvalidSessionTimeout => 26,
            GroupError::RebalanceInProgress => 27,
            GroupError::NonEmptyGroup => 68,
            GroupError::GroupIdNotFound => 69,
            GroupError::MemberIdRequired => 79,
            GroupError::GroupMaxSizeReached => 81,
            GroupError::FencedInstanceId => 82,
            GroupError::UnsupportedVersion => 35,
            GroupError::InvalidRequest => 42,
            GroupError::FencedMemberEpoch => 110,
            GroupError::UnreleasedInstanceId => 111,
            GroupError::UnsupportedAssignor => 112,
            GroupError::StaleMemberEpoch => 113,
            GroupError::InvalidRegularExpression => 128,
        }
    }
}
