//! What the network side counts. Handles are looked up once and kept.

use std::sync::OnceLock;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::metric_definitions::{
    CONNECTIONS, CONNECTIONS_REFUSED, NETWORK_IN_BYTES, NETWORK_OUT_BYTES, REQUEST_SECONDS,
    REQUESTS, REQUESTS_BYTES, REQUESTS_REFUSED,
};
use crate::wire::api_name;

/// One more than the highest API key.
const API_KEYS: usize = 93;

/// The handles of one server.
pub(super) struct ServerMetrics {
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) held_bytes: Gauge,
    pub(super) requests_refused: Counter,
    pub(super) connections_refused: Counter,
    connections: Gauge,
    apis: Vec<OnceLock<ApiMetrics>>,
}

struct ApiMetrics {
    answered: Counter,
    seconds: Histogram,
}

impl ServerMetrics {
    pub(super) fn new() -> Self {
        Self {
            bytes_in: counter!(NETWORK_IN_BYTES.name),
            bytes_out: counter!(NETWORK_OUT_BYTES.name),
            held_bytes: gauge!(REQUESTS_BYTES.name),
            requests_refused: counter!(REQUESTS_REFUSED.name),
            connections_refused: counter!(CONNECTIONS_REFUSED.name),
            connections: gauge!(CONNECTIONS.name),
            apis: std::iter::repeat_with(OnceLock::new)
                .take(API_KEYS)
                .collect(),
        }
    }

    /// Counts a connection for as long as the result lives.
    pub(super) fn connected(&self) -> Connected {
        self.connections.increment(1);
        Connected(self.connections.clone())
    }

    /// Counts a request that was answered with `error_code` after `took`.
    pub(super) fn answered(&self, api_key: ApiKey, took: Duration, error_code: i16) {
        let api = api_name(api_key);
        if let Some(cell) = self.apis.get(api_key as usize) {
            let known = cell.get_or_init(|| ApiMetrics {
                answered: counter!(REQUESTS.name, "api" => api, "error" => "0"),
                seconds: histogram!(REQUEST_SECONDS.name, "api" => api),
            });
            known.seconds.record(took);
            if error_code == 0 {
                return known.answered.increment(1);
            }
        }
        counter!(REQUESTS.name, "api" => api, "error" => error_code.to_string()).increment(1);
    }
}

/// A connection that is counted.
pub(super) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
