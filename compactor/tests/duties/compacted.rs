//! A compacted topic against a model: whatever duties have run and wherever they were stopped, a new consumer that reads
//! committed records builds the map that the records as they were written give, and what it reads is what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use control_plane::state::Partition;
use object_format::TopicPartition;
use object_format::batch::{self, BatchHeader};

use crate::seeded::{some_steps, work};
use crate::world::{GRACE, World, offsets};

/// Keys that are written.
const KEYS: u64 = 12;

/// A record with a key: its offset, and its value or none for a tombstone.
type Record = (i64, Bytes, Option<Bytes>);

/// What a consumer that reads from the beginning keeps.
type Map = BTreeMap<Bytes, Bytes>;

impl World {
    /// An object with batches of records with keys, some of them in a transaction.
    async fn produce_keyed(&mut self) {
        let mut batches = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            let of = self.some_partition();
            let producer = match self.rng.chance(0.4) {
                true => Some(self.transactional(of).await),
                false => None,
            };
            let records = 1 + self.rng.below(6) as i32;
            let mut builder = self.batch_of(of, producer, records);
            for _ in 0..records {
                let key = [b'a' + self.rng.below(KEYS) as u8];
                let value = self.rng.u64().to_be_bytes();
                let value = (!self.rng.chance(0.2)).then_some(&value[..]);
                builder.push(1_700_000_000_000, Some(&key), value, &[]);
            }
            batches.push((of, builder.build()));
        }
        self.commit(batches).await;
    }

    /// The map, the committed records it is made of, and the end of what is decided.
    async fn consume(&self, of: TopicPartition) -> (Map, Vec<Record>, i64) {
        let partition = self
            .agent
            .replica()
            .read(|s| s.partition(of).cloned())
            .unwrap();
        let stable = partition.last_stable_offset();
        let mut batches: Vec<(i64, Bytes)> = Vec::new();
        for (base, extent) in &partition.extents {
            batches.extend(self.read(*base, extent).await);
            let end = batches.last().map(|(at, bytes)| at + offsets(bytes));
            assert_eq!(end, Some(extent.end_offset(*base)), "a reader gets past it");
        }
        let mut read = Vec::new();
        for (base, bytes) in batches {
            read.extend(committed(&partition, base, &bytes, stable));
        }
        (map_of(&read), read, stable)
    }

    async fn check_maps(&mut self) {
        let partitions: Vec<TopicPartition> = self.partitions();
        for of in partitions {
            let (map, read, stable) = self.consume(of).await;
            let written = self.written(of, stable);
            assert_eq!(map, map_of(&written), "{of:?}");
            for record in &read {
                assert!(written.contains(record), "{of:?}: nobody wrote {record:?}");
            }
        }
    }

    /// The committed records as they were written.
    fn written(&mut self, of: TopicPartition, stable: i64) -> Vec<Record> {
        let aborted = self.aborted(of);
        let batches = &self.expected(of).batches;
        let mut written = Vec::new();
        for (&base, bytes) in batches.range(..stable) {
            let header = BatchHeader::parse(bytes).unwrap();
            let is_aborted = aborted.iter().any(|(id, from, to)| {
                *id == header.producer_id
                    && (*from..*to).contains(&base)
                    && header.is_transactional()
            });
            if !is_aborted && !header.is_control() {
                written.extend(records(base, bytes));
            }
        }
        written
    }
}

/// The committed records of a batch, as a consumer that is told of aborted transactions reads them.
fn committed(partition: &Partition, base: i64, bytes: &Bytes, stable: i64) -> Vec<Record> {
    let header = BatchHeader::parse(bytes).unwrap();
    let is_aborted = |(marker, aborted): (i64, &control_plane::state::Aborted)| {
        let is_its = aborted.producer_id == header.producer_id;
        is_its && header.is_transactional() && aborted.first_offset <= base && base < marker
    };
    if base >= stable || header.is_control() || partition.aborted().any(is_aborted) {
        return vec![];
    }
    records(base, bytes)
}

fn records(base: i64, bytes: &Bytes) -> Vec<Record> {
    let records = batch::records(bytes, &BatchHeader::parse(bytes).unwrap())
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            let offset = base + i64::from(record.offset_delta);
            (offset, record.key.unwrap(), record.value)
        });
    records.collect()
}

fn map_of(records: &[Record]) -> Map {
    let mut map = Map::new();
    for (_, key, value) in records {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
    map
}

async fn run(seed: u64) {
    let mut world = World::new(seed).await;
    world
        .only_topic(&[
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0.3"),
            ("delete.retention.ms", "100000"),
        ])
        .await;
    let mut compactors = [
        world.compactor(0, true).await,
        world.compactor(1, true).await,
    ];
    for _ in 0..40 {
        let [first, second] = &compactors;
        let duties = [
            [1, 2, 3, 3, 3, 4][world.rng.below(6) as usize],
            world.rng.below(6),
        ];
        let stops = [some_steps(&world), some_steps(&world)];
        let change = async {
            for _ in 0..world.rng.below(5) {
                match world.rng.below(8) {
                    0 => world.end_transaction().await,
                    1 => {
                        world
                            .pass(Duration::from_millis(world.rng.below(200_000)))
                            .await
                    }
                    _ => world.produce_keyed().await,
                }
                let pause = Duration::from_millis(world.rng.below(200));
                tokio::time::sleep(pause).await;
            }
        };
        let (over, other_over, ()) = tokio::join!(
            work(first, duties[0], stops[0]),
            work(second, duties[1], stops[1]),
            change,
        );
        for (n, over) in [over, other_over].into_iter().enumerate() {
            if !over {
                compactors[n] = world.compactor(n as u64, true).await;
            }
        }
        world.check_maps().await;
    }
    settle(&mut world).await;
}

/// In the end there is little more than one record of each key.
async fn settle(world: &mut World) {
    for n in 0..3 {
        world.end_transaction_of(n).await;
    }
    let last = world.compactor(2, false).await;
    for of in world.partitions() {
        // Something to be cleaned in each partition, however much was cleaned before.
        for _ in 0..40 {
            let mut builder = world.batch_of(of, None, 1);
            builder.push(1_700_000_000_000, Some(b"a"), Some(&[7; 100]), &[]);
            world.commit(vec![(of, builder.build())]).await;
        }
    }
    world.pass(2 * GRACE).await;
    last.session.replica().barrier().await.unwrap();
    compactor::drain(&crate::world::config(), &last)
        .await
        .unwrap();
    world.agent.replica().barrier().await.unwrap();
    world.check_maps().await;
    for of in world.partitions() {
        let (map, read, _) = world.consume(of).await;
        let values = read.iter().filter(|(_, _, value)| value.is_some()).count();
        // One small object may be left that is not worth rewriting: what the active segment is in Kafka. Each of those
        // written last holds one record.
        assert!(
            (map.len()..=map.len() + 1).contains(&values),
            "{of:?}: superseded records are left: {read:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_builds_the_map_that_was_written() {
    let seeds = std::env::var("MILLRACE_TEST_SEEDS").ok();
    for seed in 0..seeds.map_or(30, |n| n.parse().unwrap()) {
        println!("seed {seed}");
        run(seed).await;
    }
}
