//! The rewriting jobs: finds work, claims it, does it, and says that it is done. Safe to stop anywhere and to run in any
//! number of processes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use control_plane::replica::Session;
use control_plane::state::{
    ClaimJob, FinishJob, JobKind, JobRejection, Partition, ReportScrub, State,
};
use object_format::TopicPartition;

use crate::layout::{self, Stretch};
use crate::metric_definitions as names;
use crate::rewrite::{RewriteError, Rewritten, Tools, rewrite};

/// Partitions looked at before commits get a turn.
const SLICE: usize = 1_000;

/// Most partitions that one job merges runs of.
const PARTITIONS_MAX: usize = 4_096;

/// A job takes no further partition once it has so many runs and markers.
const PARTS_FULL: usize = 100_000;

/// Calls `look` with the state and each partition whose records are kept, also those of deleted topics that may be
/// undeleted; a bounded number of them at a time, until it breaks.
pub fn each_partition<B>(
    session: &Session,
    mut look: impl FnMut(&State, TopicPartition, &Partition) -> ControlFlow<B>,
) -> Option<B> {
    let mut from = Some(TopicPartition::default());
    while let Some(start) = from.take() {
        let broken = session.replica().read(|state| {
            for (n, (of, partition)) in state.stored_partitions_from(start).enumerate() {
                if n == SLICE {
                    from = Some(of);
                    break;
                }
                if let ControlFlow::Break(found) = look(state, of, partition) {
                    return Some(found);
                }
            }
            None
        });
        if broken.is_some() {
            return broken;
        }
    }
    None
}

/// Rewrites small objects, if there are enough, or `at_once`. `None` if there is nothing to do.
///
/// # Errors
/// [`RewriteError`]; what was done before stays done.
pub async fn layout(tools: &Tools, at_once: bool) -> Result<Option<Rewritten>, RewriteError> {
    let read = |state: &State| layout::choose(state, &tools.limits, at_once);
    let Some(chosen) = tools.session.replica().read(read) else {
        return Ok(None);
    };
    let claim = ClaimJob {
        kind: JobKind::Layout,
        bytes: chosen.bytes,
        objects: chosen.objects.iter().copied().collect(),
        partitions: vec![],
    };
    run(tools, claim, || {
        let mut stretches: Vec<Stretch> = Vec::new();
        // Also of deleted topics: what is left of one in an object would keep all of it.
        each_partition::<()>(&tools.session, |_, of, partition| {
            stretches.extend(layout::gather(of, partition, &chosen));
            ControlFlow::Continue(())
        });
        stretches
    })
    .await
}

/// Merges short runs of partitions that have many, and makes runs of many markers. `None` if there is nothing to do.
///
/// # Errors
/// As [`layout`].
pub async fn merge(tools: &Tools) -> Result<Option<Rewritten>, RewriteError> {
    let taken: BTreeSet<TopicPartition> = tools.session.replica().read(|state| {
        state
            .live_jobs()
            .flat_map(|(_, job)| job.partitions.iter().copied())
            .collect()
    });
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut bytes, mut parts) = (0, 0);
    each_partition(&tools.session, |state, of, partition| {
        let found = layout::markers(of, partition)
            .or_else(|| layout::merge(state, of, partition, &tools.limits));
        let is_wanted = |_: &Stretch| !taken.contains(&of) && state.topic(of.topic).is_some();
        if let Some(stretch) = found.filter(is_wanted) {
            bytes += stretch.bytes();
            parts += stretch.parts.len();
            stretches.push(stretch);
        }
        let is_full = bytes >= tools.limits.job_bytes || parts >= PARTS_FULL;
        match is_full || stretches.len() == PARTITIONS_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if stretches.is_empty() {
        return Ok(None);
    }
    let claim = ClaimJob {
        kind: JobKind::Merge,
        bytes,
        objects: vec![],
        partitions: stretches.iter().map(|stretch| stretch.partition).collect(),
    };
    run(tools, claim, || stretches).await
}

/// Claims a job and does it.
async fn run(
    tools: &Tools,
    claim: ClaimJob,
    stretches: impl FnOnce() -> Vec<Stretch>,
) -> Result<Option<Rewritten>, RewriteError> {
    let (kind, bytes) = (claim.kind, claim.bytes);
    let job = match tools.session.submit(claim).await? {
        Ok(job) => job,
        Err(JobRejection::Claimed(_)) => return Ok(None),
        Err(rejection) => return Err(rejection.into()),
    };
    tracing::debug!(job, ?kind, bytes, "begins a job");
    let result = rewrite(tools, job, stretches()).await;
    finish(tools, job, kind, &result).await?;
    result.map(Some)
}

/// Gives a job back, and says what became of it.
pub async fn finish(
    tools: &Tools,
    job: u64,
    kind: JobKind,
    result: &Result<Rewritten, RewriteError>,
) -> Result<(), RewriteError> {
    if let Err(RewriteError::Damaged { object, what }) = result {
        report_damage(tools, *object, what).await?;
    }
    match result {
        Ok(done) => {
            names::count(kind, done);
            tools.pace.faster();
            tracing::info!(
                job,
                ?kind,
                bytes_read = done.bytes_read,
                bytes_written = done.bytes_written,
                objects = done.objects,
                replaced = done.replaced,
                outdated = done.outdated,
                "finished a job"
            );
        }
        Err(error) => {
            metrics::counter!(names::JOBS_FAILED.name, "kind" => names::label(kind)).increment(1);
            tracing::warn!(job, ?kind, %error, "gives up a job");
        }
    }
    tools.session.submit(FinishJob { job }).await?;
    Ok(())
}

/// Says loudly that an object is damaged; nothing more is done with it.
pub async fn report_damage(
    tools: &Tools,
    object: object_format::ObjectId,
    what: &str,
) -> Result<(), RewriteError> {
    metrics::counter!(names::DAMAGED.name).increment(1);
    tracing::error!(%object, what, "an object is damaged: see `millrace compactor status`");
    let damaged = vec![(object, what.to_owned())];
    tools
        .session
        .submit(ReportScrub {
            verified: vec![],
            damaged,
        })
        .await?;
    Ok(())
}
