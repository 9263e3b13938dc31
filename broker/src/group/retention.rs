//! Committed offsets that nobody will ask for any more are forgotten, as in Kafka (KIP-211): those of a group without
//! members, those of consumers that only ever committed, and those of topics that the members are not subscribed to any
//! more. A group without members and offsets is forgotten as well.
//!
//! The agent that coordinates a group, or is the one to begin to, looks after it; the group's task decides, since it
//! knows its members, and the command is fenced by its lease.

use std::collections::BTreeMap;
use std::time::Duration;

use control_plane::replica::Session;
use control_plane::state::{ExpireOffsets, State};
use object_format::TopicPartition;
use runtime::{Rng, Shutdown};

use super::Groups;
use super::ask::Write;
use super::machine::GroupError;
use super::offsets::{DELETED_MAX, write};
use super::placement::coordinator_node;
use crate::topology;

/// When offsets are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionOptions {
    /// `offsets.retention.minutes`.
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub check_interval: Duration,
}

impl Default for RetentionOptions {
    /// Kafka's.
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            check_interval: Duration::from_secs(600),
        }
    }
}

impl RetentionOptions {
    fn retention_ms(&self) -> i64 {
        i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Looks after the groups of an agent until `shutdown` begins.
pub(crate) async fn run(groups: Groups, rng: Rng, shutdown: Shutdown) {
    let interval = groups.options().retention.check_interval;
    loop {
        let sleep = tokio::time::sleep(rng.jitter(interval));
        if shutdown.unless_begun(sleep).await.is_none() {
            return;
        }
        sweep(&groups).await;
    }
}

/// Looks once. What cannot be done now is done the next time.
pub(super) async fn sweep(groups: &Groups) {
    let session = groups.session();
    let retention_ms = groups.options().retention.retention_ms();
    let due = session
        .replica()
        .read(|state| due(state, session.node_id(), retention_ms));
    for group in due {
        match groups.expire_offsets(&group).await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(group, expired, "committed offsets have expired"),
            Err(error) => tracing::debug!(group, %error, "committed offsets could not be expired"),
        }
    }
}

/// The groups of the agent `node_id` that have something to be forgotten, as far as the metadata tells.
fn due(state: &State, node_id: i32, retention_ms: i64) -> Vec<String> {
    let now_ms = state.log_time_ms();
    let nodes = topology::nodes(state);
    let is_here =
        |id: &str| coordinator_node(state, &nodes, id).is_some_and(|node| node.id == node_id);
    let due = state.groups().filter(|(id, group)| {
        let mut expired = group.expired_offsets(retention_ms, now_ms);
        // Where a share group is does not expire, as in Kafka.
        let is_hollow = group.is_hollow() && state.shares_of(id).next().is_none();
        (is_hollow || expired.next().is_some()) && is_here(id)
    });
    due.map(|(id, _)| id.to_owned()).collect()
}

/// Commits that are to be forgotten, and when they were made.
pub(super) type Seen = Vec<(TopicPartition, i64)>;

/// What is to be forgotten of a group, by the names of topics, unless its members are subscribed to them.
pub(super) fn expired(
    state: &State,
    group: &str,
    options: &RetentionOptions,
) -> BTreeMap<String, Seen> {
    let mut topics: BTreeMap<String, Seen> = BTreeMap::new();
    let Some(group) = state.group(group) else {
        return topics;
    };
    for (of, at_ms) in group.expired_offsets(options.retention_ms(), state.log_time_ms()) {
        let topic = state.topic(of.topic).map(|topic| topic.name.clone());
        let seen = topics.entry(topic.unwrap_or_default()).or_default();
        seen.push((of, at_ms));
    }
    topics
}

/// Puts the forgetting of offsets into the order of the metadata log.
pub(super) async fn expire(
    session: &Session,
    group: &str,
    epoch: u64,
    seen: &[(TopicPartition, i64)],
) -> Result<Vec<Write>, GroupError> {
    let mut writes = Vec::new();
    for seen in seen.chunks(DELETED_MAX) {
        let command = ExpireOffsets {
            group: group.to_owned(),
            epoch,
            seen: seen.to_vec(),
        };
        writes.push(write(session, command).await?);
    }
    Ok(writes)
}
