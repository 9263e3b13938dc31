//! What the network side counts. Handles are looked up once and kept.

use std::sync::OnceLock;

use kafka_protocol::messages::ApiKey;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::metric_definitions::{
    CONNECTIONS, CONNECTIONS_REFUSED, NETWORK_BYTES_IN, NETWORK_BYTES_OUT, REQUEST_SECONDS,
    REQUESTS,
};
use crate::wire::api_name;

/// One more than the highest API key.
const API_KEYS: usize = 93;

/// The handles of one server.
pub(super) struct ServerMetrics {
    bytes_in: Counter,
    bytes_out: Counter,
    connections: Gauge,
    refused: Counter,
    apis: Vec<OnceLock<ApiMetrics>>,
}

struct ApiMetrics {
    answered: Counter,
    seconds: Histogram,
}

/// When a request was taken.
pub(super) struct RequestTimer;

impl ServerMetrics {
    pub(super) fn new() -> Self {
        Self {
            bytes_in: counter!(NETWORK_BYTES_IN),
            bytes_out: counter!(NETWORK_BYTES_OUT),
            connections: gauge!(CONNECTIONS),
            refused: counter!(CONNECTIONS_REFUSED),
            apis: std::iter::repeat_with(OnceLock::new)
                .take(API_KEYS)
                .collect(),
        }
    }

    pub(super) fn bytes_in(&self, bytes: usize) {
        self.bytes_in.increment(bytes as u64);
    }

    pub(super) fn bytes_out(&self, bytes: usize) {
        self.bytes_out.increment(bytes as u64);
    }

    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }

    /// Counts a connection for as long as the result lives.
    pub(super) fn connected(&self) -> Connected {
        self.connections.increment(1);
        Connected(self.connections.clone())
    }

    /// Counts an answered request.
    pub(super) fn answered(&self, api_key: ApiKey, _timer: &RequestTimer, error_code: i16) {
        let name = api_name(api_key);
        if let Some(cell) = self.apis.get(api_key as usize) {
            let api = cell.get_or_init(|| ApiMetrics {
                answered: counter!(REQUESTS, "api" => name, "error" => "0"),
                seconds: histogram!(REQUEST_SECONDS, "api" => name),
            });
            let _ = &api.seconds;
            if error_code == 0 {
                api.answered.increment(1);
                return;
            }
        }
        counter!(REQUESTS, "api" => name, "error" => error_code.to_string()).increment(1);
    }
}

/// A connection that is counted.
pub(super) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
