//! Replies on their way back to one client: in the order of the requests, whatever the order in
//! which they are ready.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use kafka_protocol::messages::ApiKey;
use runtime::SharedClock;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::metrics::ServerMetrics;
use super::{Pending, Reply, RequestPermit};

/// How many slices go into one system call.
const SLICES_MAX: usize = 128;

/// What a client has not taken of its responses after so long is copied.
const COPY_AFTER: Duration = Duration::from_secs(1);

/// The pieces in which it is copied.
const COPY_BYTES: usize = 1 << 20;

/// A request that has been handed to the service, and what it holds until it is answered.
pub(super) struct Slot {
    pub(super) api_key: ApiKey,
    pub(super) pending: Pending,
    /// When it was taken, by the monotonic clock.
    pub(super) taken_at: Duration,
    pub(super) _permit: RequestPermit,
    pub(super) _in_flight: OwnedSemaphorePermit,
}

/// Why writing ended.
#[derive(Debug)]
pub(super) enum WriteEnd {
    /// Every request has been answered and no more will come.
    Done,
    /// A handler wants the connection closed.
    Close(String),
    /// The socket failed, or the client reads nothing (`ErrorKind::TimedOut`).
    Failed(Error),
}

/// Answers the requests that come through `slots` until there are no more.
pub(super) async fn write_replies<W: AsyncWrite + Unpin>(
    mut writer: W,
    slots: UnboundedReceiver<Slot>,
    stall: Duration,
    metrics: &ServerMetrics,
    clock: &SharedClock,
) -> WriteEnd {
    let mut queue = ReplyQueue::new(slots);
    while queue.wait().await {
        let batch = queue.take_ready();
        let bytes = batch.chunks.iter().map(Bytes::len).sum::<usize>();
        let late = sleep(COPY_AFTER);
        if let Err(error) = write_copying(&mut writer, batch.chunks, stall, late).await {
            return WriteEnd::Failed(error);
        }
        metrics.bytes_out.increment(bytes as u64);
        let now = clock.monotonic();
        for answered in batch.answered {
            let took = now.saturating_sub(answered.taken_at);
            metrics.answered(answered.api_key, took, answered.error_code);
        }
        if let Some(reason) = batch.close {
            return WriteEnd::Close(reason);
        }
    }
    WriteEnd::Done
}

/// The requests in flight, oldest first.
struct ReplyQueue {
    slots: UnboundedReceiver<Slot>,
    more: bool,
    waiting: VecDeque<Slot>,
    /// The number, counted from the first of the connection, of the front of `waiting`.
    front: u64,
    concurrent: FuturesUnordered<BoxFuture<'static, (u64, Reply)>>,
}

/// Replies that can be written together.
#[derive(Default)]
struct Batch {
    chunks: VecDeque<Bytes>,
    answered: Vec<Answered>,
    _held: Vec<Arc<dyn Any + Send + Sync>>,
    close: Option<String>,
}

/// An answered request. Its permits are given back when this is dropped, after the writing.
struct Answered {
    api_key: ApiKey,
    error_code: i16,
    taken_at: Duration,
    _permit: RequestPermit,
    _in_flight: OwnedSemaphorePermit,
}

impl ReplyQueue {
    fn new(slots: UnboundedReceiver<Slot>) -> Self {
        Self {
            slots,
            more: true,
            waiting: VecDeque::new(),
            front: 0,
            concurrent: FuturesUnordered::new(),
        }
    }

    /// Waits until the oldest reply is ready; false if none is left to wait for.
    async fn wait(&mut self) -> bool {
        loop {
            while let Ok(slot) = self.slots.try_recv() {
                self.push(slot);
            }
            match self.waiting.front().map(|slot| &slot.pending) {
                Some(Pending::Ready(_)) => return true,
                None if !self.more => return false,
                _ => {}
            }
            tokio::select! {
                biased;
                slot = self.slots.recv(), if self.more => match slot {
                    Some(slot) => self.push(slot),
                    None => self.more = false,
                },
                Some((number, reply)) = self.concurrent.next() => {
                    if let Some(slot) = self.waiting.get_mut((number - self.front) as usize) {
                        slot.pending = Pending::Ready(reply);
                    }
                }
                Some(reply) = run_front(&mut self.waiting) => {
                    if let Some(slot) = self.waiting.front_mut() {
                        slot.pending = Pending::Ready(reply);
                    }
                }
                else => return false,
            }
        }
    }

