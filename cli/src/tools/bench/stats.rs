//! Counters and latencies of the workers, gathered once a second.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

/// Meters of one direction; more workers share them.
const METERS_MAX: usize = 16;

/// Longest latency told apart, in microseconds: ten minutes.
const LATENCY_MAX_US: u64 = 600_000_000;

/// What one direction did in some time.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Records.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Tries beyond the first, of batches.
    pub retries: u64,
    /// Of records, in microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Flow {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3);
        // The bounds are constants that satisfy the histogram's rules; auto-sizing is the same.
        let latency = latency.unwrap_or_else(|_| unreachable!("constant bounds"));
        Self {
            records: 0,
            bytes: 0,
            batches: 0,
            retries: 0,
            latency,
        }
    }
}

impl Flow {
    /// Adds a batch.
    pub fn add(&mut self, records: u64, bytes: u64, latency: Option<Duration>) {
        self.records += records;
        self.bytes += bytes;
        self.batches += 1;
        if let Some(latency) = latency {
            let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            self.latency
                .saturating_record_n(us.clamp(1, LATENCY_MAX_US), records);
        }
    }

    /// Adds what another did.
    pub fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.batches += other.batches;
        self.retries += other.retries;
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
    }

    /// Percentiles; none if no latency was measured.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        (!self.latency.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: self.latency.max() as f64 / 1_000.0,
        })
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// Of 95 %.
    pub p95: f64,
    /// Of 99 %.
    pub p99: f64,
    /// Of 99.9 %.
    pub p999: f64,
    /// Of all.
    pub max: f64,
}

/// Where a worker writes what it did.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Flow>>);

impl Meter {
    /// Writes.
    pub fn update(&self, write: impl FnOnce(&mut Flow)) {
        write(&mut self.0.lock());
    }

    fn take(&self) -> Flow {
        std::mem::take(&mut self.0.lock())
    }
}

/// The meters of one direction and what they have shown so far.
#[derive(Default)]
pub struct Gauge {
    meters: Vec<Meter>,
    workers: usize,
    total: Flow,
}

impl Gauge {
    /// A meter for one more worker.
    pub fn meter(&mut self) -> Meter {
        self.workers += 1;
        if let Some(shared) = self.meters.get((self.workers - 1) % METERS_MAX) {
            return shared.clone();
        }
        let meter = Meter::default();
        self.meters.push(meter.clone());
        meter
    }

    /// What was done since the last call.
    pub fn tick(&mut self) -> Flow {
        let mut window = Flow::default();
        for meter in &self.meters {
            window.merge(&meter.take());
        }
        self.total.merge(&window);
        window
    }

    /// What was done in all.
    pub fn total(&self) -> &Flow {
        &self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_weigh_by_records() {
        let mut flow = Flow::default();
        flow.add(99, 99 << 10, Some(Duration::from_millis(2)));
        flow.add(1, 1 << 10, Some(Duration::from_millis(50)));
        flow.add(5, 5 << 10, None);
        let percentiles = flow.percentiles().unwrap();
        assert!((percentiles.p50 - 2.0).abs() < 0.01, "{percentiles:?}");
        assert!((percentiles.p99 - 2.0).abs() < 0.01, "{percentiles:?}");
        assert!((percentiles.p999 - 50.0).abs() < 0.1, "{percentiles:?}");
        assert_eq!(
            (flow.records, flow.bytes, flow.batches),
            (105, 105 << 10, 3)
        );
        assert_eq!(Flow::default().percentiles(), None);
    }

    #[test]
    fn windows_add_up_to_the_total() {
        let mut gauge = Gauge::default();
        let (one, two) = (gauge.meter(), gauge.meter());
        one.update(|flow| flow.add(1, 10, Some(Duration::from_millis(1))));
        two.update(|flow| flow.add(2, 20, Some(Duration::from_millis(3))));
        assert_eq!(gauge.tick().records, 3);
        one.update(|flow| flow.add(4, 40, None));
        assert_eq!(gauge.tick().records, 4);
        assert_eq!(gauge.tick().records, 0);
        assert_eq!((gauge.total().records, gauge.total().bytes), (7, 70));
        assert_eq!(gauge.total().latency.len(), 3);
    }
}
