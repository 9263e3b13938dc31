//! What a consumer group is asked and what it answers.

use std::time::Duration;

use super::Assignment;
use crate::group::machine::GroupError;

/// The epoch of a member that joins.
pub(super) const JOIN_EPOCH: i32 = 0;

/// The epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;

/// The epoch of a static member that leaves and will be back.
pub(super) const STATIC_LEAVE_EPOCH: i32 = -2;

/// A ConsumerGroupHeartbeat request. Absent fields are as the member last told them. The caller
/// bounds the sizes of strings and lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerHeartbeat {
    /// Chosen by the member since version 1; with version 0 the shell chooses it for a member that
    /// joins without one.
    pub member_id: String,
    /// What the member was last told; 0 to join, -1 to leave, -2 for a static member to leave for a
    /// while.
    pub epoch: i32,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// How long the member may take to give up partitions.
    pub rebalance_timeout: Option<Duration>,
    /// The client id of the request's header.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Topics it subscribes to by name.
    pub topics: Option<Vec<String>>,
    /// An expression whose topics it subscribes to; empty for none.
    pub regex: Option<String>,
    /// The server-side assignor it wants.
    pub assignor: Option<String>,
    /// What it owns.
    pub owned: Option<Assignment>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatAnswer {
    pub member_id: String,
    /// To be sent with the next heartbeat.
    pub epoch: i32,
    /// How soon to send it.
    pub interval: Duration,
    /// What the member may own from now on; none if that has not changed.
    pub assignment: Option<Assignment>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub error: GroupError,
    /// For whoever reads the client's log.
    pub message: Option<String>,
}

impl Refusal {
    pub(crate) fn new(error: GroupError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: Some(message.into()),
        }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Self {
            error,
            message: None,
        }
    }
}
