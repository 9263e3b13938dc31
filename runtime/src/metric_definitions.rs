//! Owns the metrics of this crate: what the store is asked, and what the process does.

use metrics::Unit;

use crate::telemetry::metric::{self, Metric};

/// Requests to the store that have ended.
pub const STORE_REQUESTS: Metric = Metric::counter(
    "millrace_store_requests_total",
    Unit::Count,
    "Requests to the object store that have ended.",
    &["duty", "operation", "outcome"],
);

/// How long the store took to begin its answer.
pub const STORE_REQUEST_SECONDS: Metric = Metric::histogram(
    "millrace_store_request_seconds",
    Unit::Seconds,
    "Time until the object store answered; of a read, until the answer began.",
    &["duty", "operation"],
);

/// Bytes sent to the store.
pub const STORE_PUT_BYTES: Metric = Metric::counter(
    "millrace_store_put_bytes_total",
    Unit::Bytes,
    "Bytes sent to the object store.",
    &["duty"],
);

/// Bytes received from the store.
pub const STORE_GOT_BYTES: Metric = Metric::counter(
    "millrace_store_got_bytes_total",
    Unit::Bytes,
    "Bytes received from the object store.",
    &["duty"],
);

/// What requests and bytes have cost.
pub const STORE_DOLLARS: Metric = Metric::gauge(
    "millrace_store_dollars",
    Unit::Count,
    "What the requests to the object store have cost since the process began, in dollars, by the prices in the settings.",
    &["duty"],
);

/// What they cost in a day.
pub const STORE_DOLLARS_PER_DAY: Metric = Metric::gauge(
    "millrace_store_dollars_per_day",
    Unit::Count,
    "What the requests to the object store cost in a day, in dollars, at the rate of the last hour.",
    &["duty"],
);

/// Requests repeated after a failure.
pub const STORE_RETRIES: Metric = Metric::counter(
    "millrace_store_retries_total",
    Unit::Count,
    "Requests to the object store repeated after a failure, beyond what its client repeats.",
    &["reason: failed, throttled"],
);

/// Requests that took long enough to be sent a second time.
pub const STORE_HEDGES: Metric = Metric::counter(
    "millrace_store_hedges_total",
    Unit::Count,
    "Requests to the object store that took longer than 95 of 100 like them: sent again and \
     answered first by the second request (won) or the first (lost), the other being cancelled; \
     sent again and failed both times (failed); not sent again, for there had been enough (capped).",
    &["duty", "operation", "result"],
);

/// Tasks that panicked.
pub const TASK_PANICS: Metric = Metric::counter(
    "millrace_task_panics_total",
    Unit::Count,
    "Tasks that panicked; each begins the shutdown of its process.",
    &["task"],
);

/// Every metric of this crate.
pub const ALL: &[Metric] = &[
    STORE_REQUESTS,
    STORE_REQUEST_SECONDS,
    STORE_PUT_BYTES,
    STORE_GOT_BYTES,
    STORE_DOLLARS,
    STORE_DOLLARS_PER_DAY,
    STORE_RETRIES,
    STORE_HEDGES,
    TASK_PANICS,
];

/// Tells the installed recorder what the metrics of this crate are.
pub fn describe() {
    metric::describe(ALL);
}
