//! One agent appends to the metadata log for all, so that they do not race each other for its positions: of those that
//! live, the one that registered first. Whoever finds it gone, slow or unwilling appends itself.
//!
//! ```text
//! asker -> appender   an entry
//! appender -> asker   position u64, or 0 if it was not appended or is not known to be; all that was appended there
//! ```
//! The frames are those of [`super::sealed`]. One entry after the other: a process appends no faster.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use control_plane::log::Position;
use control_plane::replica::{Relay, Replica, Session};
use control_plane::state::State;
use object_format::AgentEpoch;
use parking_lot::Mutex;
use runtime::SharedClock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::handshake::SessionKey;
use super::sealed::Sealed;
use super::{Keys, in_time};
use crate::metric_definitions as names;

/// What a process that has something to append says first.
pub(super) const MAGIC: u64 = 0xffff_4150_5045_4e01;

/// The largest entry that is appended for another.
const ENTRY_BYTES_MAX: usize = 3 << 20;

/// More than that is not told to others but read by them.
const TOLD_BYTES_MAX: usize = 256 << 10;

/// The largest frame that tells of something appended.
pub(super) const LANDED_BYTES_MAX: usize = 8 + TOLD_BYTES_MAX;

/// How long an answer may take before the asker appends its entry itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long an appender that could not be reached, or did not answer, is left alone at first; doubled each time.
const REST: Duration = Duration::from_secs(1);

/// How long at most.
const REST_MAX: Duration = Duration::from_secs(60);

/// The agent that appends for all, as far as `state` tells and but for `doubtful` ones.
fn appender(state: &State, doubtful: &BTreeSet<AgentEpoch>) -> Option<(AgentEpoch, String)> {
    let mut agents = state.agents().filter(|(epoch, agent)| {
        !agent.draining && !doubtful.contains(epoch) && !agent.registration.peer_address.is_empty()
    });
    let (epoch, agent) = agents.next()?;
    Some((epoch, agent.registration.peer_address.clone()))
}

/// Has the agent that appends for all append what this process has to say, once it is connected to it. Nothing waits for
/// a connection: meanwhile the process appends itself.
#[derive(Clone)]
pub(super) struct AppendRelay(Arc<Inner>);

struct Inner {
    session: Session,
    keys: Keys,
    clock: SharedClock,
    link: tokio::sync::Mutex<Option<Link<TcpStream>>>,
    connecting: AtomicBool,
    resting: Mutex<Option<Resting>>,
}

/// An appender that is left alone.
#[derive(Clone, Copy)]
struct Resting {
    agent: AgentEpoch,
    until: Duration,
    pause: Duration,
}

impl std::fmt::Debug for AppendRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendRelay").finish_non_exhaustive()
    }
}

impl AppendRelay {
    /// For the process of `session`.
    pub fn new(session: Session, keys: Keys, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            session,
            keys,
            clock,
            link: tokio::sync::Mutex::default(),
            connecting: AtomicBool::new(false),
            resting: Mutex::default(),
        }))
    }
}

impl Inner {
    /// Connects to an appender, unless that is under way or it is left alone.
    fn connect(self: &Arc<Self>, agent: AgentEpoch, address: String) {
        if self.rests(agent) || self.connecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            match inner.keys.connect(agent, &address, MAGIC).await {
                Ok((stream, key)) => {
                    *inner.link.lock().await = Some(Link::new(agent, stream, &key));
                }
                Err(error) => inner.leave_alone(agent, &error.into()),
            }
            inner.connecting.store(false, Ordering::Release);
        });
    }

    fn rests(&self, agent: AgentEpoch) -> bool {
        let now = self.clock.monotonic();
        let resting = *self.resting.lock();
        resting.is_some_and(|r| r.agent == agent && now < r.until)
    }

    fn leave_alone(&self, agent: AgentEpoch, error: &Error) {
        tracing::debug!(%agent, %error, "the agent that appends for all does not");
        let now = self.clock.monotonic();
        let mut resting = self.resting.lock();
        let before = resting.filter(|r| r.agent == agent);
        let pause = before.map_or(REST, |r| (r.pause * 2).min(REST_MAX));
        *resting = Some(Resting {
            agent,
            until: now + pause,
            pause,
        });
    }
}

#[async_trait]
impl Relay for AppendRelay {
    async fn append(&self, entry: &Bytes) -> Option<(Position, Bytes)> {
        let inner = &self.0;
        let doubtful = inner.session.doubtful();
        let replica = inner.session.replica();
        let (agent, address) = replica.read(|state| appender(state, &doubtful))?;
        if agent == inner.keys.own || entry.len() > ENTRY_BYTES_MAX {
            return None;
        }
        let mut kept = inner.link.lock().await;
        // Taken out: what fails or is given up on the way is not used again.
        let Some(mut link) = kept.take().filter(|link| link.agent == agent) else {
            inner.connect(agent, address);
            return None;
        };
        let asked = in_time(ANSWER_WITHIN, link.ask(entry)).await;
        let outcome = match &asked {
            Ok(Some(_)) => "appended",
            Ok(None) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!(names::APPENDS_RELAYED.name, "outcome" => outcome).increment(1);
        match asked {
            Ok(answer) => {
                *kept = Some(link);
                *inner.resting.lock() = None;
                answer
            }
            Err(error) => {
                inner.leave_alone(agent, &error);
                None
            }
        }
    }
}

/// A connection to the agent that appends.
struct Link<S> {
    agent: AgentEpoch,
    line: Sealed<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    fn new(agent: AgentEpoch, stream: S, key: &SessionKey) -> Self {
        Self {
            agent,
            line: Sealed::asker(stream, key),
        }
    }

    async fn ask(&mut self, entry: &Bytes) -> Result<Option<(Position, Bytes)>, Error> {
        self.line.write(&[entry]).await?;
        let (at, appended) = landed(self.line.read(LANDED_BYTES_MAX).await?)?;
        Ok((at > Position(0)).then_some((at, appended)))
    }
}

/// Appends what the other side of `stream` has to say until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    key: &SessionKey,
    replica: &Replica,
) -> Result<(), Error> {
    let mut line = Sealed::asked(stream, key);
    loop {
        let entry = line.read(ENTRY_BYTES_MAX).await?;
        let (at, appended) = match replica.append_for(entry).await {
            Ok(landed) => landed,
            Err(error) => {
                tracing::debug!(%error, "an entry of another process was not appended");
                (Position(0), Bytes::new())
            }
        };
        let at = at.0.to_be_bytes();
        line.write(&[&at, told(&appended)]).await?;
    }
}

/// What is told of something appended: all of it, or if that is much, only where it is.
pub(super) fn told(appended: &[u8]) -> &[u8] {
    match appended.len() <= TOLD_BYTES_MAX {
        true => appended,
        false => &[],
    }
}

/// Where something was appended, and what is told of it.
pub(super) fn landed(mut frame: Bytes) -> Result<(Position, Bytes), Error> {
    if frame.len() < 8 {
        return Err(Error::new(ErrorKind::InvalidData, "a frame is too short"));
    }
    Ok((Position(frame.get_u64()), frame))
}

#[cfg(test)]
mod tests;
