//! The bounds of the network side, named after Kafka's settings where Kafka has them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds on connections and requests. Every field has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// Largest request in bytes (`socket.request.max.bytes`); a larger one closes the connection.
    pub request_bytes_max: usize,
    /// Bytes of requests held at once over all connections (`queued.max.request.bytes`). Past it
    /// sockets are not read. At most one request larger than 1 MiB may be held beyond it.
    pub requests_bytes_max: usize,
    /// Requests of one connection that may wait for their responses; then it is not read.
    pub in_flight_max: usize,
    /// Connections open at once (`max.connections`); more are closed as they come.
    pub connections_max: usize,
    /// Milliseconds without a request after which a connection is closed
    /// (`connections.max.idle.ms`).
    pub idle_ms: u64,
    /// Milliseconds for which a client may read nothing of a response before it is cut off.
    pub write_stall_ms: u64,
    /// Milliseconds for which the rest of a begun request may take, plus a second for each 64 KiB.
    pub read_stall_ms: u64,
    /// Milliseconds for finishing what is in flight when a connection or the listener closes.
    pub drain_ms: u64,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            request_bytes_max: 100 << 20,
            requests_bytes_max: 512 << 20,
            in_flight_max: 128,
            connections_max: 10_000,
            idle_ms: 600_000,
            write_stall_ms: 60_000,
            read_stall_ms: 30_000,
            drain_ms: 10_000,
        }
    }
}

impl NetConfig {
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(super) fn write_stall(&self) -> Duration {
        Duration::from_millis(self.write_stall_ms)
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
