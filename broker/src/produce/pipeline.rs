//! From a validated batch to its acknowledgement: open object -> seal -> upload -> commit -> applied.
//!
//! A batch's place in the open object is fixed when it arrives. Objects are uploaded in parallel and committed in the
//! order they were sealed, so the order of a producer's batches survives (I4); several that are ready share an entry of
//! the log. A batch is acknowledged by what applying its commit says, which is after the object and the entry are
//! durable (I1). An upload is tried until it succeeds or this agent stops: an unreachable store is back-pressure,
//! since requests hold their memory permits until they are settled (I9).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use control_plane::replica::{Session, SubmitError};
use control_plane::state::{BatchMeta, BatchOutcome, CommitObject, CommitRun};
use object_format::batch::BatchHeader;
use object_format::object::{ObjectBuilder, SealedObject};
use object_format::{TopicPartition, path};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use runtime::store::repeatable_create;
use runtime::{Rng, SharedClock, Shutdown, Store, Trouble};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::batcher::{Batcher, BatcherOptions, Decision};
use super::{ProduceError, metrics};
use crate::net::RequestPermit;

/// How many objects may be sealed and not committed; less than what the metadata allows an agent to have in flight.
const UNDER_WAY_MAX: usize = 48;

/// What the pipeline is bounded by.
#[derive(Clone, Copy, Debug)]
pub struct PipelineOptions {
    /// When objects are sealed.
    pub batcher: BatcherOptions,
    /// Uploads at once.
    pub uploads_max: usize,
    /// One try of an upload may take this long, plus a second for each MiB.
    pub upload_timeout: Duration,
}

/// What a produced batch is answered with.
pub type Acknowledgement = Result<Stored, ProduceError>;

/// A batch that is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The partition's log start offset.
    pub log_start_offset: i64,
}

/// What goes with a batch until it is settled.
#[derive(Debug)]
pub struct Ticket {
    meta: BatchMeta,
    reply: oneshot::Sender<Acknowledgement>,
    /// The memory of the request it came in.
    _permit: RequestPermit,
}

/// Sees each object after its upload and before its commit: the cache.
pub type Uploaded = Arc<dyn Fn(&SealedObject<Ticket>) + Send + Sync>;

/// The way of batches into the bucket. Clones are the same.
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

struct Inner {
    session: Session,
    store: Store,
    clock: SharedClock,
    rng: Rng,
    options: PipelineOptions,
    uploaded: Uploaded,
    trouble: Trouble,
    open: Mutex<Open>,
    changed: Notify,
    uploads: Semaphore,
    under_way: Arc<Semaphore>,
}

struct Open {
    builder: ObjectBuilder<Ticket>,
    /// Full ones, in the order of arrival, that could not be sealed yet because too many are under way.
    full: VecDeque<ObjectBuilder<Ticket>>,
    batcher: Batcher,
    closed: bool,
}

struct Sealed {
    object: Arc<SealedObject<Ticket>>,
    upload: JoinHandle<bool>,
    under_way: tokio::sync::OwnedSemaphorePermit,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Starts the pipeline. It ends after `shutdown` has begun and everything accepted is settled; the handle
    /// given is done then.
    pub fn start(
        session: Session,
        store: Store,
        clock: SharedClock,
        rng: Rng,
        options: PipelineOptions,
        uploaded: Uploaded,
        shutdown: &Shutdown,
    ) -> (Self, JoinHandle<()>) {
        let open = Open {
            builder: ObjectBuilder::new(),
            full: VecDeque::new(),
            batcher: Batcher::new(options.batcher, clock.monotonic()),
            closed: false,
        };
        let pipeline = Self(Arc::new(Inner {
            session,
            store,
            clock: clock.clone(),
            rng,
            options,
            uploaded,
            trouble: Trouble::new("cannot upload objects", clock),
            open: Mutex::new(open),
            changed: Notify::new(),
            uploads: Semaphore::new(options.uploads_max.max(1)),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        }));
        let (sealed, to_commit) = mpsc::channel(UNDER_WAY_MAX);
        let sealer = pipeline.clone().seal_until(shutdown.clone(), sealed);
        let committer = pipeline.clone().commit_all(to_commit);
        let running = tokio::spawn(async move {
            tokio::join!(sealer, committer);
        });
        (pipeline, running)
    }

