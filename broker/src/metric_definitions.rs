//! Every metric of the broker: its name, unit, labels and meaning.

/// Counter: requests answered. Labels: `api` (such as `Produce`), `error` (the Kafka error code of
/// the response as a whole, 0 for none).
pub const REQUESTS: &str = "millrace_requests_total";
/// Histogram, seconds: from taking a request to having written its response. Label: `api`.
pub const REQUEST_SECONDS: &str = "millrace_request_seconds";
/// Gauge: connections of clients open now.
pub const CONNECTIONS: &str = "millrace_connections";
/// Counter: connections closed on arrival because there were too many.
pub const CONNECTIONS_REFUSED: &str = "millrace_connections_refused_total";
/// Counter, bytes: received from clients in requests.
pub const NETWORK_BYTES_IN: &str = "millrace_network_in_bytes_total";
/// Counter, bytes: sent to clients in responses.
pub const NETWORK_BYTES_OUT: &str = "millrace_network_out_bytes_total";
