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
use crate::layout::{Limits, Part, Stretch};
use crate::policy::{CompactPolicy, Defaults, Policies};
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

/// The partition of which the greatest share is dirty. Of most partitions next to nothing has to be looked at: where no
/// topic is compacted, and where nothing that may be cleaned was written since the last pass.
fn dirtiest(tools: &Tools, defaults: &Defaults, wall_ms: i64) -> Option<Due> {
    let claimed: BTreeSet<TopicPartition> = tools.session.replica().read(|state| {
        let jobs = state.live_jobs();
        jobs.flat_map(|(_, job)| job.partitions.iter().copied())
            .collect()
    });
    let mut policies = Policies::new(defaults);
    let mut dirtiest: Option<(f64, TopicPartition)> = None;
    each_partition::<()>(&tools.session, |state, of, partition| {
        let policy = policies.of(state, of.topic).and_then(|p| p.compact);
        let look = |policy| Look::new(state, &tools.limits, policy, wall_ms);
        let ratio = policy.and_then(|policy| look(policy).dirty_ratio(partition));
        if ratio > dirtiest.map(|(ratio, _)| ratio) && !claimed.contains(&of) {
            dirtiest = ratio.map(|ratio| (ratio, of));
        }
        ControlFlow::Continue(())
    });
    let (_, of) = dirtiest?;
    tools.session.replica().read(|state| {
        let policy = policies.of(state, of.topic)?.compact?;
        let look = Look::new(state, &tools.limits, policy, wall_ms);
        look.due(of, state.partition(of)?)
    })
}

/// What decides whether a partition is to be cleaned.
struct Look<'a> {
    state: &'a State,
    limits: &'a Limits,
    policy: CompactPolicy,
    now_ms: i64,
}

impl<'a> Look<'a> {
    fn new(state: &'a State, limits: &'a Limits, policy: CompactPolicy, wall_ms: i64) -> Self {
        Self {
            state,
            limits,
            policy,
            now_ms: state.log_time_ms().min(wall_ms),
        }
    }

    /// Whether an extent may be cleaned, `stable` being the partition's last stable offset.
    fn admits(&self, base: i64, extent: &Extent, stable: i64) -> bool {
        let is_old = self.now_ms.saturating_sub(extent.max_timestamp) >= self.policy.min_lag_ms;
        if !is_old || extent.end_offset(base) > stable {
            return false;
        }
        let object = self.state.object(extent.object);
        object.is_some_and(|object| !self.limits.is_fresh(object))
            && !self.state.is_damaged(extent.object)
    }

    /// What of a partition may be cleaned.
    fn cleanable<'p>(&self, partition: &'p Partition) -> impl Iterator<Item = (i64, &'p Extent)> {
        let stable = partition.last_stable_offset();
        let extents = partition.extents.iter().map(|(&base, e)| (base, e));
        extents.take_while(move |(base, extent)| self.admits(*base, extent, stable))
    }

    /// The share of its bytes that no pass has taken into account; infinite if they have waited for too long. `None` if
    /// it is not to be cleaned.
    fn dirty_ratio(&self, partition: &Partition) -> Option<f64> {
        let dirty_from = partition.cleaned_to;
        let (base, first) = partition.extents_from(dirty_from).next()?;
        if !self.admits(base, first, partition.last_stable_offset()) {
            return None;
        }
        let (mut dirty, mut all, mut oldest) = (0, 0, i64::MAX);
        for (base, extent) in self.cleanable(partition) {
            all += extent.bytes;
            if extent.end_offset(base) > dirty_from {
                dirty += extent.bytes;
                oldest = oldest.min(extent.max_timestamp);
            }
        }
        let is_overdue = self.now_ms.saturating_sub(oldest) > self.policy.max_lag_ms;
        let ratio = match is_overdue {
            true => f64::INFINITY,
            false => dirty as f64 / all.max(1) as f64,
        };
        (dirty > 0 && ratio >= self.policy.min_dirty_ratio).then_some(ratio)
    }

    /// The same with what is needed to do it.
    fn due(&self, of: TopicPartition, partition: &Partition) -> Option<Due> {
        let dirty_ratio = self.dirty_ratio(partition)?;
        let extents = self
            .cleanable(partition)
            .map(|(base, extent)| (base, *extent));
        let extents: Vec<(i64, Extent)> = extents.collect();
        Some(Due {
            stretch: Stretch::of(of, partition, &extents)?,
            dirty_from: partition.cleaned_to,
            aborted: aborted(partition),
            policy: self.policy,
            dirty_ratio,
        })
    }
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
