//! What a share group is asked. It is answered as a consumer group answers.

use crate::group::consumer::Refusal;
use crate::group::machine::GroupError;

/// The epoch of a member that joins.
pub(super) const JOIN_EPOCH: i32 = 0;

/// The epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;

/// A ShareGroupHeartbeat request. Absent fields are as the member last told them. The caller bounds the
/// sizes of strings and lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareHeartbeat {
    /// Chosen by the member.
    pub member_id: String,
    /// What the member was last told; 0 to join, -1 to leave.
    pub epoch: i32,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// The client id of the request's header.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Topics it subscribes to.
    pub topics: Option<Vec<String>>,
}

impl ShareHeartbeat {
    /// What is wrong with the request by itself.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let invalid = |what: &str| Err(Refusal::new(GroupError::InvalidRequest, what));
        if self.member_id.is_empty() {
            return invalid("MemberId can't be empty.");
        }
        if self.rack_id.as_ref().is_some_and(String::is_empty) {
            return invalid("RackId can't be empty.");
        }
        match self.epoch {
            JOIN_EPOCH if self.topics.as_ref().is_none_or(Vec::is_empty) => {
                invalid("SubscribedTopicNames must be set in first request.")
            }
            epoch if epoch < LEAVE_EPOCH => invalid("MemberEpoch is invalid."),
            _ => Ok(()),
        }
    }

    /// How many bytes the member says of itself.
    pub(crate) fn says_bytes(&self) -> usize {
        let topics: usize = self.topics.iter().flatten().map(String::len).sum();
        let rack = self.rack_id.as_ref().map_or(0, String::len);
        topics + rack + self.client_id.len() + self.client_host.len() + self.member_id.len()
    }
}
