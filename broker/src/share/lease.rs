//! The lease of a share-partition: taking it over with what was saved, choosing where a group begins,
//! giving it up.

use std::sync::Arc;

use control_plane::replica::SubmitError;
use control_plane::state::{
    AcquireShare, ReleaseShare, SaveShare, ShareLease, ShareRejection, ShareRun, State,
};

use super::ShareError;
use super::call::ShareKey;
use super::partition::SharePartition;
use super::registry::Shared;
use crate::config::share_reset::ShareReset;
use crate::fetch::list_offsets::OffsetQuery;
use crate::fetch::plan::{Isolation, TopicRef};

/// A share-partition that this process leads.
pub(super) struct Leased {
    /// To be carried in every save.
    pub epoch: u64,
    /// As it was left.
    pub machine: SharePartition,
}

/// Takes the lease of a share-partition, unless somebody alive has it, and restores it.
///
/// The state here holds every save made under earlier leases once the acquisition is applied here.
pub(super) async fn acquire(shared: &Shared, key: &ShareKey) -> Result<Leased, ShareError> {
    let session = &shared.session;
    let leader = |s: &State| s.share_leader(&key.group, key.partition);
    let held = session.replica().read(leader);
    if held.is_some_and(|lease| lease.leader != session.epoch()) {
        return Err(ShareError::NotLeader);
    }
    // SUBTLE: asked for even if this process has it already. A task before this one may have given up a
    // save whose outcome it did not learn; this is behind it.
    let acquire = AcquireShare {
        group: key.group.clone(),
        partition: key.partition,
    };
    let acquired = session.submit(acquire).await.map_err(error_of)?;
    let lease = acquired.map_err(refused)?;
    if lease.leader != session.epoch() {
        return Err(ShareError::NotLeader);
    }
    let start = match saved(shared, key).0 {
        Some(start) => start,
        None => begin(shared, key, lease).await?,
    };
    let (_, runs) = saved(shared, key);
    let limits = session
        .replica()
        .read(|s| shared.options.of(s, &key.group).limits);
    Ok(Leased {
        epoch: lease.epoch,
        machine: SharePartition::restore(limits, start, &runs),
    })
}

fn saved(shared: &Shared, key: &ShareKey) -> (Option<i64>, Vec<ShareRun>) {
    let read = |state: &State| {
        let share = state.share(&key.group, key.partition)?;
        Some((share.start, share.runs.values().copied().collect()))
    };
    shared.session.replica().read(read).unwrap_or_default()
}

/// Chooses where a group begins to read the partition, as `share.auto.offset.reset` says, and saves it.
async fn begin(shared: &Shared, key: &ShareKey, lease: ShareLease) -> Result<i64, ShareError> {
    let replica = shared.session.replica();
    // What was acknowledged before now, by any agent, is before the latest offset.
    replica.barrier().await.map_err(|_| ShareError::NotLeader)?;
    let reset = replica.read(|s| shared.options.of(s, &key.group).reset);
    let ends = |state: &State| {
        let partition = state.partition(key.partition)?;
        Some((partition.log_start_offset, partition.high_watermark))
    };
    let (earliest, latest) = replica.read(ends).ok_or(ShareError::UnknownPartition)?;
    let start = match reset {
        ShareReset::Earliest => earliest,
        ShareReset::Latest => latest,
        ShareReset::Ago(age) => {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let query = OffsetQuery {
                topic: TopicRef::Id(key.partition.topic),
                partition: i32::try_from(key.partition.partition).unwrap_or(i32::MAX),
                timestamp: shared.clock.wall_ms().saturating_sub(age).max(0),
                current_leader_epoch: -1,
            };
            let queries = vec![query];
            let found = shared
                .fetcher
                .list_offsets(queries, Isolation::ReadUncommitted);
            match found.await.into_iter().next() {
                Some(Ok(found)) if found.offset >= 0 => found.offset,
                Some(Ok(_)) => latest,
                Some(Err(_)) | None => return Err(ShareError::Storage),
            }
        }
    };
    let save = SaveShare {
        group: key.group.clone(),
        partition: key.partition,
        epoch: lease.epoch,
        start,
        runs: vec![],
    };
    let saved = shared.session.submit(save).await.map_err(error_of)?;
    saved.map_err(refused)?;
    tracing::debug!(group = key.group, partition = ?key.partition, start, "a share group begins");
    Ok(start)
}

/// Gives a lease up, so that any agent may take it.
pub(super) async fn release(shared: &Arc<Shared>, key: &ShareKey, epoch: u64) {
    let release = ReleaseShare {
        group: key.group.clone(),
        partition: key.partition,
        epoch,
    };
    // If this is not heard, the lease ends with this process.
    let _ = shared.session.submit(release).await;
}

pub(super) fn error_of(error: SubmitError) -> ShareError {
    match error {
        SubmitError::TooLarge(_) => ShareError::InvalidRequest,
        SubmitError::Failed(_) | SubmitError::Registration(_) | SubmitError::ShuttingDown => {
            ShareError::NotLeader
        }
    }
}

pub(super) fn refused(rejection: ShareRejection) -> ShareError {
    match rejection {
        // As in Kafka before the group's coordinator has made the share-partition known.
        ShareRejection::UnknownPartition | ShareRejection::UnknownGroup => {
            ShareError::UnknownPartition
        }
        ShareRejection::NotLeader | ShareRejection::NotCoordinator | ShareRejection::BadRuns => {
            ShareError::NotLeader
        }
    }
}
