//! Carries out a plan: loads blocks, takes whole batches out of them within the exact limits, and
//! stamps their offsets, without copying records.
//!
//! Limits are Kafka's (`ReplicaManager.readFromLog`): the first partition that has records gets its
//! first batch however large it is; everything after that must fit into its partition's limit and
//! into what is left of the request's. What is wrong in one partition stays there.

use runtime::SharedClock;

use super::FetchError;
use super::assembly::{Assembly, Segment};
use super::cache::{BlockCache, BlockKey};
use super::complaints::Complaints;
use super::parts::{Part, render};
use super::plan::{Plan, Readable, Slice};
use super::pool::Client;
use super::walk::{Blocks, ReadFault, Walk};

pub use super::assembly::Records;

/// After so many bytes other tasks get a turn.
const YIELD_BYTES: u64 = 4 << 20;

/// What one partition gives.
#[derive(Debug, Default)]
pub struct PartitionRecords {
    /// Whole batches.
    pub records: Records,
    /// The offset after the last batch; the fetch offset if there is none.
    pub end_offset: i64,
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
        let blocks = plan.blocks.iter().map(|(key, _)| key);
        let absent = blocks.filter(|key| !self.cache.contains(key));
        plan.planned() + absent.map(BlockKey::len).sum::<u64>()
    }

    /// Reads what a plan says for a client, in its order.
    pub async fn read(&self, plan: &Plan, client: &Client) -> Vec<PartitionRecords> {
        let mut blocks = Blocks::load(&self.cache, client, &plan.blocks).await;
        let mut assembly = Assembly::default();
        let mut left = plan.bytes_max;
        let mut nothing_yet = true;
        let mut since_yield = 0;
        let mut read = Vec::with_capacity(plan.partitions.len());
        for partition in &plan.partitions {
            let Ok(readable) = partition else {
                read.push((vec![], (0, None)));
                continue;
            };
            let limit = Limit {
                bytes: left.min(readable.bytes_max),
                or_one_batch: nothing_yet,
            };
            let mut taken = Taken::from(readable.fetch_offset);
            let walked = take(readable, limit, &mut blocks, &mut assembly, &mut taken).await;
            left = left.saturating_sub(taken.bytes);
            nothing_yet &= taken.bytes == 0;
            since_yield += taken.bytes;
            let error = walked.err().map(|fault| self.report(&fault));
            // What is in front of a fault is good, and the next fetch will begin at the fault.
            let error = error.filter(|_| taken.bytes == 0);
            read.push((taken.segments, (taken.end_offset, error)));
            if since_yield >= YIELD_BYTES {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        if !nothing_yet {
            self.complaints.over();
        }
        drop(blocks);
        let (segments, rest): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let records = assembly.finish(segments);
        let join = |(records, (end_offset, error))| PartitionRecords {
            records,
            end_offset,
            error,
        };
        records.into_iter().zip(rest).map(join).collect()
    }
}

/// How much one partition may give.
#[derive(Clone, Copy)]
struct Limit {
    bytes: u64,
    or_one_batch: bool,
}

struct Taken {
    bytes: u64,
    end_offset: i64,
    segments: Vec<Segment>,
}

impl Taken {
    /// Nothing yet, from this offset on.
    fn from(fetch_offset: i64) -> Self {
        Self {
            bytes: 0,
            end_offset: fetch_offset,
            segments: vec![],
        }
    }

    /// Whether a batch of so many bytes may follow.
    fn has_room(&self, bytes: u64, limit: Limit) -> bool {
        self.bytes + bytes <= limit.bytes || (self.bytes == 0 && limit.or_one_batch)
    }
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
    for part in &readable.parts {
        let is_full = match part {
            Part::Records(slice) => {
                let first = take_records(readable, slice, limit, blocks, assembly, taken).await;
                match first {
                    Err(ReadFault::Damaged { .. }) if blocks.distrust(slice).await => {
                        take_records(readable, slice, limit, blocks, assembly, taken).await?
                    }
                    other => other?,
                }
            }
            Part::Marker(offset, marker) => {
                let batch = render(*offset, marker);
                let has_room = taken.has_room(batch.len() as u64, limit);
                if has_room {
                    taken.bytes += batch.len() as u64;
                    taken.end_offset = part.end_offset();
                    assembly.push_made(&mut taken.segments, &batch);
                }
                !has_room
            }
        };
        if is_full {
            break;
        }
    }
    Ok(())
}

/// Takes batches out of a slice; says whether nothing may follow any more.
async fn take_records(
    readable: &Readable,
    slice: &Slice,
    limit: Limit,
    blocks: &mut Blocks<'_>,
    assembly: &mut Assembly,
    taken: &mut Taken,
) -> Result<bool, ReadFault> {
    let mut walk = Walk::new(slice, blocks);
    while let Some(batch) = walk.next().await? {
        // Also what was taken before the rest of the slice turned out to be damaged.
        if batch.end_offset() <= taken.end_offset {
            continue;
        }
        let is_shown = batch.base_offset < readable.end_offset;
        if !is_shown || !taken.has_room(batch.total_len(), limit) {
            return Ok(true);
        }
        walk.verify(&batch)?;
        taken.bytes += batch.total_len();
        taken.end_offset = batch.end_offset();
        assembly.push(&mut taken.segments, batch);
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
