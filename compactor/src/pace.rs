//! How fast background work may ask the store: bounds on bytes and on requests, and less while the store is in trouble.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::SharedClock;

/// Most of each in a second; 0 is without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes read.
    pub bytes: u64,
    /// Requests of any kind.
    pub requests: u64,
}

/// A budget in use. Clones share it.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    budget: Budget,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next request may be sent.
    free_at: Duration,
    /// The share of the budget in force, in 1/1024.
    share: u64,
}

/// All of the budget.
const WHOLE: u64 = 1024;

/// What is taken for a budget without bound while the store is in trouble.
const UNBOUND: Budget = Budget {
    bytes: 1 << 30,
    requests: 1 << 10,
};

impl Pace {
    /// Keeps to a budget.
    pub fn new(budget: Budget, clock: SharedClock) -> Self {
        let state = State {
            free_at: clock.monotonic(),
            share: WHOLE,
        };
        Self(Arc::new(Inner {
            clock,
            budget,
            state: Mutex::new(state),
        }))
    }

    /// Waits until a request that reads so many bytes may be sent.
    pub async fn admit(&self, bytes: u64) {
        let wait = self.reserve(bytes, self.0.clock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, bytes: u64, now: Duration) -> Duration {
        let mut state = self.0.state.lock();
        let share = state.share;
        let seconds = |amount: u64, bound: u64, unbound: u64| match (bound, share) {
            (0, WHOLE) => 0.0,
            (0, share) => amount as f64 * WHOLE as f64 / (unbound * share) as f64,
            (bound, share) => amount as f64 * WHOLE as f64 / (bound as f64 * share as f64),
        };
        let budget = self.0.budget;
        let of_bytes = seconds(bytes, budget.bytes, UNBOUND.bytes);
        let of_request = seconds(1, budget.requests, UNBOUND.requests);
        let start = state.free_at.max(now);
        state.free_at = start + Duration::from_secs_f64(of_bytes.max(of_request));
        start - now
    }

    /// The store failed: half as fast from now on.
    pub fn slower(&self) {
        let mut state = self.0.state.lock();
        state.share = (state.share / 2).max(1);
    }

    /// The store works: a little faster, up to the budget.
    pub fn faster(&self) {
        let mut state = self.0.state.lock();
        state.share = (state.share + WHOLE / 8).min(WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use runtime::SimClock;

    use super::*;

    /// After everything that was waited for.
    const LATER: Duration = Duration::from_secs(10);

    fn pace(bytes: u64, requests: u64) -> Pace {
        Pace::new(Budget { bytes, requests }, Arc::new(SimClock::new(0)))
    }

    #[test]
    fn each_waits_for_those_before_it() {
        let pace = pace(1000, 0);
        let now = LATER;
        assert_eq!(pace.reserve(500, now), Duration::ZERO);
        assert_eq!(pace.reserve(2000, now), Duration::from_millis(500));
        assert_eq!(pace.reserve(1, now), Duration::from_millis(2500));
        assert_eq!(
            pace.reserve(1, now + Duration::from_secs(60)),
            Duration::ZERO
        );
    }

    #[test]
    fn the_scarcer_of_bytes_and_requests_counts() {
        let pace = pace(1000, 10);
        assert_eq!(pace.reserve(1, LATER), Duration::ZERO);
        assert_eq!(pace.reserve(500, LATER).as_millis(), 100);
        assert_eq!(pace.reserve(0, LATER).as_millis(), 600);
        assert_eq!(pace.reserve(0, LATER).as_millis(), 700);
    }

    #[test]
    fn trouble_halves_it_and_success_brings_it_back() {
        let pace = pace(1000, 0);
        pace.slower();
        pace.reserve(1000, LATER);
        assert_eq!(pace.reserve(0, LATER).as_secs(), 2);
        for _ in 0..20 {
            pace.slower();
        }
        for _ in 0..8 {
            pace.faster();
        }
        let later = Duration::from_secs(60);
        pace.reserve(1000, later);
        assert_eq!(pace.reserve(0, later).as_secs(), 1);
    }

    #[test]
    fn without_bound_there_is_no_wait_until_there_is_trouble() {
        let pace = pace(0, 0);
        pace.reserve(1 << 40, LATER);
        assert_eq!(pace.reserve(1 << 40, LATER), Duration::ZERO);
        pace.slower();
        pace.reserve(1 << 30, LATER);
        assert_eq!(pace.reserve(0, LATER).as_secs(), 2);
    }
}
