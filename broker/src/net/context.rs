//! What is known about one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

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

    /// Cancelled when the connection has ended.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
