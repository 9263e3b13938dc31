//! Moves the metadata log of a cluster to another place. See docs/adr/0011.
//!
//! 1. Close: the old log's last entry says that it is the last. Whoever applies it stops, so that nothing behind it is ever
//!    acknowledged. From here on there is no way back but another move.
//! 2. Save: the state at that position becomes a checkpoint.
//! 3. Begin: the new log begins at that position, empty.
//! 4. Switch: the bucket says that the log is there.
//!
//! Each step can be repeated and finds what it did before, so a move that was cut off anywhere is finished by running it
//! again. Until the last, processes are sent to the old log, where they find it closed.

mod destination;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use runtime::{Rng, SharedClock, Shutdown, Store};

#[cfg(feature = "foundationdb")]
pub use destination::ToFoundationDb;
pub use destination::{Destination, ToBucket};

use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::log::home::{self, Home, HomeError, Place};
use crate::log::{MetadataLog, Position, ReadError};
use crate::replica::{Failure, OpenError, Replica, ReplicaParts, SubmitError, load};
use crate::state::{EntryError, MOVES_SINCE, MoveLog, MoveRejection, RegisterAgent, State};

/// How much of the log is read at once.
const READ_BYTES_MAX: usize = 4 << 20;

/// Why a log was not moved, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum RelocationError {
    /// The old log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// No replica of the old log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// This build cannot read the old log.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The old log could not be closed.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The old log stays open.
    #[error(transparent)]
    Refused(#[from] MoveRejection),
    /// Checkpoints cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint that was written is not there.
    #[error(
        "the checkpoint of position {0} cannot be read back: is something else deleting objects?"
    )]
    Lost(Position),
    /// The new log cannot begin.
    #[error("{0}")]
    Destination(String),
    /// The bucket does not answer.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Somebody finished the same move with another destination.
    #[error("another move of this log was finished meanwhile, and led elsewhere: {0:?}")]
    Elsewhere(Place),
    /// The log was moved on since.
    #[error("this log was moved away and its successor has been moved as well")]
    Outdated,
    /// Whoever watches the move stops it.
    #[error("stopped")]
    Stopped,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The old log is closed.
    Closed {
        /// Its last position.
        at: Position,
        /// The running digest of the state there.
        digest: u64,
    },
    /// The state is a checkpoint.
    Saved {
        /// Its size.
        bytes: usize,
    },
    /// The new log is there.
    Begun,
    /// The bucket says so.
    Switched,
}

/// A move.
pub struct Relocation<'a> {
    /// The bucket.
    pub store: Store,
    /// Where checkpoints are.
    pub checkpoints: CheckpointStore,
    /// The log to leave.
    pub source: Arc<dyn MetadataLog>,
    /// Where to.
    pub destination: &'a dyn Destination,
    /// What processes are told to use.
    pub to: String,
    /// Whether processes that take part in the cluster are stopped by it.
    pub fence: bool,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
}

impl Relocation<'_> {
    /// What a move would begin with: the state at the end of the log. Fails if it could not even begin. Changes nothing.
    pub async fn survey(&self) -> Result<State, RelocationError> {
        let state = self.replay().await?;
        let moves = self.moves();
        self.destination
            .check(moves)
            .await
            .map_err(RelocationError::Destination)?;
        if state.moves() != moves && state.metadata_version() < MOVES_SINCE {
            return Err(MoveRejection::Version(state.metadata_version()).into());
        }
        Ok(state)
    }

    /// How often the log will have been moved.
    fn moves(&self) -> u64 {
        self.source.moves() + 1
    }

    /// Moves the log, or finishes a move. `done` is told of each step, and can stop it there.
    pub async fn run(&self, mut done: impl FnMut(&Step) -> bool) -> Result<(), RelocationError> {
        let mut told = |step: Step| match done(&step) {
            true => Ok(()),
            false => Err(RelocationError::Stopped),
        };
        let mut state = self.survey().await?;
        while state.moves() < self.moves() {
            self.close().await?;
            state = self.replay().await?;
        }
        if state.moves() > self.moves() {
            return Err(RelocationError::Outdated);
        }
        let (at, digest) = (state.position(), state.digest());
        told(Step::Closed { at, digest })?;
        let bytes = self.save(&state).await?;
        told(Step::Saved { bytes })?;
        let begun = self.destination.begin(self.moves(), at).await;
        let place = begun.map_err(RelocationError::Destination)?;
        told(Step::Begun)?;
        let moves = self.moves();
        let home = Home { moves, place };
        let stored = home::set_moved(&self.store, &home).await?;
        if stored != home.place {
            return Err(RelocationError::Elsewhere(stored));
        }
        told(Step::Switched)
    }

    /// The state at the end of the log: at the entry that closed it, or the newest.
    async fn replay(&self) -> Result<State, RelocationError> {
        let mut state = load(&self.checkpoints, &*self.source)
            .await?
            .unwrap_or_else(State::new);
        let opened_after = self.source.moves();
        while state.moves() == opened_after {
            let entries = self.source.read(state.position(), READ_BYTES_MAX).await?;
            if entries.is_empty() {
                break;
            }
            for (at, entry) in entries {
                state.apply_all(at, &entry)?;
                if state.moves() != opened_after {
                    break;
                }
            }
        }
        Ok(state)
    }

    /// Writes the entry that closes the log.
    async fn close(&self) -> Result<(), RelocationError> {
        let shutdown = Shutdown::default();
        let closed = self.submit_close(&shutdown).await;
        shutdown.begin();
        match closed {
            // Its own entry stops this replica too; so does that of another who moves the same log.
            Err(RelocationError::Submit(SubmitError::Failed(Failure::Moved { .. })))
            | Err(RelocationError::Open(OpenError::Failed(Failure::Moved { .. }))) => Ok(()),
            other => other,
        }
    }

    async fn submit_close(&self, shutdown: &Shutdown) -> Result<(), RelocationError> {
        let parts = ReplicaParts {
            log: self.source.clone(),
            checkpoints: self.checkpoints.clone(),
            clock: self.clock.clone(),
            rng: self.rng.fork("replica"),
        };
        let replica = Replica::open(parts, shutdown).await?;
        let nonce = self.rng.uuid();
        let name = format!("metadata-move-{:08x}", self.rng.u64() as u32);
        let registration = RegisterAgent::new(nonce, name);
        let session = replica.join(registration, shutdown).await?;
        let close = MoveLog {
            to: self.to.clone(),
            fence: self.fence,
        };
        if let Err(rejection) = session.submit(close).await? {
            session.leave().await?;
            return Err(rejection.into());
        }
        Ok(())
    }

    /// Writes the state as a checkpoint, and reads it back: there is no log before it to fall back on. Gives its size.
    async fn save(&self, state: &State) -> Result<usize, RelocationError> {
        let bytes = state.to_bytes();
        let (position, size) = (state.position(), bytes.len());
        let written = self.checkpoints.write(
            position,
            bytes.into(),
            state.digest(),
            state.metadata_version(),
        );
        written.await?;
        // A newer one is there if somebody else has finished this move already.
        match load(&self.checkpoints, &*self.source).await? {
            Some(found) if found.position() > position || found == *state => Ok(size),
            _ => Err(RelocationError::Lost(position)),
        }
    }
}
