//! The metrics of the compactor.

use control_plane::state::JobKind;
use metrics::Unit;
use runtime::telemetry::metric::{self, Metric};

use crate::rewrite::Rewritten;

/// Objects deleted.
pub const GARBAGE_OBJECTS: Metric = Metric::counter(
    "millrace_garbage_objects_deleted_total",
    Unit::Count,
    "Objects deleted because nothing named them.",
    &[],
);

/// Bytes of them.
pub const RECLAIMED_BYTES: Metric = Metric::counter(
    "millrace_reclaimed_bytes_total",
    Unit::Bytes,
    "Bytes of the objects that were deleted, as far as they had been committed.",
    &[],
);

/// Keys deleted of processes that are gone.
pub const ORPHAN_KEYS_DELETED: Metric = Metric::counter(
    "millrace_orphan_keys_deleted_total",
    Unit::Count,
    "Keys deleted at which a departed process may have left an object that it did not commit. Most were empty.",
    &[],
);

/// Keys that may hold orphans.
pub const ORPHAN_KEYS: Metric = Metric::gauge(
    "millrace_orphan_keys",
    Unit::Count,
    "Keys at which a departed process may have left an object that it did not commit, and that are not deleted yet.",
    &[],
);

/// Objects that wait to be deleted.
pub const GARBAGE_WAITING: Metric = Metric::gauge(
    "millrace_garbage_objects",
    Unit::Count,
    "Objects that nothing names and that are not deleted yet.",
    &[],
);

/// Bytes of them.
pub const GARBAGE_BYTES: Metric = Metric::gauge(
    "millrace_garbage_bytes",
    Unit::Bytes,
    "Bytes of the objects that nothing names and that are not deleted yet.",
    &[],
);

/// Small objects that wait to be rewritten.
pub const BACKLOG_OBJECTS: Metric = Metric::gauge(
    "millrace_compaction_backlog_objects",
    Unit::Count,
    "Small objects that wait to be rewritten.",
    &[],
);

/// Bytes in them.
pub const BACKLOG_BYTES: Metric = Metric::gauge(
    "millrace_compaction_backlog_bytes",
    Unit::Bytes,
    "Bytes of records in small objects that wait to be rewritten.",
    &[],
);

/// Age of the oldest of them.
pub const BACKLOG_AGE: Metric = Metric::gauge(
    "millrace_compaction_backlog_age_seconds",
    Unit::Seconds,
    "Age of the oldest small object that waits to be rewritten.",
    &[],
);

/// Jobs of all processes.
pub const JOBS_RUNNING: Metric = Metric::gauge(
    "millrace_compaction_jobs",
    Unit::Count,
    "Rewriting jobs under way, in all processes.",
    &[],
);

/// Jobs finished here.
pub const JOBS_DONE: Metric = Metric::counter(
    "millrace_compaction_jobs_total",
    Unit::Count,
    "Rewriting jobs that this process finished.",
    &["kind"],
);

/// Jobs given up here.
pub const JOBS_FAILED: Metric = Metric::counter(
    "millrace_compaction_jobs_failed_total",
    Unit::Count,
    "Rewriting jobs that this process gave up.",
    &["kind"],
);

/// Bytes read.
pub const BYTES_READ: Metric = Metric::counter(
    "millrace_compaction_read_bytes_total",
    Unit::Bytes,
    "Bytes that rewriting read.",
    &["kind"],
);

/// Bytes written: over those ingested, the write amplification.
pub const BYTES_WRITTEN: Metric = Metric::counter(
    "millrace_compaction_written_bytes_total",
    Unit::Bytes,
    "Bytes of the objects that rewriting wrote; divided by the bytes produced it is the write amplification.",
    &["kind"],
);

/// Swaps that came too late.
pub const OUTDATED: Metric = Metric::counter(
    "millrace_compaction_outdated_runs_total",
    Unit::Count,
    "Runs that were rewritten in vain, because what they were made of had changed meanwhile.",
    &["kind"],
);

/// Partitions shortened by retention.
pub const RETENTION_PARTITIONS: Metric = Metric::counter(
    "millrace_retention_partitions_total",
    Unit::Count,
    "How often retention moved the log start offset of a partition.",
    &[],
);

/// Deleted topics that are kept.
pub const DELETED_TOPICS: Metric = Metric::gauge(
    "millrace_deleted_topics",
    Unit::Count,
    "Deleted topics whose records are kept, because they can be undeleted or are not gone yet.",
    &[],
);

/// Deleted topics that are gone.
pub const PURGED_TOPICS: Metric = Metric::counter(
    "millrace_purged_topics_total",
    Unit::Count,
    "Deleted topics that this process has made go for good, their time being over.",
    &[],
);

