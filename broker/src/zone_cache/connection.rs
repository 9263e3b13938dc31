//! A connection to the owner of blocks: many asks at once, answered in any order.
//!
//! What is asked for and not answered is bounded in bytes; who asks for more waits. Whatever the other side says that makes
//! no sense, or that it says nothing for long, ends the connection, and all who wait on it are told.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::frame::{ANSWER_BYTES, FrameError, Head, Question, Verdict};
use crate::fetch::block::{BlockKey, WHOLE_BYTES_MAX};
use crate::fetch::pool::Pool;
use crate::peers::in_time;

/// With asks under way, nothing may come for so long.
const SILENCE: Duration = Duration::from_secs(5);

/// The other side takes nothing for so long.
const STALL: Duration = Duration::from_secs(5);

/// What bytes under way are counted in.
const CREDIT_BYTES: u64 = 4 << 10;

/// What an ask counts at least: an owner takes only so many at once.
const CREDITS_MIN: u64 = 64;

/// Questions that wait to be written.
const QUEUE: usize = 256;

/// What is read at once of a block that nobody waits for any more.
const SCRATCH_BYTES: usize = 16 << 10;

/// Why an owner does not give a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskError {
    /// It has too much to do.
    #[error("it has too much to do")]
    Busy,
    /// It cannot read it.
    #[error("it cannot read the block")]
    Failed,
    /// It cannot be reached, or makes no sense.
    #[error("the connection failed")]
    Broken,
}

/// A connection, or one that is about to be. Ends when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    said: mpsc::Sender<Said>,
    next: AtomicU32,
    credits: Arc<Semaphore>,
}

#[derive(Debug)]
enum Said {
    Ask(u32, BlockKey, Pool, Pending),
    Cancel(u32),
}

/// An ask that is not answered.
#[derive(Debug)]
struct Pending {
    bytes: u64,
    reply: oneshot::Sender<Result<Bytes, AskError>>,
    _credits: OwnedSemaphorePermit,
}

