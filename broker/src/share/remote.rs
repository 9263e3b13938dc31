//! Calls to the leaders of share-partitions on other agents, over the connections between agents.
//!
//! A connection carries one call after the other, each answered before the next, in frames of
//! [`crate::peers`]: key and call, or the answer, in postcard. A call whose answer
//! does not come may have had its effect: what it acquired is released when its lock times out, and an
//! acknowledgement is then one whose outcome the client does not know, as with any lost response.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use object_format::AgentEpoch;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ShareError;
use super::call::{Answer, Call, ShareKey};
use super::registry::Shares;
use crate::peers::{Keys, Sealed};

/// What an agent that calls says first. No position of the metadata log is so large.
pub(crate) const PEER_MAGIC: u64 = 0xffff_5348_4152_4502;

/// Largest call or answer.
const FRAME_BYTES_MAX: usize = 8 << 20;

/// Connections without a call that are kept to one peer.
const IDLE_MAX: usize = 16;

/// Another agent.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub agent: AgentEpoch,
    pub address: String,
}

/// The connections of this agent to the others. Without keys nobody is asked.
pub(super) struct Peers {
    timeout: Duration,
    keys: Option<Keys>,
    idle: Mutex<HashMap<AgentEpoch, Vec<Sealed<TcpStream>>>>,
}

impl Peers {
    pub(super) fn new(timeout: Duration, keys: Option<Keys>) -> Self {
        Self {
            timeout,
            keys,
            idle: Mutex::default(),
        }
    }

    /// Asks the leader of a share-partition at a peer.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        key: &ShareKey,
        call: &Call,
    ) -> Result<Answer, ShareError> {
        let question = postcard::to_stdvec(&(key, call)).map_err(|_| ShareError::InvalidRequest)?;
        if question.len() > FRAME_BYTES_MAX {
            return Err(ShareError::InvalidRequest);
        }
        let answer = timeout(self.timeout, self.exchange(peer, &question)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(?peer, %error, "a call of a peer failed");
                return Err(ShareError::NotLeader);
            }
            Err(_) => {
                tracing::debug!(?peer, "a peer did not answer a call in time");
                return Err(ShareError::NotLeader);
            }
        };
        postcard::from_bytes(&answer).unwrap_or(Err(ShareError::NotLeader))
    }

    async fn exchange(&self, peer: &Peer, question: &[u8]) -> std::io::Result<Bytes> {
        // A connection may have been closed while it was idle. Then nothing was answered, and the
        // question may be put again: a leader that is gone has no memory of the first.
        let idle = self.idle.lock().get_mut(&peer.agent).and_then(Vec::pop);
        let mut line = match idle.filter(|line| is_open(line.stream())) {
            Some(line) => line,
            None => {
                self.forget_closed();
                let keys = self.keys.as_ref();
                let keys = keys.ok_or(std::io::ErrorKind::Unsupported)?;
                let known = keys.connect(peer.agent, &peer.address, PEER_MAGIC).await?;
                Sealed::asker(known.0, &known.1)
            }
        };
        line.write(&[question]).await?;
        let answer = line.read(FRAME_BYTES_MAX).await?;
        let mut idle = self.idle.lock();
        let idle = idle.entry(peer.agent).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(line);
        }
        Ok(answer)
    }

    /// Agents come and go: what those that are gone have closed is not kept.
    fn forget_closed(&self) {
        self.idle.lock().retain(|_, lines| {
            lines.retain(|line| is_open(line.stream()));
            !lines.is_empty()
        });
    }
}

/// Whether the other side has neither closed a connection nor said something unasked.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

impl Shares {
    /// Answers the calls of a peer until it has no more.
    ///
    /// # Errors
    /// The connection's, and what is no call.
    pub(crate) async fn serve_peer(&self, mut line: Sealed<TcpStream>) -> std::io::Result<()> {
        loop {
            let question = line.read(FRAME_BYTES_MAX).await?;
            let question = postcard::from_bytes(&question).map_err(std::io::Error::other)?;
            let (key, call): (ShareKey, Call) = question;
            let answer = self.answer_peer(&key, call).await;
            let answer = postcard::to_stdvec(&answer).map_err(std::io::Error::other)?;
            line.write(&[&answer]).await?;
        }
    }

    /// Only asked of who leads: what a peer asks for must not make a second leader, nor go round.
    async fn answer_peer(&self, key: &ShareKey, call: Call) -> Result<Answer, ShareError> {
        let own = self.0.session.epoch();
        let leads = |state: &control_plane::state::State| {
            let lease = state.share_leader(&key.group, key.partition);
            lease.is_some_and(|lease| lease.leader == own)
        };
        match self.0.session.replica().read(leads) {
            true => self.ask_here(key, call).await,
            false => Err(ShareError::NotLeader),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::peers::handshake::SessionKey;

    #[tokio::test]
    async fn connections_to_agents_that_are_gone_are_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peers = Peers::new(Duration::from_secs(1), None);
        let mut others = Vec::new();
        for agent in 1..=2 {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
            let line = Sealed::asker(stream.unwrap(), &SessionKey::new([1; 32]));
            peers.idle.lock().insert(AgentEpoch(agent), vec![line]);
            others.push(listener.accept().await.unwrap().0);
        }
        drop(others.pop());
        let gone = peers.idle.lock().remove(&AgentEpoch(2)).unwrap();
        gone[0].stream().readable().await.unwrap();
        peers.idle.lock().insert(AgentEpoch(2), gone);
        peers.forget_closed();
        let kept: Vec<AgentEpoch> = peers.idle.lock().keys().copied().collect();
        assert_eq!(kept, [AgentEpoch(1)]);
        drop(peers);
        assert_eq!(others[0].read(&mut [0]).await.unwrap(), 0, "it was open");
    }
}
