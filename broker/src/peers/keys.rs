//! Connections between agents that show each other that they are of one cluster.

use control_plane::cluster::PeerSecret;
use object_format::AgentEpoch;
use runtime::Rng;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::handshake::{self, HandshakeError, Nonce, SessionKey};
use super::{PEER_TIMEOUT, in_time};

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
        in_time(PEER_TIMEOUT, connect).await
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
        let asked = handshake::ask(stream, &self.secret, own, self.nonce());
        in_time(PEER_TIMEOUT, asked).await
    }

    /// As who was connected to. Gives who connected as well.
    pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<(AgentEpoch, SessionKey), HandshakeError> {
        let answered = handshake::answer(stream, &self.secret, self.own, self.nonce());
        in_time(PEER_TIMEOUT, answered).await
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = Nonce::default();
        self.rng.fill(&mut nonce);
        nonce
    }
}
