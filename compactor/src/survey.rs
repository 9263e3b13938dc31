//! What the metadata says of the bucket as a whole, published as metrics.

use control_plane::replica::Session;
use control_plane::state::{State, UPLOADS_MAX};

use crate::layout::fresh_backlog;
use crate::metric_definitions as names;
use crate::settings::Config;

/// What a reader asks for at once.
const READ_BYTES: u64 = 8 << 20;

const GIB: f64 = (1u64 << 30) as f64;

/// Sums over everything stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs of records.
    pub extents: u64,
    /// Bytes of records that something names.
    pub live_bytes: u64,
    /// Bytes of the objects they lie in.
    pub object_bytes: u64,
    /// Bytes that readers ask for who read every partition by itself, from its beginning.
    pub cold_bytes: u64,
    /// Objects that nothing names and that are not deleted yet.
    pub garbage_objects: u64,
    /// Bytes of them, as far as they are known.
    pub garbage_bytes: u64,
    /// Keys at which a departed process may have left an object that it did not commit.
    pub orphan_keys: u64,
    /// Size of the newest checkpoint, 0 before the first.
    pub metadata_bytes: u64,
}

impl Totals {
    /// Of this state. Looks at every object, not at every extent.
    pub fn of(state: &State) -> Self {
        let mut totals = Self::default();
        for (_, object) in state.objects() {
            totals.extents += object.extents;
            totals.live_bytes += object.live_bytes;
            totals.object_bytes += object.bytes;
            let whole = object.extents.saturating_mul(object.bytes);
            // Each run lies in the blocks of its bytes and, at its ends, of its neighbours'.
            let blocks = object.live_bytes + object.extents.saturating_mul(READ_BYTES);
            totals.cold_bytes = totals.cold_bytes.saturating_add(whole.min(blocks));
        }
        for (_, garbage) in state.garbage() {
            totals.garbage_objects += 1;
            totals.garbage_bytes += garbage.bytes;
        }
        totals.orphan_keys = state
            .departed()
            .map(|(_, departed)| departed.objects_missing.len() as u64 + UPLOADS_MAX)
            .sum();
        totals.metadata_bytes = state.checkpoint().map_or(0, |checkpoint| checkpoint.bytes);
        totals
    }

    /// GETs for a GiB of records, of a reader from the beginning.
    pub fn cold_requests_per_gib(&self) -> f64 {
        let requests = self.extents + self.live_bytes / READ_BYTES;
        requests as f64 * GIB / self.live_bytes.max(1) as f64
    }

    /// Bytes read for a byte delivered, to a reader of one partition from the beginning.
    pub fn cold_amplification(&self) -> f64 {
        match self.live_bytes {
            0 => 1.0,
            live => self.cold_bytes as f64 / live as f64,
        }
    }

    /// Bytes of metadata for a GiB of records; none before the first checkpoint, or if there are no records.
    pub fn metadata_bytes_per_gib(&self) -> Option<f64> {
        let known = self.metadata_bytes > 0 && self.live_bytes > 0;
        known.then(|| self.metadata_bytes as f64 * GIB / self.live_bytes as f64)
    }
}

/// Sets the gauges.
pub fn publish(session: &Session, config: &Config) {
    session.replica().read(|state| {
        let now_ms = state.log_time_ms();
        let age = |since_ms: Option<i64>| {
            since_ms.map_or(0.0, |since| {
                now_ms.saturating_sub(since).max(0) as f64 / 1000.0
            })
        };
        let (objects, bytes, oldest) = fresh_backlog(state, &config.limits);
        metrics::gauge!(names::BACKLOG_OBJECTS.name).set(objects as f64);
        metrics::gauge!(names::BACKLOG_BYTES.name).set(bytes as f64);
        metrics::gauge!(names::BACKLOG_AGE.name).set(age(oldest));
        metrics::gauge!(names::JOBS_RUNNING.name).set(state.live_jobs().count() as f64);
        metrics::gauge!(names::DAMAGED_KNOWN.name).set(state.damaged().count() as f64);
        let unverified = state.objects().map(|(_, object)| object.checked_ms).min();
        metrics::gauge!(names::SCRUB_AGE.name).set(age(unverified));
        publish_totals(&Totals::of(state), config);
    });
}

fn publish_totals(totals: &Totals, config: &Config) {
    metrics::gauge!(names::EXTENTS.name).set(totals.extents as f64);
    metrics::gauge!(names::LIVE_BYTES.name).set(totals.live_bytes as f64);
    metrics::gauge!(names::OBJECT_BYTES.name).set(totals.object_bytes as f64);
    metrics::gauge!(names::COLD_READ_REQUESTS.name).set(totals.cold_requests_per_gib());
    metrics::gauge!(names::COLD_READ_BYTES.name).set(totals.cold_amplification());
    metrics::gauge!(names::GARBAGE_WAITING.name).set(totals.garbage_objects as f64);
    metrics::gauge!(names::GARBAGE_BYTES.name).set(totals.garbage_bytes as f64);
    metrics::gauge!(names::ORPHAN_KEYS.name).set(totals.orphan_keys as f64);
    metrics::gauge!(names::METADATA_BYTES.name).set(totals.metadata_bytes as f64);
    if let Some(per_gib) = totals.metadata_bytes_per_gib() {
        metrics::gauge!(names::METADATA_PER_GIB.name).set(per_gib);
    }
    let stored = totals.object_bytes + totals.garbage_bytes;
    metrics::gauge!(names::STORAGE_DOLLARS.name).set(config.prices.stored_per_day(stored));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_nothing() {
        let none = Totals::of(&State::default());
        assert_eq!(none, Totals::default());
        assert_eq!(none.cold_amplification(), 1.0);
        assert_eq!(none.cold_requests_per_gib(), 0.0);
        assert_eq!(none.metadata_bytes_per_gib(), None);
    }

    #[test]
    fn ratios_are_relative_to_the_records() {
        let totals = Totals {
            extents: 100,
            live_bytes: 512 << 20,
            cold_bytes: 5 << 30,
            metadata_bytes: 3000,
            ..Totals::default()
        };
        assert_eq!(totals.cold_requests_per_gib(), 328.0);
        assert_eq!(totals.cold_amplification(), 10.0);
        assert_eq!(totals.metadata_bytes_per_gib(), Some(6000.0));
    }
}
