//! What all connections share, and the course of each.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::{SharedClock, Shutdown, Trouble};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::debug;

use super::connection::{Intake, ReadEnd};
use super::metrics::{Connected, ServerMetrics};
use super::writer::{WriteEnd, write_replies};
use super::{ConnectionContext, FrameError, NetConfig, RequestBudget, Service};

/// How often at most the log tells of connections closed for the same kind of reason.
const REPEAT: Duration = Duration::from_secs(5);

/// What all connections of a process share: the service, the bounds, the counters.
pub struct Server<S> {
    service: S,
    config: NetConfig,
    clock: SharedClock,
    budget: RequestBudget,
    metrics: ServerMetrics,
    connections: Arc<Semaphore>,
    last_id: AtomicU64,
    refusals: Trouble,
    crowding: Trouble,
}

/// A place among the connections that may be open at once.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _connected: Connected,
}

impl<S: Service> Server<S> {
    /// A server that answers with `service` within the bounds of `config`.
    pub fn new(service: S, config: NetConfig, clock: SharedClock) -> Self {
        let trouble = |what| Trouble::new(what, clock.clone()).repeated_every(REPEAT);
        let metrics = ServerMetrics::new();
        Self {
            service,
            budget: RequestBudget::new(config.requests_bytes_max, metrics.held_bytes.clone()),
            metrics,
            connections: Arc::new(Semaphore::new(config.connections_max)),
            last_id: AtomicU64::new(0),
            refusals: trouble("closing a connection"),
            crowding: trouble("closing new connections"),
            config,
            clock,
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

    /// The memory for requests.
    pub fn budget(&self) -> &RequestBudget {
        &self.budget
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) fn metrics(&self) -> &ServerMetrics {
        &self.metrics
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        let free = self.connections.available_permits();
        self.config.connections_max.saturating_sub(free)
    }

    /// A number that no other connection of this server has.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more connection, if there is one.
    pub(super) fn admit(&self) -> Option<Place> {
        match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(permit) => {
                self.crowding.over();
                Some(Place {
                    _permit: permit,
                    _connected: self.metrics.connected(),
                })
            }
            Err(_) => {
                self.metrics.connections_refused.increment(1);
                self.crowding
                    .report("there are as many as max.connections allows");
                None
            }
        }
    }

    /// Serves one connection until either side ends it. When `shutdown` begins, it ends as soon as
    /// the requests that have been read are answered, or have had their time.
    pub async fn serve<R, W>(
        &self,
        reader: R,
        writer: W,
        context: Arc<ConnectionContext>,
        shutdown: &Shutdown,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // However it ends, also if this future is dropped.
        let _closed = context.closed().clone().drop_guard();
        let (slots, queue) = unbounded_channel();
        let intake = Intake::new(self, &context, reader, slots);
        let stall = self.config.write_stall;
        let mut write = pin!(write_replies(
            writer,
            queue,
            stall,
            &self.metrics,
            &self.clock
        ));
        let read_end = tokio::select! {
            biased;
            write_end = &mut write => return self.log_write_end(&context, &write_end),
            read_end = shutdown.unless_begun(intake.run()) => read_end,
        };
        // The intake is gone, its half of the queue too: what is left to write is what was read.
        self.log_read_end(&context, read_end.as_ref());
        if matches!(read_end, Some(ReadEnd::Frame(FrameError::Io(_)))) {
            return;
        }
        tokio::select! {
            biased;
            write_end = write => self.log_write_end(&context, &write_end),
            () = sleep(self.config.drain) => debug!(
                connection = context.id(),
                peer = %context.peer(),
                "closed with requests unanswered"
            ),
        }
    }

    fn log_read_end(&self, context: &ConnectionContext, end: Option<&ReadEnd>) {
        let (connection, peer) = (context.id(), context.peer());
        match end {
            None => debug!(connection, %peer, "closing: the broker is shutting down"),
            Some(ReadEnd::ClosedByClient) => debug!(connection, %peer, "closed by the client"),
            Some(ReadEnd::Idle) => debug!(connection, %peer, "closing an idle connection"),
            Some(ReadEnd::Unanswerable) => {}
            Some(ReadEnd::Frame(error @ (FrameError::Io(_) | FrameError::Cut { .. }))) => {
                debug!(connection, %peer, %error, "connection lost");
            }
            Some(ReadEnd::Frame(error)) => self.refuse(context, error),
            Some(ReadEnd::Request(error)) => self.refuse(context, error),
        }
    }

    fn refuse(&self, context: &ConnectionContext, error: &dyn std::fmt::Display) {
        self.metrics.requests_refused.increment(1);
        self.report(context, error);
    }

    fn log_write_end(&self, context: &ConnectionContext, end: &WriteEnd) {
        match end {
            WriteEnd::Done => {}
            WriteEnd::Close(reason) => self.report(context, reason),
            WriteEnd::Failed(error) if error.kind() == ErrorKind::TimedOut => {
                self.report(context, error);
            }
            WriteEnd::Failed(error) => {
                debug!(connection = context.id(), peer = %context.peer(), %error, "connection lost");
            }
        }
    }

    /// Tells of a connection that is closed for a reason someone should see. A hostile client must
    /// not be able to fill the log, so it is told at DEBUG each time and at WARN now and then.
    fn report(&self, context: &ConnectionContext, reason: &(impl std::fmt::Display + ?Sized)) {
        debug!(connection = context.id(), peer = %context.peer(), %reason, "closing a connection");
        let (peer, listener) = (context.peer(), context.listener());
        self.refusals
            .report(&format!("from {peer} on {listener}: {reason}"));
    }
}
