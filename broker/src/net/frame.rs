//! Frames from a socket: four bytes of length, then that many bytes.
//!
//! A length is not believed: memory grows as bytes arrive, and is taken from the
//! [`RequestBudget`] first. Small frames share one read and are copied out, so that a frame that is
//! kept for long pins no more than itself; a large one is read into a buffer of its own.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Sleep, sleep};

use super::RequestBudget;
use super::budget::{Held, RequestPermit};

/// A frame up to this size gets its memory at once; a larger one doubles from here.
const FIRST_STEP_BYTES: usize = 1 << 20;
/// The shared read buffer of a quiet connection, and of a busy one.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 64 << 10;
/// The slowest pace, in bytes a second, at which a begun frame may arrive.
const PACE_BYTES: usize = 64 << 10;

/// The bytes of a frame, without the length, and its share of the budget.
#[derive(Debug)]
pub struct Frame {
    /// API key, version and so on.
    pub bytes: Bytes,
    /// The memory that `bytes` take.
    pub permit: RequestPermit,
}

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// The client closed the connection in the middle of a frame.
    #[error("closed by the client within a request ({received} of {expected} bytes)")]
    Cut {
        /// Bytes received of the frame.
        received: usize,
        /// Bytes of the frame.
        expected: usize,
    },
    /// The length is zero or negative.
    #[error("a request of the impossible length {0}")]
    Length(i32),
    /// The length exceeds the limit, often because the client does not speak Kafka at all.
    #[error("a request of {length} bytes exceeds the limit of {limit}{}", hint(.length))]
    TooLarge {
        /// The length on the wire.
        length: i32,
        /// The largest allowed.
        limit: usize,
    },
    /// The rest of a frame took too long.
    #[error("the rest of a request did not come in time ({received} of {expected} bytes)")]
    Stalled {
        /// Bytes received of the frame.
        received: usize,
        /// Bytes of the frame.
        expected: usize,
    },
}

/// What the four bytes of a nonsensical length look like.
fn hint(length: &i32) -> &'static str {
    match &length.to_be_bytes() {
        [0x16, 0x03, _, _] => "; it looks like TLS, on a listener without TLS",
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PATC" | b"CONN" | b"PRI " => {
            "; it looks like HTTP, which is not served on this port"
        }
        b"SSH-" => "; it looks like SSH, which is not served on this port",
        _ => "",
    }
}

/// Reads the frames of one connection.
pub struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    read_bytes: usize,
    budget: RequestBudget,
    frame_bytes_max: usize,
    stall: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `source` frames of up to `frame_bytes_max` bytes, each of which has `stall` (and
    /// a second for each 64 KiB) to arrive once it has begun.
    pub fn new(source: R, budget: RequestBudget, frame_bytes_max: usize, stall: Duration) -> Self {
        let frame_bytes_max = frame_bytes_max.min(budget.bytes_max());
        let buffer = BytesMut::new();
        Self {
            source,
            buffer,
            read_bytes: READ_BYTES_MIN,
            budget,
            frame_bytes_max,
            stall,
        }
    }

    /// Waits until a frame has begun; false if the client has closed instead.
    ///
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn ready(&mut self) -> Result<bool, FrameError> {
        Ok(!self.buffer.is_empty() || self.fill().await? > 0)
    }

    /// Reads the next frame; none if the client has closed before it began.
    ///
    /// # Errors
    /// See [`FrameError`]. After an error there is no next frame.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if !self.ready().await? {
            return Ok(None);
        }
        let length = self.length().await?;
        let first = length.min(FIRST_STEP_BYTES);
        let held = self.budget.reserve(first).await;
        if self.buffer.len() < length {
            return self.receive(length, held).await.map(Some);
        }
        let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        Ok(Some(Frame {
            bytes,
            permit: RequestPermit::new(held),
        }))
    }

    async fn length(&mut self) -> Result<usize, FrameError> {
        let mut deadline = Box::pin(sleep(self.stall));
        while self.buffer.len() < 4 {
            let received = self.buffer.len();
            let read = tokio::select! {
                biased;
                read = self.fill() => read?,
                () = &mut deadline => return Err(FrameError::Stalled { received, expected: 4 }),
            };
            if read == 0 {
                return Err(FrameError::Cut {
                    received,
                    expected: 4,
                });
            }
        }
        let length = self.buffer.get_i32();
        match usize::try_from(length) {
            Err(_) | Ok(0) => Err(FrameError::Length(length)),
            Ok(bytes) if bytes > self.frame_bytes_max => Err(FrameError::TooLarge {
                length,
                limit: self.frame_bytes_max,
            }),
            Ok(bytes) => Ok(bytes),
        }
    }

    /// Reads a frame that is not wholly in the shared buffer into memory of its own.
    async fn receive(&mut self, length: usize, mut held: Held) -> Result<Frame, FrameError> {
        let mut reserved = length.min(FIRST_STEP_BYTES);
        let mut bytes = BytesMut::with_capacity(reserved);
        bytes.put(&mut self.buffer);
        let mut deadline = self.deadline(length);
        while bytes.len() < length {
            if bytes.len() == reserved {
                let more = reserved.min(length - reserved);
                self.budget.grow(&mut held, more).await;
                bytes.reserve(more);
                reserved += more;
                // Waiting for the budget was not the client's fault.
                deadline = self.deadline(length - bytes.len());
            }
            let received = bytes.len();
            let mut space = (&mut bytes).limit(reserved - received);
            let read = tokio::select! {
                biased;
                read = self.source.read_buf(&mut space) => read?,
                () = &mut deadline => {
                    return Err(FrameError::Stalled { received, expected: length });
                }
            };
            if read == 0 {
                return Err(FrameError::Cut {
                    received,
                    expected: length,
                });
            }
        }
        Ok(Frame {
            bytes: bytes.freeze(),
            permit: RequestPermit::new(held),
        })
    }

    fn deadline(&self, bytes: usize) -> Pin<Box<Sleep>> {
        Box::pin(sleep(
            self.stall + Duration::from_secs((bytes / PACE_BYTES) as u64),
        ))
    }

    /// Reads once into the shared buffer, which grows while reads fill it and shrinks again.
    async fn fill(&mut self) -> Result<usize, FrameError> {
        if self.buffer.is_empty() && self.buffer.capacity() > self.read_bytes {
            self.buffer = BytesMut::with_capacity(self.read_bytes);
        }
        self.buffer
            .reserve(self.read_bytes.saturating_sub(self.buffer.len()));
        let read = self.source.read_buf(&mut self.buffer).await?;
        if self.buffer.len() == self.buffer.capacity() {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if read < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        Ok(read)
    }
}
