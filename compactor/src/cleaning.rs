//! Compaction by key (`cleanup.policy=compact`): which partition is cleaned next, and the pass over it.
//!
//! A pass notes the keys of what was written since the last one, as many as fit into memory, and rewrites all before
//! without what they supersede. What it rewrites is swapped in the order of offsets, and the pass ends where a swap does
//! not apply, so that a tombstone is never gone before the values it deletes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use control_plane::state::{ClaimJob, Extent, JobKind, JobRejection, Partition, State};
use object_format::TopicPartition;
use object_format::batch::BatchHeader;

use crate::clean::{self, AbortedRanges, Cleaned, KeyMap, NoteError, Rules};
use crate::jobs::{each_partition, finish};
use crate::layout::{Part, Stretch};
use crate::policy::{CompactPolicy, Defaults, Policy};
use crate::rewrite::{Batches, Passing, RewriteError, Rewritten, Sink, Source, Tools};

/// How a pass is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for the keys.
    pub key_bytes_max: usize,
    /// For hashing keys.
    pub seed: u64,
    /// What topics have that set nothing themselves.
    pub defaults: Defaults,
}

/// A partition to be cleaned.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// All of it that may be cleaned.
    pub stretch: Stretch,
    /// The first offset that no pass has taken into account.
    pub dirty_from: i64,
    /// The aborted transactions in it, by the offsets of their markers: producer id, first offset, that offset.
    pub aborted: Vec<(i64, i64, i64)>,
    /// The topic's.
    pub policy: CompactPolicy,
    /// The share of its bytes that no pass has taken into account.
    pub dirty_ratio: f64,
}

/// Cleans the partition that needs it most. `None` if none needs it.
///
/// # Errors
/// [`RewriteError`]; what was swapped before stays so.
pub async fn clean(tools: &Tools, options: &Options) -> Result<Option<Rewritten>, RewriteError> {
    let wall_ms = tools.clock.wall_ms();
    let Some(due) = dirtiest(tools, &options.defaults, wall_ms) else {
        return Ok(None);
    };
    let claim = ClaimJob {
        kind: JobKind::Clean,
        bytes: due.stretch.bytes(),
        objects: vec![],
        partitions: vec![due.stretch.partition],
    };
    let job = match tools.session.submit(claim).await? {
        Ok(job) => job,
        Err(JobRejection::Claimed(_)) => return Ok(None),
        Err(rejection) => return Err(rejection.into()),
    };
    let result = pass(tools, options, job, &due, wall_ms).await;
    finish(tools, job, JobKind::Clean, &result).await?;
    result.map(Some)
}

fn dirtiest(tools: &Tools, defaults: &Defaults, wall_ms: i64) -> Option<Due> {
    let mut dirtiest: Option<Due> = None;
    let claimed: BTreeSet<TopicPartition> = tools.session.replica().read(|state| {
        let jobs = state.live_jobs();
        jobs.flat_map(|(_, job)| job.partitions.iter().copied())
            .collect()
    });
    each_partition::<()>(&tools.session, |state, of| {
        let found = due(state, of, tools, defaults, wall_ms).filter(|_| !claimed.contains(&of));
        let ratio = |due: &Due| due.dirty_ratio;
        if found.as_ref().map(ratio) > dirtiest.as_ref().map(ratio) {
            dirtiest = found;
        }
        ControlFlow::Continue(())
    });
    dirtiest
}

/// Whether a partition is to be cleaned, and what of it.
fn due(
    state: &State,
    of: TopicPartition,
    tools: &Tools,
    defaults: &Defaults,
    wall_ms: i64,
) -> Option<Due> {
    let (partition, topic) = (state.partition(of)?, state.topic(of.topic)?);
    let policy = Policy::of(state, topic, defaults).compact?;
    let now_ms = state.log_time_ms().min(wall_ms);
    let stable = partition.last_stable_offset();
    let may_be_cleaned = |(base, extent): &(i64, Extent)| {
        let object = state.object(extent.object);
        let is_ready = object.is_some_and(|object| !tools.limits.is_fresh(object));
        let is_old = now_ms.saturating_sub(extent.max_timestamp) >= policy.min_lag_ms;
        is_ready && is_old && extent.end_offset(*base) <= stable && !state.is_damaged(extent.object)
    };
    let extents = partition
        .extents
        .iter()
        .map(|(&base, extent)| (base, *extent));
    let extents: Vec<(i64, Extent)> = extents.take_while(may_be_cleaned).collect();
    let dirty_from = partition.cleaned_to;
    let is_dirty = |(base, extent): &&(i64, Extent)| extent.end_offset(*base) > dirty_from;
    let bytes = |(_, extent): &(i64, Extent)| extent.bytes;
    let dirty: u64 = extents.iter().filter(is_dirty).map(bytes).sum();
    let all: u64 = extents.iter().map(bytes).sum();
    if dirty == 0 {
        return None;
    }
    let oldest = extents
        .iter()
        .filter(is_dirty)
        .map(|(_, e)| e.max_timestamp)
        .min()?;
    let is_overdue = now_ms.saturating_sub(oldest) > policy.max_lag_ms;
    let dirty_ratio = match is_overdue {
        true => f64::INFINITY,
        false => dirty as f64 / all.max(1) as f64,
    };
    (dirty_ratio >= policy.min_dirty_ratio).then_some(())?;
    Some(Due {
        stretch: Stretch::of(of, partition, &extents)?,
        dirty_from,
        aborted: aborted(partition),
        policy,
        dirty_ratio,
    })
}

