//! Owns time: the only place where the ambient clocks are read.
//!
//! Everything else is handed a [`SharedClock`]. Measure and judge leases with [`Clock::monotonic`];
//! persist and show [`Clock::wall_ms`]. Timers are tokio's, so that a test with paused time drives
//! both the timers and a [`SimClock`].

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Where a component reads the time.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since the Unix epoch. May jump either way; never decide an order by it.
    fn wall_ms(&self) -> i64;

    /// Time since some fixed point of this process. Never goes back.
    ///
    /// SUBTLE: on Linux it counts the time a suspended machine slept, which timers of tokio do not.
    /// A lease judged by it is therefore seen as lost after a suspension, as it must be.
    fn monotonic(&self) -> Duration;
}

/// A clock handed to every component that needs one.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks, ready to be handed on.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn wall_ms(&self) -> i64 {
        let now = std::time::SystemTime::now();
        match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis)
            }
        }
    }

    fn monotonic(&self) -> Duration {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// The present of tokio's timers, for deadlines handed to `tokio::time::sleep_until`.
#[allow(clippy::disallowed_methods)]
pub(crate) fn timer_now() -> Instant {
    Instant::now()
}

/// A clock that follows tokio's (pausable) time, and can be made to jump.
///
/// Give each simulated machine its own: skew and suspension then are per machine.
#[derive(Debug)]
pub struct SimClock {
    origin: Instant,
    wall_at_origin_ms: AtomicI64,
    monotonic_jumped: Mutex<Duration>,
}

impl SimClock {
    /// A clock whose wall shows `wall_ms` now, and whose monotonic time starts at zero.
    pub fn new(wall_ms: i64) -> Self {
        Self {
            origin: timer_now(),
            wall_at_origin_ms: AtomicI64::new(wall_ms),
            monotonic_jumped: Mutex::new(Duration::ZERO),
        }
    }

    /// Moves the wall clock by `by_ms`, back if negative, as a correction by NTP would.
    pub fn jump_wall(&self, by_ms: i64) {
        self.wall_at_origin_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Moves the monotonic clock on while timers stand still.
    pub fn jump_monotonic(&self, by: Duration) {
        *self.monotonic_jumped.lock() += by;
    }

    /// The machine slept for `time`: both clocks have moved, no timer has fired.
    pub fn suspend(&self, time: Duration) {
        self.jump_wall(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.jump_monotonic(time);
    }

    fn elapsed(&self) -> Duration {
        timer_now().saturating_duration_since(self.origin)
    }
}

impl Default for SimClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(1_767_225_600_000)
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.wall_at_origin_ms
            .load(Ordering::SeqCst)
            .saturating_add(elapsed)
    }

    fn monotonic(&self) -> Duration {
        self.elapsed() + *self.monotonic_jumped.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_shows_this_century_and_does_not_go_back() {
        let clock = SystemClock;
        assert!(
            clock.wall_ms() > 1_700_000_000_000,
            "wall clock is in milliseconds"
        );
        let mut before = clock.monotonic();
        for _ in 0..1_000 {
            let now = clock.monotonic();
            assert!(now >= before);
            before = now;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sim_clock_follows_paused_time() {
        let clock = SimClock::new(5_000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(clock.wall_ms(), 65_000);
        assert_eq!(clock.monotonic(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn sim_clock_jumps_each_clock_alone() {
        let clock = SimClock::new(5_000);
        clock.jump_wall(-7_000);
        assert_eq!(
            (clock.wall_ms(), clock.monotonic()),
            (-2_000, Duration::ZERO)
        );
        clock.jump_monotonic(Duration::from_secs(3));
        assert_eq!(
            (clock.wall_ms(), clock.monotonic()),
            (-2_000, Duration::from_secs(3))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn suspension_moves_both_clocks_and_no_timer() {
        let clock = SimClock::new(0);
        let timer = tokio::time::sleep(Duration::from_secs(10));
        tokio::pin!(timer);
        clock.suspend(Duration::from_secs(3_600));
        assert!(futures::poll!(timer.as_mut()).is_pending());
        assert_eq!(clock.wall_ms(), 3_600_000);
        assert_eq!(clock.monotonic(), Duration::from_secs(3_600));
    }
}
