//! Transactions as a consumer sees them: what it fetches, filtered as Kafka's consumers filter, is what was committed.

use std::collections::HashSet;
use std::ops::Range;

use control_plane::state::DeleteRecords;
use control_plane::state::TransactionEnd::{self, Abort, Commit};
use object_format::TopicPartition;
use object_format::batch::{BatchHeader, split, verify_crc};
use proptest::prelude::*;
use runtime::SystemClock;

use super::fixture::{TestProducer, World, batch, fetch, tp};
use super::outcome::PartitionOutcome;
use super::plan::{Isolation, Limits, PartitionFetch, plan};
use super::pool::Client;
use super::read::Reader;

/// Fetches one partition as far as two limits go.
async fn fetched(
    world: &World,
    reader: &Reader,
    wanted: &PartitionFetch,
    limits: Limits,
) -> PartitionOutcome {
    let plan = plan(&world.state, [wanted], limits);
    let read = reader.read(&plan, &Client::default()).await.remove(0);
    PartitionOutcome::new(wanted, &plan.partitions[0], read)
}

/// A consumer, as Kafka's Java client is one.
struct Consumer {
    isolation: Isolation,
    begin: i64,
    position: i64,
    /// The offsets of the records it has shown.
    shown: Vec<i64>,
    /// What was deleted before it came there.
    missed: Vec<Range<i64>>,
}

impl Consumer {
    fn new(isolation: Isolation, begin: i64) -> Self {
        Self {
            isolation,
            begin,
            position: begin,
            shown: vec![],
            missed: vec![],
        }
    }

    /// One fetch; says whether there was something in it.
    async fn poll(&mut self, log: &Log, bytes_max: (u64, u64)) -> bool {
        let (world, of) = (&log.world, log.of);
        if self.position < log.start {
            self.missed.push(self.position..log.start);
            self.position = log.start;
        }
        let wanted = PartitionFetch {
            bytes_max: bytes_max.0,
            ..fetch(of.topic, of.partition as i32, self.position)
        };
        let limits = Limits {
            bytes_max: bytes_max.1,
            isolation: self.isolation,
        };
        let reader = Reader::new(world.cache(), SystemClock::shared());
        let outcome = fetched(world, &reader, &wanted, limits).await;
        assert_eq!(outcome.error, None);
        let is_committed = self.isolation == Isolation::ReadCommitted;
        assert_eq!(outcome.aborted_transactions.is_some(), is_committed);
        let mut aborted = outcome.aborted_transactions.unwrap_or_default();
        let told: Vec<_> = aborted
            .iter()
            .map(|a| (a.producer_id, a.first_offset))
            .collect();
        let began = self.position;
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        let mut aborting = HashSet::new();
        let mut bytes = 0;
        let mut batches = 0;
        for batch in split(outcome.records.to_bytes()) {
            let batch = batch.unwrap();
            let header = verify_crc(&batch).unwrap();
            assert_eq!(header.partition_leader_epoch, 0);
            (bytes, batches) = (bytes + batch.len() as u64, batches + 1);
            let end = header.base_offset + header.offset_count();
            while let Some(begun) = aborted.next_if(|begun| begun.first_offset < end) {
                aborting.insert(begun.producer_id);
            }
            self.take(&batch, &header, &mut aborting);
        }
        let expected = match self.isolation {
            Isolation::ReadCommitted => log.aborted_between(began, self.position),
            Isolation::ReadUncommitted => vec![],
        };
        assert_eq!(told, expected);
        assert!(batches <= 1 || bytes <= bytes_max.0.min(bytes_max.1));
        batches > 0
    }

    fn take(&mut self, batch: &[u8], header: &BatchHeader, aborting: &mut HashSet<i64>) {
        let end = header.base_offset + header.offset_count();
        let holds = header.base_offset <= self.position && self.position < end;
        assert!(holds, "a hole or a batch twice at {}", header.base_offset);
        let from = std::mem::replace(&mut self.position, end);
        if header.is_control() {
            if batch[69] == 0 {
                aborting.remove(&header.producer_id);
            }
        } else if !(header.is_transactional() && aborting.contains(&header.producer_id)) {
            self.shown.extend(from..end);
        }
    }
}

