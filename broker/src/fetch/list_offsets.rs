//! Offsets by what is known about them: the ends of a partition, or a time (Kafka's ListOffsets).
//!
//! Every answer knows of all commits made before it was asked for, by any agent.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use control_plane::state::{Partition, State};
use futures::StreamExt;
use object_format::TopicPartition;
use object_format::batch::BatchHeader;

use super::parts::{Part, parts_between};
use super::plan::{Isolation, LEADER_EPOCH, Slice, TopicRef, check_leader_epoch};
use super::pool::Client;
use super::walk::{Blocks, ReadFault, Walk};
use super::{FetchError, Fetcher, times};

/// Asks for the offset after the last record.
pub const LATEST: i64 = -1;
/// Asks for the first offset that may be read.
pub const EARLIEST: i64 = -2;
/// Asks for the record with the greatest timestamp (KIP-734).
pub const MAX_TIMESTAMP: i64 = -3;
/// Asks for the first offset that is not only in remote storage (KIP-405); here, the first.
pub const EARLIEST_LOCAL: i64 = -4;
/// Asks for the last offset in remote storage (KIP-1005); here, there is none.
pub const LATEST_TIERED: i64 = -5;

/// Extents and markers looked at in one go while the metadata stands still.
const PARTS_PER_LOOK: usize = 10_000;

/// Partitions of one request that are looked at at once.
const CONCURRENT_QUERIES: usize = 8;

/// The longest a lookup waits to learn of all commits.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of one partition.
#[derive(Clone, Debug)]
pub struct OffsetQuery {
    /// Of which topic.
    pub topic: TopicRef,
    /// Index of the partition.
    pub partition: i32,
    /// A time in milliseconds since 1970, or one of this module's negative numbers.
    pub timestamp: i64,
    /// The leader epoch the client believes in, or -1.
    pub current_leader_epoch: i32,
}

/// An offset, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; -1 if there is none.
    pub offset: i64,
    /// Timestamp of its record; -1 if it was not asked for by time.
    pub timestamp: i64,
    /// The leader epoch of its record; -1 if there is none.
    pub leader_epoch: i32,
}

impl FoundOffset {
    /// There is no such record.
    pub const NONE: Self = Self {
        offset: -1,
        timestamp: -1,
        leader_epoch: -1,
    };

    fn end(offset: i64) -> Self {
        Self {
            offset,
            timestamp: -1,
            leader_epoch: LEADER_EPOCH,
        }
    }
}

/// Which record is looked for, among those from `start` on and before `end`.
#[derive(Clone, Copy)]
struct Wanted {
    at_or_after: i64,
    start: i64,
    end: i64,
}

impl Wanted {
    fn is_in(&self, offset: i64, timestamp: i64) -> bool {
        timestamp >= self.at_or_after && offset >= self.start && offset < self.end
    }
}

/// The ends of a partition.
#[derive(Clone, Copy)]
struct Ends {
    start: i64,
    high_watermark: i64,
    /// The offset after the last record that the asker is shown.
    shown: i64,
}

impl Ends {
    fn of(partition: &Partition, isolation: Isolation) -> Self {
        Self {
            start: partition.log_start_offset,
            high_watermark: partition.high_watermark,
            shown: isolation.end(partition),
        }
    }
}

