//! Rewriting what is in the bucket: jobs, and the swap of extents for others that hold the same records.
//!
//! A job says who rewrites what, so that no two processes do the same work. It is no lock: a swap applies where the
//! extents still are those that were read, whatever else has happened, so that a job done twice does no harm.

use std::collections::{BTreeMap, BTreeSet};

use object_format::{AgentEpoch, ObjectId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, Extent, Garbage, Marker, ObjectState, Partition, State};

/// A job of which nothing was heard for this long, in the log's time, may be taken over.
pub const JOB_TIMEOUT_MS: i64 = 10 * 60 * 1000;

/// Most objects and partitions that one job may name.
pub const JOB_CLAIMS_MAX: usize = 16_384;

/// Largest object that takes the place of others.
const OBJECT_BYTES_MAX: u64 = 1 << 40;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobKind {
    /// Small objects of many partitions into long runs.
    Layout,
    /// Short runs of a partition into longer ones.
    Merge,
    /// Records that newer ones of the same key supersede go (`cleanup.policy=compact`).
    Clean,
}

/// A rewrite under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Who does it; without effect once that registration is gone.
    pub holder: AgentEpoch,
    /// What for.
    pub kind: JobKind,
    /// Bytes to be read.
    pub bytes: u64,
    /// The log's time when it was claimed.
    pub claimed_ms: i64,
    /// The log's time when its holder last said that it goes on.
    pub renewed_ms: i64,
    /// Objects of which all is rewritten.
    pub objects: BTreeSet<ObjectId>,
    /// Partitions of which something is rewritten.
    pub partitions: BTreeSet<TopicPartition>,
}

/// Jobs by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jobs {
    last: u64,
    running: BTreeMap<u64, Job>,
}

/// Asks to be the only one who rewrites these objects, or something of these partitions. Gives the job's number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimJob {
    /// What for.
    pub kind: JobKind,
    /// Bytes to be read.
    pub bytes: u64,
    /// As in [`Job`].
    pub objects: Vec<ObjectId>,
    /// As in [`Job`].
    pub partitions: Vec<TopicPartition>,
}

/// Why a job is not given, or is not one's own any more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum JobRejection {
    /// Somebody rewrites some of it.
    #[error("job {0} rewrites some of it already")]
    Claimed(u64),
    /// Nothing is named, or too much.
    #[error("a job names 1 to {JOB_CLAIMS_MAX} objects and partitions")]
    BadClaim,
    /// It was finished, or somebody else took it over.
    #[error("the job has ended or was taken over")]
    NotYours,
}

impl ClaimJob {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<u64, JobRejection> {
        let claims = self.objects.len() + self.partitions.len();
        if claims == 0 || claims > JOB_CLAIMS_MAX {
            return Err(JobRejection::BadClaim);
        }
        state.drop_dead_jobs(by.now_ms);
        let overlaps = |job: &Job| {
            self.objects.iter().any(|id| job.objects.contains(id))
                || self.partitions.iter().any(|p| job.partitions.contains(p))
        };
        if let Some((&id, _)) = state.jobs.running.iter().find(|(_, job)| overlaps(job)) {
            return Err(JobRejection::Claimed(id));
        }
        state.jobs.last += 1;
        let job = Job {
            holder: by.writer,
            kind: self.kind,
            bytes: self.bytes,
            claimed_ms: by.now_ms,
            renewed_ms: by.now_ms,
            objects: self.objects.into_iter().collect(),
            partitions: self.partitions.into_iter().collect(),
        };
        state.jobs.running.insert(state.jobs.last, job);
        Ok(state.jobs.last)
    }
}

/// The writer goes on with its job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenewJob {
    /// Which.
    pub job: u64,
}

impl RenewJob {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), JobRejection> {
        state.own_job(self.job, by)
    }
}

/// The writer is done with its job, or gives it up. True if it was its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishJob {
    /// Which.
    pub job: u64,
}

impl FinishJob {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> bool {
        let own = state.own_job(self.job, by).is_ok();
        if own {
            state.jobs.running.remove(&self.job);
        }
        own
    }
}