/// A partition, written to by transactions, and what is to be seen in it by the rules alone.
struct Log {
    world: World,
    of: TopicPartition,
    producers: Vec<TestProducer>,
    /// First offsets of what is open, by producer.
    open: Vec<Option<i64>>,
    /// Offset, and whose transaction it is in that has not ended or was aborted.
    records: Vec<(i64, Fate)>,
    start: i64,
    end: i64,
    /// Aborted transactions: producer, first offset, offset of the marker.
    aborted: Vec<(i64, i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Committed,
    Open(usize),
    Aborted,
}

#[derive(Clone, Debug)]
enum Step {
    /// An object with batches of these producers, so many records each; the last producer has no transactions.
    Write(Vec<(usize, usize, usize)>),
    End(usize, TransactionEnd),
    Fetch(u64, u64),
    Delete(prop::sample::Index),
}

const PRODUCERS: usize = 3;

impl Log {
    fn new() -> Self {
        let mut world = World::new();
        let of = tp(world.topic("t", 1), 0);
        let producers = ["a", "b", "c"].map(|id| world.producer(id)).into();
        Self {
            world,
            of,
            producers,
            open: vec![None; PRODUCERS],
            records: vec![],
            start: 0,
            end: 0,
            aborted: vec![],
        }
    }

    async fn write(&mut self, batches: &[(usize, usize, usize)]) {
        let mut object = vec![];
        for &(by, records, value_bytes) in batches {
            let (batch, fate) = match self.producers.get_mut(by) {
                Some(producer) => {
                    self.open[by].get_or_insert(self.end);
                    (
                        producer.batch(self.of, records, value_bytes),
                        Fate::Open(by),
                    )
                }
                None => (batch(records, value_bytes), Fate::Committed),
            };
            object.push((self.of, batch));
            let end = self.end + records as i64;
            self.records
                .extend((self.end..end).map(|offset| (offset, fate)));
            self.end = end;
        }
        self.world.write(&object).await;
    }

    fn end(&mut self, by: usize, end: TransactionEnd) {
        let Some(first) = self.open[by].take() else {
            return;
        };
        if end == Abort {
            self.aborted
                .push((self.producers[by].producer.id, first, self.end));
        }
        self.world.end(&mut self.producers[by], end);
        self.end += 1;
        let fate = match end {
            Commit => Fate::Committed,
            Abort => Fate::Aborted,
        };
        for (_, of) in &mut self.records {
            if *of == Fate::Open(by) {
                *of = fate;
            }
        }
    }

    /// The aborted transactions that a response from one offset to another tells of.
    fn aborted_between(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let aborted = self
            .aborted
            .iter()
            .filter(|(_, first, marker)| from < to && *marker >= from && *first < to);
        aborted
            .map(|&(producer, first, _)| (producer, first))
            .collect()
    }

    fn delete(&mut self, before: i64) {
        self.world.submit(DeleteRecords {
            partition: self.of,
            before_offset: before,
        });
        self.start = self.start.max(before);
    }

