//! Frames from a socket: four bytes of length, then that many bytes.
//!
//! A length is not believed: memory grows as bytes arrive, and is taken from the [`RequestBudget`] first. Only while there
//! is plenty is some taken ahead of the bytes. Small frames share one read and are copied out, so that a frame that is kept
//! for long pins no more than itself; a large one is read into a buffer of its own.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Sleep, sleep};

use super::RequestBudget;
use super::budget::{Held, Kind, RequestPermit, is_small};

/// The shared read buffer of a quiet connection, and of a busy one.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 64 << 10;
/// The slowest pace, in bytes a second, at which a begun frame may arrive.
const PACE_BYTES: usize = 64 << 10;

/// The API key of Produce, as it is on the wire.
const PRODUCE: &[u8] = &[0, 0];

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
        let kind = self.kind(length).await?;
        let ahead = self.budget.ahead(kind, length);
        let first = length.min(ahead.max(self.buffer.len()));
        let held = self.budget.reserve(kind, first).await;
        if self.buffer.len() < length {
            return self.receive(length, first, held).await.map(Some);
        }
        let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        Ok(Some(Frame {
            bytes,
            permit: RequestPermit::new(held),
        }))
    }

    /// Has the first `bytes` of what is `expected` in the shared buffer.
    async fn buffered(&mut self, bytes: usize, expected: usize) -> Result<(), FrameError> {
        let mut deadline = None;
        while self.buffer.len() < bytes {
            let received = self.buffer.len();
            let stall = self.stall;
            let deadline = deadline.get_or_insert_with(|| Box::pin(sleep(stall)));
            let read = tokio::select! {
                biased;
                read = self.fill() => read?,
                () = deadline => return Err(FrameError::Stalled { received, expected }),
            };
            if read == 0 {
                return Err(FrameError::Cut { received, expected });
            }
        }
        Ok(())
    }

    async fn length(&mut self) -> Result<usize, FrameError> {
        self.buffered(4, 4).await?;
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

    /// What the frame may take, by its API key and length.
    async fn kind(&mut self, length: usize) -> Result<Kind, FrameError> {
        let key_bytes = length.min(2);
        self.buffered(key_bytes, length).await?;
        match self.buffer.get(..2) {
            Some(key) if key_bytes == 2 && key != PRODUCE && is_small(length) => Ok(Kind::Small),
            _ => Ok(Kind::Any),
        }
    }

    /// Reads a frame that is not wholly in the shared buffer into memory of its own, of which the first `reserved`
    /// bytes are held.
    async fn receive(
        &mut self,
        length: usize,
        mut reserved: usize,
        mut held: Held,
    ) -> Result<Frame, FrameError> {
        // SUBTLE: a Vec, because a BytesMut that grows takes twice as much, however little more it is to hold.
        let mut bytes = Vec::with_capacity(reserved);
        bytes.put(&mut self.buffer);
        let mut deadline = self.deadline(length);
        while bytes.len() < length {
            if bytes.len() == reserved {
                let more = reserved.min(length - reserved);
                self.budget.grow(&mut held, more).await;
                bytes.reserve_exact(more);
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
            bytes: bytes.into(),
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

#[cfg(test)]
mod tests {
    use futures::poll;
    use metrics::Gauge;
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const MIB: usize = 1 << 20;

    fn reader<R: AsyncRead + Unpin>(source: R, budget: &RequestBudget) -> FrameReader<R> {
        FrameReader::new(source, budget.clone(), 100 * MIB, Duration::from_secs(30))
    }

    fn framed(content: &[u8]) -> Vec<u8> {
        [&(content.len() as i32).to_be_bytes()[..], content].concat()
    }

    async fn error_of(bytes: &[u8]) -> FrameError {
        let budget = RequestBudget::new(200 * MIB, Gauge::noop());
        reader(bytes, &budget).next().await.unwrap_err()
    }

    #[tokio::test]
    async fn frames_that_do_not_come_leave_room_for_one_that_does() {
        let budget = RequestBudget::new(64 * MIB, Gauge::noop());
        let announced = [&(50 * MIB as i32).to_be_bytes()[..], PRODUCE, &[0; 100]].concat();
        let mut begun = vec![];
        for _ in 0..1_000 {
            let (mut client, source) = duplex(200);
            client.write_all(&announced).await.unwrap();
            let mut reader = reader(source, &budget);
            let mut next = Box::pin(async move { reader.next().await.map(drop) });
            assert!(poll!(&mut next).is_pending());
            begun.push((client, next));
        }
        let held = 64 * MIB - budget.available();
        assert!(held < 48 * MIB, "1,000 frames not sent hold {held} bytes");
        let content = [PRODUCE, &vec![7; 5 * MIB]].concat();
        let wire = framed(&content);
        let frame = reader(&wire[..], &budget).next().await.unwrap().unwrap();
        assert!(frame.bytes == content);
    }

    #[tokio::test]
    async fn frames_of_all_sizes_come_out_as_they_went_in() {
        let sizes = [
            1,
            2,
            4_091,
            4_092,
            4_093,
            70_000,
            3,
            MIB - 1,
            MIB,
            MIB + 1,
            5 * MIB,
            9,
        ];
        let frames: Vec<Vec<u8>> = sizes
            .iter()
            .map(|size| (0..*size).map(|at| (at * 7) as u8).collect())
            .collect();
        let wire: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        let (mut client, source) = duplex(10_000);
        let sending = tokio::spawn(async move { client.write_all(&wire).await });
        let budget = RequestBudget::new(10 * MIB, Gauge::noop());
        let mut reader = reader(source, &budget);
        for frame in &frames {
            let read = reader.next().await.unwrap().unwrap();
            assert!(read.bytes == *frame, "a frame of {} bytes", frame.len());
            assert_eq!(budget.available(), 10 * MIB - frame.len());
        }
        sending.await.unwrap().unwrap();
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_small_frame_pins_no_more_than_itself() {
        let wire = [framed(&[1; 100]), framed(&[2; 50_000])].concat();
        let budget = RequestBudget::new(10 * MIB, Gauge::noop());
        let mut reader = reader(&wire[..], &budget);
        for size in [100, 50_000] {
            let bytes = reader.next().await.unwrap().unwrap().bytes;
            let memory = bytes.try_into_mut().expect("memory of its own");
            assert_eq!((memory.len(), memory.capacity()), (size, size));
        }
    }

    #[tokio::test]
    async fn a_large_frame_takes_no_more_than_it_holds_of_the_budget() {
        for size in [MIB + 100, 5 * MIB] {
            let wire = framed(&vec![0; size]);
            let budget = RequestBudget::new(10 * MIB, Gauge::noop());
            let frame = reader(&wire[..], &budget).next().await.unwrap().unwrap();
            let memory = frame.bytes.try_into_mut().expect("memory of its own");
            assert_eq!((memory.len(), memory.capacity()), (size, size));
        }
    }

    #[tokio::test]
    async fn a_length_is_not_believed_before_the_bytes_come() {
        let (mut client, source) = duplex(4 * MIB);
        client
            .write_all(&(80i32 << 20).to_be_bytes())
            .await
            .unwrap();
        client.write_all(&vec![0; MIB + MIB / 2]).await.unwrap();
        let budget = RequestBudget::new(100 * MIB, Gauge::noop());
        let mut reader = reader(source, &budget);
        let mut next = Box::pin(reader.next());
        for _ in 0..100 {
            assert!(poll!(&mut next).is_pending());
        }
        assert_eq!(
            budget.available(),
            98 * MIB,
            "1.5 MiB came, so 2 MiB are held"
        );
        drop(client);
        let cut = next.await.unwrap_err();
        assert!(
            matches!(
                cut,
                FrameError::Cut {
                    received: 1_572_864,
                    ..
                }
            ),
            "{cut}"
        );
        assert_eq!(budget.available(), 100 * MIB);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_named() {
        let text = error_of(b"GET / HTTP/1.1\r\n").await.to_string();
        assert!(text.contains("looks like HTTP"), "{text}");
        let text = error_of(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            .await
            .to_string();
        assert!(text.contains("looks like TLS"), "{text}");
        assert!(matches!(
            error_of(b"\x00\x00\x00\x00").await,
            FrameError::Length(0)
        ));
        assert!(matches!(
            error_of(b"\xff\xff\xff\xff").await,
            FrameError::Length(-1)
        ));
        let text = error_of(b"\x7f\xff\xff\xff").await.to_string();
        assert_eq!(
            text,
            "a request of 2147483647 bytes exceeds the limit of 104857600"
        );
        assert!(matches!(
            error_of(b"\x00\x00").await,
            FrameError::Cut { received: 2, .. }
        ));
    }
}
