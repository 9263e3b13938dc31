//! A producer of a benchmark: makes batches as fast as they are acknowledged, or at a rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runtime::SharedClock;
use tokio_util::sync::CancellationToken;

use super::chain::{Acknowledged, ChainEnd};
use super::stats::Meter;
use super::template::Template;
use crate::client::{Completion, Producer};

/// A batch later than this counts as sent when it was due, so that a broker which stalls does not
/// look better for having kept its producer from sending.
const LATE: Duration = Duration::from_millis(2);

/// How much all producers of a run may still send.
pub struct Budget {
    /// Batches left; none if only time limits.
    pub batches: Option<AtomicI64>,
    /// The time, by the clock, at which sending ends.
    pub until: Option<Duration>,
    /// Sending ends early.
    pub stop: CancellationToken,
}

impl Budget {
    fn is_over(&self, now: Duration) -> bool {
        self.stop.is_cancelled() || self.until.is_some_and(|until| now >= until)
    }

    fn take(&self, now: Duration) -> bool {
        if self.is_over(now) {
            return false;
        }
        self.batches
            .as_ref()
            .is_none_or(|left| left.fetch_sub(1, Ordering::Relaxed) > 0)
    }
}

/// When batches are due.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    interval: Option<Duration>,
    due: Duration,
}

impl Pacer {
    /// One batch per `interval`, or as fast as possible.
    pub fn new(interval: Option<Duration>, start: Duration) -> Self {
        Self {
            interval,
            due: start,
        }
    }

    /// The time for which a batch sent now counts as sent; none if none is due.
    fn take(&mut self, now: Duration) -> Option<Duration> {
        let Some(interval) = self.interval else {
            return Some(now);
        };
        let due = self.due;
        if now < due {
            return None;
        }
        self.due += interval;
        Some(if now - due > LATE { due } else { now })
    }

    /// Time until the next batch is due.
    fn wait(&self, now: Duration) -> Option<Duration> {
        self.interval.map(|_| self.due.saturating_sub(now))
    }
}

/// What is attached to a batch under way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    sequence: u64,
    at: Duration,
}

/// One producer.
pub struct Writer {
    /// Number within the run.
    pub number: u32,
    /// Id of the run.
    pub run: u64,
    /// Connected.
    pub producer: Producer<Sent>,
    /// Makes its batches.
    pub template: Template,
    /// Batches in one request at most.
    pub batches_per_request: usize,
    /// When to send.
    pub pacer: Pacer,
    /// How much to send.
    pub budget: Arc<Budget>,
    /// Where it counts.
    pub meter: Meter,
    /// The time.
    pub clock: SharedClock,
    /// Whether acknowledgements mean anything (acks is not 0).
    pub promised: bool,
}