/// Damaged objects found.
pub const DAMAGED: Metric = Metric::counter(
    "millrace_damaged_objects_found_total",
    Unit::Count,
    "How often an object was found to be damaged or missing. Each is named in the log and by `millrace compactor status`.",
    &[],
);

/// Damaged objects that something names.
pub const DAMAGED_KNOWN: Metric = Metric::gauge(
    "millrace_damaged_objects",
    Unit::Count,
    "Objects that hold records and are known to be damaged or missing. Not 0 is an alarm.",
    &[],
);

/// Bytes scrubbed.
pub const SCRUBBED_BYTES: Metric = Metric::counter(
    "millrace_scrubbed_bytes_total",
    Unit::Bytes,
    "Stored bytes that were read and found to be what was written.",
    &[],
);

/// The oldest byte not verified.
pub const SCRUB_AGE: Metric = Metric::gauge(
    "millrace_scrub_oldest_unverified_seconds",
    Unit::Seconds,
    "How long ago the byte was written or verified that was not verified for longest.",
    &[],
);

/// Extents.
pub const EXTENTS: Metric = Metric::gauge(
    "millrace_metadata_extents",
    Unit::Count,
    "Extents in the metadata: runs of records that a reader asks the store for one by one.",
    &[],
);

/// Bytes stored.
pub const LIVE_BYTES: Metric = Metric::gauge(
    "millrace_live_bytes",
    Unit::Bytes,
    "Bytes of records that the metadata names.",
    &[],
);

/// Bytes of objects that something names.
pub const OBJECT_BYTES: Metric = Metric::gauge(
    "millrace_object_bytes",
    Unit::Bytes,
    "Bytes of the objects that the metadata names: with what is of no use in them any more.",
    &[],
);

/// What a cold read costs.
pub const COLD_READ_REQUESTS: Metric = Metric::gauge(
    "millrace_cold_read_requests_per_gib",
    Unit::Count,
    "How many GETs a reader from the beginning needs for a GiB of records, as the records lie now.",
    &[],
);

/// What a cold read reads besides.
pub const COLD_READ_BYTES: Metric = Metric::gauge(
    "millrace_cold_read_amplification",
    Unit::Count,
    "How many bytes the reader of one partition from the beginning makes an agent read for one byte delivered, as the records lie now.",
    &[],
);

/// Size of the metadata.
pub const METADATA_BYTES: Metric = Metric::gauge(
    "millrace_metadata_bytes",
    Unit::Bytes,
    "Size of the newest checkpoint of the metadata, which every process holds in memory.",
    &[],
);

/// Relative to what it describes.
pub const METADATA_PER_GIB: Metric = Metric::gauge(
    "millrace_metadata_bytes_per_gib",
    Unit::Bytes,
    "Size of the newest checkpoint of the metadata for each GiB of records.",
    &[],
);

/// What storage costs.
pub const STORAGE_DOLLARS: Metric = Metric::gauge(
    "millrace_storage_dollars_per_day",
    Unit::Count,
    "What keeping the objects costs in a day, in dollars, garbage that waits to be deleted included.",
    &[],
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[
    GARBAGE_OBJECTS,
    RECLAIMED_BYTES,
    ORPHAN_KEYS_DELETED,
    ORPHAN_KEYS,
    GARBAGE_BYTES,
    GARBAGE_WAITING,
    BACKLOG_OBJECTS,
    BACKLOG_BYTES,
    BACKLOG_AGE,
    JOBS_RUNNING,
    JOBS_DONE,
    JOBS_FAILED,
    BYTES_READ,
    BYTES_WRITTEN,
    OUTDATED,
    RETENTION_PARTITIONS,
    DELETED_TOPICS,
    PURGED_TOPICS,
    DAMAGED,
    DAMAGED_KNOWN,
    SCRUBBED_BYTES,
    SCRUB_AGE,
    EXTENTS,
    LIVE_BYTES,
    OBJECT_BYTES,
    COLD_READ_REQUESTS,
    COLD_READ_BYTES,
    METADATA_BYTES,
    METADATA_PER_GIB,
    STORAGE_DOLLARS,
];

/// Tells the installed recorder what the metrics of this crate are.
pub fn describe() {
    metric::describe(ALL);
}

/// The value of the `kind` label.
pub(crate) fn label(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Layout => "layout",
        JobKind::Merge => "merge",
        JobKind::Clean => "clean",
    }
}

/// Counts a finished job.
pub(crate) fn count(kind: JobKind, done: &Rewritten) {
    let kind = label(kind);
    metrics::counter!(JOBS_DONE.name, "kind" => kind).increment(1);
    metrics::counter!(BYTES_READ.name, "kind" => kind).increment(done.bytes_read);
    metrics::counter!(BYTES_WRITTEN.name, "kind" => kind).increment(done.bytes_written);
    metrics::counter!(OUTDATED.name, "kind" => kind).increment(done.outdated);
}
