//! A process's own copy of the metadata: tails the log, applies it, and tells who waits.
//!
//! Reads are local. [`Replica::barrier`] makes one linearizable: it asks the log for its tail and waits until the
//! copy is there. To change anything a process joins, which gives it a [`Session`].

mod checkpoint_duty;
mod failure;
mod membership;
mod relay;
mod session;
mod together;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_format::{AgentEpoch, TopicPartition};
use parking_lot::{Mutex, RwLock};
use runtime::{Rng, SharedClock, Shutdown, Trouble};
use together::Together;
use tokio::sync::{oneshot, watch};

pub use checkpoint_duty::{CheckpointDuty, CheckpointOptions};
pub use failure::Failure;
pub use membership::{LivenessOptions, keep_alive, keep_draining};
pub use relay::Relay;
pub use session::{Session, SubmitError};

use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::log::{MetadataLog, Position, ReadError};
use crate::state::{Applied, EntryError, METADATA_VERSION_MAX, Outcome, State, Verdict};

/// How much of the log is read at once.
const READ_BYTES_MAX: usize = 4 << 20;

/// How many past digests are kept to compare with reported checkpoints.
const DIGESTS_KEPT: usize = 4096;

/// The longest a barrier waits for the log: clients give up on a request after 30 s, and are to be told before.
const BARRIER_WAIT: Duration = Duration::from_secs(10);

/// First pause after the log could not be read; doubled up to a hundred times itself.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What a replica is made of.
#[derive(Clone, Debug)]
pub struct ReplicaParts {
    /// The log to follow.
    pub log: Arc<dyn MetadataLog>,
    /// Where checkpoints of it are.
    pub checkpoints: CheckpointStore,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
}

/// Why there is no replica.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The checkpoints cannot be read, or none of them is whole.
    #[error("cannot start from a checkpoint: {0}")]
    Checkpoint(String),
    /// The log or the checkpoint is not for this build.
    #[error(transparent)]
    Failed(#[from] Failure),
}

type Observer = Box<dyn Fn(&State, &[TopicPartition]) + Send + Sync>;
type Waiter = oneshot::Sender<Verdict>;