/// What a producer leaves.
pub struct Written {
    /// Sequence numbers that were acknowledged.
    pub acknowledged: Acknowledged,
    /// When the last one was, by the clock.
    pub finished: Duration,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Writer {
    /// Sends until the budget is used up and everything is acknowledged.
    pub async fn run(mut self) -> Written {
        let mut chains = BTreeMap::new();
        let mut acknowledged = Acknowledged::new();
        let error = self.send_all(&mut chains, &mut acknowledged).await.err();
        if error.is_some() {
            self.budget.stop.cancel();
        }
        Written {
            acknowledged,
            finished: self.clock.monotonic(),
            error,
        }
    }

    async fn send_all(
        &mut self,
        chains: &mut BTreeMap<i32, ChainEnd>,
        acknowledged: &mut Acknowledged,
    ) -> Result<(), String> {
        let (mut open, mut rotation) = (true, self.number as usize);
        let stop = self.budget.stop.clone();
        loop {
            while open && let Some(mut partitions) = self.producer.ready() {
                rotation += 1;
                let first = rotation % partitions.len();
                partitions.rotate_left(first);
                partitions.truncate(self.batches_per_request);
                match self.send(chains, &partitions)? {
                    Sending::Ended => open = false,
                    Sending::NotDue => break,
                    Sending::Sent => {}
                }
            }
            let now = self.clock.monotonic();
            open &= !self.budget.is_over(now);
            let under_way = self.producer.unacknowledged() > 0;
            if !open && !under_way {
                return Ok(());
            }
            let blocked = self.producer.ready().is_none();
            let wait = self.pacer.wait(now).filter(|_| open && !blocked);
            // At a low rate the end comes before the next batch is due.
            let left = self.budget.until.map(|until| until.saturating_sub(now));
            let wait = wait.map(|wait| left.map_or(wait, |left| wait.min(left)));
            tokio::select! {
                done = self.producer.next(), if under_way => {
                    let done = done.map_err(|error| error.to_string())?;
                    if let Some(done) = done {
                        self.acknowledge(done, acknowledged);
                    }
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                () = stop.cancelled(), if open => open = false,
            }
        }
    }

    fn send(
        &mut self,
        chains: &mut BTreeMap<i32, ChainEnd>,
        partitions: &[i32],
    ) -> Result<Sending, String> {
        let now = self.clock.monotonic();
        let mut outcome = Sending::NotDue;
        for &partition in partitions {
            let Some(at) = self.pacer.take(now) else {
                break;
            };
            if !self.budget.take(now) {
                outcome = Sending::Ended;
                break;
            }
            let chain = chains.entry(partition).or_default();
            let sequence = chain.next;
            let sent_ns = at.as_nanos() as u64;
            let batch = self.template.next(chain, sent_ns, self.clock.wall_ms())?;
            self.producer.queue(
                partition,
                batch,
                self.template.count(),
                Sent { sequence, at },
            );
            outcome = Sending::Sent;
        }
        self.producer.pump();
        Ok(outcome)
    }

    fn acknowledge(&mut self, done: Completion<Sent>, acknowledged: &mut Acknowledged) {
        let latency = self.clock.monotonic().saturating_sub(done.tag.at);
        let count = self.template.count() as u64;
        let bytes = self.template.value_bytes() as u64;
        let retries = u64::from(done.acknowledgement.retries);
        self.meter.update(|flow| {
            flow.add(count, bytes, Some(latency));
            flow.retries += retries;
        });
        if self.promised {
            let first = done.tag.sequence;
            let chain = (self.run, done.partition, self.number);
            acknowledged
                .entry(chain)
                .or_default()
                .insert_range(first, first + count);
        }
        self.template.recycle(done.batch);
    }
}

enum Sending {
    Sent,
    NotDue,
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn batches_are_due_at_their_interval() {
        let mut pacer = Pacer::new(Some(10 * MS), 100 * MS);
        assert_eq!(pacer.take(99 * MS), None);
        assert_eq!(pacer.wait(99 * MS), Some(MS));
        assert_eq!(pacer.take(100 * MS), Some(100 * MS));
        assert_eq!(pacer.take(105 * MS), None);
        assert_eq!(pacer.take(111 * MS), Some(111 * MS));
        assert_eq!(Pacer::new(None, MS).take(7 * MS), Some(7 * MS));
    }

    #[test]
    fn a_stall_counts_against_the_broker() {
        let mut pacer = Pacer::new(Some(10 * MS), 100 * MS);
        let now = 130 * MS;
        let taken: Vec<_> = std::iter::from_fn(|| pacer.take(now)).collect();
        assert_eq!(taken, [100 * MS, 110 * MS, 120 * MS, 130 * MS]);
    }

    #[test]
    fn the_budget_ends_by_count_time_or_stop() {
        let stop = CancellationToken::new();
        let budget = Budget {
            batches: Some(AtomicI64::new(2)),
            until: Some(50 * MS),
            stop: stop.clone(),
        };
        assert!(budget.take(MS));
        assert!(!budget.take(50 * MS));
        assert!(budget.take(MS));
        assert!(!budget.take(MS));
        let unlimited = Budget {
            batches: None,
            until: None,
            stop: stop.clone(),
        };
        assert!(unlimited.take(MS));
        stop.cancel();
        assert!(!unlimited.take(MS));
    }
}
