//! When the open object is sealed: a pure policy with a put budget.
//!
//! The budget is a token bucket of PUTs. A lone record after a quiet time finds a token and is sealed at once; a
//! steady stream is sealed when an object is full, or when there is a token and nothing is under way. No
//! batch waits longer than the linger, whatever the budget says: the token is then borrowed.

use std::time::Duration;

/// What bounds an object and the rate of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatcherOptions {
    /// Seal at this many bytes of batches.
    pub object_bytes_max: u64,
    /// Seal at this many batches, so that the command that commits them stays under its limit.
    pub batches_max: usize,
    /// Longest time a batch waits before its object is sealed.
    pub linger: Duration,
    /// PUTs per second that early seals may use; `None` is without bound.
    pub puts_per_second: Option<f64>,
    /// No early seal while this many objects are sealed and not yet committed.
    pub early_under_way_max: usize,
}

impl Default for BatcherOptions {
    fn default() -> Self {
        Self {
            object_bytes_max: 8 << 20,
            batches_max: 16_384,
            linger: Duration::from_millis(250),
            puts_per_second: None,
            early_under_way_max: 1,
        }
    }
}

/// What is to be done with the open object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Nothing is in it.
    Idle,
    /// Seal it now.
    Seal,
    /// Ask again at this time at the latest, or when something changes.
    Wait(Duration),
}

/// The policy's state.
#[derive(Clone, Debug)]
pub struct Batcher {
    options: BatcherOptions,
    tokens: f64,
    refilled_at: Duration,
    opened_at: Option<Duration>,
    bytes: u64,
    batches: usize,
    under_way: usize,
}

impl Batcher {
    /// An empty object and a full budget at `now`.
    pub fn new(options: BatcherOptions, now: Duration) -> Self {
        let mut batcher = Self {
            options,
            tokens: 0.0,
            refilled_at: now,
            opened_at: None,
            bytes: 0,
            batches: 0,
            under_way: 0,
        };
        batcher.tokens = batcher.tokens_max();
        batcher
    }

    /// A batch of `bytes` bytes was added.
    pub fn added(&mut self, bytes: usize, now: Duration) {
        self.opened_at.get_or_insert(now);
        self.bytes += bytes as u64;
        self.batches += 1;
    }

    /// The open object was sealed.
    pub fn sealed(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(-self.tokens_max());
        self.opened_at = None;
        self.bytes = 0;
        self.batches = 0;
        self.under_way += 1;
    }

    /// A sealed object was committed.
    pub fn settled(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Whether the open object takes no further batch.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.options.object_bytes_max || self.batches >= self.options.batches_max
    }

    /// What is to be done at `now`.
    pub fn decide(&mut self, now: Duration) -> Decision {
        let Some(opened_at) = self.opened_at else {
            return Decision::Idle;
        };
        self.refill(now);
        let late = now >= opened_at + self.options.linger;
        let may_be_early = self.under_way < self.options.early_under_way_max;
        if self.is_full() || late || (may_be_early && self.tokens >= 1.0) {
            return Decision::Seal;
        }
        let linger_ends = opened_at + self.options.linger;
        match self.options.puts_per_second {
            Some(rate) if may_be_early => {
                let token_at = now + Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / rate);
                Decision::Wait(linger_ends.min(token_at))
            }
            _ => Decision::Wait(linger_ends),
        }
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        if let Some(rate) = self.options.puts_per_second {
            self.tokens = (self.tokens + passed * rate).min(self.tokens_max());
        } else {
            self.tokens = self.tokens_max();
        }
    }

    /// A second's worth of budget, and at least one PUT, may be saved up.
    fn tokens_max(&self) -> f64 {
        self.options
            .puts_per_second
            .map_or(1.0, |rate| rate.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn batcher(puts_per_second: Option<f64>) -> Batcher {
        Batcher::new(
            BatcherOptions {
                puts_per_second,
                ..BatcherOptions::default()
            },
            ms(0),
        )
    }

    #[test]
    fn a_lone_record_is_sealed_at_once() {
        let mut batcher = batcher(Some(2.0));
        assert_eq!(batcher.decide(ms(5)), Decision::Idle);
        batcher.added(10, ms(5));
        assert_eq!(batcher.decide(ms(5)), Decision::Seal);
    }

    #[test]
    fn without_a_token_it_waits_for_one_but_not_past_the_linger() {
        let mut batcher = batcher(Some(1.0));
        batcher.added(10, ms(0));
        batcher.sealed(ms(0));
        batcher.settled();
        batcher.added(10, ms(900));
        assert_eq!(batcher.decide(ms(900)), Decision::Wait(ms(1000)));
        assert_eq!(batcher.decide(ms(1000)), Decision::Seal);
        batcher.sealed(ms(1000));
        batcher.added(10, ms(1010));
        assert_eq!(batcher.decide(ms(1010)), Decision::Wait(ms(1260)));
        assert_eq!(batcher.decide(ms(1260)), Decision::Seal);
    }

    #[test]
    fn while_objects_are_under_way_batches_gather() {
        let mut batcher = batcher(None);
        batcher.added(10, ms(0));
        assert_eq!(batcher.decide(ms(0)), Decision::Seal);
        batcher.sealed(ms(0));
        batcher.added(10, ms(1));
        assert_eq!(batcher.decide(ms(1)), Decision::Wait(ms(251)));
        batcher.settled();
        assert_eq!(batcher.decide(ms(2)), Decision::Seal);
    }

    #[test]
    fn a_full_object_needs_no_token() {
        let mut batcher = batcher(Some(0.1));
        batcher.sealed(ms(0));
        batcher.added(8 << 20, ms(1));
        assert_eq!(batcher.decide(ms(1)), Decision::Seal);
    }

    proptest! {
        /// However batches arrive, none waits past the linger, and early seals keep to the budget.
        #[test]
        fn linger_and_budget_hold(gaps in prop::collection::vec(0u64..400, 1..200), rate in 1u32..20) {
            let mut batcher = batcher(Some(f64::from(rate)));
            let (mut now, mut early) = (0u64, 0u32);
            let mut oldest: Option<u64> = None;
            for gap in gaps {
                let arrival = now + gap;
                while now <= arrival {
                    if batcher.decide(ms(now)) == Decision::Seal {
                        let waited = now - oldest.take().unwrap();
                        prop_assert!(waited <= 250);
                        early += u32::from(waited < 250);
                        batcher.sealed(ms(now));
                        batcher.settled();
                    }
                    now += 1;
                }
                now = arrival;
                batcher.added(100, ms(now));
                oldest.get_or_insert(now);
            }
            let budget = f64::from(rate) * (now as f64 / 1000.0 + 1.0) + 1.0;
            prop_assert!(f64::from(early) <= budget, "{early} early seals of {budget}");
        }
    }
}
