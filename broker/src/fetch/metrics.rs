//! What the read path counts.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::pool::Pool;
use crate::metric_definitions as names;

/// How a reader got a block.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// In memory.
    Hit,
    /// Another reader had begun to read it.
    Shared,
    /// It was read from the bucket.
    Miss,
    /// Its owner in the zone was asked.
    Asked,
}

impl Found {
    /// The value of the `found` label in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Shared => "shared",
            Self::Miss => "miss",
            Self::Asked => "asked",
        }
    }
}

/// A reader got a block.
pub(super) fn block(found: Found, pool: Pool) {
    let found = found.label();
    counter!(names::FETCH_BLOCKS.name, "pool" => pool.label(), "found" => found).increment(1);
}

/// The part of the cache of a pool has this size.
pub(super) fn cached(pool: Pool, bytes: u64) {
    gauge!(names::FETCH_CACHE_BYTES.name, "pool" => pool.label()).set(bytes as f64);
}

/// A fetch waited so long for memory, and holds so many bytes of it.
pub(super) fn reserved(pool: Pool, waited: Duration, bytes: u64) {
    histogram!(names::FETCH_MEMORY_WAIT_SECONDS.name, "pool" => pool.label())
        .record(waited.as_secs_f64());
    counter!(names::FETCH_MEMORY_BYTES.name, "pool" => pool.label()).increment(bytes);
}

/// A block that another agent gave may be damaged, and is read again.
pub(super) fn damaged_from_neighbour() {
    counter!(names::ZONE_BLOCKS_DAMAGED.name).increment(1);
}

/// A block is read ahead of its reader.
pub(super) fn read_ahead() {
    counter!(names::FETCH_READ_AHEAD_BLOCKS.name).increment(1);
}

/// This many fetches wait.
pub(super) fn waiting(count: usize) {
    gauge!(names::FETCHES_WAITING.name).set(count as f64);
}

/// A consumer was given this many bytes of records.
pub(super) fn fetched(bytes: u64) {
    counter!(names::FETCH_BYTES.name).increment(bytes);
}
