//! Carries out a plan: loads blocks, takes whole batches out of them within the exact limits, and
//! stamps their offsets, without copying records.
//!
//! Limits are Kafka's (`ReplicaManager.readFromLog`): the first partition that has records gets its
//! first batch however large it is; everything after that must fit into its partition's limit and
//! into what is left of the request's. What is wrong in one partition stays there.

use runtime::SharedClock;
use tokio::sync::OwnedSemaphorePermit;

use super::FetchError;
use super::assembly::{Assembly, Segment};
use super::cache::BlockCache;
use super::complaints::Complaints;
use super::plan::{Plan, Readable};
use super::walk::{Blocks, ReadFault, Walk};

pub use super::assembly::Records;

/// After so many bytes other tasks get a turn.
const YIELD_BYTES: u64 = 4 << 20;

/// What one partition gives.
#[derive(Debug, Default)]
pub struct PartitionRecords {
    /// Whole batches.
    pub records: Records,
    /// Why there is none, if something is wrong.
    pub error: Option<FetchError>,
}

/// Reads plans.
pub struct Reader {
    cache: BlockCache,
    complaints: Complaints,
}

impl Reader {
    /// A reader through this cache.
    pub fn new(cache: BlockCache, clock: SharedClock) -> Self {
        Self {
            cache,
            complaints: Complaints::new(clock),
        }
    }

    /// The cache it reads through.
    pub fn cache(&self) -> &BlockCache {
        &self.cache
    }

    /// Logs a fault, unless it is known, and gives what the client is told.
    pub fn report(&self, fault: &ReadFault) -> FetchError {
        self.complaints.report(fault);
        FetchError::from(fault)
    }

    /// Bytes of memory that carrying out a plan takes.
    pub fn memory(&self, plan: &Plan) -> u64 {
        let absent = plan.blocks.iter().filter(|key| !self.cache.contains(key));
        plan.planned() + absent.map(|key| key.len()).sum::<u64>()
    }

    /// Reads what a plan says, in its order. `memory` is what [`Reader::memory`] said, or less;
    /// as much of it as the records keep goes with them, until they are dropped.
    pub async fn read(
        &self,
        plan: &Plan,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Vec<PartitionRecords> {
        let mut blocks = Blocks::load(&self.cache, &plan.blocks).await;
        let mut assembly = Assembly::default();
        let mut left = plan.bytes_max;
        let mut nothing_yet = true;
        let mut since_yield = 0;
        let mut read = Vec::with_capacity(plan.partitions.len());
        for partition in &plan.partitions {
            let Ok(readable) = partition else {
                read.push((vec![], None));
                continue;
            };
            let limit = Limit {
                bytes: left.min(readable.bytes_max),
                or_one_batch: nothing_yet,
            };
            let mut taken = Taken::default();
            let walked = take(readable, limit, &mut blocks, &mut assembly, &mut taken).await;
            left = left.saturating_sub(taken.bytes);
            nothing_yet &= taken.bytes == 0;
            since_yield += taken.bytes;
            let error = walked.err().map(|fault| self.report(&fault));
            // What is in front of a fault is good, and the next fetch will begin at the fault.
            read.push((taken.segments, error.filter(|_| taken.bytes == 0)));
            if since_yield >= YIELD_BYTES {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        if !nothing_yet {
            self.complaints.over();
        }
        drop(blocks);
        let (segments, errors): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let records = assembly.finish(segments, memory);
        let join = |(records, error)| PartitionRecords { records, error };
        records.into_iter().zip(errors).map(join).collect()
    }
}

/// How much one partition may give.
#[derive(Clone, Copy)]
struct Limit {
    bytes: u64,
    or_one_batch: bool,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    segments: Vec<Segment>,
}

/// Takes batches, from the one with the fetch offset on.
async fn take(
    readable: &Readable,
    limit: Limit,
    blocks: &mut Blocks<'_>,
    assembly: &mut Assembly,
    taken: &mut Taken,
) -> Result<(), ReadFault> {
    if limit.bytes == 0 && !limit.or_one_batch {
        return Ok(());
    }
    for slice in &readable.slices {
        let mut walk = Walk::new(slice, blocks);
        while let Some(batch) = walk.next().await? {
            if batch.end_offset() <= readable.fetch_offset {
                continue;
            }
            let fits = taken.bytes + batch.total_len() <= limit.bytes;
            let first = taken.bytes == 0 && limit.or_one_batch;
            if batch.base_offset >= readable.end_offset || !(fits || first) {
                return Ok(());
            }
            walk.verify(&batch)?;
            taken.bytes += batch.total_len();
            assembly.push(&mut taken.segments, batch);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
