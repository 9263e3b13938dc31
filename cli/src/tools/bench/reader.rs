//! A consumer of a benchmark: reads its partitions to their ends and walks the hash chains.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::SharedClock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::chain::{Link, Verifier};
use super::stats::Meter;
use crate::client::records::BatchView;
use crate::client::{Fetched, Fetcher};

/// How long the rest of what is there may fail to come.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Offset at which each partition ends; none while producers still send.
pub type Ends = Option<BTreeMap<i32, i64>>;

/// One consumer.
pub struct Reader {
    /// Reads its partitions.
    pub fetcher: Fetcher,
    /// Where they end.
    pub ends: watch::Receiver<Ends>,
    /// Where it counts.
    pub meter: Meter,
    /// The time.
    pub clock: SharedClock,
    /// The run that is under way at the same time: the age of its records is their latency.
    pub run: Option<u64>,
    /// Bytes of values it reads in a second at most.
    pub bytes_per_second: Option<f64>,
    /// Reading ends before the ends are reached.
    pub stop: Option<CancellationToken>,
}

/// What a consumer leaves.
pub struct Read {
    /// The chains it walked.
    pub verifier: Verifier,
    /// When the last record came, by the clock.
    pub finished: Duration,
    /// Whether it got to the ends.
    pub complete: bool,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Reader {
    /// Reads until the ends.
    pub async fn run(mut self) -> Read {
        let mut verifier = Verifier::default();
        let mut finished = self.clock.monotonic();
        let stop = self.stop.clone().unwrap_or_default();
        let read = tokio::select! {
            read = self.read_all(&mut verifier, &mut finished) => Some(read),
            () = stop.cancelled() => None,
        };
        Read {
            verifier,
            finished,
            complete: matches!(read, Some(Ok(()))),
            error: read.and_then(Result::err),
        }
    }

    async fn read_all(
        &mut self,
        verifier: &mut Verifier,
        finished: &mut Duration,
    ) -> Result<(), String> {
        let mut known = false;
        let began = self.clock.monotonic();
        let (mut moved, mut bytes) = (began, 0);
        loop {
            if let Some(ends) = &*self.ends.borrow_and_update() {
                if !known {
                    (known, moved) = (true, self.clock.monotonic());
                }
                let positions = self.fetcher.positions().clone();
                for (partition, position) in positions {
                    if position >= ends.get(&partition).copied().unwrap_or(0) {
                        self.fetcher.drop_partition(partition);
                    }
                }
                if self.fetcher.positions().is_empty() {
                    return Ok(());
                }
            }
            tokio::select! {
                fetched = self.fetcher.next() => {
                    let now = self.clock.monotonic();
                    let mut any = false;
                    for partition in fetched.map_err(|error| error.to_string())? {
                        any |= !partition.batches.is_empty();
                        bytes += self.walk(&partition, now, verifier)?;
                    }
                    if any {
                        (moved, *finished) = (now, self.clock.monotonic());
                        self.pause(began, bytes).await;
                    } else if known && now - moved > STALL_MAX {
                        return Err("the end of a partition does not come".into());
                    }
                }
                changed = self.ends.changed(), if !known => {
                    changed.map_err(|_| "given up".to_owned())?;
                }
            }
        }
    }

    /// Waits until so many bytes are due.
    async fn pause(&mut self, began: Duration, bytes: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let due = began + Duration::from_secs_f64(bytes as f64 / rate);
        tokio::time::sleep(due.saturating_sub(self.clock.monotonic())).await;
    }

    /// Gives the bytes of the values.
    fn walk(
        &self,
        fetched: &Fetched,
        now: Duration,
        verifier: &mut Verifier,
    ) -> Result<u64, String> {
        let mut bytes = 0;
        for batch in fetched.batches.iter().filter(|batch| !batch.is_control()) {
            bytes += self
                .walk_batch(fetched, batch, now, verifier)
                .map_err(|error| format!("partition {}: {error}", fetched.partition))?;
        }
        Ok(bytes)
    }

    fn walk_batch(
        &self,
        fetched: &Fetched,
        batch: &BatchView,
        now: Duration,
        verifier: &mut Verifier,
    ) -> Result<u64, String> {
        let (mut records, mut bytes) = (0, 0);
        let mut first: Option<Link> = None;
        let walked = batch.records().map_err(|bad| bad.to_string())?;
        for record in walked.iter() {
            let record = record.map_err(|bad| bad.to_string())?;
            if record.offset < fetched.from {
                continue;
            }
            let link = verifier.observe(fetched.partition, record.offset, record.value);
            first = first.or(link);
            records += 1;
            bytes += record.value.map_or(0, <[u8]>::len) as u64;
        }
        // All records of a batch were sent at one time.
        let ours = first.filter(|link| Some(link.run) == self.run);
        let latency = ours.map(|link| now.saturating_sub(Duration::from_nanos(link.sent_ns)));
        self.meter.update(|flow| flow.add(records, bytes, latency));
        Ok(bytes)
    }
}