impl Fetcher {
    /// Answers each query, in order.
    pub async fn list_offsets(
        &self,
        queries: Vec<OffsetQuery>,
        isolation: Isolation,
    ) -> Vec<Result<FoundOffset, FetchError>> {
        let barrier = tokio::time::timeout(BARRIER_TIMEOUT, self.replica().barrier()).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return vec![Err(FetchError::OffsetNotAvailable); queries.len()];
        }
        let answers = queries
            .into_iter()
            .map(|query| self.find_offset(query, isolation));
        futures::stream::iter(answers)
            .buffered(CONCURRENT_QUERIES)
            .collect()
            .await
    }

    async fn find_offset(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
    ) -> Result<FoundOffset, FetchError> {
        let (of, ends) = self.replica().read(|state| {
            let of = query.topic.resolve(state, query.partition)?;
            let partition = partition(state, of)?;
            check_leader_epoch(query.current_leader_epoch)?;
            Ok::<_, FetchError>((of, Ends::of(partition, isolation)))
        })?;
        match query.timestamp {
            LATEST => Ok(FoundOffset::end(ends.shown)),
            EARLIEST | EARLIEST_LOCAL => Ok(FoundOffset::end(ends.start)),
            LATEST_TIERED => Ok(FoundOffset::NONE),
            MAX_TIMESTAMP => self.newest_record(of, ends).await,
            at_or_after if at_or_after >= 0 => {
                let wanted = Wanted {
                    at_or_after,
                    start: ends.start,
                    end: ends.shown,
                };
                self.first_record(of, ends.start, wanted).await
            }
            _ => Err(FetchError::UnsupportedVersion),
        }
    }

    /// The first record with the greatest timestamp of all. If it is not to be shown, no other is, as in Kafka.
    async fn newest_record(
        &self,
        of: TopicPartition,
        ends: Ends,
    ) -> Result<FoundOffset, FetchError> {
        let mut newest: Option<(i64, i64)> = None;
        self.look_at_parts(of, ends.start, ends.high_watermark, |part| {
            let timestamp = part.max_timestamp();
            if newest.is_none_or(|(_, known)| timestamp > known) {
                newest = Some((part.base_offset(), timestamp));
            }
            ControlFlow::<()>::Continue(())
        })?;
        let Some((base, at_or_after)) = newest else {
            return Ok(FoundOffset::NONE);
        };
        let wanted = Wanted {
            at_or_after,
            start: ends.start,
            end: ends.high_watermark,
        };
        let found = self.first_record(of, base, wanted).await?;
        Ok(match found.offset < ends.shown {
            true => found,
            false => FoundOffset::NONE,
        })
    }

    /// The first record that is wanted, looked for from offset `from` on.
    async fn first_record(
        &self,
        of: TopicPartition,
        mut from: i64,
        wanted: Wanted,
    ) -> Result<FoundOffset, FetchError> {
        loop {
            let next = self.look_at_parts(of, from, wanted.end, |part| {
                match part.max_timestamp() >= wanted.at_or_after {
                    true => ControlFlow::Break(part),
                    false => ControlFlow::Continue(()),
                }
            })?;
            let slice = match next {
                None => return Ok(FoundOffset::NONE),
                Some(Part::Marker(offset, marker)) => {
                    return Ok(FoundOffset {
                        offset,
                        timestamp: marker.timestamp_ms,
                        leader_epoch: LEADER_EPOCH,
                    });
                }
                Some(Part::Records(slice)) => slice,
            };
            let turn = self.lookup_turn(&slice).await;
            let found = self.first_record_in(&slice, wanted).await;
            drop(turn);
            match found.map_err(|fault| self.report(&fault))? {
                Some(found) => return Ok(found),
                None => from = slice.end_offset(),
            }
        }
    }

    /// Shows the parts between two offsets, in order, until `look` breaks.
    fn look_at_parts<B>(
        &self,
        of: TopicPartition,
        mut from: i64,
        end: i64,
        mut look: impl FnMut(Part) -> ControlFlow<B>,
    ) -> Result<Option<B>, FetchError> {
        loop {
            let seen = self.replica().read(|state| {
                let parts = parts_between(state, partition(state, of)?, from, end);
                let mut next = None;
                for part in parts.take(PARTS_PER_LOOK) {
                    if let ControlFlow::Break(found) = look(part) {
                        return Ok(ControlFlow::Break(found));
                    }
                    next = Some(part.end_offset());
                }
                Ok::<_, FetchError>(ControlFlow::Continue(next))
            })?;
            match seen {
                ControlFlow::Break(found) => return Ok(Some(found)),
                ControlFlow::Continue(None) => return Ok(None),
                ControlFlow::Continue(Some(next)) => from = next,
            }
        }
    }

    async fn first_record_in(
        &self,
        slice: &Slice,
        wanted: Wanted,
    ) -> Result<Option<FoundOffset>, ReadFault> {
        let client = Client::default();
        let mut blocks = Blocks::passing(self.cache(), &client);
        match look_for_record(slice, wanted, &mut blocks).await {
            Err(ReadFault::Damaged { .. }) if blocks.distrust(slice).await => {
                look_for_record(slice, wanted, &mut blocks).await
            }
            other => other,
        }
    }
}

/// The first wanted record of a slice.
async fn look_for_record(
    slice: &Slice,
    wanted: Wanted,
    blocks: &mut Blocks<'_>,
) -> Result<Option<FoundOffset>, ReadFault> {
    let mut walk = Walk::new(slice, blocks);
    while let Some(batch) = walk.next().await? {
        let newest = batch.header.max_timestamp;
        if newest < wanted.at_or_after || batch.end_offset() <= wanted.start {
            continue;
        }
        if batch.base_offset >= wanted.end {
            return Ok(None);
        }
        walk.verify(&batch)?;
        let (header, bytes, base) = (batch.header, batch.to_bytes(), batch.base_offset);
        let looked = tokio::task::spawn_blocking(move || find(&bytes, &header, base, wanted));
        let looked = looked
            .await
            .map_err(std::io::Error::other)
            .and_then(|looked| looked);
        match looked {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => {
                return Err(ReadFault::Damaged {
                    object: slice.object,
                    position: batch.position,
                    what: error.to_string(),
                });
            }
        }
    }
    Ok(None)
}

fn partition(state: &State, of: TopicPartition) -> Result<&Partition, FetchError> {
    state
        .partition(of)
        .ok_or(FetchError::UnknownTopicOrPartition)
}

/// The first wanted record of a batch.
fn find(
    batch: &Bytes,
    header: &BatchHeader,
    base: i64,
    wanted: Wanted,
) -> std::io::Result<Option<FoundOffset>> {
    let offset = |delta: i32| base.saturating_add(i64::from(delta));
    let found = times::find_record(batch, header, |delta, timestamp| {
        wanted.is_in(offset(delta), timestamp)
    })?;
    Ok(found.map(|(delta, timestamp)| FoundOffset {
        offset: offset(delta),
        timestamp,
        leader_epoch: LEADER_EPOCH,
    }))
}

#[cfg(test)]
mod tests;
