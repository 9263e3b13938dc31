//! A live estimate of how long requests take: counts in buckets, the old ones fading.

use std::time::Duration;

/// Buckets for each doubling of the time: a bucket is 9 per cent wide.
const PER_DOUBLING: f64 = 8.0;

/// The first bucket ends here; times below are in it as well.
const FIRST_MICROS: f64 = 500.0;

/// Enough for a minute and a half.
const BUCKETS: usize = 140;

/// Fewer requests than this say nothing.
const REQUESTS_MIN: f64 = 40.0;

/// When as many have been counted, each counts half.
const REQUESTS_MAX: f64 = 1_000.0;

/// How long the requests of one class took.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    buckets: [f64; BUCKETS],
    total: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [0.0; BUCKETS],
            total: 0.0,
        }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, time: Duration) {
        if self.total >= REQUESTS_MAX {
            self.buckets.iter_mut().for_each(|count| *count /= 2.0);
            self.total /= 2.0;
        }
        self.buckets[bucket(time)] += 1.0;
        self.total += 1.0;
    }

    /// The time within which this part of the requests ended; none before there have been enough.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        if self.total < REQUESTS_MIN {
            return None;
        }
        let wanted = self.total * part;
        let mut seen = 0.0;
        for (index, count) in self.buckets.iter().enumerate() {
            if seen + count >= wanted && *count > 0.0 {
                let within = (wanted - seen) / count;
                return Some(time(index as f64 - 1.0 + within));
            }
            seen += count;
        }
        Some(time(BUCKETS as f64 - 1.0))
    }
}

fn bucket(time: Duration) -> usize {
    let micros = time.as_micros() as f64;
    let index = (micros / FIRST_MICROS).max(1.0).log2() * PER_DOUBLING;
    (index.ceil() as usize).min(BUCKETS - 1)
}

/// Where a bucket ends; or a place within it, if the index is no whole number.
fn time(index: f64) -> Duration {
    let micros = FIRST_MICROS * (index / PER_DOUBLING).exp2();
    Duration::from_micros(micros as u64)
}