/// A process's own copy of the metadata. Clones are the same copy.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    parts: ReplicaParts,
    state: RwLock<State>,
    applied: watch::Sender<Position>,
    failure: watch::Sender<Option<Failure>>,
    own: RwLock<Option<AgentEpoch>>,
    /// Newest metadata version that this process takes part in.
    version_max: AtomicU16,
    /// Whoever waits for the verdict on an entry, by its writer and sequence.
    waiting: Mutex<HashMap<(AgentEpoch, u64), Waiter>>,
    observers: RwLock<Vec<Observer>>,
    digests: Mutex<VecDeque<(Position, u64)>>,
    appending: Trouble,
    together: Together,
    relay: OnceLock<Arc<dyn Relay>>,
    /// When the log last answered, on the monotonic clock.
    reached: Mutex<Duration>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Loads the newest checkpoint, applies the log after it up to its present tail, and goes on following it until
    /// `shutdown` has begun and its drain is over.
    pub async fn open(parts: ReplicaParts, shutdown: &Shutdown) -> Result<Self, OpenError> {
        let state = load(&parts.checkpoints, &*parts.log)
            .await?
            .unwrap_or_else(State::new);
        check_moves(&state, &*parts.log)?;
        let replica = Self(Arc::new(Inner {
            applied: watch::Sender::new(state.position()),
            failure: watch::Sender::new(None),
            state: RwLock::new(state),
            appending: Trouble::new("appending to the metadata log", parts.clock.clone()),
            reached: Mutex::new(parts.clock.monotonic()),
            together: Together::new(),
            relay: OnceLock::new(),
            parts,
            own: RwLock::new(None),
            version_max: AtomicU16::new(METADATA_VERSION_MAX),
            waiting: Mutex::default(),
            observers: RwLock::default(),
            digests: Mutex::default(),
        }));
        let tail = replica.0.parts.log.tail().await?;
        while replica.position() < tail && replica.failure().is_none() {
            if replica.catch_up().await? == 0 {
                break;
            }
        }
        if let Some(failure) = replica.failure() {
            return Err(failure.into());
        }
        let follower = replica.clone();
        let over = shutdown.clone();
        runtime::tasks::spawn("metadata replica", shutdown, async move {
            tokio::select! {
                () = follower.follow() => {}
                () = over.drain_over() => {}
            }
        });
        Ok(replica)
    }

    /// Looks at the state. `look` must be quick: the log is not applied meanwhile.
    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.0.state.read())
    }

    /// Position of the last entry applied.
    pub fn position(&self) -> Position {
        *self.0.applied.borrow()
    }

    pub(crate) fn parts(&self) -> &ReplicaParts {
        &self.0.parts
    }

    /// The log this replica follows.
    pub fn log(&self) -> &Arc<dyn MetadataLog> {
        &self.0.parts.log
    }

    /// For how long the log has not answered. A registered process writes a heartbeat now and then, so of one whose log
    /// can be reached this is never much more than the time between two.
    pub fn unreached_for(&self) -> Duration {
        let now = self.0.parts.clock.monotonic();
        now.saturating_sub(*self.0.reached.lock())
    }

    pub(super) fn note_reached(&self) {
        *self.0.reached.lock() = self.0.parts.clock.monotonic();
    }

    /// Waits until everything that was in the log when this was called has been applied here.
    ///
    /// # Errors
    /// If the log cannot be read, or has not answered within ten seconds.
    pub async fn barrier(&self) -> Result<(), ReadError> {
        let caught_up = async {
            let tail = self.0.parts.log.tail().await?;
            self.0.parts.log.hint(tail);
            self.applied(tail).await
        };
        let in_time = tokio::time::timeout(BARRIER_WAIT, caught_up).await;
        in_time.unwrap_or_else(|_| Err(ReadError::Unavailable("no answer in time".into())))
    }

    /// Waits until the entry at `at` has been applied here.
    pub async fn applied(&self, at: Position) -> Result<(), ReadError> {
        let mut failed = self.0.failure.subscribe();
        let mut applied = self.0.applied.subscribe();
        tokio::select! {
            reached = applied.wait_for(|&now| now >= at) => {
                reached.map(|_| ()).map_err(|_| ReadError::Unavailable("shutting down".into()))
            }
            failure = failed.wait_for(Option::is_some) => {
                let why = failure.ok().and_then(|f| f.as_ref().map(ToString::to_string));
                Err(ReadError::Unavailable(why.unwrap_or_default()))
            }
        }
    }

    /// Calls `observer` after every entry that changed partitions, with those partitions.
    pub fn observe(&self, observer: impl Fn(&State, &[TopicPartition]) + Send + Sync + 'static) {
        self.0.observers.write().push(Box::new(observer));
    }

    /// Position, watched.
    pub fn positions(&self) -> watch::Receiver<Position> {
        self.0.applied.subscribe()
    }

    /// Why this replica stopped, if it did. A process whose replica stopped must not act any more.
    pub fn failure(&self) -> Option<Failure> {
        self.0.failure.borrow().clone()
    }

    /// Returns once the replica has stopped.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.0.failure.subscribe();
        let stopped = failed
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|why| why.clone());
        match stopped {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Stops the replica; only the first reason counts. Whoever waits for a verdict learns that there is none.
    pub(crate) fn fail(&self, failure: Failure) {
        let first = self.0.failure.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert_with(|| failure.clone());
            first
        });
        if first {
            tracing::error!(%failure, "the metadata replica stops");
        }
        self.0.waiting.lock().clear();
    }

    async fn follow(&self) {
        let trouble = Trouble::new("reading the metadata log", self.0.parts.clock.clone());
        let mut pause = RETRY_PAUSE;
        while self.failure().is_none() {
            // Waiting first spares a look for an entry that nobody said is there.
            let step = match self.0.parts.log.wait(self.position()).await {
                Ok(()) => self.catch_up().await.map(|_| ()),
                Err(error) => Err(error),
            };
            match step {
                Ok(()) => {
                    trouble.over();
                    self.note_reached();
                    pause = RETRY_PAUSE;
                }
                Err(error) => {
                    trouble.report(&error);
                    tokio::time::sleep(self.0.parts.rng.jitter(pause)).await;
                    pause = (pause * 2).min(RETRY_PAUSE * 100);
                }
            }
        }
    }

    /// Applies what the log holds after the last applied entry, up to a bound. Gives how many entries that were.
    async fn catch_up(&self) -> Result<usize, ReadError> {
        let entries = match self.0.parts.log.read(self.position(), READ_BYTES_MAX).await {
            Err(ReadError::Trimmed { first_kept }) => return self.reload(first_kept).await,
            other => other?,
        };
        for (at, entry) in &entries {
            let applied = self.0.state.write().apply_all(*at, entry);
            match applied {
                Ok(applied) => self.publish(*at, applied),
                Err(newer) => self.fail(Failure::NewerVersion(newer.to_string())),
            }
            if self.failure().is_some() {
                break;
            }
        }
        Ok(entries.len())
    }

    /// Starts again from a checkpoint, the log having been trimmed past this replica's position.
    async fn reload(&self, first_kept: Position) -> Result<usize, ReadError> {
        let unavailable = |why: String| ReadError::Unavailable(why);
        let loaded = load(&self.0.parts.checkpoints, &*self.0.parts.log).await;
        let state = loaded.map_err(|e| unavailable(e.to_string()))?;
        let state = state
            .filter(|s| s.position() > self.position())
            .ok_or_else(|| {
                unavailable(format!(
                    "the log begins at {first_kept} and no checkpoint reaches it"
                ))
            })?;
        if state.moves() > self.0.parts.log.moves() {
            self.fail(Failure::moved(&state));
            return Ok(0);
        }
        let at = state.position();
        let changed: Vec<TopicPartition> = state.partitions().map(|(key, _)| key).collect();
        *self.0.state.write() = state;
        self.0.digests.lock().clear();
        self.check_own_epoch();
        self.announce(&changed);
        self.0.applied.send_replace(at);
        Ok(1)
    }

    /// Compares, resolves and announces after an entry was applied.
    fn publish(&self, at: Position, applied: Vec<Applied>) {
        self.compare_digests(at);
        self.check_moved();
        self.check_version();
        self.check_own_epoch();
        for one in &applied {
            self.announce(&one.grown);
        }
        self.0.applied.send_replace(at);
        for one in applied {
            let waiter = one
                .author
                .and_then(|author| self.0.waiting.lock().remove(&author));
            if let Some(waiter) = waiter {
                let _ = waiter.send(one.verdict);
            }
        }
    }

    /// Tells the observers which partitions changed.
    fn announce(&self, changed: &[TopicPartition]) {
        if changed.is_empty() {
            return;
        }
        let state = self.0.state.read();
        for observer in self.0.observers.read().iter() {
            observer(&state, changed);
        }
    }

    /// Stops this replica if a reported checkpoint shows that it differs from who wrote it (I11).
    fn compare_digests(&self, at: Position) {
        let (digest, reported) = self.read(|s| (s.digest(), s.checkpoint()));
        let mut digests = self.0.digests.lock();
        if digests.len() == DIGESTS_KEPT {
            digests.pop_front();
        }
        digests.push_back((at, digest));
        let Some(reported) = reported else { return };
        let own = digests
            .binary_search_by_key(&reported.position, |d| d.0)
            .map(|i| digests[i].1);
        if own.is_ok_and(|own| own != reported.digest) {
            drop(digests);
            self.fail(Failure::Diverged {
                at: reported.position,
            });
        }
    }

    /// Stops this replica at the end of a log that goes on elsewhere. First of all checks: a move ends registrations too.
    fn check_moved(&self) {
        let opened_after = self.0.parts.log.moves();
        let moved = self.read(|s| (s.moves() != opened_after).then(|| Failure::moved(s)));
        if let Some(failure) = moved {
            self.fail(failure);
        }
    }

    /// Stops this replica once a version is in force that it is not to take part in.
    fn check_version(&self) {
        let in_force = self.read(State::metadata_version);
        let known = self.0.version_max.load(Ordering::Relaxed);
        if in_force > known {
            self.fail(Failure::NewerVersion(format!(
                "the cluster is at metadata version {in_force} now, and this process takes part in versions up to {known} \
                 only: upgrade this process"
            )));
        }
    }

    /// Stops this replica once its own registration is gone (I7).
    fn check_own_epoch(&self) {
        let Some(own) = *self.0.own.read() else {
            return;
        };
        if self.read(|s| s.agent(own).is_none()) {
            self.fail(Failure::Fenced { epoch: own });
        }
    }
}

