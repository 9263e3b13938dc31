//! The settings that bound a consumer group.

use std::time::Duration;

use super::AssignorName;
use crate::config::group::GroupConfig;

/// Bounds and defaults of one consumer group; Kafka's setting is named beside each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerLimits {
    /// Most members (`group.consumer.max.size`).
    pub members_max: usize,
    /// Most bytes that the members may say of themselves together: subscriptions, ids, addresses.
    /// Past it a member is turned away as past `members_max`.
    pub members_bytes_max: usize,
    /// How long a member may be silent (`consumer.session.timeout.ms` of the
    /// group).
    pub session_timeout: Duration,
    /// How often it is to be heard of (`consumer.heartbeat.interval.ms` of the group).
    pub heartbeat_interval: Duration,
    /// What members may choose from; the first is the default (`group.consumer.assignors`).
    pub assignors: Vec<AssignorName>,
    /// Whether groups change their protocol while they live (`group.consumer.migration.policy`).
    pub migration: MigrationPolicy,
}

/// Which way groups may change their protocol while they have members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From classic to consumer.
    Upgrade,
    /// From consumer to classic.
    Downgrade,
    /// Neither way.
    Disabled,
}

impl ConsumerLimits {
    /// Takes what a group may set for itself.
    pub(in crate::group) fn configure(&mut self, config: &GroupConfig) {
        self.session_timeout = config.consumer_session_timeout;
        self.heartbeat_interval = config.consumer_heartbeat_interval;
    }
}

impl MigrationPolicy {
    pub(super) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub(super) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

impl Default for ConsumerLimits {
    /// Kafka's defaults, but for the number of members, which is unbounded there.
    fn default() -> Self {
        Self {
            members_max: 10_000,
            members_bytes_max: 8 << 20,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            assignors: vec![AssignorName::Uniform, AssignorName::Range],
            migration: MigrationPolicy::Bidirectional,
        }
    }
}
