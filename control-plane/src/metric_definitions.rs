//! Owns the metrics of the metadata plane.

use metrics::Unit;
use runtime::telemetry::metric::{self, Metric};

/// Health of the metadata log in FoundationDB.
pub const LOG_ANSWER_AGE_SECONDS: Metric = Metric::gauge(
    "millrace_metadata_log_answer_age_seconds",
    Unit::Seconds,
    "Time since FoundationDB last answered a call of this process. It is asked once a second at least.",
    &[],
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[LOG_ANSWER_AGE_SECONDS];

/// Tells the installed recorder what the metrics of this crate are.
pub fn describe() {
    metric::describe(ALL);
}