impl Connection {
    /// A connection over what `connect` gives. At most `bytes_max` bytes are asked for at once, but at least a block.
    pub fn open<S, C>(connect: C, bytes_max: u64) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        C: Future<Output = Option<S>> + Send + 'static,
    {
        let (said, questions) = mpsc::channel(QUEUE);
        let credits = bytes_max.max(WHOLE_BYTES_MAX) / CREDIT_BYTES;
        let credits = usize::try_from(credits).unwrap_or(Semaphore::MAX_PERMITS);
        tokio::spawn(async move {
            if let Some(stream) = connect.await {
                run(stream, questions).await;
            }
        });
        Self {
            said,
            next: AtomicU32::new(0),
            credits: Arc::new(Semaphore::new(credits.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        !self.said.is_closed()
    }

    /// Asks for a block. Dropping the future takes the ask back.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(&self, key: BlockKey, pool: Pool) -> Result<Bytes, AskError> {
        let cost = key.len().div_ceil(CREDIT_BYTES).max(CREDITS_MIN);
        let cost = u32::try_from(cost).map_err(|_| AskError::Failed)?;
        let credits = self.credits.clone().acquire_many_owned(cost).await;
        let credits = credits.map_err(|_| AskError::Broken)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            bytes: key.len(),
            reply,
            _credits: credits,
        };
        let asked = self.said.send(Said::Ask(id, key, pool, pending)).await;
        asked.map_err(|_| AskError::Broken)?;
        let mut cancel = Cancel {
            said: Some(&self.said),
            id,
        };
        let answer = answer.await;
        cancel.said = None;
        answer.unwrap_or(Err(AskError::Broken))
    }
}

/// Takes an ask back unless it was answered.
struct Cancel<'a> {
    said: Option<&'a mpsc::Sender<Said>>,
    id: u32,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(said) = self.said {
            // If there is no room the answer comes, and is thrown away.
            let _ = said.try_send(Said::Cancel(self.id));
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    asks: Mutex<HashMap<u32, Pending>>,
    /// Bytes that have come.
    heard: AtomicU64,
}

async fn run<S: AsyncRead + AsyncWrite>(stream: S, questions: mpsc::Receiver<Said>) {
    let (from, to) = tokio::io::split(stream);
    let waiting = Waiting::default();
    let ended = tokio::select! {
        ended = read_answers(from, &waiting) => ended,
        ended = write_questions(to, questions, &waiting) => ended,
        () = silence(&waiting) => Err(ErrorKind::TimedOut.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to a neighbour ended");
    }
}

/// Ends when nothing has come for long though something should have.
async fn silence(waiting: &Waiting) {
    loop {
        let (heard, asks) = (waiting.heard.load(Ordering::Relaxed), waiting.count());
        tokio::time::sleep(SILENCE).await;
        let is_silent = waiting.heard.load(Ordering::Relaxed) == heard;
        if asks > 0 && is_silent && waiting.count() > 0 {
            return;
        }
    }
}

impl Waiting {
    fn count(&self) -> usize {
        self.asks.lock().len()
    }

    fn heard(&self, bytes: usize) {
        self.heard.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

async fn write_questions(
    mut to: impl AsyncWrite + Unpin,
    mut questions: mpsc::Receiver<Said>,
    waiting: &Waiting,
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while let Some(said) = questions.recv().await {
        let mut next = Some(said);
        while let Some(said) = next {
            match said {
                // Whoever asked is gone already.
                Said::Ask(_, _, _, pending) if pending.reply.is_closed() => {}
                Said::Ask(id, key, pool, pending) => {
                    waiting.asks.lock().insert(id, pending);
                    Question::Ask(id, key, pool).encode(&mut bytes);
                }
                Said::Cancel(id) => {
                    if waiting.asks.lock().contains_key(&id) {
                        Question::Cancel(id).encode(&mut bytes);
                    }
                }
            }
            next = questions.try_recv().ok();
        }
        in_time(STALL, to.write_all(&bytes)).await?;
        bytes.clear();
    }
    Ok(())
}

async fn read_answers(mut from: impl AsyncRead + Unpin, waiting: &Waiting) -> Result<(), Error> {
    let nonsense = || Error::new(ErrorKind::InvalidData, FrameError);
    loop {
        let mut head = [0; ANSWER_BYTES];
        from.read_exact(&mut head).await?;
        waiting.heard(head.len());
        let head = Head::decode(&head).map_err(|_| nonsense())?;
        let pending = waiting.asks.lock().remove(&head.id);
        let pending = pending.ok_or_else(nonsense)?;
        let answer = match head.verdict {
            // SUBTLE: only what was asked for is read, so that no length makes this side take more memory.
            Verdict::Lent if u64::from(head.len) != pending.bytes => return Err(nonsense()),
            Verdict::Lent => {
                let block = read_block(&mut from, &head, &pending, waiting).await?;
                block.ok_or(AskError::Failed)
            }
            Verdict::Busy => Err(AskError::Busy),
            Verdict::Failed | Verdict::Cancelled => Err(AskError::Failed),
        };
        let _ = pending.reply.send(answer);
    }
}

/// The bytes after a head; none if nobody waits for them.
async fn read_block(
    from: &mut (impl AsyncRead + Unpin),
    head: &Head,
    pending: &Pending,
    waiting: &Waiting,
) -> Result<Option<Bytes>, Error> {
    let len = head.len as usize;
    let is_wanted = !pending.reply.is_closed();
    let mut block = BytesMut::with_capacity(if is_wanted { len } else { SCRATCH_BYTES });
    let mut left = len;
    while left > 0 {
        if !is_wanted {
            block.clear();
        }
        let room = if is_wanted {
            left
        } else {
            left.min(SCRATCH_BYTES)
        };
        let read = from.read_buf(&mut (&mut block).limit(room)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        waiting.heard(read);
        left -= read;
    }
    if is_wanted && crc32c::crc32c(&block) != head.crc {
        return Err(Error::new(ErrorKind::InvalidData, FrameError));
    }
    Ok(is_wanted.then(|| block.freeze()))
}

#[cfg(test)]
mod tests;
