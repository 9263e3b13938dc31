//! What the zone cache counts.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::fetch::pool::Pool;
use crate::metric_definitions as names;

/// The owner of a block was asked, or not, with this end.
pub(super) fn asked(pool: Pool, end: &'static str) {
    let pool = pool.label();
    counter!(names::ZONE_BLOCKS_ASKED.name, "pool" => pool, "answer" => end).increment(1);
}

/// An owner gave a block of so many bytes after so long.
pub(super) fn lent(pool: Pool, took: Duration, bytes: u64) {
    asked(pool, "lent");
    counter!(names::ZONE_BYTES.name, "direction" => "in").increment(bytes);
    histogram!(names::ZONE_ASK_SECONDS.name, "pool" => pool.label()).record(took.as_secs_f64());
}

/// A neighbour's ask was answered like this.
pub(super) fn answered(pool: Pool, found: &'static str, bytes: u64) {
    let pool = pool.label();
    counter!(names::ZONE_BLOCKS_LENT.name, "pool" => pool, "found" => found).increment(1);
    counter!(names::ZONE_BYTES.name, "direction" => "out").increment(bytes);
}

/// A connection was closed because who it was from is not known.
pub(super) fn refused() {
    counter!(names::ZONE_CONNECTIONS_REFUSED.name).increment(1);
}
