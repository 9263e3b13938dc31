//! Background duties on the bucket, under leases. The only code that deletes data (I3).
//!
//! There is one duty so far: collecting garbage. Rewriting objects, retention and scrubbing follow.

pub mod clean;
mod garbage;
pub mod metric_definitions;

use std::time::Duration;

use control_plane::replica::Session;
use runtime::settings::{Kind, Resolved, Setting};
use runtime::{Rng, SharedClock, Shutdown, Store};

pub use garbage::Collected;

/// Settings of the compactor.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "garbage.grace.ms",
        Kind::DurationMs {
            min: 60_000,
            max: i64::MAX,
        },
        "1h",
        "Objects that nothing names are deleted after this long: longer than any read takes.",
    ),
    Setting::new(
        "garbage.interval.ms",
        Kind::DurationMs {
            min: 1_000,
            max: i64::MAX,
        },
        "60s",
        "How often garbage is looked for.",
    ),
];

/// Settings of the compactor, typed.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `garbage.grace.ms`, in the log's time.
    pub garbage_grace: Duration,
    /// `garbage.interval.ms`.
    pub garbage_interval: Duration,
}

impl Config {
    /// From settings that have [`SETTINGS`] among them.
    pub fn new(resolved: &Resolved) -> Self {
        Self {
            garbage_grace: resolved.duration("garbage.grace.ms"),
            garbage_interval: resolved.duration("garbage.interval.ms"),
        }
    }
}

/// What the duties are given.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The registration they act under.
    pub session: Session,
    /// The bucket.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
}

/// Does the duties until `shutdown` begins or the session's replica stops.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) {
    let trouble = runtime::Trouble::new("cannot collect garbage", parts.clock.clone());
    loop {
        let pause = parts.rng.jitter(config.garbage_interval);
        let slept = shutdown.unless_begun(tokio::time::sleep(pause)).await;
        if slept.is_none() || parts.session.replica().failure().is_some() {
            return;
        }
        match collect_garbage(&config, &parts).await {
            Ok(_) => trouble.over(),
            Err(error) => trouble.report(&error),
        }
    }
}

/// One pass of garbage collection; nothing if another process holds the lease.
///
/// # Errors
/// If the log or the store fails; what is left is found again by the next pass.
pub async fn collect_garbage(config: &Config, parts: &Parts) -> Result<Collected, garbage::Error> {
    garbage::collect(&parts.session, &parts.store, config.garbage_grace).await
}