/// An uploaded object takes the place of extents: the same records at the same offsets, but for what compaction by key
/// removes. Its outcome says for each run whether it did; the others stay as they were, and so do those of the same
/// partition after one that does not apply. An object of which nothing is used is garbage at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplaceExtents {
    /// The job it is done under.
    pub job: u64,
    /// The object; its writer is who appends this.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
    /// Replacements.
    pub runs: Vec<Replacement>,
}

/// What takes the place of all that a partition has between two offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// Whose.
    pub partition: TopicPartition,
    /// The first offset replaced.
    pub base_offset: i64,
    /// The offset after the last.
    pub end_offset: i64,
    /// The offset after the last of which a batch is left. A reader that has come this far must not be sent to the extent
    /// again: it would find nothing there.
    pub records_end: i64,
    /// What [`digest_of`] said of the extents and markers that were read.
    pub was: u64,
    /// Where the records are now.
    pub position: u64,
    /// Their bytes; 0 if none are left.
    pub length: u64,
    /// The greatest timestamp among them.
    pub max_timestamp: i64,
    /// As in [`Extent`].
    pub is_stamped: bool,
    /// Set by a cleaning that has taken the keys of all records before this offset into account.
    pub cleaned_to: Option<i64>,
    /// Offsets of the markers of aborted transactions of which nothing is left.
    pub aborts_gone: Vec<i64>,
}

/// Why extents are not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ReplaceRejection {
    /// The job has ended or was taken over.
    #[error(transparent)]
    Job(#[from] JobRejection),
    /// It was committed before, or is not its committer's.
    #[error("the object was committed before or is another writer's")]
    NotYours,
}

impl ReplaceExtents {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<Vec<bool>, ReplaceRejection> {
        if self.object.writer != by.writer || !state.take_object_sequence(self.object) {
            return Err(ReplaceRejection::NotYours);
        }
        let own = state.own_job(self.job, by);
        let (mut extents, mut live_bytes) = (0, 0);
        let mut released = Vec::new();
        let mut refused = BTreeSet::new();
        let mut applied = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let partition = state.stored_partition_mut(run.partition);
            let sound =
                own.is_ok() && self.bytes <= OBJECT_BYTES_MAX && !refused.contains(&run.partition);
            let swapped = match partition.filter(|_| sound) {
                Some(partition) => partition.replace(self.object, self.bytes, run),
                None => None,
            };
            applied.push(swapped.is_some());
            if swapped.is_none() {
                refused.insert(run.partition);
            }
            if let Some(old) = swapped {
                released.extend(old);
                extents += u64::from(run.length > 0);
                live_bytes = run.length.saturating_add(live_bytes);
            }
        }
        let object = ObjectState {
            is_compacted: true,
            ..ObjectState::new(self.bytes, extents, live_bytes, by.now_ms)
        };
        state.add_object(self.object, object);
        state.release_extents(released.into_iter(), by.now_ms);
        own?;
        Ok(applied)
    }
}

/// Objects that were uploaded, or may have been, and will never be committed: garbage. Gives how many were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbandonObjects {
    /// The writer's own.
    pub objects: Vec<ObjectId>,
}

impl AbandonObjects {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> u64 {
        let mut taken = 0;
        for object in self.objects {
            if object.writer == by.writer && state.take_object_sequence(object) {
                let garbage = Garbage {
                    since_ms: by.now_ms,
                    bytes: 0,
                };
                state.garbage.insert(object, garbage);
                taken += 1;
            }
        }
        taken
    }
}