    /// What a consumer that has read all it may has shown, and where it is.
    fn expected(&self, consumer: &Consumer) -> (Vec<i64>, i64) {
        let is_committed = consumer.isolation == Isolation::ReadCommitted;
        let undecided = self.open.iter().flatten().min().filter(|_| is_committed);
        let to = *undecided.unwrap_or(&self.end).max(&self.start);
        let to = to.max(consumer.begin);
        let is_shown = |&(offset, fate): &(i64, Fate)| {
            let is_there = (consumer.begin..to).contains(&offset);
            let is_missed = consumer
                .missed
                .iter()
                .any(|missed| missed.contains(&offset));
            is_there && !is_missed && (fate == Fate::Committed || !is_committed)
        };
        let shown = self.records.iter().copied().filter(is_shown);
        (shown.map(|(offset, _)| offset).collect(), to)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let batch = (0..=PRODUCERS, 1usize..4, 0usize..300);
    prop_oneof![
        4 => prop::collection::vec(batch, 1..4).prop_map(Step::Write),
        4 => (0..PRODUCERS, prop::bool::ANY)
            .prop_map(|(by, commit)| Step::End(by, if commit { Commit } else { Abort })),
        4 => (0u64..1_500, 0u64..1_500).prop_map(|(a, b)| Step::Fetch(a, b)),
        1 => any::<prop::sample::Index>().prop_map(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// However transactions interleave, and in whatever steps a consumer fetches from whatever offset on: it is given
    /// every offset that is there once, in order, and one of committed records shows those and no others.
    #[test]
    fn consumers_see_every_offset_once_and_what_was_committed(
        steps in prop::collection::vec(step(), 1..40),
        begins in prop::collection::vec(any::<prop::sample::Index>(), 2),
        rest in (0u64..1_500, 0u64..1_500),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            use Isolation::{ReadCommitted, ReadUncommitted};
            let mut log = Log::new();
            let mut consumers = vec![
                Consumer::new(ReadCommitted, 0),
                Consumer::new(ReadUncommitted, 0),
            ];
            for step in &steps {
                match step {
                    Step::Write(batches) => log.write(batches).await,
                    Step::End(by, end) => log.end(*by, *end),
                    Step::Delete(at) => log.delete(at.index(log.end as usize + 1) as i64),
                    Step::Fetch(partition_max, bytes_max) => {
                        for consumer in &mut consumers {
                            consumer.poll(&log, (*partition_max, *bytes_max)).await;
                        }
                    }
                }
            }
            let partition = log.world.state.partition(log.of).unwrap();
            prop_assert_eq!(partition.high_watermark, log.end);
            for (begin, isolation) in begins.iter().zip([ReadCommitted, ReadUncommitted]) {
                let begin = begin.index(log.end as usize + 1) as i64;
                consumers.push(Consumer::new(isolation, begin));
            }
            for mut consumer in consumers {
                while consumer.poll(&log, rest).await {}
                let expected = log.expected(&consumer);
                prop_assert_eq!((consumer.shown, consumer.position), expected);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn thousands_of_tiny_transactions_come_in_bounded_fetches() {
    const TRANSACTIONS: i64 = 2_000;
    const MARKERS: i64 = 6_000;
    let mut log = Log::new();
    for _ in 0..TRANSACTIONS {
        log.write(&[(0, 1, 1)]).await;
        log.end(0, Abort);
    }
    let markers = control_plane::state::WriteMarkers {
        producer: log.producers[0].producer,
        end: Commit,
        partitions: vec![log.of],
    };
    for _ in 0..MARKERS {
        log.world.submit(markers.clone());
    }
    let mut consumer = Consumer::new(Isolation::ReadCommitted, 0);
    let limits = Limits {
        bytes_max: 50 << 20,
        isolation: Isolation::ReadCommitted,
    };
    let (mut polls, mut parts_most) = (0, 0);
    while consumer.position < 2 * TRANSACTIONS + MARKERS {
        let wanted = PartitionFetch {
            bytes_max: 50 << 20,
            ..fetch(log.of.topic, 0, consumer.position)
        };
        let plan = plan(&log.world.state, [&wanted], limits);
        let readable = plan.partitions[0].as_ref().unwrap();
        parts_most = parts_most.max(readable.parts.len());
        let is_rest = readable.parts.last().unwrap().end_offset() == readable.high_watermark;
        assert_eq!(
            plan.is_cut, !is_rest,
            "a fetch that is cut does not wait for more"
        );
        assert!(consumer.poll(&log, (50 << 20, 50 << 20)).await);
        polls += 1;
    }
    assert!(consumer.shown.is_empty());
    assert!(parts_most < 5_000, "{parts_most} parts in a fetch");
    assert!(polls < 12, "{polls} fetches");
}
