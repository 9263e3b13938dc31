//! How fast background work may read: a bound, and less while the store is in trouble.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::SharedClock;

/// A bound on bytes per second. Clones share it.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    bytes_per_second: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next byte may be read.
    free_at: Duration,
    /// The share of the bound in force, in 1/1024.
    share: u64,
}

/// All of the bound.
const WHOLE: u64 = 1024;

/// What a pace without bound is taken for while the store is in trouble.
const UNBOUND: u64 = 1 << 30;

impl Pace {
    /// At most this; 0 is without bound.
    pub fn new(bytes_per_second: u64, clock: SharedClock) -> Self {
        let state = State {
            free_at: clock.monotonic(),
            share: WHOLE,
        };
        Self(Arc::new(Inner {
            clock,
            bytes_per_second,
            state: Mutex::new(state),
        }))
    }

    /// Waits until so many bytes may be read.
    pub async fn admit(&self, bytes: u64) {
        let wait = self.reserve(bytes, self.0.clock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, bytes: u64, now: Duration) -> Duration {
        let mut state = self.0.state.lock();
        let rate = match (self.0.bytes_per_second, state.share) {
            (0, WHOLE) => return Duration::ZERO,
            (0, share) => UNBOUND * share / WHOLE,
            (rate, share) => rate * share / WHOLE,
        };
        let start = state.free_at.max(now);
        state.free_at = start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        start - now
    }

    /// The store failed: half as fast from now on.
    pub fn slower(&self) {
        let mut state = self.0.state.lock();
        state.share = (state.share / 2).max(1);
    }

    /// The store works: a little faster, up to the bound.
    pub fn faster(&self) {
        let mut state = self.0.state.lock();
        state.share = (state.share + WHOLE / 8).min(WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use runtime::SimClock;

    use super::*;

    fn pace(rate: u64) -> Pace {
        Pace::new(rate, Arc::new(SimClock::new(0)))
    }

    #[test]
    fn each_waits_for_those_before_it() {
        let pace = pace(1000);
        let now = Duration::from_secs(10);
        assert_eq!(pace.reserve(500, now), Duration::ZERO);
        assert_eq!(pace.reserve(2000, now), Duration::from_millis(500));
        assert_eq!(pace.reserve(1, now), Duration::from_millis(2500));
        assert_eq!(
            pace.reserve(1, now + Duration::from_secs(60)),
            Duration::ZERO
        );
    }

    #[test]
    fn trouble_halves_it_and_success_brings_it_back() {
        let pace = pace(1000);
        pace.slower();
        pace.reserve(1000, Duration::ZERO);
        assert_eq!(pace.reserve(0, Duration::ZERO).as_secs(), 2);
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
        let pace = pace(0);
        pace.reserve(1 << 40, Duration::ZERO);
        assert_eq!(pace.reserve(1 << 40, Duration::ZERO), Duration::ZERO);
        pace.slower();
        pace.reserve(1 << 30, Duration::ZERO);
        assert_eq!(pace.reserve(0, Duration::ZERO).as_secs(), 2);
    }
}