impl Partition {
    /// Puts a run of an object in the place of what there is, if that is what was read. Gives the extents it replaces.
    fn replace(
        &mut self,
        object: ObjectId,
        object_bytes: u64,
        run: &Replacement,
    ) -> Option<Vec<Extent>> {
        let within = 0 <= run.base_offset
            && run.base_offset < run.end_offset
            && run.end_offset <= self.high_watermark
            && (run.base_offset..=run.end_offset).contains(&run.records_end)
            && (run.base_offset == run.records_end) == (run.length == 0)
            && run.position.checked_add(run.length)? <= object_bytes;
        if !within || self.digest_between(run.base_offset, run.end_offset)? != run.was {
            return None;
        }
        let range = run.base_offset..run.end_offset;
        let bases: Vec<i64> = self
            .extents
            .range(range.clone())
            .map(|(&base, _)| base)
            .collect();
        let old = bases
            .iter()
            .filter_map(|base| self.extents.remove(base))
            .collect();
        let gone: Vec<i64> = self
            .markers
            .range(range.clone())
            .map(|(&at, _)| at)
            .collect();
        for at in gone {
            self.markers.remove(&at);
        }
        for at in run.aborts_gone.iter().filter(|at| range.contains(at)) {
            self.aborted.remove(at);
        }
        if let Some(cleaned_to) = run.cleaned_to {
            self.cleaned_to = self.cleaned_to.max(cleaned_to.min(self.high_watermark));
        }
        if run.length > 0 {
            let extent = Extent {
                object,
                position: run.position,
                bytes: run.length,
                offsets: run.records_end.abs_diff(range.start),
                max_timestamp: run.max_timestamp,
                is_stamped: run.is_stamped,
            };
            self.extents.insert(run.base_offset, extent);
        }
        Some(old)
    }

    /// [`digest_of`] what lies between two offsets; `None` if an extent reaches over one of them.
    pub fn digest_between(&self, from: i64, to: i64) -> Option<u64> {
        let ends_by = |limit: i64| {
            let last = self.extents.range(..limit).next_back();
            last.is_none_or(|(&base, extent)| extent.end_offset(base) <= limit)
        };
        let extents = self.extents.range(from..to).map(|(&base, e)| (base, e));
        let markers = self.markers.range(from..to).map(|(&at, m)| (at, m));
        (ends_by(from) && ends_by(to)).then(|| digest_of(extents, markers))
    }
}

/// A digest of extents and markers by their offsets: two of the same are of the same records.
pub fn digest_of<'a>(
    extents: impl Iterator<Item = (i64, &'a Extent)>,
    markers: impl Iterator<Item = (i64, &'a Marker)>,
) -> u64 {
    let mut digest = xxhash_rust::xxh3::Xxh3::new();
    let mut note = |numbers: &[u64]| numbers.iter().for_each(|n| digest.update(&n.to_be_bytes()));
    for (base, e) in extents {
        let object = e.object;
        note(&[
            base as u64,
            object.writer.0,
            object.sequence,
            e.position,
            e.bytes,
            e.offsets,
        ]);
    }
    note(&[u64::MAX]);
    for (at, marker) in markers {
        note(&[at as u64, marker.producer.id as u64]);
    }
    digest.digest()
}

impl State {
    /// Jobs under way by their numbers; those of the dead among them, until the next claim.
    pub fn jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs.running.iter().map(|(&id, job)| (id, job))
    }

    /// Jobs whose holders are alive and go on with them.
    pub fn live_jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs()
            .filter(|(_, job)| self.is_live(job, self.log_time_ms))
    }

    fn is_live(&self, job: &Job, now_ms: i64) -> bool {
        self.agents.contains_key(&job.holder)
            && now_ms.saturating_sub(job.renewed_ms) < JOB_TIMEOUT_MS
    }

    fn drop_dead_jobs(&mut self, now_ms: i64) {
        let dead = |job: &Job| !self.is_live(job, now_ms);
        let dead: Vec<u64> = self
            .jobs()
            .filter(|(_, job)| dead(job))
            .map(|(id, _)| id)
            .collect();
        for id in dead {
            self.jobs.running.remove(&id);
        }
    }

    /// Renews a job if it is the writer's.
    fn own_job(&mut self, id: u64, by: Context) -> Result<(), JobRejection> {
        let job = self
            .jobs
            .running
            .get_mut(&id)
            .filter(|job| job.holder == by.writer);
        let job = job.ok_or(JobRejection::NotYours)?;
        job.renewed_ms = by.now_ms;
        Ok(())
    }
}