/// Whether the log begins with the first entry of its cluster.
async fn is_whole(log: &dyn MetadataLog) -> Result<bool, ReadError> {
    match log.read(Position(0), 1).await {
        Ok(entries) => Ok(entries.first().is_some_and(|(at, _)| *at == Position(1))),
        Err(ReadError::Trimmed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses a state that is not of this log.
fn check_moves(state: &State, log: &dyn MetadataLog) -> Result<(), OpenError> {
    match state.moves().cmp(&log.moves()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Failure::moved(state).into()),
        std::cmp::Ordering::Less => Err(OpenError::Checkpoint(
            "the newest that is whole was written before the metadata log was moved to where it is"
                .into(),
        )),
    }
}

/// The state of the newest checkpoint, if there is any that can be read or must be: a log that was never trimmed is
/// replayed from its beginning.
pub(crate) async fn load(
    checkpoints: &CheckpointStore,
    log: &dyn MetadataLog,
) -> Result<Option<State>, OpenError> {
    let newest = match checkpoints.newest().await {
        Err(CheckpointError::Unreadable(_)) if is_whole(log).await? => {
            tracing::warn!(
                "no metadata checkpoint can be read; the log is still whole and is replayed"
            );
            None
        }
        other => other.map_err(|e| OpenError::Checkpoint(e.to_string()))?,
    };
    let Some(newest) = newest else {
        return Ok(None);
    };
    if newest.metadata_version > METADATA_VERSION_MAX {
        let newer = EntryError::NewerVersion(newest.metadata_version);
        return Err(Failure::NewerVersion(newer.to_string()).into());
    }
    let state =
        State::from_bytes(&newest.state).map_err(|e| OpenError::Checkpoint(e.to_string()))?;
    Ok(Some(state))
}

/// The outcomes in a verdict on one's own entry.
fn outcomes(verdict: Verdict) -> Option<Vec<Outcome>> {
    match verdict {
        Verdict::Done(outcomes) => Some(outcomes),
        Verdict::Repeated | Verdict::Fenced | Verdict::Malformed => None,
    }
}

#[cfg(test)]
mod tests;
