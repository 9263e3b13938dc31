//! One share-partition (KIP-932) as a pure machine: which records of a partition a share group may be
//! given, which it holds, and which it is done with.
//!
//! [`SharePartition`] is driven by [`SharePartition::step`] and answers with [`Effect`]s; it performs
//! none of them. Time and the outcome of saves are inputs. The rules are those of Apache Kafka 4.1.
//!
//! Invariants it keeps:
//! - the runs cover every offset from the start offset to the end offset once, so that a record is
//!   never acquired by two members;
//! - the start offset never goes back, and whatever is below it is never given out again;
//! - an acknowledgement is answered only after [`Event::Saved`] of a save that holds it;
//! - one save is under way at a time, so that saves are applied in their order;
//! - from the start offset to the end offset there are at most [`Limits::records_max`] records (I9).
//!
//! SUBTLE: acquisitions are not saved, as in Kafka. Whoever leads next finds what was acquired available
//! again, with the delivery count it had before.

mod acknowledge;
mod acquire;
mod machine;
mod message;
mod runs;
mod save;

#[cfg(test)]
mod tests;

pub use machine::SharePartition;
pub use message::{
    Acknowledgement, AcquireRequest, Acquired, Effect, Event, FetchTurn, Limits, ReadBatch,
    RecordsError, Save, SaveId, SavedRun, SavedState, Ticket, Turn,
};
