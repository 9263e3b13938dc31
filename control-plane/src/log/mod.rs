//! The metadata log: a total order of opaque entries. What they mean is the state machine's business.

pub mod bucket;
#[cfg(test)]
pub(crate) mod conformance;
#[cfg(any(feature = "foundationdb", test))]
#[cfg_attr(
    not(feature = "foundationdb"),
    allow(
        dead_code,
        reason = "without the feature only its logic is there, for tests"
    )
)]
pub mod foundationdb;
pub mod home;
pub mod memory;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Place of an entry in the log: how many entries came before it, plus one. 0 is before the first entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Why an append did not succeed. The variants say whether the entry may nevertheless be in the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The entry is not in the log and never will be; appending it again is safe.
    #[error("the metadata log did not take the entry: {0}")]
    Rejected(String),
    /// The entry may be in the log, now or later; append the same entry again and let applying it decide.
    #[error("the metadata log may or may not have taken the entry: {0}")]
    MaybeAppended(String),
    /// The writer was away for so long that its entry may have landed where the log was trimmed already. It must not
    /// act again under its present agent epoch.
    #[error("this process was away past the trimming of the metadata log: {0}")]
    Stale(String),
}

/// Why a read did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Entries after the asked position are gone; start again from a checkpoint at `first_kept` or later.
    #[error(
        "the metadata log was trimmed past what was asked for; its first kept position is {first_kept}"
    )]
    Trimmed {
        /// The lowest position that can still be read.
        first_kept: Position,
    },
    /// The log cannot be reached or gave nonsense; trying again later is right.
    #[error("the metadata log cannot be read: {0}")]
    Unavailable(String),
}

/// A total order of entries. Durable when `append` returns; never reordered, never rewritten.
#[async_trait]
pub trait MetadataLog: Send + Sync + fmt::Debug {
    /// Adds an entry after all others and returns its position once it is durable.
    async fn append(&self, entry: Bytes) -> Result<Position, AppendError>;

    /// Entries after `after`, in order, at least one if there is one, and no more than about `bytes_max` bytes. Empty
    /// when there are none.
    async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError>;

    /// Position of the newest entry. Linearizable: not older than any append that returned before the call.
    async fn tail(&self) -> Result<Position, ReadError>;

    /// Returns when an entry after `after` is likely there (callers read, and wait again if there is none).
    async fn wait(&self, after: Position) -> Result<(), ReadError>;

    /// Says that somebody appended `at`, so that a pending `wait` need not poll for it. A hint only.
    fn hint(&self, at: Position);

    /// How often the cluster's log had been moved when this one began.
    fn moves(&self) -> u64 {
        0
    }

    /// Says what was appended at `at`, so that it need not be read. Only from a process whose word counts as the log's.
    fn told(&self, at: Position, _entry: Bytes) {
        self.hint(at);
    }

    /// Whether writers race for positions, so that it pays if one process appends for all.
    fn is_raced_for(&self) -> bool {
        false
    }

    /// Deletes entries up to and including `through`, which a durable checkpoint must cover. Entries younger than
    /// the backend's least age are kept. Returns how many were deleted.
    async fn trim(&self, through: Position) -> Result<u64, ReadError>;
}
