//! What the metadata says of the bucket as a whole, published as metrics.

use control_plane::replica::Session;

use crate::layout::fresh_backlog;
use crate::metric_definitions as names;
use crate::settings::Config;

/// What a reader asks for at once.
const READ_BYTES: u64 = 8 << 20;

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
        let totals = state
            .objects()
            .fold((0, 0, 0), |(extents, live, all), (_, object)| {
                (
                    extents + object.extents,
                    live + object.live_bytes,
                    all + object.bytes,
                )
            });
        metrics::gauge!(names::EXTENTS.name).set(totals.0 as f64);
        metrics::gauge!(names::LIVE_BYTES.name).set(totals.1 as f64);
        metrics::gauge!(names::OBJECT_BYTES.name).set(totals.2 as f64);
        let (extents, live): (u64, u64) = (totals.0, totals.1);
        let requests = extents + live / READ_BYTES;
        let per_gib = requests as f64 * (1 << 30) as f64 / live.max(1) as f64;
        metrics::gauge!(names::COLD_READ_REQUESTS.name).set(per_gib);
    });
}
