//! What a fetch is answered with, before it is put into bytes.

use std::sync::Arc;

use super::FetchError;
use super::fair::FairPermit;
use super::plan::{PartitionFetch, Readable, TopicRef};
use super::read::{PartitionRecords, Records};

/// In place of an offset that is not told.
pub const NO_OFFSET: i64 = -1;

/// A transaction whose records a read_committed reader passes over (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
}

/// What one partition is answered with.
#[derive(Clone, Debug, Default)]
pub struct PartitionOutcome {
    /// As the request names it.
    pub topic: TopicRef,
    /// Index of the partition.
    pub partition: i32,
    /// Why there are no records, if something is wrong.
    pub error: Option<FetchError>,
    /// Offset after the last record; -1 with an error about the partition as such.
    pub high_watermark: i64,
    /// Offset after the last decided record; -1 likewise.
    pub last_stable_offset: i64,
    /// First offset that may be read; -1 likewise.
    pub log_start_offset: i64,
    /// Aborted transactions among the records, maybe empty; none with an error about the partition,
    /// and unless reading committed.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Whole batches.
    pub records: Records,
    /// The broker to read from instead (KIP-392).
    pub preferred: Option<i32>,
}

/// What a fetch is answered with.
#[derive(Clone, Debug, Default)]
pub struct FetchOutcome {
    /// What is wrong with the whole request.
    pub error: Option<FetchError>,
    /// The session the client may go on with, or 0.
    pub session_id: i32,
    /// The partitions, in the order they were fetched.
    pub partitions: Vec<PartitionOutcome>,
    /// The memory that its records take, given back when this is dropped.
    pub memory: Option<Arc<FairPermit>>,
}

impl FetchOutcome {
    /// The answer to a request that is refused as a whole.
    pub fn refused(error: FetchError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

impl PartitionOutcome {
    /// The answer to `fetch`, from what was planned for it and what was read.
    pub fn new(
        fetch: &PartitionFetch,
        planned: &Result<Readable, FetchError>,
        read: PartitionRecords,
    ) -> Self {
        let outcome = Self {
            topic: fetch.topic.clone(),
            partition: fetch.partition,
            error: None,
            high_watermark: NO_OFFSET,
            last_stable_offset: NO_OFFSET,
            log_start_offset: NO_OFFSET,
            aborted_transactions: None,
            records: Records::default(),
            preferred: None,
        };
        match planned {
            Err(error) => Self {
                error: Some(*error),
                ..outcome
            },
            Ok(readable) => Self {
                error: read.error,
                high_watermark: readable.high_watermark,
                last_stable_offset: readable.last_stable_offset,
                log_start_offset: readable.log_start_offset,
                aborted_transactions: aborted_before(readable, &read),
                records: read.records,
                ..outcome
            },
        }
    }
}

/// The aborted transactions of a plan that begin in what was read of it, or before.
fn aborted_before(readable: &Readable, read: &PartitionRecords) -> Option<Vec<AbortedTransaction>> {
    let mut aborted = readable.aborted.clone()?;
    aborted.retain(|a| a.first_offset < read.end_offset);
    Some(aborted)
}
