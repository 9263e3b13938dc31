//! One TCP connection to a broker: requests go out back to back, responses come in the same order.
//!
//! A writer task and a reader task own the halves of the socket, so a caller that is cancelled
//! never leaves half a frame behind. The queue of frames and the frame length are bounded; when the
//! connection breaks, every waiting call is answered with an error.

mod io;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::error::{ClientError, Result};
use super::versions::Versions;
use io::{read_responses, write_frames};

/// Frames waiting for the writer task.
const FRAMES_QUEUED_MAX: usize = 64;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Name sent with every request.
    pub client_id: String,
    /// Longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest wait for a response.
    pub request_timeout: Duration,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "millrace".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// A request as a chain of slices, with the length prefix as its first four bytes.
pub struct Frame {
    /// The bytes, in order.
    pub chunks: Vec<Bytes>,
    /// Identifies the response.
    pub correlation: i32,
    /// False for a request that is not answered (Produce with acks=0); it is done when written.
    pub answered: bool,
}

struct Waiting {
    correlation: i32,
    answer: oneshot::Sender<Result<Bytes>>,
}

enum Queue {
    Open(VecDeque<Waiting>),
    Closed,
}

struct Shared {
    broker: String,
    queue: Mutex<Queue>,
}

impl Shared {
    fn close(&self, error: impl Fn() -> ClientError) {
        let waiting = std::mem::replace(&mut *self.queue.lock(), Queue::Closed);
        if let Queue::Open(waiting) = waiting {
            for call in waiting {
                let _ = call.answer.send(Err(error()));
            }
        }
    }
}

type Outgoing = (Frame, oneshot::Sender<Result<Bytes>>);

/// A connection whose API versions are known.
pub struct Connection {
    shared: Arc<Shared>,
    frames: mpsc::Sender<Outgoing>,
    correlation: AtomicI32,
    options: ConnectionOptions,
    versions: Versions,
    reader: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The answer to a frame handed to [`Connection::submit`].
pub struct Pending {
    answer: oneshot::Receiver<Result<Bytes>>,
    broker: String,
    timeout: Duration,
}

impl Pending {
    /// The frame of the response, without its length; see [`decode`].
    pub async fn wait(self) -> Result<Bytes> {
        match tokio::time::timeout(self.timeout, self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ClientError::Closed(self.broker)),
            Err(_) => Err(ClientError::TimedOut(self.broker, self.timeout.as_millis())),
        }
    }
}

impl Connection {
    /// Connects to `broker` (host:port) and asks for its API versions.
    pub async fn open(broker: &str, options: &ConnectionOptions) -> Result<Self> {
        let io = |source| ClientError::Io {
            broker: broker.to_owned(),
            source,
        };
        let connect = TcpStream::connect(broker);
        let stream = match tokio::time::timeout(options.connect_timeout, connect).await {
            Ok(stream) => stream.map_err(io)?,
            Err(_) => {
                let waited = options.connect_timeout.as_millis();
                return Err(ClientError::TimedOut(broker.to_owned(), waited));
            }
        };
        stream.set_nodelay(true).map_err(io)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            broker: broker.to_owned(),
            queue: Mutex::new(Queue::Open(VecDeque::new())),
        });
        let (frames, queue) = mpsc::channel(FRAMES_QUEUED_MAX);
        tokio::spawn(write_frames(write, queue, Arc::clone(&shared)));
        let reader = tokio::spawn(read_responses(read, Arc::clone(&shared))).abort_handle();
        let mut connection = Self {
            shared,
            frames,
            correlation: AtomicI32::new(0),
            options: options.clone(),
            versions: Versions::unknown(),
            reader,
        };
        connection.versions = Versions::negotiate(&connection).await?;
        Ok(connection)
    }

    /// Host and port.
    pub fn broker(&self) -> &str {
        &self.shared.broker
    }

    /// What the broker offers.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The name sent with requests.
    pub fn client_id(&self) -> &str {
        &self.options.client_id
    }

    /// Whether it broke; a new one is needed then.
    pub fn is_closed(&self) -> bool {
        matches!(*self.shared.queue.lock(), Queue::Closed)
    }

    /// Gives up on it: every waiting call fails, and [`Client`](super::Client) makes a new one.
    pub fn close(&self) {
        self.shared
            .close(|| ClientError::Closed(self.shared.broker.clone()));
        self.reader.abort();
    }

    /// A fresh correlation id.
    pub fn next_correlation(&self) -> i32 {
        self.correlation.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// Queues a frame without waiting; the caller bounds how many it has in flight.
    ///
    /// `extra` is added to the request timeout (the time a long poll may take).
    pub fn submit(&self, frame: Frame, extra: Duration) -> Result<Pending> {
        let (sender, answer) = oneshot::channel();
        self.frames
            .try_send((frame, sender))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    ClientError::Protocol(format!("{}: too many requests in flight", self.broker()))
                }
                mpsc::error::TrySendError::Closed(_) => {
                    ClientError::Closed(self.broker().to_owned())
                }
            })?;
        let timeout = self.options.request_timeout + extra;
        Ok(Pending {
            answer,
            broker: self.broker().to_owned(),
            timeout,
        })
    }

    /// Sends a request in the highest version both sides know and waits for its response.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response> {
        let version = self.version::<R>()?;
        self.call_version(request, version, Duration::ZERO).await
    }

    /// The version in which requests of this kind are sent on this connection.
    pub fn version<R: Request>(&self) -> Result<i16> {
        self.versions
            .highest(R::KEY, R::VERSIONS)
            .ok_or_else(|| ClientError::Unsupported {
                broker: self.broker().to_owned(),
                api: ApiKey::try_from(R::KEY).map_or("?".into(), |key| format!("{key:?}")),
            })
    }

    /// Like [`Connection::call`], in a given version.
    pub async fn call_version<R: Request>(
        &self,
        request: &R,
        version: i16,
        extra: Duration,
    ) -> Result<R::Response> {
        let correlation = self.next_correlation();
        let bytes = encode(request, version, correlation, self.client_id())
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        let frame = Frame {
            chunks: vec![bytes],
            correlation,
            answered: true,
        };
        let body = self.submit(frame, extra)?.wait().await?;
        decode::<R>(body, version)
    }
}

/// A length-prefixed request.
fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &str,
) -> std::result::Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_string(client_id.to_owned())));
    let mut bytes = BytesMut::with_capacity(256);
    bytes.extend_from_slice(&[0; 4]);
    header.encode(&mut bytes, R::header_version(version))?;
    request.encode(&mut bytes, version)?;
    let length = u32::try_from(bytes.len() - 4)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.freeze())
}

/// A response from the bytes of its frame after the length.
pub fn decode<R: Request>(mut frame: Bytes, version: i16) -> Result<R::Response> {
    let wrong = |error| ClientError::Protocol(format!("a response that does not decode: {error}"));
    ResponseHeader::decode(&mut frame, R::Response::header_version(version)).map_err(wrong)?;
    R::Response::decode(&mut frame, version).map_err(wrong)
}
