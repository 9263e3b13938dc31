//! What is known about one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

/// Longest rack that is remembered: the longest zone an agent can be in.
const RACK_BYTES_MAX: usize = 255;

/// How often in how long a client is told to read elsewhere.
const SENT_AWAY_MAX: u32 = 8;
const SEND_AWAY_AGAIN: Duration = Duration::from_secs(10);

/// How often a client has been told to read elsewhere lately.
#[derive(Debug, Default)]
struct SentAway {
    since: Duration,
    times: u32,
}

/// The library a client says it is built on, from ApiVersions 3 and later (KIP-511).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSoftware {
    /// Such as `apache-kafka-java`.
    pub name: String,
    /// Such as `4.1.1`.
    pub version: String,
}

/// One connection, as its requests see it. Shared by all of them.
#[derive(Debug)]
pub struct ConnectionContext {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    listener: Arc<str>,
    software: RwLock<Option<Arc<ClientSoftware>>>,
    rack: RwLock<Option<Arc<str>>>,
    sent_away: Mutex<SentAway>,
    closed: CancellationToken,
}

impl ConnectionContext {
    /// The context of connection number `id`, accepted on the listener named `listener`.
    pub fn new(id: u64, peer: SocketAddr, local: SocketAddr, listener: Arc<str>) -> Self {
        Self {
            id,
            peer,
            local,
            listener,
            software: RwLock::new(None),
            rack: RwLock::new(None),
            sent_away: Mutex::default(),
            closed: CancellationToken::new(),
        }
    }

    /// The number of the connection, unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The address of the client.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address the client connected to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The name of the listener that accepted the connection.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// The client's library, once an ApiVersions request has named it.
    pub fn software(&self) -> Option<Arc<ClientSoftware>> {
        self.software.read().clone()
    }

    /// Remembers the client's library.
    pub fn set_software(&self, software: ClientSoftware) {
        *self.software.write() = Some(Arc::new(software));
    }

    /// The client's `client.rack`, once a request has named it.
    pub fn rack(&self) -> Option<Arc<str>> {
        self.rack.read().clone()
    }

    /// Remembers the client's rack; one longer than a zone can be is none.
    pub fn set_rack(&self, rack: &str) {
        let is_known = self.rack.read().as_deref() == Some(rack);
        if !is_known && !rack.is_empty() && rack.len() <= RACK_BYTES_MAX {
            *self.rack.write() = Some(rack.into());
        }
    }

    /// Whether the client may be told at the time `now` to read elsewhere. One that comes back again and again cannot,
    /// or does not understand, and must be served here.
    pub fn may_send_away(&self, now: Duration) -> bool {
        let mut sent = self.sent_away.lock();
        if now.saturating_sub(sent.since) >= SEND_AWAY_AGAIN {
            *sent = SentAway {
                since: now,
                times: 0,
            };
        }
        sent.times = sent.times.saturating_add(1);
        sent.times <= SENT_AWAY_MAX
    }

    /// Cancelled when the connection has ended.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
