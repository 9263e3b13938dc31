//! Rewrites stretches of partitions into new objects: reads with bounded memory, checks every batch, uploads, and swaps.
//!
//! It may be stopped anywhere. What was swapped is; what was uploaded and not swapped is garbage; the rest is as before.

mod reads;
mod sink;
mod source;

use bytes::Bytes;
use control_plane::replica::{Session, SubmitError};
use control_plane::state::{JobRejection, ReplaceRejection, TransactionEnd};
use object_format::ObjectId;
use object_format::batch::{BatchError, BatchHeader, control_batch};
use runtime::store::{RetryPolicy, is_retryable, retry};
use runtime::{Rng, SharedClock, Store};

use crate::layout::{Limits, Part, Stretch};
use crate::pace::Pace;
pub use sink::{Cleaning, Sink};
pub use source::Source;

/// Why a job does not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// An object is not what was written.
    #[error("object {object} is damaged: {what}")]
    Damaged {
        /// Which.
        object: ObjectId,
        /// What is wrong with it.
        what: String,
    },
    /// The bucket.
    #[error("cannot {what}: {error}")]
    Store {
        /// What was tried, and with which object.
        what: String,
        /// Why it failed.
        error: object_store::Error,
    },
    /// The metadata log.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Somebody else does it.
    #[error(transparent)]
    Lost(#[from] JobRejection),
    /// The metadata does not take the object.
    #[error(transparent)]
    Refused(ReplaceRejection),
}

impl From<ReplaceRejection> for RewriteError {
    fn from(rejection: ReplaceRejection) -> Self {
        match rejection {
            ReplaceRejection::Job(lost) => Self::Lost(lost),
            other => Self::Refused(other),
        }
    }
}

/// What a job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Bytes of records that were read.
    pub bytes_read: u64,
    /// Bytes of objects that were written.
    pub bytes_written: u64,
    /// Objects written.
    pub objects: u64,
    /// Extents that are no more.
    pub replaced: u64,
    /// Runs that were not what they had been when they were read.
    pub outdated: u64,
}

impl Rewritten {
    /// Adds what another job did.
    pub fn add(&mut self, other: Self) {
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.objects += other.objects;
        self.replaced += other.replaced;
        self.outdated += other.outdated;
    }
}

/// What rewriting is done with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The registration to act under.
    pub session: Session,
    /// The bucket.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// What bounds it.
    pub limits: Limits,
    /// How fast it may read.
    pub pace: Pace,
    /// Randomness.
    pub rng: Rng,
}

impl Tools {
    /// Asks the store, again and again for a while if it fails, and goes slower then.
    ///
    /// # Errors
    /// What the last attempt returned.
    pub(crate) async fn ask<T, F>(
        &self,
        mut request: impl FnMut() -> F,
    ) -> Result<T, object_store::Error>
    where
        F: Future<Output = Result<T, object_store::Error>>,
    {
        let attempt = || {
            let answer = request();
            async {
                let answer = answer.await;
                if answer.as_ref().is_err_and(is_retryable) {
                    self.pace.slower();
                }
                answer
            }
        };
        retry(&RetryPolicy::BACKGROUND, &self.rng, attempt).await
    }
}

/// A batch on its way from one object to another.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its header.
    pub header: BatchHeader,
    /// The offset of its first record.
    pub base_offset: i64,
}

/// Rewrites stretches for their layout, in the order of their partitions, under a job.
///
/// # Errors
/// [`RewriteError`]. What was swapped before stays so.
pub async fn rewrite(
    tools: &Tools,
    job: u64,
    mut stretches: Vec<Stretch>,
) -> Result<Rewritten, RewriteError> {
    stretches.sort_by_key(|s| (s.partition, s.parts.first().map(Part::base_offset)));
    let mut source = Source::new(tools, &stretches);
    let mut sink = Sink::new(tools, job);
    for stretch in &stretches {
        sink.begin(stretch.partition, !stretch.is_dense());
        for part in &stretch.parts {
            let mut batches = Batches::of(part);
            while let Some(batch) = batches.next(&mut source).await? {
                sink.push(batch);
            }
            sink.end_part(part).await?;
        }
        sink.end_run();
    }
    sink.flush().await?;
    Ok(Rewritten {
        bytes_read: source.bytes_read(),
        ..sink.done()
    })
}

/// The batches of a part, one after another, each checked.
pub struct Batches<'a> {
    part: &'a Part,
    position: u64,
    offset: i64,
}

impl<'a> Batches<'a> {
    /// From the first on.
    pub fn of(part: &'a Part) -> Self {
        let position = match part {
            Part::Records(_, extent) => extent.position,
            Part::Marker(..) => 0,
        };
        Self {
            part,
            position,
            offset: part.base_offset(),
        }
    }

    /// The next one.
    ///
    /// # Errors
    /// [`RewriteError::Damaged`] and [`RewriteError::Store`].
    pub async fn next(&mut self, source: &mut Source) -> Result<Option<Passing>, RewriteError> {
        let extent = match self.part {
            Part::Records(_, extent) => extent,
            Part::Marker(at, marker) => {
                if self.offset > *at {
                    return Ok(None);
                }
                self.offset += 1;
                let commit = marker.end == TransactionEnd::Commit;
                let (id, epoch) = (marker.producer.id, marker.producer.epoch);
                let bytes = control_batch(*at, id, epoch, commit, marker.timestamp_ms);
                let header =
                    BatchHeader::parse(&bytes).map_err(|e| damaged(ObjectId::default(), 0, &e))?;
                let base_offset = *at;
                return Ok(Some(Passing {
                    bytes,
                    header,
                    base_offset,
                }));
            }
        };
        let (object, end) = (extent.object, extent.position.saturating_add(extent.bytes));
        let end_offset = self.part.end_offset();
        if self.position == end {
            return match extent.is_stamped || self.offset == end_offset {
                true => Ok(None),
                false => Err(wrong(object, self.position, "the run ends too early")),
            };
        }
        let bytes = source.batch(object, self.position, end).await?;
        let header = BatchHeader::parse(&bytes).map_err(|e| damaged(object, self.position, &e))?;
        object_format::batch::verify_crc(&bytes).map_err(|e| damaged(object, self.position, &e))?;
        let base_offset = match extent.is_stamped {
            true => header.base_offset,
            false => self.offset,
        };
        let count = header.offset_count();
        if base_offset < self.offset || count < 1 || count > end_offset.saturating_sub(base_offset)
        {
            return Err(wrong(
                object,
                self.position,
                "a batch has offsets that are not its own",
            ));
        }
        self.position += bytes.len() as u64;
        self.offset = base_offset + count;
        Ok(Some(Passing {
            bytes,
            header,
            base_offset,
        }))
    }
}

fn damaged(object: ObjectId, at: u64, error: &BatchError) -> RewriteError {
    wrong(object, at, &error.to_string())
}

fn wrong(object: ObjectId, at: u64, what: &str) -> RewriteError {
    let what = format!("at byte {at}: {what}");
    RewriteError::Damaged { object, what }
}
