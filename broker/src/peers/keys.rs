//! Connections between agents that show each other that they are of one cluster.

use std::io::{Error, ErrorKind};

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
    ) -> Result<(TcpStream, SessionKey), HandshakeError> {
        let connect = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let key = self.ask(&mut stream, agent, magic).await?;
            Ok((stream, key))
        };
        in_time(connect).await
    }

    /// Makes this process known to `agent` on a fresh connection.
    pub(crate) async fn ask(
        &self,
        stream: &mut TcpStream,
        agent: AgentEpoch,
        magic: u64,
    ) -> Result<SessionKey, HandshakeError> {
        stream.write_u64(magic).await?;
        let own = (self.own, agent);
        in_time(handshake::ask(stream, &self.secret, own, self.nonce())).await
    }

    /// As who was connected to. Gives who connected as well.
    pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<(AgentEpoch, SessionKey), HandshakeError> {
        in_time(handshake::answer(
            stream,
            &self.secret,
            self.own,
            self.nonce(),
        ))
        .await
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = Nonce::default();
        self.rng.fill(&mut nonce);
        nonce
    }
}

async fn in_time<T>(
    known: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    let known = timeout(PEER_TIMEOUT, known).await;
    known.unwrap_or_else(|_| Err(Error::from(ErrorKind::TimedOut).into()))
}
