//! A registered process's way to change the metadata: commands are gathered into entries, appended in order, and
//! answered with what applying them says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_format::{AgentEpoch, ObjectId};
use parking_lot::Mutex;
use runtime::Shutdown;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Failure, Replica, outcomes};
use crate::log::{AppendError, Position};
use crate::state::{
    AgentRejection, Command, Entry, METADATA_VERSION_MAX, Outcome, RegisterAgent, Submit, Verdict,
};

/// Largest command.
const COMMAND_BYTES_MAX: usize = 1 << 20;

/// An entry takes no further command once it is this large.
const ENTRY_BYTES_FULL: usize = 1 << 20;

/// How many commands may wait to be appended before submitters have to wait.
const QUEUE_MAX: usize = 4096;

const RETRY_PAUSE: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// This process must stop; whether the command has an effect is for the log to say, and nobody here may act on it.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// A registration was refused.
    #[error(transparent)]
    Registration(#[from] AgentRejection),
    /// Split it.
    #[error("a metadata command of {0} bytes is over the limit of {COMMAND_BYTES_MAX}")]
    TooLarge(usize),
    /// The process is shutting down; whether the command has an effect is unknown.
    #[error("shutting down before the metadata log answered")]
    ShuttingDown,
}

struct Job {
    command: Command,
    bytes: usize,
    reply: oneshot::Sender<Outcome>,
}

/// A registration. Clones are the same.
#[derive(Clone, Debug)]
pub struct Session {
    replica: Replica,
    epoch: AgentEpoch,
    node_id: i32,
    queue: mpsc::Sender<Job>,
    appended: watch::Receiver<Position>,
    objects: Arc<AtomicU64>,
    /// Who has ended, as far as the network can tell.
    pub(super) gone: Arc<Mutex<BTreeSet<AgentEpoch>>>,
    /// Who missed a heartbeat or two, as far as this process has heard.
    pub(super) silent: Arc<Mutex<BTreeSet<AgentEpoch>>>,
    /// Whether this process wants clients to be steered elsewhere.
    pub(super) unwell: Arc<AtomicBool>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Registers this process. From then on it can submit commands, and stops when it is fenced. One session per
    /// replica.
    pub async fn join(
        &self,
        registration: RegisterAgent,
        shutdown: &Shutdown,
    ) -> Result<Session, SubmitError> {
        let version_max = registration.version_max.min(METADATA_VERSION_MAX);
        self.0.version_max.store(version_max, Ordering::Relaxed);
        // A registration's entries are told apart by a random number: it has no sequence yet.
        let entry = Entry {
            writer: AgentEpoch::default(),
            sequence: self.0.parts.rng.u64(),
            time_ms: self.0.parts.clock.wall_ms(),
            commands: vec![registration.into()],
        };
        let verdict = self.expect(&entry);
        let bytes = entry.encode(self.read(|s| s.version_to_join(version_max)));
        let at = shutdown
            .unless_begun(self.append(bytes))
            .await
            .ok_or(SubmitError::ShuttingDown)?;
        let (newest, appended) = watch::channel(at.unwrap_or_default());
        let said = verdict
            .await
            .ok()
            .and_then(outcomes)
            .and_then(|mut o| o.pop());
        let registered = match said.and_then(RegisterAgent::outcome) {
            Some(registered) => registered?,
            None => return Err(self.failure().map_or(SubmitError::ShuttingDown, Into::into)),
        };
        *self.0.own.write() = Some(registered.epoch);
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let epoch = registered.epoch;
        let appender = Appender {
            replica: self.clone(),
            epoch,
            sequence: 0,
            held: None,
            newest,
        };
        let over = shutdown.clone();
        runtime::tasks::spawn("metadata appender", shutdown, async move {
            tokio::select! {
                () = appender.run(jobs) => {}
                () = over.drain_over() => {}
            }
        });
        Ok(Session {
            replica: self.clone(),
            epoch,
            node_id: registered.node_id,
            queue,
            appended,
            objects: Arc::default(),
            gone: Arc::default(),
            silent: Arc::default(),
            unwell: Arc::default(),
        })
    }

    /// Notes that somebody waits for the verdict on `entry`.
    fn expect(&self, entry: &Entry) -> oneshot::Receiver<Verdict> {
        let (waiter, verdict) = oneshot::channel();
        self.0
            .waiting
            .lock()
            .insert((entry.writer, entry.sequence), waiter);
        verdict
    }

