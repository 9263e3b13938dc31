//! A listening socket and the tasks of its connections.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Shutdown, Trouble};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info};

use super::{ConnectionContext, Server, Service};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// How long accepting rests after it failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How much longer than the connections' own drain time the listener waits for them.
const DRAIN_SLACK: Duration = Duration::from_secs(1);

/// A bound listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    name: Arc<str>,
}

impl Listener {
    /// Binds the first of the addresses that `address` names; port 0 takes a free one. `name` is
    /// what the listener is called in the log.
    ///
    /// # Errors
    /// If `address` names nothing or cannot be bound.
    pub async fn bind(name: &str, address: impl ToSocketAddrs) -> Result<Self, Error> {
        let mut failure = Error::new(ErrorKind::InvalidInput, "the name has no address");
        for address in lookup_host(address).await? {
            match bind_one(address) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        name: name.into(),
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The address that is listened on, with the port that was taken.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.socket.local_addr()
    }

    /// Serves connections until `shutdown` begins; then accepts no more, lets the open ones answer
    /// what they have read, and returns when all are closed.
    pub async fn run<S: Service>(self, server: Arc<Server<S>>, shutdown: Shutdown) {
        let mut connections = JoinSet::new();
        let accepting = self.accept(&server, &shutdown, &mut connections);
        shutdown.unless_begun(accepting).await;
        let name = self.name;
        drop(self.socket);
        info!(listener = %name, connections = connections.len(), "no longer listening");
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if timeout(server.config().drain + DRAIN_SLACK, drained)
            .await
            .is_err()
        {
            connections.shutdown().await;
        }
    }

    async fn accept<S: Service>(
        &self,
        server: &Arc<Server<S>>,
        shutdown: &Shutdown,
        connections: &mut JoinSet<()>,
    ) {
        let failing = Trouble::new("cannot accept connections", server.clock().clone());
        loop {
            tokio::select! {
                Some(ended) = connections.join_next() => report(ended),
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        failing.over();
                        self.begin(server, stream, peer, shutdown, connections);
                    }
                    Err(error) => {
                        failing.report(&error);
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn begin<S: Service>(
        &self,
        server: &Arc<Server<S>>,
        stream: TcpStream,
        peer: SocketAddr,
        shutdown: &Shutdown,
        connections: &mut JoinSet<()>,
    ) {
        let Some(place) = server.admit() else { return };
        let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
            Ok(local) => local,
            Err(error) => return debug!(%peer, %error, "connection lost"),
        };
        let id = server.next_id();
        let context = Arc::new(ConnectionContext::new(id, peer, local, self.name.clone()));
        let (server, shutdown) = (Arc::clone(server), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            let (reader, writer) = stream.into_split();
            server.serve(reader, writer, context, &shutdown).await;
        });
    }
}

fn bind_one(address: SocketAddr) -> Result<TcpListener, Error> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A panic ends its connection and no other: what a client sends must not stop the process.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection's task panicked");
    }
}
