//! Calls to the leaders of share-partitions on other agents, over the connections between agents.
//!
//! Behind [`PEER_MAGIC`] a connection carries one call after the other, each answered before the next:
//! length in four big-endian bytes, then key and call, or the answer, in postcard. A call whose answer
//! does not come may have had its effect: what it acquired is released when its lock times out, and an
//! acknowledgement is then one whose outcome the client does not know, as with any lost response.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ShareError;
use super::call::{Answer, Call, ShareKey};
use super::registry::Shares;

/// What an agent that calls says first. No position of the metadata log is so large.
pub(crate) const PEER_MAGIC: u64 = 0xffff_5348_4152_4501;

/// Largest call or answer.
const FRAME_BYTES_MAX: usize = 8 << 20;

/// Connections without a call that are kept to one peer.
const IDLE_MAX: usize = 16;

/// The connections of this agent to the others.
#[derive(Debug)]
pub(super) struct Peers {
    timeout: Duration,
    idle: Mutex<HashMap<String, Vec<TcpStream>>>,
}

impl Peers {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            idle: Mutex::default(),
        }
    }

    /// Asks the leader of a share-partition at a peer.
    pub(super) async fn ask(
        &self,
        peer: &str,
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
                tracing::debug!(peer, %error, "a call of a peer failed");
                return Err(ShareError::NotLeader);
            }
            Err(_) => {
                tracing::debug!(peer, "a peer did not answer a call in time");
                return Err(ShareError::NotLeader);
            }
        };
        postcard::from_bytes(&answer).unwrap_or(Err(ShareError::NotLeader))
    }

    async fn exchange(&self, peer: &str, question: &[u8]) -> std::io::Result<Vec<u8>> {
        // A connection may have been closed while it was idle. Then nothing was answered, and the
        // question may be put again: a leader that is gone has no memory of the first.
        let idle = self.idle.lock().get_mut(peer).and_then(Vec::pop);
        let mut stream = match idle.filter(is_open) {
            Some(stream) => stream,
            None => {
                let mut stream = TcpStream::connect(peer).await?;
                stream.set_nodelay(true)?;
                stream.write_u64(PEER_MAGIC).await?;
                stream
            }
        };
        write_frame(&mut stream, question).await?;
        let answer = read_frame(&mut stream).await?;
        let mut idle = self.idle.lock();
        let idle = idle.entry(peer.to_owned()).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(stream);
        }
        Ok(answer)
    }
}

/// Whether the other side has neither closed a connection nor said something unasked.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

async fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    stream.write_all(&bytes).await
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > FRAME_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![];
    // Grows with what comes, whatever the length says.
    (&mut *stream)
        .take(length as u64)
        .read_to_end(&mut frame)
        .await?;
    match frame.len() == length {
        true => Ok(frame),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Shares {
    /// Answers the calls of a peer until it has no more.
    pub(crate) async fn serve_peer(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        while let Ok(frame) = read_frame(&mut stream).await {
            let question: Result<(ShareKey, Call), _> = postcard::from_bytes(&frame);
            let Ok((key, call)) = question else {
                return;
            };
            let answer = self.answer_peer(&key, call).await;
            let Ok(answer) = postcard::to_stdvec(&answer) else {
                return;
            };
            if write_frame(&mut stream, &answer).await.is_err() {
                return;
            }
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