    fn push(&mut self, mut slot: Slot) {
        let number = self.front + self.waiting.len() as u64;
        slot.pending = match slot.pending {
            Pending::Concurrent(reply) => {
                self.concurrent
                    .push(Box::pin(async move { (number, reply.await) }));
                // Its place in the queue; the reply comes out of `concurrent`.
                Pending::Concurrent(Box::pin(std::future::pending()))
            }
            other => other,
        };
        self.waiting.push_back(slot);
    }

    /// Takes the ready replies up to the first that is not, or that closes the connection.
    fn take_ready(&mut self) -> Batch {
        let mut batch = Batch::default();
        while batch.close.is_none() {
            match self.waiting.pop_front() {
                Some(Slot {
                    api_key,
                    pending: Pending::Ready(reply),
                    taken_at,
                    _permit,
                    _in_flight,
                }) => {
                    self.front += 1;
                    let error_code = batch.add(reply);
                    let answered = Answered {
                        api_key,
                        error_code,
                        taken_at,
                        _permit,
                        _in_flight,
                    };
                    batch.answered.push(answered);
                }
                Some(slot) => {
                    self.waiting.push_front(slot);
                    break;
                }
                None => break,
            }
        }
        batch
    }
}

impl Batch {
    fn add(&mut self, reply: Reply) -> i16 {
        match reply {
            Reply::Response(mut response) => {
                self._held.extend(response.take_held());
                let error_code = response.error_code();
                self.chunks.append(&mut response.into_chunks());
                error_code
            }
            Reply::None => 0,
            Reply::Close(reason) => {
                self.close = Some(reason);
                0
            }
        }
    }
}

/// Works on the oldest request if it is one that had to wait for that; none if it is not.
async fn run_front(waiting: &mut VecDeque<Slot>) -> Option<Reply> {
    match waiting.front_mut().map(|slot| &mut slot.pending) {
        Some(Pending::Sequential(reply)) => Some(reply.await),
        _ => None,
    }
}

/// Writes all of these bytes. Nothing being taken for `stall` is an error.
pub(crate) async fn write_chunks<W: AsyncWrite + Unpin>(
    writer: &mut W,
    chunks: VecDeque<Bytes>,
    stall: Duration,
) -> Result<()> {
    write_copying(writer, chunks, stall, std::future::pending()).await
}

/// The same, but what is left when it is `late` is copied.
///
/// SUBTLE: slices of records keep all of the request or the block in memory that they are a part of, long after the cache
/// has let go of it. While responses are taken this is nothing; a client that reads slowly must not hold more than what it
/// was sent.
async fn write_copying<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut chunks: VecDeque<Bytes>,
    stall: Duration,
    late: impl Future<Output = ()>,
) -> Result<()> {
    let mut late = pin!(late.fuse());
    let mut patience = pin!(sleep(stall));
    while !chunks.is_empty() {
        let write = poll_fn(|context| {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = chunks.len().min(SLICES_MAX);
            for (slice, chunk) in slices.iter_mut().zip(&chunks) {
                *slice = IoSlice::new(chunk);
            }
            Pin::new(&mut *writer).poll_write_vectored(context, &slices[..used])
        });
        let written = tokio::select! {
            biased;
            written = write => Some(written?),
            () = &mut patience => return Err(stalled()),
            () = &mut late => None,
        };
        let Some(written) = written else {
            chunks = copied(chunks).await;
            continue;
        };
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        advance(&mut chunks, written);
        patience.set(sleep(stall));
    }
    timeout(stall, writer.flush())
        .await
        .map_err(|_| stalled())?
}

/// The same bytes, in memory that nothing else is in.
async fn copied(chunks: VecDeque<Bytes>) -> VecDeque<Bytes> {
    let mut left: usize = chunks.iter().map(Bytes::len).sum();
    let mut copies = VecDeque::with_capacity(left.div_ceil(COPY_BYTES));
    let mut copy = Vec::with_capacity(left.min(COPY_BYTES));
    for mut chunk in chunks {
        while !chunk.is_empty() {
            let part = chunk.split_to(chunk.len().min(copy.capacity() - copy.len()));
            copy.extend_from_slice(&part);
            left -= part.len();
            if copy.len() == copy.capacity() {
                let next = Vec::with_capacity(left.min(COPY_BYTES));
                copies.push_back(std::mem::replace(&mut copy, next).into());
                tokio::task::yield_now().await;
            }
        }
    }
    if !copy.is_empty() {
        copies.push_back(copy.into());
    }
    copies
}

fn stalled() -> Error {
    Error::new(
        ErrorKind::TimedOut,
        "the other side reads none of its responses",
    )
}

/// Drops the first `written` bytes.
fn advance(chunks: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(chunk) = chunks.front_mut() {
        if written < chunk.len() {
            chunk.advance(written);
            return;
        }
        written -= chunk.len();
        chunks.pop_front();
    }
}
