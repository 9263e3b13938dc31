//! The metrics of the compactor.

use metrics::Unit;
use runtime::telemetry::metric::{self, Metric};

/// Objects deleted.
pub const GARBAGE_OBJECTS: Metric = Metric::counter(
    "millrace_garbage_objects_deleted_total",
    Unit::Count,
    "Objects deleted because nothing named them.",
    &[],
);

/// Objects that wait to be deleted.
pub const GARBAGE_WAITING: Metric = Metric::gauge(
    "millrace_garbage_objects",
    Unit::Count,
    "Objects that nothing names and that are not deleted yet.",
    &[],
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[GARBAGE_OBJECTS, GARBAGE_WAITING];

/// Tells the installed recorder what the metrics of this crate are.
pub fn describe() {
    metric::describe(ALL);
}