    /// For how long uploads have been failing, if they are.
    pub fn failing_for(&self) -> Option<Duration> {
        self.0.trouble.lasting_for()
    }

    /// Fixes a batch's place in the open object. Whoever holds the receiver learns what became of it.
    pub fn add(
        &self,
        partition: TopicPartition,
        batch: Bytes,
        header: &BatchHeader,
        meta: BatchMeta,
        permit: &RequestPermit,
    ) -> oneshot::Receiver<Acknowledgement> {
        let (reply, acknowledgement) = oneshot::channel();
        let bytes = batch.len();
        let ticket = Ticket {
            meta,
            reply,
            _permit: permit.clone(),
        };
        let mut open = self.0.open.lock();
        if open.closed {
            let _ = ticket
                .reply
                .send(Err(ProduceError::Unable("it is shutting down".into())));
            return acknowledgement;
        }
        open.builder.push(partition, batch, header, ticket);
        let now = self.0.clock.monotonic();
        open.batcher.added(bytes, now);
        if open.batcher.is_full() {
            let builder = std::mem::take(&mut open.builder);
            open.full.push_back(builder);
            open.batcher.sealed(now);
        }
        drop(open);
        self.0.changed.notify_one();
        acknowledgement
    }

    /// Seals the open object whenever the policy says so, and after `shutdown` has begun one last time.
    async fn seal_until(self, shutdown: Shutdown, sealed: mpsc::Sender<Sealed>) {
        loop {
            let (decision, closed) = {
                let mut open = self.0.open.lock();
                open.closed = shutdown.is_begun();
                let decision = open.batcher.decide(self.0.clock.monotonic());
                let now = !open.full.is_empty() || (open.closed && decision != Decision::Idle);
                (if now { Decision::Seal } else { decision }, open.closed)
            };
            match decision {
                Decision::Seal => {
                    let Ok(under_way) = self.0.under_way.clone().acquire_owned().await else {
                        return;
                    };
                    if sealed.send(self.seal(under_way)).await.is_err() {
                        return;
                    }
                }
                Decision::Idle if closed => return,
                Decision::Idle => self.changed_or(None, &shutdown).await,
                Decision::Wait(until) => self.changed_or(Some(until), &shutdown).await,
            }
        }
    }

