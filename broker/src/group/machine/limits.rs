//! The settings of the coordinator that bound a group.

use std::time::Duration;

/// Bounds and delays of one group; Kafka's setting is named beside each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most members (`group.max.size`).
    pub members_max: usize,
    /// Most members that were given an id and have not joined with it yet. Past it, a join is
    /// answered with [`GroupError::CoordinatorLoadInProgress`](super::GroupError).
    pub pending_members_max: usize,
    /// Most bytes that the members may say of themselves together: what they support, their client
    /// ids and addresses. Past it, a member is turned away as past [`Limits::members_max`].
    pub members_bytes_max: usize,
    /// Least session timeout (`group.min.session.timeout.ms`).
    pub session_timeout_min: Duration,
    /// Greatest session timeout (`group.max.session.timeout.ms`).
    pub session_timeout_max: Duration,
    /// How long an empty group waits for more members before its first generation
    /// (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// How long the join of a new member stays parked before it is dropped. It cannot send
    /// heartbeats, so a client that went away would hold up rebalances for ever. Kafka fixes it
    /// at five minutes.
    pub new_member_join_timeout: Duration,
}

impl Default for Limits {
    /// Kafka's defaults, but for the number of members: Kafka's is unbounded, whereas a group
    /// here must fit into one command of the metadata log.
    fn default() -> Self {
        Limits {
            members_max: 10_000,
            pending_members_max: 10_000,
            members_bytes_max: 768 << 10,
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            new_member_join_timeout: Duration::from_secs(5 * 60),
        }
    }
}
