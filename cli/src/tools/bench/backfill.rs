//! Consumers that read old records, again and again, while something else is measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::SharedClock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::chain::Acknowledged;
use super::reader::Reader;
use super::report::Verification;
use super::stats::Meter;
use crate::client::{Client, ConnectionOptions, Fetcher, Topic};

/// A topic that is all written.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The topic.
    pub topic: Topic,
    /// Where its partitions begin.
    pub starts: BTreeMap<i32, i64>,
    /// Where they end.
    pub ends: BTreeMap<i32, i64>,
    /// What is in it.
    pub acknowledged: Arc<Acknowledged>,
}

/// One consumer of some of its partitions.
pub struct CatchUp {
    /// Where the broker is.
    pub bootstrap: String,
    /// How it asks, and how fast.
    pub args: Args,
    /// What it reads; of the partitions only its own.
    pub backlog: Backlog,
    /// Where it counts.
    pub meter: Meter,
    /// The time.
    pub clock: SharedClock,
    /// Ends it.
    pub stop: CancellationToken,
}

/// What it leaves.
pub struct CaughtUp {
    /// What the hash chains of all its passes say.
    pub verification: Verification,
    /// When the last record came, by the clock.
    pub finished: Duration,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Backlog {
    /// The part of one of `count` consumers.
    pub fn of_one(&self, number: usize, count: usize) -> Self {
        let of = |all: &BTreeMap<i32, i64>| {
            let mine = all.iter().skip(number).step_by(count);
            mine.map(|(&partition, &offset)| (partition, offset))
                .collect()
        };
        let mine: BTreeMap<i32, i64> = of(&self.starts);
        let acknowledged = self.acknowledged.iter();
        let acknowledged = acknowledged
            .filter(|((_, partition, _), _)| mine.contains_key(partition))
            .map(|(chain, sent)| (*chain, sent.clone()));
        Self {
            topic: self.topic.clone(),
            ends: of(&self.ends),
            acknowledged: Arc::new(acknowledged.collect()),
            starts: mine,
        }
    }
}

impl CatchUp {
    /// Reads from beginning to end until it is stopped.
    pub async fn run(self) -> CaughtUp {
        let mut left = CaughtUp {
            verification: Verification::default(),
            finished: self.clock.monotonic(),
            error: None,
        };
        while !self.stop.is_cancelled() && left.error.is_none() {
            self.pass(&mut left).await;
        }
        left
    }

    async fn pass(&self, left: &mut CaughtUp) {
        let client = Client::new(&self.bootstrap, ConnectionOptions::default());
        let topic = match client.topic(&self.backlog.topic.name).await {
            Ok(topic) => topic,
            Err(error) => {
                left.error = Some(error.to_string());
                return;
            }
        };
        let (positions, options) = (self.backlog.starts.clone(), self.args.fetch_options());
        let (_ends, ends) = watch::channel(Some(self.backlog.ends.clone()));
        let readers = self.args.backfill_readers.min(self.args.partitions as u32);
        let reader = Reader {
            fetcher: Fetcher::new(client, topic, positions, options),
            ends,
            meter: self.meter.clone(),
            clock: self.clock.clone(),
            run: None,
            bytes_per_second: self.args.backfill_rate.of_one(readers),
            stop: Some(self.stop.clone()),
        };
        let read = reader.run().await;
        // What has not been reached yet is not lost.
        let lost = match read.complete {
            _ if self.args.acks.0 == 0 => 0,
            true => read.verifier.lost(&self.backlog.acknowledged),
            false => read.verifier.gaps(),
        };
        left.verification.add(read.verifier.seen(), lost);
        left.finished = read.finished;
        left.error = read.error;
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranges::Ranges;
    use super::*;

    #[test]
    fn consumers_share_the_partitions_and_what_is_in_them() {
        let acknowledged = (0..5).map(|partition| ((7, partition, 0), Ranges::default()));
        let backlog = Backlog {
            topic: Topic::default(),
            starts: (0..5).map(|partition| (partition, 10)).collect(),
            ends: (0..5).map(|partition| (partition, 20)).collect(),
            acknowledged: Arc::new(acknowledged.collect()),
        };
        let of = |number| {
            let part = backlog.of_one(number, 2);
            let held: Vec<i32> = part.acknowledged.keys().map(|chain| chain.1).collect();
            let partitions: Vec<i32> = part.starts.keys().copied().collect();
            assert_eq!(held, partitions);
            assert_eq!(part.ends.len(), partitions.len());
            partitions
        };
        assert_eq!((of(0), of(1)), (vec![0, 2, 4], vec![1, 3]));
    }
}
