//! Owns the log kept in FoundationDB: an entry is a few values under versionstamped keys, so that an append is one blind
//! write, and the order of commits is the order of the log.
//!
//! Positions are not stored. Each process counts entries in the order of their stamps ([`keys`] says why all count
//! alike), beginning at an anchor, a stamp whose position somebody wrote down. One task keeps the counted tail in memory
//! ([`follow`]); appends, reads and waits ask it. See docs/adr/0009.

mod address;
mod append;
mod begin;
mod chunks;
mod client;
mod database;
mod error;
#[cfg(test)]
mod fake;
mod follow;
mod history;
mod keys;
#[cfg(feature = "foundationdb")]
mod network;
mod owner;
#[cfg(feature = "foundationdb")]
mod real;
mod scan;
#[cfg(test)]
pub(crate) mod stand_in;
mod tail;
#[cfg(test)]
mod tests;
mod trim;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use runtime::Rng;
#[cfg(feature = "foundationdb")]
use runtime::SharedClock;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{AppendError, MetadataLog, Position, ReadError};
use crate::metric_definitions::LOG_ANSWER_AGE_SECONDS;
pub use address::Address;
pub use begin::Beginning;
use client::Client;
use database::CallError;
pub use error::OpenError;
use follow::{Goal, Request};
use keys::{Place, Stamp};
#[cfg(feature = "foundationdb")]
pub use network::stop;
use tail::{Lookup, Tail};

/// How often the age of the last answer is published.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// How a [`FoundationLog`] uses its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundationLogOptions {
    /// How long one call may take.
    pub request_timeout: Duration,
    /// How long opening may take before the cluster counts as unreachable.
    pub open_timeout: Duration,
    /// How often the tail is read although no watch fired: watches can get lost.
    pub poll_interval: Duration,
    /// Bytes of recent entries kept in memory.
    pub cache_bytes_max: usize,
    /// The largest entry taken, in bytes. A transaction holds 10 MB at most.
    pub entry_bytes_max: usize,
}

impl Default for FoundationLogOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            cache_bytes_max: 16 << 20,
            entry_bytes_max: 8 << 20,
        }
    }
}

/// Who opens a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// A process of this cluster. A prefix that is nobody's becomes its own.
    Join {
        /// The cluster's id.
        cluster_id: &'a str,
    },
    /// Somebody who only reads the log of this cluster.
    Look {
        /// The cluster's id.
        cluster_id: &'a str,
    },
    /// A process of this cluster, or somebody who only reads, where its log was moved to.
    Moved {
        /// The cluster's id.
        cluster_id: &'a str,
        /// The log's id.
        log: &'a str,
    },
}

impl<'a> Claim<'a> {
    fn cluster_id(self) -> &'a str {
        match self {
            Self::Join { cluster_id }
            | Self::Look { cluster_id }
            | Self::Moved { cluster_id, .. } => cluster_id,
        }
    }

    fn log(self) -> Option<&'a str> {
        match self {
            Self::Join { .. } | Self::Look { .. } => None,
            Self::Moved { log, .. } => Some(log),
        }
    }
}

/// What the handle and the task that keeps the tail share.
#[derive(Debug)]
struct Shared {
    client: Client,
    options: FoundationLogOptions,
    rng: Rng,
    /// How often the cluster's log had been moved when this one began.
    moves: u64,
    tail: Mutex<Tail>,
    seen: watch::Sender<Seen>,
    /// Somebody said that there is something newer.
    hinted: Notify,
}

/// What the task has seen last.
#[derive(Clone, Debug, Default)]
struct Seen {
    position: Position,
    /// Why the last look failed, if it did, and which failure that was.
    failure: Option<(u64, String)>,
}

impl Shared {
    fn announce(&self, error: Option<&CallError>) {
        let position = self.tail.lock().end().position;
        self.seen.send_if_modified(|seen| {
            let failure = error.map(|error| {
                let before = seen.failure.as_ref().map_or(0, |(count, _)| *count);
                (before + 1, error.to_string())
            });
            let changed = failure.is_some() || seen.position != position;
            *seen = Seen { position, failure };
            changed
        });
    }
}

/// A process's handle on the log in FoundationDB.
#[derive(Debug)]
pub struct FoundationLog {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    /// An entry whose stamp is worth writing down with the next append.
    due_anchor: Mutex<Option<Place>>,
    /// Where the last read of old entries ended.
    cursor: Mutex<Place>,
    #[cfg(test)]
    faults: Mutex<append::Faults>,
}

impl FoundationLog {
    /// Opens the log at `address`. Fails within about `open_timeout` if the cluster does not answer.
    #[cfg(feature = "foundationdb")]
    pub async fn open(
        address: &Address,
        claim: Claim<'_>,
        clock: SharedClock,
        rng: Rng,
        options: FoundationLogOptions,
    ) -> Result<Self, OpenError> {
        let (client, connection) = connect(address, clock, options.request_timeout)?;
        Self::open_on(client, address, &connection, claim, rng, options).await
    }

    /// Begins the log of a cluster at `address` when it is moved there. Gives its id, which is that of the first time if it
    /// was begun before.
    #[cfg(feature = "foundationdb")]
    pub async fn begin(
        address: &Address,
        new: Beginning<'_>,
        clock: SharedClock,
        options: FoundationLogOptions,
    ) -> Result<String, OpenError> {
        let (client, connection) = connect(address, clock, options.request_timeout)?;
        let beginning = begin::begin(&client, address, new);
        within(options.open_timeout, address, &connection, beginning).await
    }