    async fn changed_or(&self, until: Option<Duration>, shutdown: &Shutdown) {
        let now = self.0.clock.monotonic();
        let pause = async {
            match until {
                Some(until) => tokio::time::sleep(until.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.0.changed.notified() => {}
            () = pause => {}
            () = shutdown.begun(), if !shutdown.is_begun() => {}
        }
    }

    /// Takes the oldest full object, or else the open one, and begins to upload it.
    fn seal(&self, under_way: tokio::sync::OwnedSemaphorePermit) -> Sealed {
        let (builder, id) = {
            let mut open = self.0.open.lock();
            let id = self.0.session.next_object();
            let builder = open.full.pop_front().unwrap_or_else(|| {
                open.batcher.sealed(self.0.clock.monotonic());
                std::mem::take(&mut open.builder)
            });
            (builder, id)
        };
        metrics::sealed(builder.bytes(), builder.batch_count());
        let object = Arc::new(builder.seal(id, self.0.clock.wall_ms()));
        let upload = tokio::spawn(self.clone().upload(object.clone()));
        Sealed {
            object,
            upload,
            under_way,
        }
    }

    /// Uploads an object, again and again if it must; false only if this agent has stopped.
    async fn upload(self, object: Arc<SealedObject<Ticket>>) -> bool {
        let Ok(_slot) = self.0.uploads.acquire().await else {
            return false;
        };
        let key = Path::from(path::data(object.id));
        let mut pause = Duration::from_millis(20);
        let timeout = self.0.options.upload_timeout + Duration::from_secs(object.len >> 20);
        loop {
            if self.0.session.replica().failure().is_some() {
                return false;
            }
            let error = match tokio::time::timeout(timeout, self.put(&key, &object)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {timeout:?}"),
            };
            self.0.trouble.report(&error);
            tokio::time::sleep(self.0.rng.jitter(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        self.0.trouble.over();
        (self.0.uploaded)(&object);
        true
    }

    /// One try. Nobody else writes this key, so if it exists an earlier try of ours wrote it; or, on S3, two tries met
    /// and neither may be stored, which only a look tells.
    async fn put(&self, key: &Path, object: &SealedObject<Ticket>) -> object_store::Result<()> {
        let payload: PutPayload = object.chunks.iter().cloned().collect();
        match self
            .0
            .store
            .put_opts(key, payload, repeatable_create())
            .await
        {
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.0.store.head(key).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    /// Commits objects in the order they were sealed.
    async fn commit_all(self, mut sealed: mpsc::Receiver<Sealed>) {
        let mut settling = tokio::task::JoinSet::new();
        while let Some(Sealed {
            object,
            upload,
            under_way,
        }) = sealed.recv().await
        {
            if !upload.await.unwrap_or(false) {
                continue;
            }
            let commit = commit_command(&object);
            let outcome = self.0.session.enqueue(commit).await;
            let pipeline = self.clone();
            settling.spawn(async move {
                let outcome = match outcome {
                    Ok(outcome) => outcome.await,
                    Err(error) => Err(error),
                };
                settle(object, outcome);
                pipeline.0.open.lock().batcher.settled();
                drop(under_way);
                pipeline.0.changed.notify_one();
            });
            while settling.try_join_next().is_some() {}
        }
        while settling.join_next().await.is_some() {}
    }
}

fn commit_command(object: &SealedObject<Ticket>) -> CommitObject {
    let runs = object.runs.iter().map(|run| CommitRun {
        partition: run.index.topic_partition,
        position: run.index.position,
        batches: run.batches.iter().map(|batch| batch.tag.meta).collect(),
    });
    CommitObject {
        object: object.id,
        bytes: object.len,
        runs: runs.collect(),
    }
}

type CommitOutcome = Result<<CommitObject as control_plane::state::Submit>::Outcome, SubmitError>;

/// Tells whoever waits what became of each batch.
fn settle(object: Arc<SealedObject<Ticket>>, outcome: CommitOutcome) {
    let Some(object) = Arc::into_inner(object) else {
        return;
    };
    let outcomes = match outcome {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(rejection)) => return refuse(object, &rejection.to_string()),
        Err(error) => return refuse(object, &error.to_string()),
    };
    for (run, outcome) in object.runs.into_iter().zip(outcomes) {
        let log_start_offset = outcome.log_start_offset;
        for (batch, outcome) in run.batches.into_iter().zip(outcome.batches) {
            let acknowledgement = match outcome {
                BatchOutcome::Accepted(base_offset) | BatchOutcome::Duplicate(base_offset) => {
                    Ok(Stored {
                        base_offset,
                        log_start_offset,
                    })
                }
                BatchOutcome::Rejected(rejection) => Err(rejection.into()),
            };
            let _ = batch.tag.reply.send(acknowledgement);
        }
    }
}

fn refuse(object: SealedObject<Ticket>, why: &str) {
    for batch in object.runs.into_iter().flat_map(|run| run.batches) {
        let _ = batch
            .tag
            .reply
            .send(Err(ProduceError::Unable(why.to_owned())));
    }
}
