//! The settings that bound a share group.

use std::time::Duration;

use crate::config::group::GroupConfig;

/// Bounds and defaults of one share group; Kafka's setting is named beside each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLimits {
    /// Most members (`group.share.max.size`).
    pub members_max: usize,
    /// Most bytes that the members may say of themselves together. Past it a member is turned away as
    /// past `members_max`.
    pub members_bytes_max: usize,
    /// How long a member may be silent (`group.share.session.timeout.ms`).
    pub session_timeout: Duration,
    /// How often it is to be heard of (`group.share.heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
}

impl ShareLimits {
    /// Takes what a group may set for itself.
    pub(in crate::group) fn configure(&mut self, config: &GroupConfig) {
        self.session_timeout = config.share_session_timeout;
        self.heartbeat_interval = config.share_heartbeat_interval;
    }
}

impl Default for ShareLimits {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            members_max: 200,
            members_bytes_max: 8 << 20,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
        }
    }
}
