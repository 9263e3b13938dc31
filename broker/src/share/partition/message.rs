//! What a share-partition is told, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Names a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

/// Names a turn to read and acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Turn(pub u64);

/// What bounds a share-partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Kafka's `group.share.partition.max.record.locks`: most records between start and end offset.
    pub records_max: u32,
    /// Kafka's `group.share.delivery.count.limit`: a record given out so often is archived.
    pub deliveries_max: u16,
    /// Kafka's `share.record.lock.duration.ms`: how long a member holds what it acquired.
    pub lock: Duration,
    /// How long one reader may keep the turn: as long as reading from the bucket may take.
    pub turn: Duration,
}

/// A batch of the log that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBatch {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// Whether consumers are shown its records: not if it is a control batch or was aborted.
    pub is_shown: bool,
}

/// A turn that was given: the log is to be read from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchTurn {
    /// To be given back with what was read.
    pub turn: Turn,
    /// The first offset to be read.
    pub offset: i64,
}

/// What a reader has read in its turn, and wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquireRequest {
    /// The turn.
    pub turn: Turn,
    /// The member that is to have the records.
    pub member: String,
    /// From where it was read.
    pub offset: i64,
    /// What was read, in the order of offsets. Offsets between batches hold nothing any more.
    pub batches: Vec<ReadBatch>,
    /// About how many records are wanted: of a batch that was begun all are given.
    pub records_max: u32,
    /// About how many records are told of together.
    pub batch_size: u32,
}

/// Records that a member now holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquired {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// The how-manieth delivery it is.
    pub deliveries: u16,
}

/// What a member says of records it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledgement {
    /// There was no record at this offset.
    Gap,
    /// Processed.
    Accept,
    /// To be given out again.
    Release,
    /// Not to be given out again.
    Reject,
}

/// Why records cannot be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RecordsError {
    /// The member does not hold them, or not any more.
    #[error("the records are not held by the member")]
    InvalidRecordState,
    /// Nobody was ever given them.
    #[error("the records were not given out")]
    NotGivenOut,
}

pub use control_plane::state::{ShareRun as SavedRun, ShareState as SavedState};

/// A change to be made durable: what is not named in it stays as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// The start offset; what is below it is to be forgotten.
    pub start: i64,
    /// Replaces what was saved of these records.
    pub runs: Vec<SavedRun>,
}

/// What a share-partition is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody wants to read; the log may be read up to `visible_end`.
    Fetch {
        /// Answered by [`Effect::Turn`].
        ticket: Ticket,
        /// The offset after the last that may be shown.
        visible_end: i64,
    },
    /// Somebody has read in its turn. Answered by [`Effect::Acquired`].
    Acquire(Ticket, AcquireRequest),
    /// Somebody had nothing to read in its turn.
    Abandon(Turn),
    /// A member says what became of records: inclusive ranges of offsets, each with what is said of all
    /// of it. Answered by [`Effect::Acknowledged`].
    Acknowledge(Ticket, String, Vec<(i64, i64, Acknowledgement)>),
    /// A member is gone, and never saw what it still holds.
    Release(String),
    /// The partition now begins here.
    LogStart(i64),
    /// Time has passed.
    Tick,
    /// A save is durable.
    Saved(SaveId),
}

/// What a share-partition wants to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answers [`Event::Fetch`]; none if there is nothing to read now.
    Turn(Ticket, Option<FetchTurn>),
    /// Answers [`Event::Acquire`].
    Acquired(Ticket, Vec<Acquired>),
    /// Answers [`Event::Acknowledge`].
    Acknowledged(Ticket, Result<(), RecordsError>),
    /// Make this durable, then say [`Event::Saved`]. If that fails the machine is of no use any more.
    Save(SaveId, Save),
    /// There may be something to read for who was told that there is nothing.
    Ready,
}
