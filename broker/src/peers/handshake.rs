//! How two agents show each other that they are of one cluster: both know its secret, and neither says it.
//!
//! ```text
//! asker -> owner   version, who asks, who is asked, nonce of the asker
//! owner -> asker   version, nonce of the owner, HMAC-SHA256 over "owner" and all that was said
//! asker -> owner   HMAC-SHA256 over "asker" and all that was said
//! ```
//! Nothing after it is encrypted, and only what goes into the metadata is signed, see [`super::sealed`]: who can change
//! what is on the wire is not kept from records, which their checksums protect from accidents only.

use control_plane::cluster::PeerSecret;
use hmac::{Hmac, KeyInit, Mac};
use object_format::AgentEpoch;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The version of all that is said on such a connection.
const VERSION: u8 = 1;

const NONCE_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
const HELLO_BYTES: usize = 1 + 8 + 8 + NONCE_BYTES;
const CHALLENGE_BYTES: usize = 1 + NONCE_BYTES + MAC_BYTES;

/// Something nobody has said before.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// By which the frames of one connection are told from those of another.
#[derive(Clone)]
pub(crate) struct SessionKey([u8; MAC_BYTES]);

impl SessionKey {
    #[cfg(test)]
    pub fn new(bytes: [u8; MAC_BYTES]) -> Self {
        Self(bytes)
    }

    /// A code of what is to be shown to be of the connection.
    pub fn mac(&self) -> Hmac<Sha256> {
        keyed(&self.0)
    }
}

fn keyed(key: &[u8; MAC_BYTES]) -> Hmac<Sha256> {
    // HMAC fills a short key up with zeros itself (RFC 2104).
    let mut filled = [0; 64];
    filled[..MAC_BYTES].copy_from_slice(key);
    Hmac::<Sha256>::new(&filled.into())
}

/// Why a connection is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// It ended.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The other side is of another build.
    #[error("version {0} of the protocol between agents is not known here")]
    Version(u8),
    /// The address is another agent's by now.
    #[error("agent {0} is asked for, which this is not")]
    NotMe(AgentEpoch),
    /// The other side does not know the secret.
    #[error("the other side does not know the secret of the cluster")]
    Refused,
}

impl From<HandshakeError> for std::io::Error {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// Which side says it.
#[derive(Clone, Copy)]
enum Role {
    Asker,
    Owner,
    /// Neither: what both use for the frames that follow.
    Session,
}

/// What both sides have said.
struct Said {
    hello: [u8; HELLO_BYTES],
    nonce: Nonce,
}

impl Said {
    fn mac(&self, secret: &PeerSecret, role: Role) -> Hmac<Sha256> {
        let label: &[u8] = match role {
            Role::Asker => b"millrace peers asker",
            Role::Owner => b"millrace peers owner",
            Role::Session => b"millrace peers session",
        };
        let mut mac = keyed(secret.bytes());
        mac.update(label);
        mac.update(&self.hello);
        mac.update(&self.nonce);
        mac
    }

    fn proof(&self, secret: &PeerSecret, role: Role) -> [u8; MAC_BYTES] {
        self.mac(secret, role).finalize().into_bytes().into()
    }

    fn session_key(&self, secret: &PeerSecret) -> SessionKey {
        SessionKey(self.proof(secret, Role::Session))
    }

    /// In constant time.
    fn check(&self, secret: &PeerSecret, role: Role, proof: &[u8]) -> Result<(), HandshakeError> {
        let checked = self.mac(secret, role).verify_slice(proof);
        checked.map_err(|_| HandshakeError::Refused)
    }
}

/// As the agent `own` that asks `owner`.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    secret: &PeerSecret,
    (own, owner): (AgentEpoch, AgentEpoch),
    nonce: Nonce,
) -> Result<SessionKey, HandshakeError> {
    let mut hello = [0; HELLO_BYTES];
    hello[0] = VERSION;
    hello[1..9].copy_from_slice(&own.0.to_be_bytes());
    hello[9..17].copy_from_slice(&owner.0.to_be_bytes());
    hello[17..].copy_from_slice(&nonce);
    stream.write_all(&hello).await?;
    let mut challenge = [0; CHALLENGE_BYTES];
    stream.read_exact(&mut challenge).await?;
    if challenge[0] != VERSION {
        return Err(HandshakeError::Version(challenge[0]));
    }
    let (nonce, proof) = challenge[1..].split_at(NONCE_BYTES);
    let mut said = Said {
        hello,
        nonce: [0; NONCE_BYTES],
    };
    said.nonce.copy_from_slice(nonce);
    said.check(secret, Role::Owner, proof)?;
    stream.write_all(&said.proof(secret, Role::Asker)).await?;
    Ok(said.session_key(secret))
}

/// As the agent `own` that is asked. Gives who asks as well.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    secret: &PeerSecret,
    own: AgentEpoch,
    nonce: Nonce,
) -> Result<(AgentEpoch, SessionKey), HandshakeError> {
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello[..1]).await?;
    if hello[0] != VERSION {
        return Err(HandshakeError::Version(hello[0]));
    }
    stream.read_exact(&mut hello[1..]).await?;
    let epoch = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hello[at..at + 8]);
        AgentEpoch(u64::from_be_bytes(bytes))
    };
    let (asker, owner) = (epoch(1), epoch(9));
    if owner != own {
        return Err(HandshakeError::NotMe(owner));
    }
    let said = Said { hello, nonce };
    let mut challenge = [0; CHALLENGE_BYTES];
    challenge[0] = VERSION;
    challenge[1..=NONCE_BYTES].copy_from_slice(&nonce);
    challenge[1 + NONCE_BYTES..].copy_from_slice(&said.proof(secret, Role::Owner));
    stream.write_all(&challenge).await?;
    let mut proof = [0; MAC_BYTES];
    stream.read_exact(&mut proof).await?;
    said.check(secret, Role::Asker, &proof)?;
    Ok((asker, said.session_key(secret)))
}

#[cfg(test)]
mod tests;