    /// Marks the log of a cluster at `address` as moved away, unless it is that which began with the `moves`th move or
    /// later, so that nobody opens it any more.
    #[cfg(feature = "foundationdb")]
    pub async fn leave(
        address: &Address,
        cluster_id: &str,
        moves: u64,
        clock: SharedClock,
        options: FoundationLogOptions,
    ) -> Result<(), OpenError> {
        let (client, connection) = connect(address, clock, options.request_timeout)?;
        let leaving = async { Ok(begin::leave(&client, cluster_id, moves).await) };
        within(options.open_timeout, address, &connection, leaving).await
    }

    async fn open_on(
        client: Client,
        address: &Address,
        connection: &str,
        claim: Claim<'_>,
        rng: Rng,
        options: FoundationLogOptions,
    ) -> Result<Self, OpenError> {
        let opening = owner::enter(&client, address, claim);
        let (end, moves) = within(options.open_timeout, address, connection, opening).await?;
        let shared = Arc::new(Shared {
            client,
            moves,
            tail: Mutex::new(Tail::new(end, options.cache_bytes_max)),
            options,
            rng,
            seen: watch::Sender::default(),
            hinted: Notify::new(),
        });
        let (requests, asked) = mpsc::channel(follow::REQUESTS_MAX);
        tokio::spawn(follow::follow(Arc::clone(&shared), asked));
        tokio::spawn(publish_age(
            requests.clone().downgrade(),
            Arc::clone(&shared),
        ));
        let log = Self {
            shared,
            requests,
            due_anchor: Mutex::default(),
            cursor: Mutex::default(),
            #[cfg(test)]
            faults: Mutex::default(),
        };
        let read = log.advance(Goal::Now).await;
        read.map_err(|error| OpenError::unreachable(address, connection, &error))?;
        Ok(log)
    }

    /// Waits until the tail has been read up to `goal`.
    async fn advance(&self, goal: Goal) -> Result<(), CallError> {
        let (reply, answer) = oneshot::channel();
        let ended =
            || CallError::Nonsense("the tail of the metadata log is not read any more".into());
        let request = Request { goal, reply };
        self.requests.send(request).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// What is asked of a cluster before its log is open.
async fn within<T>(
    limit: Duration,
    address: &Address,
    connection: &str,
    asking: impl Future<Output = Result<Result<T, CallError>, OpenError>>,
) -> Result<T, OpenError> {
    let answer = match tokio::time::timeout(limit, asking).await {
        Err(_) => Err(CallError::Silent(limit)),
        Ok(answer) => answer?,
    };
    answer.map_err(|error| OpenError::unreachable(address, connection, &error))
}

/// A client of the cluster, of which nothing is asked yet, and the line of its cluster file.
#[cfg(feature = "foundationdb")]
fn connect(
    address: &Address,
    clock: SharedClock,
    timeout: Duration,
) -> Result<(Client, String), OpenError> {
    let connection = address.connection()?;
    network::start()?;
    let path = address.cluster_file.to_string_lossy();
    let cluster = real::Cluster::new(&path, timeout);
    let cluster = cluster.map_err(|error| OpenError::unreachable(address, &connection, &error))?;
    let client = Client::new(cluster, &address.prefix, timeout, clock);
    Ok((client, connection))
}

/// A cluster that is at a version before that of an entry it holds.
fn younger(version: i64, stamp: Stamp) -> CallError {
    CallError::Nonsense(format!(
        "FoundationDB is at version {version}, and the log holds an entry of version {}: the cluster was restored \
         from a backup or replaced; advance it with `advanceversion` in fdbcli",
        stamp.version()
    ))
}

fn unavailable(error: CallError) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

/// Publishes how long ago the cluster last answered, as long as the log is open.
async fn publish_age(open: mpsc::WeakSender<Request>, shared: Arc<Shared>) {
    while open.upgrade().is_some() {
        let age = shared.client.answer_age();
        metrics::gauge!(LOG_ANSWER_AGE_SECONDS.name).set(age.as_secs_f64());
        tokio::time::sleep(AGE_INTERVAL).await;
    }
}

#[async_trait]
impl MetadataLog for FoundationLog {
    async fn append(&self, entry: Bytes) -> Result<Position, AppendError> {
        self.append_entry(entry).await
    }

    async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let mut known = self.shared.tail.lock().read(after, bytes_max);
        if known == Lookup::AtEnd {
            self.advance(Goal::Now).await.map_err(unavailable)?;
            known = self.shared.tail.lock().read(after, bytes_max);
        }
        match known {
            Lookup::Found(entries) => Ok(entries),
            Lookup::AtEnd => Ok(Vec::new()),
            Lookup::Older => self.read_history(after, bytes_max).await,
        }
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.advance(Goal::Now).await.map_err(unavailable)?;
        Ok(self.shared.tail.lock().end().position)
    }

    async fn wait(&self, after: Position) -> Result<(), ReadError> {
        let mut seen = self.shared.seen.subscribe();
        let failures = |seen: &Seen| seen.failure.as_ref().map_or(0, |(count, _)| *count);
        let before = failures(&seen.borrow());
        let now = seen
            .wait_for(|now| now.position > after || failures(now) > before)
            .await;
        let now = now.map_err(|closed| ReadError::Unavailable(closed.to_string()))?;
        match &now.failure {
            Some((_, why)) if now.position <= after => Err(ReadError::Unavailable(why.clone())),
            _ => Ok(()),
        }
    }

    fn hint(&self, at: Position) {
        if at > self.shared.tail.lock().end().position {
            self.shared.hinted.notify_one();
        }
    }

    fn moves(&self) -> u64 {
        self.shared.moves
    }

    async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        self.trim_through(through).await
    }
}
