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

use super::plan::{Isolation, LEADER_EPOCH, Slice, TopicRef, check_leader_epoch};
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

/// Extents looked at in one go while the metadata stands still.
const EXTENTS_PER_LOOK: usize = 10_000;

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
            Ok::<_, FetchError>((of, (partition.log_start_offset, isolation.end(partition))))
        })?;
        let (start, end) = ends;
        match query.timestamp {
            LATEST => Ok(FoundOffset::end(end)),
            EARLIEST | EARLIEST_LOCAL => Ok(FoundOffset::end(start)),
            LATEST_TIERED => Ok(FoundOffset::NONE),
            MAX_TIMESTAMP => match self.newest_extent(of, start, end)? {
                None => Ok(FoundOffset::NONE),
                Some((base, at_or_after)) => {
                    self.first_record(
                        of,
                        base,
                        Wanted {
                            at_or_after,
                            start,
                            end,
                        },
                    )
                    .await
                }
            },
            at_or_after if at_or_after >= 0 => {
                self.first_record(
                    of,
                    start,
                    Wanted {
                        at_or_after,
                        start,
                        end,
                    },
                )
                .await
            }
            _ => Err(FetchError::UnsupportedVersion),
        }
    }

    /// Base offset and greatest timestamp of the first extent with the greatest timestamp of all.
    fn newest_extent(
        &self,
        of: TopicPartition,
        start: i64,
        end: i64,
    ) -> Result<Option<(i64, i64)>, FetchError> {
        let mut newest: Option<(i64, i64)> = None;
        self.look_at_extents(of, start, end, |slice, timestamp| {
            if newest.is_none_or(|(_, known)| timestamp > known) {
                newest = Some((slice.base_offset, timestamp));
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(newest)
    }

    /// The first record that is wanted, looked for from offset `from` on.
    async fn first_record(
        &self,
        of: TopicPartition,
        mut from: i64,
        wanted: Wanted,
    ) -> Result<FoundOffset, FetchError> {
        loop {
            let next = self.look_at_extents(of, from, wanted.end, |slice, timestamp| {
                match timestamp >= wanted.at_or_after {
                    true => ControlFlow::Break(slice),
                    false => ControlFlow::Continue(()),
                }
            })?;
            let Some(slice) = next else {
                return Ok(FoundOffset::NONE);
            };
            let turn = self.lookup_turn().await;
            let found = self.first_record_in(&slice, wanted).await;
            drop(turn);
            match found.map_err(|fault| self.report(&fault))? {
                Some(found) => return Ok(found),
                None => from = slice.base_offset.saturating_add_unsigned(slice.offsets),
            }
        }
    }

    /// Shows the extents between two offsets, in order, until `look` breaks.
    fn look_at_extents<B>(
        &self,
        of: TopicPartition,
        mut from: i64,
        end: i64,
        mut look: impl FnMut(Slice, i64) -> ControlFlow<B>,
    ) -> Result<Option<B>, FetchError> {
        while from < end {
            let seen = self.replica().read(|state| {
                let extents = partition(state, of)?.extents_from(from);
                let mut next = end;
                for (at, (base, extent)) in extents.enumerate() {
                    next = base;
                    if base >= end || at == EXTENTS_PER_LOOK {
                        break;
                    }
                    next = base.saturating_add_unsigned(extent.offsets);
                    let slice = Slice::of(state, base, extent);
                    if let ControlFlow::Break(found) = look(slice, extent.max_timestamp) {
                        return Ok(ControlFlow::Break(found));
                    }
                }
                Ok::<_, FetchError>(ControlFlow::Continue(next))
            })?;
            match seen {
                ControlFlow::Break(found) => return Ok(Some(found)),
                ControlFlow::Continue(next) if next <= from => break,
                ControlFlow::Continue(next) => from = next,
            }
        }
        Ok(None)
    }

    async fn first_record_in(
        &self,
        slice: &Slice,
        wanted: Wanted,
    ) -> Result<Option<FoundOffset>, ReadFault> {
        let mut blocks = Blocks::load(self.cache(), &[]).await;
        let mut walk = Walk::new(slice, &mut blocks);
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
