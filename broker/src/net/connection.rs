//! One connection from its first byte to its last.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::metrics::{Connected, RequestTimer, ServerMetrics};
use super::writer::{Slot, WriteEnd, write_replies};
use super::{ConnectionContext, FrameError, FrameReader, NetConfig, RequestBudget, Service};
use crate::wire::decode_request;

/// What all connections of a process share: the service, the bounds, the counters.
pub struct Server<S> {
    service: S,
    config: NetConfig,
    budget: RequestBudget,
    metrics: ServerMetrics,
    connections: Arc<Semaphore>,
    last_id: AtomicU64,
}

/// A place among the connections that may be open at once.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _connected: Connected,
}

impl<S: Service> Server<S> {
    /// A server that answers with `service` within the bounds of `config`.
    pub fn new(service: S, config: NetConfig) -> Self {
        Self {
            service,
            budget: RequestBudget::new(config.requests_bytes_max),
            metrics: ServerMetrics::new(),
            connections: Arc::new(Semaphore::new(config.connections_max)),
            last_id: AtomicU64::new(0),
            config,
        }
    }

    /// The service that answers.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The bounds.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    /// The budget for requests.
    pub fn budget(&self) -> &RequestBudget {
        &self.budget
    }

    /// A number that no other connection of this server has.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more connection, if there is one.
    pub(super) fn admit(&self) -> Option<Place> {
        match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(permit) => Some(Place {
                _permit: permit,
                _connected: self.metrics.connected(),
            }),
            Err(_) => {
                self.metrics.refused();
                None
            }
        }
    }

    /// Serves one connection until either side ends it. Cancelling `drain` ends it after the
    /// requests that have been read are answered, or after `drain_ms`.
    pub async fn serve<R, W>(
        &self,
        reader: R,
        writer: W,
        context: Arc<ConnectionContext>,
        drain: CancellationToken,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (slots, queue) = unbounded_channel();
        let stall = std::time::Duration::from_millis(self.config.read_stall_ms);
        let frames = FrameReader::new(
            reader,
            self.budget.clone(),
            self.config.request_bytes_max,
            stall,
        );
        let mut intake = Intake {
            server: self,
            frames,
            in_flight: Arc::new(Semaphore::new(self.config.in_flight_max)),
            slots,
            context: &context,
            drain,
        };
        let mut write = pin!(write_replies(
            writer,
            queue,
            self.config.write_stall(),
            &self.metrics
        ));
        let read_end = tokio::select! {
            write_end = &mut write => return log_write_end(&context, &write_end),
            read_end = intake.run() => read_end,
        };
        log_read_end(&context, &read_end);
        drop(intake);
        if matches!(read_end, ReadEnd::Frame(FrameError::Io(_))) {
            return;
        }
        match timeout(self.config.drain(), write).await {
            Ok(write_end) => log_write_end(&context, &write_end),
            Err(_) => debug!(
                connection = context.id(),
                peer = %context.peer(),
                "closed with requests unanswered: they took longer than the drain time"
            ),
        }
    }
}

/// Why no more is read from a connection.
#[derive(Debug)]
enum ReadEnd {
    ClosedByClient,
    Idle,
    Draining,
    /// The connection is to be closed by what has been put in the queue.
    Refused,
    Frame(FrameError),
}

/// The reading side of a connection.
struct Intake<'a, S, R> {
    server: &'a Server<S>,
    frames: FrameReader<R>,
    in_flight: Arc<Semaphore>,
    slots: UnboundedSender<Slot>,
    context: &'a Arc<ConnectionContext>,
    drain: CancellationToken,
}

impl<S: Service, R: AsyncRead + Unpin> Intake<'_, S, R> {
    async fn run(&mut self) -> ReadEnd {
        let drain = self.drain.clone();
        tokio::select! {
            biased;
            () = drain.cancelled() => ReadEnd::Draining,
            end = self.take_requests() => end,
        }
    }

    async fn take_requests(&mut self) -> ReadEnd {
        loop {
            match self.request_begun().await {
                Ok(()) => {}
                Err(end) => return end,
            }
            // Not reading is the back-pressure: the client's window fills.
            let Ok(in_flight) = Arc::clone(&self.in_flight).acquire_owned().await else {
                return ReadEnd::Refused;
            };
            let frame = match self.frames.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return ReadEnd::ClosedByClient,
                Err(error) => return ReadEnd::Frame(error),
            };
            self.server.metrics.bytes_in(4 + frame.bytes.len());
            let timer = RequestTimer;
            let (api_key, pending) = match decode_request(frame.bytes) {
                Ok(request) => {
                    let api_key = request.api_key();
                    (
                        api_key,
                        self.server
                            .service
                            .call(self.context, request, &frame.permit),
                    )
                }
                Err(error) => {
                    warn!(
                        connection = self.context.id(),
                        peer = %self.context.peer(),
                        %error,
                        "closing a connection after a request that cannot be understood"
                    );
                    return ReadEnd::Refused;
                }
            };
            let slot = Slot {
                api_key,
                pending,
                timer,
                _permit: frame.permit,
                _in_flight: in_flight,
            };
            if self.slots.send(slot).is_err() {
                return ReadEnd::Refused;
            }
        }
    }

    /// Waits for the first byte of a request.
    async fn request_begun(&mut self) -> Result<(), ReadEnd> {
        loop {
            match timeout(self.server.config.idle(), self.frames.ready()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => return Err(ReadEnd::ClosedByClient),
                Ok(Err(error)) => return Err(ReadEnd::Frame(error)),
                Err(_) if self.is_quiet() => return Err(ReadEnd::Idle),
                Err(_) => {}
            }
        }
    }

    /// Whether every request has been answered.
    fn is_quiet(&self) -> bool {
        self.in_flight.available_permits() == self.server.config.in_flight_max
    }
}

fn log_read_end(context: &ConnectionContext, end: &ReadEnd) {
    let (connection, peer) = (context.id(), context.peer());
    match end {
        ReadEnd::ClosedByClient => debug!(connection, %peer, "closed by the client"),
        ReadEnd::Idle => debug!(connection, %peer, "closing an idle connection"),
        ReadEnd::Draining => debug!(connection, %peer, "closing: the broker is shutting down"),
        ReadEnd::Refused => {}
        ReadEnd::Frame(error @ (FrameError::Io(_) | FrameError::Cut { .. })) => {
            debug!(connection, %peer, %error, "connection lost");
        }
        ReadEnd::Frame(error) => warn!(connection, %peer, %error, "closing a connection"),
    }
}

fn log_write_end(context: &ConnectionContext, end: &WriteEnd) {
    let (connection, peer) = (context.id(), context.peer());
    match end {
        WriteEnd::Done => {}
        WriteEnd::Close(reason) => warn!(connection, %peer, reason, "closing a connection"),
        WriteEnd::Failed(error) if error.kind() == ErrorKind::TimedOut => {
            warn!(connection, %peer, %error, "closing a connection");
        }
        WriteEnd::Failed(error) => debug!(connection, %peer, %error, "connection lost"),
    }
}
