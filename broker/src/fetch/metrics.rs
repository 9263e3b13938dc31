//! What the read path counts.

use metrics::{counter, gauge};

use crate::metric_definitions as names;

/// How a reader got a block.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Hit,
    Shared,
    Miss,
}

/// A reader got a block; the cache has this size.
pub(super) fn block(found: Found, cache_bytes: u64) {
    let found = match found {
        Found::Hit => "hit",
        Found::Shared => "shared",
        Found::Miss => "miss",
    };
    counter!(names::FETCH_BLOCKS.name, "found" => found).increment(1);
    gauge!(names::FETCH_CACHE_BYTES.name).set(cache_bytes as f64);
}

/// This many fetches wait.
pub(super) fn waiting(count: usize) {
    gauge!(names::FETCHES_WAITING.name).set(count as f64);
}

/// A consumer was given this many bytes of records.
pub(super) fn fetched(bytes: u64) {
    counter!(names::FETCH_BYTES.name).increment(bytes);
}
