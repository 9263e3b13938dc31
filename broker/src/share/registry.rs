//! The share-partitions of an agent: finds who leads one, here or elsewhere, and asks it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use control_plane::replica::Session;
use control_plane::state::State;
use parking_lot::Mutex;
use runtime::{SharedClock, Shutdown};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ShareError;
use super::call::{Answer, Ask, Call, ShareKey};
use super::leader;
use super::options::ShareOptions;
use super::remote::{Peer, Peers};
use super::session::ShareSessions;
use crate::fetch::Fetcher;
use crate::peers::Keys;

/// How often a call is made again because its leader had changed.
const TRIES_MAX: usize = 3;

/// The longest that a peer has a call for news wait.
const READY_WAIT: Duration = Duration::from_secs(5);

/// Pause before a peer that cannot be reached is asked for news again.
const READY_PAUSE: Duration = Duration::from_millis(200);

/// The share-partitions of an agent. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shares(pub(super) Arc<Shared>);

/// What the tasks of all share-partitions share.
pub(super) struct Shared {
    pub(super) session: Session,
    pub(super) clock: SharedClock,
    pub(super) fetcher: Fetcher,
    pub(super) options: ShareOptions,
    pub(super) peers: Peers,
    pub(super) sessions: Mutex<ShareSessions>,
    /// Cancelled when this process may lead nothing any more.
    pub(super) stop: CancellationToken,
    shutdown: Shutdown,
    /// The share-partitions that have a task.
    running: Mutex<HashMap<ShareKey, Running>>,
}

struct Running {
    asks: mpsc::Sender<Ask>,
    ready: watch::Receiver<u64>,
}

/// Where the leader of a share-partition is.
enum Place {
    Here,
    Peer(Peer),
}

impl std::fmt::Debug for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shares")
            .field("led", &self.0.running.lock().len())
            .finish_non_exhaustive()
    }
}

impl Shares {
    /// The share-partitions of the process that `session` is of, which other agents know by `keys`.
    pub(crate) fn new(
        session: Session,
        clock: SharedClock,
        fetcher: Fetcher,
        keys: Option<Keys>,
        options: ShareOptions,
        shutdown: &Shutdown,
    ) -> Self {
        let stop = CancellationToken::new();
        let (stopping, replica, begun) =
            (stop.clone(), session.replica().clone(), shutdown.clone());
        runtime::tasks::spawn("shares", shutdown, async move {
            tokio::select! {
                () = begun.begun() => {}
                _ = replica.failed() => {}
            }
            stopping.cancel();
        });
        let sessions = ShareSessions::new(options.sessions_max, options.session_partitions_max);
        Self(Arc::new(Shared {
            session,
            clock,
            fetcher,
            peers: Peers::new(options.call_timeout, keys),
            options,
            sessions: Mutex::new(sessions),
            stop,
            shutdown: shutdown.clone(),
            running: Mutex::default(),
        }))
    }

    /// Asks the leader of a share-partition, which is made to be here if there is none.
    pub(super) async fn ask(&self, key: &ShareKey, call: Call) -> Result<Answer, ShareError> {
        let mut last = ShareError::NotLeader;
        for _ in 0..TRIES_MAX {
            let answer = match self.0.leader_of(key)? {
                Place::Here => self.ask_here(key, call.clone()).await,
                Place::Peer(peer) => self.0.peers.ask(&peer, key, &call).await,
            };
            match answer {
                Err(ShareError::NotLeader) => {}
                answer => return answer,
            }
            last = ShareError::NotLeader;
            // Somebody else may have come first, or the leader may be gone.
            let barrier = timeout(
                self.0.options.call_timeout,
                self.0.session.replica().barrier(),
            );
            if self.0.stop.is_cancelled() || !matches!(barrier.await, Ok(Ok(()))) {
                break;
            }
        }
        Err(last)
    }

