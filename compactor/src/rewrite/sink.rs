//! Collects batches into objects, uploads them, and puts them in the place of what they were read from.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use control_plane::state::{
    AbandonObjects, Extent, Marker, RenewJob, ReplaceExtents, Replacement, digest_of,
};
use object_format::object::{ObjectBuilder, SealedObject};
use object_format::{ObjectId, TopicPartition, path};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};

use super::{Passing, RewriteError, Rewritten, Tools};
use crate::layout::Part;

/// Most runs of one object, so that the command that names them stays small.
const RUNS_MAX: usize = 4096;

/// Most aborted transactions that a run forgets, but for those of its last part: for the same reason.
const ABORTS_MAX: usize = 10_000;

/// How often a job that writes nothing says that it goes on.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// What a cleaning says of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// As in [`Replacement`].
    pub cleaned_to: Option<i64>,
    /// As in [`Replacement`].
    pub aborts_gone: Vec<i64>,
}

/// The objects that a job writes.
pub struct Sink<'a> {
    tools: &'a Tools,
    job: u64,
    builder: ObjectBuilder<usize>,
    /// The runs of the object being built, in the order in which they came.
    runs: Vec<Run>,
    open: Option<Run>,
    done: Rewritten,
    renewed: Duration,
}

/// A run of an object, and what it is read from.
#[derive(Debug)]
struct Run {
    partition: TopicPartition,
    is_stamped: bool,
    extents: Vec<(i64, Extent)>,
    markers: Vec<(i64, Marker)>,
    range: Option<(i64, i64)>,
    /// The offset after the last batch.
    records_end: Option<i64>,
    bytes: u64,
    max_timestamp: i64,
    cleaning: Cleaning,
}

impl Run {
    fn new(partition: TopicPartition, is_stamped: bool) -> Self {
        Self {
            partition,
            is_stamped,
            extents: vec![],
            markers: vec![],
            range: None,
            records_end: None,
            bytes: 0,
            max_timestamp: -1,
            cleaning: Cleaning::default(),
        }
    }
}

impl<'a> Sink<'a> {
    /// Nothing yet.
    pub fn new(tools: &'a Tools, job: u64) -> Self {
        Self {
            tools,
            job,
            builder: ObjectBuilder::new(),
            runs: vec![],
            open: None,
            done: Rewritten::default(),
            renewed: tools.clock.monotonic(),
        }
    }

    /// What was done so far.
    pub fn done(&self) -> Rewritten {
        self.done
    }

    /// Begins a run of this partition; its batches carry their offsets if they are to be stamped.
    pub fn begin(&mut self, partition: TopicPartition, is_stamped: bool) {
        self.open = Some(Run::new(partition, is_stamped));
    }

    /// Adds a batch to the run.
    pub fn push(&mut self, batch: Passing) {
        let Some(run) = &mut self.open else { return };
        run.bytes += batch.bytes.len() as u64;
        run.max_timestamp = run.max_timestamp.max(batch.header.max_timestamp);
        run.records_end = Some(batch.base_offset + batch.header.offset_count());
        let bytes = match run.is_stamped && batch.header.base_offset != batch.base_offset {
            true => stamped(&batch.bytes, batch.base_offset),
            false => batch.bytes,
        };
        let at = self.runs.len();
        self.builder.push(run.partition, bytes, &batch.header, at);
    }

    /// What the run is besides its records.
    pub fn note(&mut self, cleaning: impl FnOnce(&mut Cleaning)) {
        if let Some(run) = &mut self.open {
            cleaning(&mut run.cleaning);
        }
    }

    /// All of a part has been pushed. A run that is long enough ends: a reader that begins in the middle of one passes
    /// over what is before. If the object is full it is written, and what follows goes into the next one.
    pub async fn end_part(&mut self, part: &Part) -> Result<(), RewriteError> {
        let Some(run) = &mut self.open else {
            return Ok(());
        };
        let base = run.range.map_or(part.base_offset(), |(base, _)| base);
        run.range = Some((base, part.end_offset()));
        match part {
            Part::Records(base, extent) => run.extents.push((*base, *extent)),
            Part::Marker(at, marker) => run.markers.push((*at, *marker)),
        }
        let (partition, is_stamped) = (run.partition, run.is_stamped);
        let is_long = run.bytes >= self.tools.limits.run_bytes;
        let is_full = self.builder.bytes() >= self.tools.limits.object_bytes
            || self.runs.len() >= RUNS_MAX
            || run.cleaning.aborts_gone.len() >= ABORTS_MAX;
        if is_long || is_full {
            self.end_run();
            self.begin(partition, is_stamped);
        }
        if is_full {
            self.flush().await?;
        }
        let now = self.tools.clock.monotonic();
        if now.saturating_sub(self.renewed) >= RENEW_EVERY {
            self.renewed = now;
            self.tools
                .session
                .submit(RenewJob { job: self.job })
                .await??;
        }
        Ok(())
    }

