//! Connections between agents that show each other that they are of one cluster.

use std::io::Error;

use control_plane::cluster::PeerSecret;
use object_format::AgentEpoch;
use runtime::Rng;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PEER_TIMEOUT;
use super::handshake::{self, HandshakeError, Nonce, SessionKey};

/// By which this process is known to others.
#[derive(Clone)]
pub struct Keys {
    /// Its registration.
    pub own: AgentEpoch,
    /// The cluster's.
    pub secret: PeerSecret,
    /// One that nobody can guess.
    pub rng: Rng,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// A connection to `agent` for what `magic` stands for.
    pub(crate) async fn connect(
        &self,
        agent: AgentEpoch,
        address: &str,
        magic: u64,
    ) -> Result<(TcpStream, SessionKey), Error> {
        let connect = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let key = self.ask(&mut stream, agent, magic).await?;
            Ok((stream, key))
        };
        let connected = timeout(PEER_TIMEOUT, connect).await;
        connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// Makes this process known to `agent` on a fresh connection.
    pub(crate) async fn ask(
        &self,
        stream: &mut TcpStream,
        agent: AgentEpoch,
        magic: u64,
    ) -> Result<SessionKey, Error> {
        stream.write_u64(magic).await?;
        let known = handshake::ask(stream, &self.secret, (self.own, agent), self.nonce());
        known.await.map_err(io_error)
    }

    /// As who was connected to.
    pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<SessionKey, Error> {
        let known = handshake::answer(stream, &self.secret, self.own, self.nonce());
        let known = timeout(PEER_TIMEOUT, known).await;
        let known = known.map_err(|_| Error::from(std::io::ErrorKind::TimedOut))?;
        known.map(|(_, key)| key).map_err(io_error)
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = Nonce::default();
        self.rng.fill(&mut nonce);
        nonce
    }
}

fn io_error(error: HandshakeError) -> Error {
    match error {
        HandshakeError::Io(error) => error,
        other => Error::other(other),
    }
}
