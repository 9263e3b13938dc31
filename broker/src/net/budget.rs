//! The bound on the memory that the requests of all connections take.

use std::sync::Arc;

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes beside the budget for small requests that are no Produce.
pub(super) const SPARE_BYTES: usize = 4 << 20;

/// What a frame may hold before its bytes have come, while less than half of the budget is taken. It is read into one
/// piece of memory then, which nothing moves; a larger one doubles from here.
const AHEAD_BYTES: usize = 1 << 20;

/// The same when more is taken: a frame holds hardly more than what has come of it, so that thousands of connections
/// that announce a large one and do not send it leave room for others.
const AHEAD_BYTES_MIN: usize = 16 << 10;

/// Such a request is small.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// Whether a request of this length is small.
pub(super) fn is_small(length: usize) -> bool {
    length <= SMALL_BYTES_MAX
}

/// Which bytes a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of the budget.
    Any,
    /// A small one that is no Produce: the spare ones as well.
    Small,
}

/// Bytes for requests, shared by all connections of a process.
///
/// SUBTLE: a large frame takes its bytes step by step as they arrive, so frames that each hold a
/// part could wait for each other for ever. So one frame at a time may go beyond the budget: what
/// is held never exceeds the budget by more than one request, and one can always be completed.
///
/// What Produce requests hold is given back only when the bucket has their records. So that others
/// are answered while it cannot be reached, there is a little beside the budget for small requests
/// of other kinds: [`SPARE_BYTES`].
#[derive(Debug, Clone)]
pub struct RequestBudget {
    bytes: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    bytes_max: usize,
    held: Gauge,
}

impl RequestBudget {
    /// A budget of `bytes_max` bytes. What is held of it is shown by `held`.
    pub fn new(bytes_max: usize, held: Gauge) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            spare: Arc::new(Semaphore::new(SPARE_BYTES)),
            overdraft: Arc::new(Semaphore::new(1)),
            bytes_max,
            held,
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

    /// How many bytes a frame of `length` bytes should take before they have come.
    pub(super) fn ahead(&self, kind: Kind, length: usize) -> usize {
        let is_ample = self.available() >= self.bytes_max / 2;
        match kind {
            // So that the spare bytes are for all of it.
            Kind::Small => length,
            Kind::Any if is_ample => AHEAD_BYTES,
            Kind::Any => AHEAD_BYTES_MIN,
        }
    }

    /// Takes the first `bytes` of a request, waiting for them in the order of asking.
    pub(super) async fn reserve(&self, kind: Kind, bytes: usize) -> Held {
        // The semaphores are never closed, so there is always a permit.
        let permit = Arc::clone(&self.bytes).acquire_many_owned(clamp(bytes));
        let may_spare = kind == Kind::Small;
        let (permit, spare) = tokio::select! {
            biased;
            permit = permit => (permit.ok(), None),
            spare = Arc::clone(&self.spare).acquire_many_owned(clamp(bytes)), if may_spare => {
                (None, spare.ok())
            }
        };
        let mut held = Held {
            permit: None,
            _spare: spare,
            overdraft: None,
            bytes: 0,
            shown: self.held.clone(),
        };
        held.add(bytes, permit);
        held
    }

    /// Takes `bytes` more for a request that already holds some.
    pub(super) async fn grow(&self, held: &mut Held, bytes: usize) {
        let more = clamp(bytes);
        if let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(more) {
            return held.add(bytes, Some(permit));
        }
        if held.overdraft.is_some() {
            return held.add(bytes, None);
        }
        tokio::select! {
            biased;
            permit = Arc::clone(&self.bytes).acquire_many_owned(more) => {
                held.add(bytes, permit.ok());
            }
            overdraft = Arc::clone(&self.overdraft).acquire_owned() => {
                held.overdraft = overdraft.ok();
                held.add(bytes, None);
            }
        }
    }
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What one request holds of the budget.
#[derive(Debug)]
pub(super) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    _spare: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
    bytes: usize,
    shown: Gauge,
}

impl Held {
    fn add(&mut self, bytes: usize, permit: Option<OwnedSemaphorePermit>) {
        self.bytes += bytes;
        self.shown.increment(bytes as f64);
        match (&mut self.permit, permit) {
            (Some(held), Some(permit)) => held.merge(permit),
            (held @ None, permit) => *held = permit,
            (Some(_), None) => {}
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shown.decrement(self.bytes as f64);
    }
}

/// The memory of one request, as a share of the [`RequestBudget`]. Given back when the last clone
/// is dropped or any clone is released.
#[derive(Debug, Clone)]
pub struct RequestPermit(Arc<Mutex<Option<Held>>>);

impl RequestPermit {
    pub(super) fn new(held: Held) -> Self {
        Self(Arc::new(Mutex::new(Some(held))))
    }

    /// Adds `bytes` to the share, as [`RequestBudget::grow`] does.
    pub(super) async fn grow(&self, budget: &RequestBudget, bytes: usize) {
        let held = self.0.lock().take();
        if let Some(mut held) = held {
            budget.grow(&mut held, bytes).await;
            *self.0.lock() = Some(held);
        }
    }

    /// Gives the share back now. For a request that waits for long with its frame dropped.
    pub fn release(&self) {
        let held = self.0.lock().take();
        drop(held);
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_or_released_can_be_taken_again() {
        let budget = RequestBudget::new(100, Gauge::noop());
        let first = RequestPermit::new(budget.reserve(Kind::Any, 60).await);
        let mut second = std::pin::pin!(budget.reserve(Kind::Any, 60));
        assert!(poll!(second.as_mut()).is_pending());
        let kept = first.clone();
        drop(first);
        assert!(
            poll!(second.as_mut()).is_pending(),
            "a clone still holds it"
        );
        kept.release();
        assert_eq!(budget.available(), 40, "it goes to who waited");
        drop(second.await);
        assert_eq!(budget.available(), 100);
    }

    #[tokio::test]
    async fn of_frames_that_wait_for_each_other_one_goes_on() {
        let budget = RequestBudget::new(100, Gauge::noop());
        let mut one = budget.reserve(Kind::Any, 50).await;
        let mut other = budget.reserve(Kind::Any, 50).await;
        budget.grow(&mut one, 1_000).await;
        let mut waiting = Box::pin(budget.grow(&mut other, 50));
        assert!(
            poll!(&mut waiting).is_pending(),
            "only one may go beyond the budget"
        );
        drop(one);
        waiting.await;
        drop(other);
        assert_eq!(budget.available(), 100);
        assert_eq!(budget.overdraft.available_permits(), 1);
    }

    #[tokio::test]
    async fn small_requests_of_other_kinds_go_on_when_produce_has_taken_all() {
        let budget = RequestBudget::new(1_000, Gauge::noop());
        let all = budget.reserve(Kind::Any, 1_000).await;
        let mut produce = Box::pin(budget.reserve(Kind::Any, 10));
        assert!(poll!(&mut produce).is_pending());
        let count = SPARE_BYTES / SMALL_BYTES_MAX;
        let mut small = vec![];
        for _ in 0..count {
            small.push(budget.reserve(Kind::Small, SMALL_BYTES_MAX).await);
        }
        let mut more = Box::pin(budget.reserve(Kind::Small, 1));
        assert!(poll!(&mut more).is_pending(), "these are bounded as well");
        small.pop();
        more.await;
        drop((small, produce, all));
        assert_eq!(budget.available(), 1_000);
        assert_eq!(budget.spare.available_permits(), SPARE_BYTES);
    }
}
