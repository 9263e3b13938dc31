//! One connection from its first byte to its last.

use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::writer::Slot;
use super::{ConnectionContext, FrameError, FrameReader, Server, Service};
use crate::wire::{WireError, decode_request};

/// Decoded requests smaller than this are not charged to the budget: the least that a connection
/// may take beyond its frames.
const DECODED_BYTES_FREE: usize = 64 << 10;

/// Why no more is read from a connection.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The client has closed it between requests.
    ClosedByClient,
    /// Nothing was asked for too long.
    Idle,
    /// Bytes do not come, or are no frame.
    Frame(FrameError),
    /// A frame is no request.
    Request(WireError),
    /// The writing side is gone.
    Unanswerable,
}

/// The reading side of a connection: takes its requests and hands them to the service.
pub(super) struct Intake<'a, S, R> {
    server: &'a Server<S>,
    context: &'a Arc<ConnectionContext>,
    frames: FrameReader<R>,
    in_flight: Arc<Semaphore>,
    slots: UnboundedSender<Slot>,
}

impl<'a, S: Service, R: AsyncRead + Unpin> Intake<'a, S, R> {
    pub(super) fn new(
        server: &'a Server<S>,
        context: &'a Arc<ConnectionContext>,
        reader: R,
        slots: UnboundedSender<Slot>,
    ) -> Self {
        let config = server.config();
        let budget = server.budget().clone();
        let frames = FrameReader::new(reader, budget, config.request_bytes_max, config.read_stall);
        let in_flight = Arc::new(Semaphore::new(config.in_flight_max));
        Self {
            server,
            context,
            frames,
            in_flight,
            slots,
        }
    }

    /// Takes requests until there is a reason not to.
    pub(super) async fn run(mut self) -> ReadEnd {
        loop {
            if let Err(end) = self.take_request().await {
                return end;
            }
        }
    }

    async fn take_request(&mut self) -> Result<(), ReadEnd> {
        self.request_begun().await?;
        // Not reading is the back-pressure: the client's window fills.
        let in_flight = Arc::clone(&self.in_flight).acquire_owned().await;
        let in_flight = in_flight.map_err(|_| ReadEnd::Unanswerable)?;
        let frame = self.frames.next().await.map_err(ReadEnd::Frame)?;
        let frame = frame.ok_or(ReadEnd::ClosedByClient)?;
        let taken_at = self.server.clock().monotonic();
        self.server
            .metrics()
            .bytes_in
            .increment(4 + frame.bytes.len() as u64);

        let request = decode_request(frame.bytes).map_err(ReadEnd::Request)?;
        if request.decoded_bytes() > DECODED_BYTES_FREE {
            frame
                .permit
                .grow(self.server.budget(), request.decoded_bytes())
                .await;
        }
        let api_key = request.api_key();
        let pending = self
            .server
            .service()
            .call(self.context, request, &frame.permit);
        let slot = Slot {
            api_key,
            pending,
            taken_at,
            _permit: frame.permit,
            _in_flight: in_flight,
        };
        self.slots.send(slot).map_err(|_| ReadEnd::Unanswerable)
    }

    /// Waits for the first byte of a request.
    async fn request_begun(&mut self) -> Result<(), ReadEnd> {
        loop {
            match timeout(self.server.config().idle, self.frames.ready()).await {
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
        self.in_flight.available_permits() == self.server.config().in_flight_max
    }
}
