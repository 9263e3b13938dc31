//! The settings of the compactor.

use std::time::Duration;

use runtime::settings::{Kind, Resolved, Setting};
use runtime::store::Prices;

use crate::layout::Limits;
use crate::pace::Budget;

/// Settings of the compactor.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "compaction.interval.ms",
        Kind::DurationMs {
            min: 10,
            max: i64::MAX,
        },
        "5s",
        "How often objects to rewrite and topics to clean are looked for.",
    ),
    Setting::new(
        "compaction.objects.min",
        Kind::Int {
            min: 2,
            max: 10_000,
        },
        "128",
        "So many small objects are rewritten at once, into a long run for each partition.",
    ),
    Setting::new(
        "compaction.age.max.ms",
        Kind::DurationMs {
            min: 0,
            max: i64::MAX,
        },
        "5m",
        "Small objects are rewritten after this long, however few they are.",
    ),
    Setting::new(
        "compaction.run.bytes",
        Kind::Bytes {
            min: 1 << 10,
            max: 1 << 30,
        },
        "8MiB",
        "A run of one partition that is at least half of this long is not rewritten for its layout.",
    ),
    Setting::new(
        "compaction.object.bytes",
        Kind::Bytes {
            min: 1 << 10,
            max: 1 << 30,
        },
        "64MiB",
        "About the size of the objects that compaction writes.",
    ),
    Setting::new(
        "compaction.job.bytes",
        Kind::Bytes {
            min: 1 << 20,
            max: 1 << 40,
        },
        "512MiB",
        "Most bytes that one job reads.",
    ),
    Setting::new(
        "compaction.memory.bytes",
        Kind::Bytes {
            min: 1 << 20,
            max: 1 << 40,
        },
        "256MiB",
        "About how much memory a job may use.",
    ),
    Setting::new(
        "compaction.bytes.per.second",
        Kind::Bytes {
            min: 0,
            max: 1 << 40,
        },
        "0",
        "Most bytes per second that a job reads; 0 is without bound. Half of it and less while the store throttles.",
    ),
    Setting::new(
        "compaction.requests.per.second",
        Kind::Int {
            min: 0,
            max: 1_000_000,
        },
        "0",
        "Most requests per second that jobs make of the store; 0 is without bound.",
    ),
    Setting::new(
        "log.cleaner.dedupe.buffer.size",
        Kind::Bytes {
            min: 1 << 20,
            max: 1 << 40,
        },
        "128MiB",
        "Memory for the keys of a partition whose records are compacted by key; with more keys it takes more passes.",
    ),
    Setting::new(
        "log.retention.check.interval.ms",
        Kind::DurationMs {
            min: 1,
            max: i64::MAX,
        },
        "5m",
        "How often records past their retention are looked for.",
    ),
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
    Setting::new(
        "scrub.period.ms",
        Kind::DurationMs {
            min: 1_000,
            max: i64::MAX,
        },
        "7d",
        "Every stored byte is read and its checksum verified within this time.",
    ),
    Setting::new(
        "scrub.bytes.per.second",
        Kind::Bytes {
            min: 0,
            max: 1 << 40,
        },
        "0",
        "Most bytes per second that scrubbing reads; 0 is without bound.",
    ),
    Setting::new(
        "scrub.requests.per.second",
        Kind::Int {
            min: 0,
            max: 1_000_000,
        },
        "0",
        "Most requests per second that scrubbing makes of the store; 0 is without bound.",
    ),
];

/// Settings of the compactor, typed.
#[derive(Clone, Debug)]
pub struct Config {
    /// `compaction.interval.ms`.
    pub interval: Duration,
    /// How objects are rewritten.
    pub limits: Limits,
    /// `compaction.bytes.per.second` and `compaction.requests.per.second`.
    pub budget: Budget,
    /// `log.cleaner.dedupe.buffer.size`.
    pub key_bytes_max: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_interval: Duration,
    /// `garbage.grace.ms`, in the log's time.
    pub garbage_grace: Duration,
    /// `garbage.interval.ms`.
    pub garbage_interval: Duration,
    /// `scrub.period.ms`.
    pub scrub_period: Duration,
    /// `scrub.bytes.per.second` and `scrub.requests.per.second`.
    pub scrub_budget: Budget,
    /// What the store charges.
    pub prices: Prices,
    /// What topics have that set nothing themselves.
    pub defaults: crate::policy::Defaults,
}

impl Config {
    /// About the most memory, in bytes, that all duties together take: a job's, with the object that it collects and the
    /// one before it that is being written, the keys of a cleaning, and an object that is verified.
    pub fn memory_bytes_max(&self) -> u64 {
        self.limits.memory_bytes + 3 * self.limits.object_bytes + self.key_bytes_max as u64
    }

    /// From settings that have [`SETTINGS`] among them, and those of the broker.
    pub fn new(resolved: &Resolved) -> Self {
        let amount = |name: &str| u64::try_from(resolved.int(name)).unwrap_or(0);
        let limits = Limits {
            objects_min: amount("compaction.objects.min") as usize,
            age_max: resolved.duration("compaction.age.max.ms"),
            run_bytes: amount("compaction.run.bytes"),
            object_bytes: amount("compaction.object.bytes"),
            job_bytes: amount("compaction.job.bytes"),
            memory_bytes: amount("compaction.memory.bytes"),
        };
        Self {
            interval: resolved.duration("compaction.interval.ms"),
            limits,
            budget: Budget {
                bytes: amount("compaction.bytes.per.second"),
                requests: amount("compaction.requests.per.second"),
            },
            key_bytes_max: amount("log.cleaner.dedupe.buffer.size") as usize,
            retention_interval: resolved.duration("log.retention.check.interval.ms"),
            garbage_grace: resolved.duration("garbage.grace.ms"),
            garbage_interval: resolved.duration("garbage.interval.ms"),
            scrub_period: resolved.duration("scrub.period.ms"),
            scrub_budget: Budget {
                bytes: amount("scrub.bytes.per.second"),
                requests: amount("scrub.requests.per.second"),
            },
            prices: Prices::from_settings(resolved),
            defaults: crate::policy::Defaults::new(resolved),
        }
    }
}