fn aborted(partition: &Partition) -> Vec<(i64, i64, i64)> {
    let aborted = partition.aborted();
    aborted
        .map(|(at, aborted)| (aborted.producer_id, aborted.first_offset, at))
        .collect()
}

async fn pass(
    tools: &Tools,
    options: &Options,
    job: u64,
    due: &Due,
    now_ms: i64,
) -> Result<Rewritten, RewriteError> {
    let aborted = AbortedRanges::new(due.aborted.iter().copied());
    let noted = note(tools, options, due, &aborted).await?;
    let rules = Rules {
        map: &noted.map,
        aborted: &aborted,
        now_ms,
        delete_retention_ms: due.policy.delete_retention_ms,
        keep_last: noted.keep_last,
    };
    let mut done = rewrite(tools, job, due, &rules).await?;
    done.bytes_read += noted.bytes_read;
    Ok(done)
}

/// The keys of what no pass has taken into account.
struct Noted {
    map: KeyMap,
    /// The last offset up to which they are known.
    keep_last: i64,
    bytes_read: u64,
}

async fn note(
    tools: &Tools,
    options: &Options,
    due: &Due,
    aborted: &AbortedRanges,
) -> Result<Noted, RewriteError> {
    let dirty = |part: &&Part| part.end_offset() > due.dirty_from;
    let dirty = [Stretch {
        partition: due.stretch.partition,
        parts: due.stretch.parts.iter().filter(dirty).copied().collect(),
    }];
    let mut source = Source::new(tools, &dirty);
    let mut map = KeyMap::new(options.key_bytes_max, options.seed);
    let mut end = due.dirty_from;
    let up_to = |map, end, source: &Source| Noted {
        map,
        keep_last: end - 1,
        bytes_read: source.bytes_read(),
    };
    for part in &dirty[0].parts {
        let mut batches = Batches::of(part);
        while let Some(batch) = batches.next(&mut source).await? {
            let batch_end = batch.base_offset + batch.header.offset_count();
            match clean::note_keys(&batch.bytes, batch.base_offset, aborted, &mut map) {
                Ok(()) => end = batch_end,
                Err(NoteError::Full(_)) if end > due.dirty_from => {
                    return Ok(up_to(map, end, &source));
                }
                Err(NoteError::Full(_)) => {
                    tracing::warn!(
                        partition = ?due.stretch.partition, offset = batch.base_offset,
                        "a batch has more keys than log.cleaner.dedupe.buffer.size takes: some stay that could go"
                    );
                    return Ok(up_to(map, batch_end, &source));
                }
                // What was written before the topic was compacted was never looked into.
                Err(NoteError::Damaged(_)) => end = batch_end,
            }
            tokio::task::yield_now().await;
        }
        end = part.end_offset();
    }
    Ok(up_to(map, end, &source))
}

async fn rewrite(
    tools: &Tools,
    job: u64,
    due: &Due,
    rules: &Rules<'_>,
) -> Result<Rewritten, RewriteError> {
    let cleaned = |part: &&Part| part.base_offset() <= rules.keep_last;
    let stretch = [Stretch {
        partition: due.stretch.partition,
        parts: due.stretch.parts.iter().filter(cleaned).copied().collect(),
    }];
    let mut source = Source::new(tools, &stretch);
    let mut sink = Sink::new(tools, job);
    sink.begin(due.stretch.partition, true);
    let [stretch] = &stretch;
    for (n, part) in stretch.parts.iter().enumerate() {
        let mut batches = Batches::of(part);
        while let Some(batch) = batches.next(&mut source).await? {
            push(&mut sink, batch, due, rules);
            tokio::task::yield_now().await;
        }
        if n + 1 == stretch.parts.len() {
            sink.note(|run| run.cleaned_to = Some(rules.keep_last + 1));
        }
        sink.end_part(part).await?;
        if sink.done().outdated > 0 {
            break;
        }
    }
    sink.end_run();
    sink.flush().await?;
    Ok(Rewritten {
        bytes_read: source.bytes_read(),
        ..sink.done()
    })
}

/// Adds to the run what stays of a batch; all of it if its records cannot be read.
fn push(sink: &mut Sink<'_>, batch: Passing, due: &Due, rules: &Rules<'_>) {
    let at = batch.base_offset;
    match clean::clean(&batch.bytes, at, rules) {
        Ok(Cleaned::Same) => sink.push(batch),
        Ok(Cleaned::Rewritten(bytes)) => match BatchHeader::parse(&bytes) {
            Ok(header) => sink.push(Passing {
                bytes,
                header,
                base_offset: at,
            }),
            Err(_) => sink.push(batch),
        },
        Ok(Cleaned::Gone) => {
            let marker = |(_, _, marker): &(i64, i64, i64)| *marker;
            if due.aborted.binary_search_by_key(&at, marker).is_ok() {
                sink.note(|run| run.aborts_gone.push(at));
            }
        }
        Err(error) => {
            let partition = due.stretch.partition;
            tracing::warn!(?partition, offset = at, %error, "a batch cannot be cleaned, and stays");
            sink.push(batch);
        }
    }
}
