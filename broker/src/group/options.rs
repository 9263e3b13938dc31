//! What bounds the groups of an agent.

use std::time::Duration;

use super::consumer::ConsumerLimits;
use super::machine::Limits;
use super::retention::RetentionOptions;
use super::share::ShareLimits;
use crate::config::group::{GroupConfig, GroupDefaults};

/// Bounds of the groups that an agent coordinates.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Bounds of each classic group.
    pub limits: Limits,
    /// The configs of groups that set none; for one that does: `defaults.of(state.group_configs(group))`.
    pub defaults: GroupDefaults,
    /// When committed offsets are forgotten.
    pub retention: RetentionOptions,
    /// Bounds of each consumer group.
    pub consumer: ConsumerLimits,
    /// Bounds of each share group.
    pub share: ShareLimits,
    /// Longest metadata beside a committed offset (`offset.metadata.max.bytes`).
    pub offset_metadata_bytes_max: usize,
    /// Groups in memory at once; requests for more are told to try again.
    pub groups_max: usize,
    /// Bytes that members of all groups may say of themselves together, those waiting to join
    /// included; more are told to try again.
    pub members_bytes_max: usize,
    /// Requests that may wait for one group; more are told to try again.
    pub asks_max: usize,
    /// Bytes that a JoinGroup may say of a member: names and metadata of its protocols. A group must
    /// fit into a command of the metadata log.
    pub join_bytes_max: usize,
    /// A group without members leaves the memory after this time without a request; if it has
    /// committed nothing either, it is forgotten altogether, as Kafka does within ten minutes.
    pub idle: Duration,
    /// Whoever waits for a change of a group to be durable is told after this time to try again, whatever becomes of the
    /// change (`offsets.commit.timeout.ms`). Shorter than sessions: on its connection a member's heartbeats wait behind.
    pub save_timeout: Duration,
}

impl GroupOptions {
    /// Takes what a group may set for itself.
    pub(super) fn configure(&mut self, config: &GroupConfig) {
        self.consumer.configure(config);
        self.share.configure(config);
    }
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            defaults: GroupDefaults::default(),
            retention: RetentionOptions::default(),
            consumer: ConsumerLimits::default(),
            share: ShareLimits::default(),
            offset_metadata_bytes_max: 4096,
            groups_max: 100_000,
            members_bytes_max: 512 << 20,
            asks_max: 10_000,
            join_bytes_max: 256 << 10,
            idle: Duration::from_secs(120),
            save_timeout: Duration::from_secs(5),
        }
    }
}
