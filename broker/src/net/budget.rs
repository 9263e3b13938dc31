//! The bound on the bytes of requests that a process holds at once, over all its connections.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes for requests, shared by all connections of a process.
///
/// SUBTLE: a large frame takes its bytes step by step as they arrive, so frames that each hold a
/// part could wait for each other for ever. So one frame at a time may go beyond the budget: what
/// is held never exceeds the budget by more than one frame, and one frame can always be completed.
#[derive(Debug, Clone)]
pub struct RequestBudget {
    bytes: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    bytes_max: usize,
}

impl RequestBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            overdraft: Arc::new(Semaphore::new(1)),
            bytes_max,
        }
    }

    /// The size of the budget in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// How many bytes are not taken.
    pub fn available(&self) -> usize {
        self.bytes.available_permits()
    }

    /// Takes the first `bytes` of a frame, waiting for them in the order of asking.
    pub(super) async fn reserve(&self, bytes: usize) -> Held {
        let permit = Arc::clone(&self.bytes)
            .acquire_many_owned(clamp(bytes))
            .await;
        // The semaphore is never closed, so there is always a permit.
        Held {
            bytes: permit.ok(),
            _overdraft: None,
        }
    }

    /// Takes `bytes` more for a frame that already holds some.
    pub(super) async fn grow(&self, held: &mut Held, bytes: usize) {
        let more = clamp(bytes);
        if let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(more) {
            held.add(permit);
            return;
        }
        if held._overdraft.is_some() {
            return;
        }
        tokio::select! {
            biased;
            Ok(permit) = Arc::clone(&self.bytes).acquire_many_owned(more) => held.add(permit),
            Ok(overdraft) = Arc::clone(&self.overdraft).acquire_owned() => {
                held._overdraft = Some(overdraft);
            }
            else => {}
        }
    }
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What one frame holds of the budget.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Option<OwnedSemaphorePermit>,
    _overdraft: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.bytes {
            Some(bytes) => bytes.merge(permit),
            None => self.bytes = Some(permit),
        }
    }
}

/// The memory of one request's frame, as a share of the [`RequestBudget`]. Given back when the last
/// clone is dropped or when any clone is released.
#[derive(Debug, Clone)]
pub struct RequestPermit(Arc<Mutex<Option<Held>>>);

impl RequestPermit {
    pub(super) fn new(held: Held) -> Self {
        Self(Arc::new(Mutex::new(Some(held))))
    }

    /// Gives the share back now. For a request that waits for long with its frame dropped.
    pub fn release(&self) {
        self.0.lock().take();
    }
}
