//! The bounds of the network side, and the settings that set them.

use std::time::Duration;

use runtime::settings::{Kind, Resolved, Setting};

use super::budget::SPARE_BYTES;

const REQUEST_BYTES: &str = "socket.request.max.bytes";
const REQUESTS_BYTES: &str = "queued.max.request.bytes";
const IN_FLIGHT: &str = "connections.max.in.flight.requests";
const CONNECTIONS: &str = "max.connections";
const IDLE: &str = "connections.max.idle.ms";
const READ_STALL: &str = "connections.read.stall.ms";
const WRITE_STALL: &str = "connections.write.stall.ms";
const DRAIN: &str = "connections.drain.ms";

const HOUR_MS: i64 = 3_600_000;
const STALL_MS: Kind = Kind::DurationMs {
    min: 1,
    max: HOUR_MS,
};

/// The settings that [`NetConfig::from_settings`] reads.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        REQUEST_BYTES,
        Kind::Bytes {
            min: 1 << 10,
            max: i32::MAX as i64,
        },
        "100MiB",
        "The largest request. A larger one closes its connection.",
    ),
    Setting::new(
        REQUESTS_BYTES,
        Kind::Bytes {
            min: 1 << 20,
            max: 1 << 44,
        },
        "512MiB",
        "How much memory the requests of all connections together may take. Past it sockets are \
         not read until requests have been answered. One large request may go beyond it.",
    ),
    Setting::new(
        IN_FLIGHT,
        Kind::Int {
            min: 1,
            max: 100_000,
        },
        "128",
        "How many requests of one connection may wait for their responses before it is no longer \
         read.",
    ),
    Setting::new(
        CONNECTIONS,
        Kind::Int {
            min: 1,
            max: 10_000_000,
        },
        "10000",
        "How many connections may be open at once. More are closed as they come.",
    ),
    Setting::new(
        IDLE,
        Kind::DurationMs {
            min: 1,
            max: i64::MAX,
        },
        "10m",
        "How long a connection may be open without a request before it is closed.",
    ),
    Setting::new(
        READ_STALL,
        STALL_MS,
        "30s",
        "How long the rest of a request may take once it has begun, plus a second for each 64 KiB.",
    ),
    Setting::new(
        WRITE_STALL,
        STALL_MS,
        "60s",
        "How long a client may take nothing of the responses it is sent before it is cut off.",
    ),
    Setting::new(
        DRAIN,
        STALL_MS,
        "10s",
        "How long requests that have been read may still be answered when their client has closed \
         the connection or the broker is shutting down.",
    ),
];

/// Bounds on connections and requests. The defaults are those of [`SETTINGS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetConfig {
    /// The largest request in bytes, without its length prefix.
    pub request_bytes_max: usize,
    /// Bytes of memory for the requests of all connections together.
    pub requests_bytes_max: usize,
    /// Unanswered requests of one connection.
    pub in_flight_max: usize,
    /// Connections open at once.
    pub connections_max: usize,
    /// How long a connection may be open without a request.
    pub idle: Duration,
    /// How long the rest of a begun request may take, plus a second for each 64 KiB.
    pub read_stall: Duration,
    /// How long a client may take nothing of what it is sent.
    pub write_stall: Duration,
    /// How long requests that have been read may be answered when no more will be.
    pub drain: Duration,
}

impl NetConfig {
    /// The bounds that the settings say, which must hold [`SETTINGS`].
    pub fn from_settings(settings: &Resolved) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let count = |count: i64| usize::try_from(count).unwrap_or(1);
        Self {
            request_bytes_max: size(settings.bytes(REQUEST_BYTES)),
            requests_bytes_max: size(settings.bytes(REQUESTS_BYTES)),
            in_flight_max: count(settings.int(IN_FLIGHT)),
            connections_max: count(settings.int(CONNECTIONS)),
            idle: settings.duration(IDLE),
            read_stall: settings.duration(READ_STALL),
            write_stall: settings.duration(WRITE_STALL),
            drain: settings.duration(DRAIN),
        }
    }

    /// The most memory that requests take: the budget, a request that goes beyond it, and what is spared for small ones.
    pub fn memory_bytes_max(&self) -> u64 {
        let beyond = self.request_bytes_max.min(self.requests_bytes_max);
        [self.requests_bytes_max, beyond, SPARE_BYTES]
            .iter()
            .map(|bytes| *bytes as u64)
            .sum()
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            request_bytes_max: 100 << 20,
            requests_bytes_max: 512 << 20,
            in_flight_max: 128,
            connections_max: 10_000,
            idle: Duration::from_secs(600),
            read_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_and_the_defaults_agree() {
        let resolved = runtime::Settings::resolve(SETTINGS, None, [], vec![]).unwrap();
        assert_eq!(NetConfig::from_settings(&resolved), NetConfig::default());
    }
}