    /// Appends, again and again if it must, until the log has the entry or this replica has stopped. A repeated entry
    /// has no second effect (I8). Gives the entry's position.
    async fn append(&self, entry: Bytes) -> Option<Position> {
        let trouble = &self.0.appending;
        let mut pause = RETRY_PAUSE;
        while self.failure().is_none() {
            if let Some(at) = self.relayed(&entry).await {
                return Some(at);
            }
            match self.append_once(entry.clone()).await {
                Ok((at, _)) => {
                    trouble.over();
                    self.note_reached();
                    return Some(at);
                }
                Err(AppendError::Stale(why)) => self.fail(Failure::Stale(why)),
                Err(error @ (AppendError::Rejected(_) | AppendError::MaybeAppended(_))) => {
                    trouble.report(&error);
                    tokio::time::sleep(self.0.parts.rng.jitter(pause)).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
        None
    }
}

impl Session {
    /// The replica this process reads.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// This process's epoch.
    pub fn epoch(&self) -> AgentEpoch {
        self.epoch
    }

    /// This process's broker id.
    pub fn node_id(&self) -> i32 {
        self.node_id
    }

    /// The name of this process's next object, never given before. What is uploaded under it is to be committed or
    /// abandoned: the metadata takes no object that is [`UPLOADS_MAX`](crate::state::UPLOADS_MAX) ahead of the last.
    pub fn next_object(&self) -> ObjectId {
        ObjectId {
            writer: self.epoch,
            sequence: self.objects.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Position of this process's newest entry, watched.
    pub fn appended(&self) -> watch::Receiver<Position> {
        self.appended.clone()
    }

    /// Appends a command and gives what applying it says. Commands submitted one after the other are applied in that
    /// order. Dropping the future does not take the command back.
    pub async fn submit<C: Submit>(&self, command: C) -> Result<C::Outcome, SubmitError> {
        self.enqueue(command).await?.await
    }

    /// As [`Session::submit`], in two steps: when this returns, the command's place in the order is fixed, and the
    /// future it gives waits for the outcome.
    pub async fn enqueue<C: Submit>(
        &self,
        command: C,
    ) -> Result<impl Future<Output = Result<C::Outcome, SubmitError>> + Send + use<C>, SubmitError>
    {
        let command: Command = command.into();
        let bytes = postcard::experimental::serialized_size(&command).unwrap_or(usize::MAX);
        if bytes > COMMAND_BYTES_MAX {
            return Err(SubmitError::TooLarge(bytes));
        }
        let (reply, outcome) = oneshot::channel();
        let sent = self
            .queue
            .send(Job {
                command,
                bytes,
                reply,
            })
            .await;
        let replica = self.replica.clone();
        let gone = move || {
            replica
                .failure()
                .map_or(SubmitError::ShuttingDown, Into::into)
        };
        sent.map_err(|_| gone())?;
        let outcome = async move { outcome.await.ok().and_then(C::outcome).ok_or_else(gone) };
        Ok(outcome)
    }
}

/// Turns waiting commands into entries, one append at a time: the commands that arrive meanwhile share the next entry.
struct Appender {
    replica: Replica,
    epoch: AgentEpoch,
    sequence: u64,
    held: Option<Job>,
    newest: watch::Sender<Position>,
}

impl Appender {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(batch) = self.gather(&mut jobs).await {
            let (commands, replies): (Vec<_>, Vec<_>) = batch
                .into_iter()
                .map(|job| (job.command, job.reply))
                .unzip();
            self.sequence += 1;
            let time_ms = self.replica.0.parts.clock.wall_ms();
            let entry = Entry {
                writer: self.epoch,
                sequence: self.sequence,
                time_ms,
                commands,
            };
            let version = self
                .replica
                .read(|s| s.metadata_version())
                .min(METADATA_VERSION_MAX);
            let verdict = self.replica.expect(&entry);
            let Some(at) = self.replica.append(entry.encode(version)).await else {
                return;
            };
            self.newest.send_replace(at);
            tokio::spawn(answer(verdict, replies));
        }
    }

    /// The commands of the next entry; waits for the first.
    async fn gather(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Option<Vec<Job>> {
        let first = match self.held.take() {
            Some(job) => job,
            None => {
                let replica = self.replica.clone();
                tokio::select! {
                    job = jobs.recv() => job?,
                    _ = replica.failed() => return None,
                }
            }
        };
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while let Ok(job) = jobs.try_recv() {
            if bytes + job.bytes > ENTRY_BYTES_FULL {
                self.held = Some(job);
                break;
            }
            bytes += job.bytes;
            batch.push(job);
        }
        Some(batch)
    }
}

/// Hands an entry's outcomes to who submitted its commands. Without outcomes they learn that by the closed channel.
async fn answer(verdict: oneshot::Receiver<Verdict>, replies: Vec<oneshot::Sender<Outcome>>) {
    let said = verdict.await.ok().and_then(outcomes).unwrap_or_default();
    for (reply, outcome) in replies.into_iter().zip(said) {
        let _ = reply.send(outcome);
    }
}
