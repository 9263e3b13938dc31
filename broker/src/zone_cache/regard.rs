//! Decides, purely, whether an agent that failed is asked again: after a few failures in a row not for a while, then once,
//! and for longer each time that fails as well.

use std::time::Duration;

/// So many failures in a row are taken for chance.
const CHANCE: u32 = 2;

/// The first pause, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is thought of one agent.
#[derive(Debug, Default)]
pub(super) struct Regard {
    /// In a row.
    failures: u32,
    /// When it failed last.
    failed: Duration,
    /// Until when it is not asked.
    until: Duration,
}

impl Regard {
    /// Whether it may be asked now. `limit` is how long an answer may take.
    ///
    /// SUBTLE: after a pause one who asks is enough to find out, until that one knows.
    pub fn may_ask(&mut self, now: Duration, limit: Duration) -> bool {
        if self.failures <= CHANCE {
            return true;
        }
        let may = now >= self.until;
        if may {
            self.until = now + limit;
        }
        may
    }

    /// It did not answer, or not as it should.
    ///
    /// SUBTLE: many may have waited on one connection. What fails within the time for one answer counts once.
    pub fn failed(&mut self, now: Duration, limit: Duration) {
        if self.failures > 0 && now < self.failed + limit {
            return;
        }
        self.failed = now;
        self.failures = self.failures.saturating_add(1);
        if let Some(times) = self.failures.checked_sub(CHANCE + 1) {
            let pause = PAUSE_MIN.saturating_mul(1 << times.min(10));
            self.until = now + pause.min(PAUSE_MAX);
        }
    }

    /// It answered.
    pub fn answered(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One that has failed at 0, 1 and 2 seconds.
    fn distrusted() -> Regard {
        let mut regard = Regard::default();
        for second in 0..=u64::from(CHANCE) {
            assert!(regard.may_ask(at(1_000 * second), LIMIT));
            regard.failed(at(1_000 * second), LIMIT);
        }
        regard
    }

    #[test]
    fn who_fails_again_and_again_is_left_alone_for_longer_and_longer() {
        let mut regard = distrusted();
        assert!(!regard.may_ask(at(2_999), LIMIT));
        assert!(regard.may_ask(at(3_000), LIMIT));
        assert!(!regard.may_ask(at(3_001), LIMIT), "one is enough");
        regard.failed(at(3_500), LIMIT);
        assert!(!regard.may_ask(at(5_499), LIMIT));
        assert!(regard.may_ask(at(5_500), LIMIT));
        for second in 10..100 {
            regard.failed(at(1_000 * second), LIMIT);
        }
        assert!(!regard.may_ask(at(128_999), LIMIT));
        assert!(regard.may_ask(at(129_000), LIMIT));
        regard.answered();
        assert!(regard.may_ask(at(129_000), LIMIT) && regard.may_ask(at(129_000), LIMIT));
    }

    #[test]
    fn many_who_waited_on_one_connection_are_one_failure() {
        let mut regard = Regard::default();
        for _ in 0..100 {
            regard.failed(at(1), LIMIT);
        }
        assert!(regard.may_ask(at(2), LIMIT) && regard.may_ask(at(2), LIMIT));
    }

    #[test]
    fn who_asked_after_a_pause_and_went_away_keeps_nobody_from_asking() {
        let mut regard = distrusted();
        assert!(regard.may_ask(at(3_000), LIMIT));
        assert!(!regard.may_ask(at(3_499), LIMIT));
        assert!(regard.may_ask(at(3_500), LIMIT));
    }
}