    /// The run is whole.
    pub fn end_run(&mut self) {
        self.runs
            .extend(self.open.take().filter(|run| run.range.is_some()));
    }

    /// Writes the object and swaps it in.
    pub async fn flush(&mut self) -> Result<(), RewriteError> {
        let runs = std::mem::take(&mut self.runs);
        if runs.is_empty() {
            return Ok(());
        }
        let id = self.tools.session.next_object();
        let builder = std::mem::take(&mut self.builder);
        let object = builder.seal(id, self.tools.clock.wall_ms());
        let is_empty = object.runs.is_empty();
        if !is_empty && let Err(error) = self.upload(&object).await {
            self.tools
                .session
                .submit(AbandonObjects { objects: vec![id] })
                .await?;
            return Err(error);
        }
        let command = replace(self.job, &object, &runs);
        let applied = self.tools.session.submit(command).await??;
        self.renewed = self.tools.clock.monotonic();
        self.done.objects += 1;
        self.done.bytes_written += object.len;
        for (run, applied) in runs.iter().zip(applied) {
            match applied {
                true => self.done.replaced += run.extents.len() as u64,
                false => self.done.outdated += 1,
            }
        }
        Ok(())
    }

    async fn upload(&self, object: &SealedObject<usize>) -> Result<(), RewriteError> {
        let key = Path::from(path::data(object.id));
        let payload: PutPayload = object.chunks.iter().cloned().collect();
        // A budget of bytes is one of bytes read.
        self.tools.pace.admit(0).await;
        let store = &self.tools.store;
        let put = || store.put_opts(&key, payload.clone(), PutMode::Create.into());
        let stored = match self.tools.ask(put).await {
            // Nobody else writes this key: an earlier try did.
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.tools.ask(|| store.head(&key)).await.map(|_| ())
            }
            other => other.map(|_| ()),
        };
        stored.map_err(|error| RewriteError::Store {
            what: format!("write {key}"),
            error,
        })
    }
}

/// The command that puts an object in the place of what its runs were read from.
fn replace(job: u64, object: &SealedObject<usize>, runs: &[Run]) -> ReplaceExtents {
    let mut placed: Vec<Option<(u64, u64)>> = vec![None; runs.len()];
    for batch in object.runs.iter().flat_map(|run| &run.batches) {
        let (_, length) = placed[batch.tag].get_or_insert((batch.position, 0));
        *length += u64::from(batch.length);
    }
    let replacement = |(run, placed): (&Run, Option<(u64, u64)>)| {
        let (position, length) = placed.unwrap_or_default();
        let (base_offset, end_offset) = run.range.unwrap_or_default();
        let extents = run.extents.iter().map(|(base, extent)| (*base, extent));
        let markers = run.markers.iter().map(|(at, marker)| (*at, marker));
        Replacement {
            partition: run.partition,
            base_offset,
            end_offset,
            records_end: run.records_end.unwrap_or(base_offset),
            was: digest_of(extents, markers),
            position,
            length,
            max_timestamp: run.max_timestamp,
            is_stamped: run.is_stamped,
            cleaned_to: run.cleaning.cleaned_to,
            aborts_gone: run.cleaning.aborts_gone.clone(),
        }
    };
    let object_id: ObjectId = object.id;
    ReplaceExtents {
        job,
        object: object_id,
        bytes: object.len,
        runs: runs.iter().zip(placed).map(replacement).collect(),
    }
}

/// A copy of a batch with its base offset in its header, which its CRC does not cover.
fn stamped(batch: &Bytes, base_offset: i64) -> Bytes {
    let mut copy = BytesMut::from(&batch[..]);
    copy[..8].copy_from_slice(&base_offset.to_be_bytes());
    copy.freeze()
}