    /// Asks the task of a share-partition here, which is begun if there is none.
    pub(super) async fn ask_here(&self, key: &ShareKey, call: Call) -> Result<Answer, ShareError> {
        if let Call::Ready(seen) = call {
            return Ok(Answer::Ready(self.0.ready_here(key, seen).await));
        }
        let (reply, answer) = oneshot::channel();
        let asks = self.0.task(key)?;
        let sent = asks.send(Ask { call, reply }).await;
        sent.map_err(|_| ShareError::NotLeader)?;
        answer.await.map_err(|_| ShareError::NotLeader)?
    }

    /// Returns when there may be something to read for who was told `seen` that there is nothing.
    pub(super) async fn ready(&self, key: &ShareKey, seen: u64) {
        loop {
            let place = self.0.leader_of(key);
            let answer = match place {
                Ok(Place::Here) => Ok(Answer::Ready(self.0.ready_here(key, seen).await)),
                Ok(Place::Peer(peer)) => self.0.peers.ask(&peer, key, &Call::Ready(seen)).await,
                Err(_) => return,
            };
            match answer {
                Ok(Answer::Ready(count)) if count == seen => {}
                Ok(_) => return,
                // Most likely the leader is gone: whoever asks next makes another.
                Err(_) => {
                    tokio::time::sleep(READY_PAUSE).await;
                    return;
                }
            }
        }
    }
}

impl Shared {
    fn leader_of(&self, key: &ShareKey) -> Result<Place, ShareError> {
        let own = self.session.epoch();
        let read = |state: &State| {
            if state.partition(key.partition).is_none() {
                return Err(ShareError::UnknownPartition);
            }
            let lease = state.share_leader(&key.group, key.partition);
            let Some(lease) = lease.filter(|lease| lease.leader != own) else {
                return Ok(Place::Here);
            };
            let agent = state.agent(lease.leader).ok_or(ShareError::NotLeader)?;
            Ok(Place::Peer(Peer {
                agent: lease.leader,
                address: agent.registration.peer_address.clone(),
            }))
        };
        self.session.replica().read(read)
    }

    /// Whether somebody alive leads a share-partition.
    pub(super) fn is_led(&self, key: &ShareKey) -> bool {
        let replica = self.session.replica();
        replica.read(|s| s.share_leader(&key.group, key.partition).is_some())
    }

    /// Waits for news of a share-partition led here; gives the count of them.
    async fn ready_here(&self, key: &ShareKey, seen: u64) -> u64 {
        let ready = self.running.lock().get(key).map(|r| r.ready.clone());
        let Some(mut ready) = ready else {
            // It is not led here any more: that is news.
            return seen.wrapping_add(1);
        };
        let news = timeout(READY_WAIT, ready.wait_for(|count| *count != seen)).await;
        match news {
            Ok(Ok(count)) => *count,
            Ok(Err(_)) => seen.wrapping_add(1),
            Err(_) => seen,
        }
    }

    fn task(self: &Arc<Self>, key: &ShareKey) -> Result<mpsc::Sender<Ask>, ShareError> {
        let mut running = self.running.lock();
        if self.stop.is_cancelled() {
            return Err(ShareError::NotLeader);
        }
        if let Some(running) = running.get(key) {
            return Ok(running.asks.clone());
        }
        if running.len() >= self.options.led_max {
            return Err(ShareError::NotLeader);
        }
        let (asks, waiting) = mpsc::channel(self.options.asks_max);
        let (news, ready) = watch::channel(0);
        let task = leader::run(self.clone(), key.clone(), news, waiting);
        runtime::tasks::spawn("share-partition", &self.shutdown, task);
        running.insert(
            key.clone(),
            Running {
                asks: asks.clone(),
                ready,
            },
        );
        Ok(asks)
    }

    /// The task of a share-partition ends.
    pub(super) fn remove(&self, key: &ShareKey) {
        self.running.lock().remove(key);
    }

    /// The task of a share-partition ends unless a request waits for it; says whether it does.
    pub(super) fn remove_unless_asked(&self, key: &ShareKey, asks: &mpsc::Receiver<Ask>) -> bool {
        let mut running = self.running.lock();
        if !asks.is_empty() {
            return false;
        }
        running.remove(key);
        true
    }
}
