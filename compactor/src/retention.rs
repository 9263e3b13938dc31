//! Retention by age and by size: moves log start offsets over whole runs that are past it, as Kafka does over whole
//! segments.

use std::ops::ControlFlow;

use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireLease, DeleteRecords, Partition, State};
use futures::future::try_join_all;
use object_format::TopicPartition;

use crate::jobs::each_partition;
use crate::metric_definitions as names;
use crate::policy::{Defaults, Policies, Policy};

const LEASE: &str = "retention";

/// Partitions whose log start offset is moved at once.
const BATCH: usize = 256;

/// One pass. Gives how many partitions it shortened; none if another process holds the lease.
///
/// # Errors
/// If the log fails; what is left is found again by the next pass.
pub async fn pass(
    session: &Session,
    defaults: &Defaults,
    wall_ms: i64,
) -> Result<usize, SubmitError> {
    let lease = AcquireLease {
        name: LEASE.to_owned(),
    };
    if session.submit(lease).await?.is_err() {
        return Ok(0);
    }
    let mut due = Vec::new();
    let mut policies = Policies::new(defaults);
    each_partition::<()>(session, |state, of, partition| {
        let policy = policies.of(state, of.topic);
        due.extend(policy.and_then(|policy| to_delete(state, of, partition, &policy, wall_ms)));
        ControlFlow::Continue(())
    });
    for batch in due.chunks(BATCH) {
        let deletions = batch.iter().map(|delete| session.submit(delete.clone()));
        try_join_all(deletions).await?;
    }
    metrics::counter!(names::RETENTION_PARTITIONS.name).increment(due.len() as u64);
    Ok(due.len())
}

/// What of a partition is past its retention.
fn to_delete(
    state: &State,
    of: TopicPartition,
    partition: &Partition,
    policy: &Policy,
    wall_ms: i64,
) -> Option<DeleteRecords> {
    // Both clocks must agree that a record is old: neither an agent's nor one's own that runs ahead deletes anything.
    let now_ms = state.log_time_ms().min(wall_ms);
    let by_age = policy
        .retention_ms
        .and_then(|ms| past_age(state, partition, now_ms, ms));
    let by_size = policy
        .retention_bytes
        .and_then(|bytes| past_size(partition, bytes));
    let before_offset = by_age.max(by_size)?;
    (before_offset > partition.log_start_offset).then_some(DeleteRecords {
        partition: of,
        before_offset,
    })
}

/// The end of the runs at the beginning of which every record is older than this.
fn past_age(state: &State, partition: &Partition, now_ms: i64, retention_ms: u64) -> Option<i64> {
    let written_ms = |extent: &control_plane::state::Extent| match extent.max_timestamp {
        // Records without a timestamp are as old as their object.
        ..0 => state
            .object(extent.object)
            .map_or(now_ms, |object| object.committed_ms),
        timestamp => timestamp,
    };
    let is_past = |extent: &control_plane::state::Extent| {
        now_ms.saturating_sub(written_ms(extent)) > i64::try_from(retention_ms).unwrap_or(i64::MAX)
    };
    let past = partition
        .extents
        .iter()
        .take_while(|(_, extent)| is_past(extent));
    past.last().map(|(&base, extent)| extent.end_offset(base))
}

/// The end of the runs at the beginning without which the partition still has so many bytes.
fn past_size(partition: &Partition, retention_bytes: u64) -> Option<i64> {
    let mut over = partition.bytes().checked_sub(retention_bytes)?;
    let past = partition.extents.iter().take_while(|(_, extent)| {
        let fits = extent.bytes <= over;
        over = over.saturating_sub(extent.bytes);
        fits
    });
    past.last().map(|(&base, extent)| extent.end_offset(base))
}

#[cfg(test)]
mod tests;
