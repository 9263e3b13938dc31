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
            GroupError::InconsistentGroupProtocol => 23,
            GroupError::UnknownMemberId => 25,
            GroupError::InvalidSessionTimeout => 26,
            GroupError::RebalanceInProgress => 27,
            GroupError::NonEmptyGroup => 68,
            GroupError::GroupIdNotFound => 69,
            GroupError::MemberIdRequired => 79,
            GroupError::GroupMaxSizeReached => 81,
            GroupError::FencedInstanceId => 82,
        }
    }
}
