//! What bounds the share groups of an agent.

use std::time::Duration;

use control_plane::state::State;

use super::partition::Limits;
use crate::config::group::GroupDefaults;
use crate::config::share_reset::ShareReset;
use crate::fetch::plan::Isolation;

/// Bounds of share groups, and what groups have that set nothing.
#[derive(Clone, Debug)]
pub struct ShareOptions {
    /// Kafka's `group.share.partition.max.record.locks`.
    pub records_max: u32,
    /// Kafka's `group.share.delivery.count.limit`.
    pub deliveries_max: u16,
    /// The configs of groups that set none.
    pub defaults: GroupDefaults,
    /// Kafka's `group.share.max.share.sessions`.
    pub sessions_max: usize,
    /// Most partitions in all sessions together.
    pub session_partitions_max: usize,
    /// Share-partitions that may be led here at once.
    pub led_max: usize,
    /// Requests that may wait for one share-partition before their senders have to wait.
    pub asks_max: usize,
    /// How long a reader may keep the turn.
    pub turn: Duration,
    /// A share-partition that nobody asks for is given up after this time.
    pub idle: Duration,
    /// The longest a call of a peer may take.
    pub call_timeout: Duration,
}

impl Default for ShareOptions {
    fn default() -> Self {
        Self {
            records_max: 2_000,
            deliveries_max: 5,
            defaults: GroupDefaults::default(),
            sessions_max: 2_000,
            session_partitions_max: 1_000_000,
            led_max: 100_000,
            asks_max: 256,
            turn: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            call_timeout: Duration::from_secs(10),
        }
    }
}

/// What is in force for one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub limits: Limits,
    pub reset: ShareReset,
    pub isolation: Isolation,
}

impl ShareOptions {
    /// What is in force for a group.
    pub(super) fn of(&self, state: &State, group: &str) -> InForce {
        let config = self.defaults.of(state.group_configs(group));
        InForce {
            limits: Limits {
                records_max: self.records_max,
                deliveries_max: self.deliveries_max,
                lock: config.share_record_lock_duration,
                turn: self.turn,
            },
            reset: config.share_auto_offset_reset,
            isolation: match config.share_read_committed {
                true => Isolation::ReadCommitted,
                false => Isolation::ReadUncommitted,
            },
        }
    }
}
