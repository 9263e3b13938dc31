//! Appending together: what this process and others that ask it to have to say shares one append, so that they do not race
//! each other for positions.
//!
//! Whoever finds nobody appending takes what waits, its own among it, and appends that; the others get their answer.
//! Whoever gave up waiting may append the same entry again: applying it decides (I8).

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot};

use crate::log::{AppendError, MetadataLog, Position};
use crate::state::{ENTRY_OVERHEAD, join};

/// No more is put into one append once it has so many bytes.
const BYTES_FULL: usize = 2 << 20;

/// Appends that who tells others of them may be behind by before it misses some.
const LANDED_KEPT: usize = 64;

/// Where an entry is, and what was appended there with it.
pub(super) type Landed = (Position, Bytes);

#[derive(Debug)]
struct Waiting {
    entry: Bytes,
    reply: oneshot::Sender<Result<Landed, AppendError>>,
}

/// What waits to be appended by this process.
#[derive(Debug)]
pub(super) struct Together {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
    landed: broadcast::Sender<Landed>,
}

impl Together {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            landed: broadcast::Sender::new(LANDED_KEPT),
        }
    }

    /// What is appended from now on, and where.
    pub fn landed(&self) -> broadcast::Receiver<Landed> {
        self.landed.subscribe()
    }

    /// Appends an entry as it is.
    pub async fn append_alone(
        &self,
        log: &dyn MetadataLog,
        entry: Bytes,
    ) -> Result<Landed, AppendError> {
        let at = log.append(entry.clone()).await?;
        self.tell((at, entry.clone()));
        Ok((at, entry))
    }

    fn tell(&self, landed: Landed) {
        // The error is that nobody listens.
        let _ = self.landed.send(landed);
    }

    /// Appends an entry, with what others wait to have appended.
    pub async fn append(&self, log: &dyn MetadataLog, entry: Bytes) -> Result<Landed, AppendError> {
        let (reply, mut answer) = oneshot::channel();
        self.waiting.lock().push(Waiting { entry, reply });
        let _turn = self.turn.lock().await;
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                // Who took it was dropped before it knew.
                Err(oneshot::error::TryRecvError::Closed) => {
                    let why = "whoever appended it has stopped".to_owned();
                    return Err(AppendError::MaybeAppended(why));
                }
                Err(oneshot::error::TryRecvError::Empty) => self.append_waiting(log).await,
            }
        }
    }

    /// Appends what waits, as much as fits.
    async fn append_waiting(&self, log: &dyn MetadataLog) {
        let batch = self.take();
        let entries: Vec<Bytes> = batch.iter().map(|w| w.entry.clone()).collect();
        let landed = self.append_alone(log, join(&entries)).await;
        for waiting in batch {
            let _ = waiting.reply.send(landed.clone());
        }
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock();
        // Whoever does not wait any more has seen to it otherwise.
        waiting.retain(|w| !w.reply.is_closed());
        let mut bytes = 0usize;
        let fits = waiting.iter().take_while(|w| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(ENTRY_OVERHEAD + w.entry.len());
            is_first || bytes <= BYTES_FULL
        });
        let count = fits.count();
        waiting.drain(..count).collect()
    }
}
