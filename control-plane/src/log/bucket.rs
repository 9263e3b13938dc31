//! Owns the log kept in the bucket: entry n is the object `meta/log/<n>`, written with create-if-absent, so that any
//! number of processes can append with nothing but a bucket between them. The loser of a race reads the winner's
//! entry and takes the next position. (Delta Lake's log works so.)
//!
//! What keeps it a log although old entries are deleted is in [`proofs`]: whatever this process creates or finds counts
//! only if that position cannot have been trimmed and freed.

mod append;
mod cache;
mod envelope;
pub(crate) mod keys;
mod proofs;
mod read;
mod requests;
mod survey;
#[cfg(test)]
mod tests;
mod trim;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;
use parking_lot::Mutex;
use runtime::{Rng, SharedClock};
use tokio::sync::watch;

use super::{AppendError, MetadataLog, Position, ReadError};
use cache::EntryCache;
use proofs::TailProofs;
use requests::Requests;

/// How a [`BucketLog`] uses its bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLogOptions {
    /// How often a waiting follower looks for a new entry: one GET each time. Spread by half either way.
    pub poll_interval: Duration,
    /// How long one request may take. Each is made up to three times.
    pub request_timeout: Duration,
    /// How long a proof of where the log ends is trusted. Must be at most a quarter of `trim_age_min`.
    pub trust_window: Duration,
    /// Entries younger than this, by the store's own clock and against the newest entry, are never trimmed.
    /// Must be the same for all processes on one log.
    pub trim_age_min: Duration,
    /// Bytes of recent entries kept in memory.
    pub cache_bytes_max: usize,
    /// The largest entry taken, in bytes.
    pub entry_bytes_max: usize,
    /// Entries fetched at once when catching up.
    pub parallel_reads: usize,
    /// How often the cluster's log had been moved when it came to the bucket.
    pub moves: u64,
}

impl Default for BucketLogOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(250),
            request_timeout: Duration::from_secs(5),
            trust_window: Duration::from_secs(120),
            trim_age_min: Duration::from_secs(3_600),
            cache_bytes_max: 16 << 20,
            entry_bytes_max: 8 << 20,
            parallel_reads: 16,
            moves: 0,
        }
    }
}

impl BucketLogOptions {
    fn check(&self) -> Result<(), ReadError> {
        let wrong = if self.trust_window * 4 > self.trim_age_min {
            "trust_window must be at most a quarter of trim_age_min"
        } else if self.parallel_reads == 0 {
            "parallel_reads must be at least 1"
        } else {
            return Ok(());
        };
        Err(ReadError::Unavailable(wrong.into()))
    }
}

/// One process's handle on the log in a bucket. Clones are the same handle.
///
/// Two handles must never share a state of `rng`: the writer's mark is drawn from it.
#[derive(Clone, Debug)]
pub struct BucketLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Requests,
    clock: SharedClock,
    rng: Rng,
    options: BucketLogOptions,
    nonce: [u8; 16],
    appends: AtomicU64,
    /// The newest position known to be written; only rises.
    tail: watch::Sender<Position>,
    /// The newest position somebody said is written, not yet looked for; 0 when it was.
    hinted: watch::Sender<Position>,
    proofs: Mutex<TailProofs>,
    cache: Mutex<EntryCache>,
    /// One append at a time: a position can be written only when the one before it is.
    append_turn: tokio::sync::Mutex<()>,
    /// Why this handle may never append again.
    stale: Mutex<Option<String>>,
    tail_probe: read::TailProbe,
    /// Reads that found the next entry one after another: a sign of being far behind.
    found_in_turn: AtomicU32,
}

impl BucketLog {
    /// Finds where the log in `store` ends; an empty one begins at position 1.
    ///
    /// # Errors
    /// If the options contradict each other or the store cannot be listed.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        clock: SharedClock,
        rng: Rng,
        options: BucketLogOptions,
    ) -> Result<Self, ReadError> {
        options.check()?;
        let rng = rng.fork("metadata log");
        let mut nonce = [0; 16];
        rng.fill(&mut nonce);
        let inner = Inner {
            requests: Requests::new(store, rng.clone(), options.request_timeout),
            proofs: Mutex::new(TailProofs::new(options.trust_window)),
            cache: Mutex::new(EntryCache::new(options.cache_bytes_max)),
            clock,
            rng,
            options,
            nonce,
            appends: AtomicU64::new(0),
            tail: watch::Sender::new(Position(0)),
            hinted: watch::Sender::new(Position(0)),
            append_turn: tokio::sync::Mutex::new(()),
            stale: Mutex::new(None),
            tail_probe: read::TailProbe::default(),
            found_in_turn: AtomicU32::new(0),
        };
        inner.find_tail().await?;
        Ok(Self(Arc::new(inner)))
    }
}

/// The position after `at`.
fn next(at: Position) -> Position {
    Position(at.0.saturating_add(1))
}

impl Inner {
    fn tail(&self) -> Position {
        *self.tail.borrow()
    }

    fn raise_tail(&self, to: Position) {
        self.tail.send_if_modified(|tail| {
            let newer = to > *tail;
            *tail = to.max(*tail);
            newer
        });
    }

    fn covered(&self, at: Position) -> bool {
        self.proofs.lock().cover(at, self.clock.monotonic())
    }

    /// Takes in an entry that is surely the log's; so are those before it, which may not be known yet.
    fn learn(&self, at: Position, entry: Bytes) {
        self.cache.lock().insert(at, entry);
        self.raise_tail(at);
    }
}

#[async_trait]
impl MetadataLog for BucketLog {
    async fn append(&self, entry: Bytes) -> Result<Position, AppendError> {
        self.0.append(entry).await
    }

    async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        self.0.read(after, bytes_max).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.0.probe_tail().await
    }

    async fn wait(&self, after: Position) -> Result<(), ReadError> {
        self.0.wait(after).await
    }

    fn hint(&self, at: Position) {
        self.0.hinted.send_if_modified(|hinted| {
            let newer = at > *hinted;
            *hinted = at.max(*hinted);
            newer
        });
    }

    fn moves(&self) -> u64 {
        self.0.options.moves
    }

    fn told(&self, at: Position, entry: Bytes) {
        self.0.learn(at, entry);
    }

    fn is_raced_for(&self) -> bool {
        true
    }

    async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        self.0.trim(through).await
    }
}
