//! Decides, purely, which requests are sent a second time: those that take longer than nearly all
//! like them did lately, and never more than a few of a hundred.
//!
//! Like each other are requests of one operation and one class of size. A store that asks for fewer
//! requests gets no second ones until as many have been earned anew.

mod latencies;

use std::time::Duration;

use latencies::Latencies;

use super::Operation;

/// A second request is sent when the first has taken longer than this part of those before it.
const QUANTILE: f64 = 0.95;

/// Nobody is asked twice sooner than this: it would be within what machines differ by.
const DELAY_MIN: Duration = Duration::from_millis(5);

/// Second requests that may follow each other at once, however long none was needed.
const BURST: f64 = 10.0;

/// Greatest sizes, in bytes, of the classes of requests whose size is known; one more is above.
const SIZES: [u64; 3] = [64 << 10, 1 << 20, 6 << 20];

/// One for each size, one above, one for what is not known.
const CLASSES: usize = SIZES.len() + 2;

/// Operations that may be repeated, in the order of [`Hedging::latencies`].
const OPERATIONS: [Operation; 3] = [Operation::Put, Operation::Get, Operation::Head];

/// Which requests are like each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestClass {
    operation: usize,
    size: usize,
}

impl RequestClass {
    /// Of requests that send or ask for so many bytes; none for operations that are not repeated.
    pub fn new(operation: Operation, bytes: Option<u64>) -> Option<Self> {
        let operation = OPERATIONS.iter().position(|known| *known == operation)?;
        let size = match bytes {
            Some(bytes) => SIZES.iter().take_while(|size| bytes > **size).count(),
            None => CLASSES - 1,
        };
        Some(Self { operation, size })
    }
}

/// What decides.
#[derive(Debug)]
pub struct Hedging {
    /// Second requests for each request.
    rate: f64,
    /// Second requests that may be sent now.
    tokens: f64,
    latencies: [[Latencies; CLASSES]; OPERATIONS.len()],
}

impl Hedging {
    /// At most `percent` of a hundred requests are sent twice.
    pub fn new(percent: u32) -> Self {
        Self {
            rate: f64::from(percent) / 100.0,
            tokens: 1.0,
            latencies: Default::default(),
        }
    }

    /// A request is sent. After how long a second one would be of use, if that is known.
    pub fn begin(&mut self, class: RequestClass) -> Option<Duration> {
        self.tokens = (self.tokens + self.rate).min(BURST);
        let latencies = &self.latencies[class.operation][class.size];
        Some(latencies.quantile(QUANTILE)?.max(DELAY_MIN))
    }

    /// Whether a second request may be sent now; it counts as sent.
    pub fn spend(&mut self) -> bool {
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }

    /// The first request took this long; or longer, if the second was answered by then.
    ///
    /// SUBTLE: that it may have been longer does no harm. It was longer than the quantile already,
    /// and of what lies beyond only the number counts.
    pub fn took(&mut self, class: RequestClass, time: Duration) {
        self.latencies[class.operation][class.size].add(time);
    }

    /// The store asked for fewer requests.
    pub fn throttled(&mut self) {
        self.tokens = 0.0;
    }
}

#[cfg(test)]
mod tests;
