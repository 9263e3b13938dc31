//! The commit path under injected faults: three agents, producers that move between them, a bucket and a log that fail,
//! lose answers and take entries twice or late, one agent killed. What was acknowledged is there, once, in order.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use control_plane::log::memory::Faults as LogFaults;
use control_plane::state::{AllocateProducerId, CreateTopic};
use object_format::TopicId;
use parking_lot::Mutex;
use runtime::Rng;
use runtime::store::decorators::FaultPlan;
use tests::agents::{Agent, LogKind, Site, Trouble};
use tests::cluster::until;
use tests::raw::{Batch, Raw};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const PRODUCERS: u64 = 6;

fn trouble() -> Trouble {
    Trouble {
        store: FaultPlan {
            before: 0.05,
            after: 0.05,
            throttle: 0.05,
            delay: 0.2,
            delay_max: Duration::from_millis(20),
            ..FaultPlan::default()
        },
        log: LogFaults {
            append_rejected: 0.05,
            append_unknown_lost: 0.05,
            append_unknown_kept: 0.05,
            append_unknown_late: 0.05,
            late_max: Duration::from_millis(50),
            read_failed: 0.02,
            delay_max: Duration::from_millis(5),
        },
        hedge_percent: 0,
    }
}

/// The same with a long tail, and every slow request sent twice.
fn twice() -> Trouble {
    Trouble {
        store: FaultPlan {
            delay: 0.3,
            delay_max: Duration::from_millis(100),
            ..trouble().store
        },
        hedge_percent: 100,
        ..trouble()
    }
}

/// What producers were told: partition, offset and value of each acknowledged batch.
type Acknowledged = Arc<Mutex<Vec<(i32, i64, String)>>>;

struct Producer {
    name: u64,
    id: Option<i64>,
    addresses: Arc<Mutex<Vec<String>>>,
    acknowledged: Acknowledged,
    rng: Rng,
    stop: Arc<AtomicBool>,
}

impl Producer {
    /// Sends batch after batch, each until it is acknowledged, now through this agent and now through that.
    async fn run(self) {
        let mut sequences: HashMap<i32, i32> = HashMap::new();
        let mut connection: Option<Raw> = None;
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let partition = self.rng.below(PARTITIONS as u64) as i32;
            let sequence = *sequences.entry(partition).or_default();
            let value = format!("{}-{number}", self.name);
            let mut batch = Batch::of_values([value.clone().into_bytes()]);
            if let Some(id) = self.id {
                batch = batch.by_producer(id, 0, sequence);
            }
            let offset = self.send(&mut connection, partition, batch.encode()).await;
            self.acknowledged.lock().push((partition, offset, value));
            sequences.insert(partition, sequence + 1);
            number += 1;
        }
    }

    async fn send(&self, connection: &mut Option<Raw>, partition: i32, batch: Bytes) -> i64 {
        loop {
            if self.rng.chance(0.1) {
                *connection = None;
            }
            if connection.is_none() {
                let address = {
                    let addresses = self.addresses.lock();
                    addresses[self.rng.below(addresses.len() as u64) as usize].clone()
                };
                *connection = Raw::connect(&address).await.ok();
            }
            let Some(raw) = connection else { continue };
            let produced = raw.produce(TOPIC, partition, batch.clone());
            match tokio::time::timeout(Duration::from_secs(2), produced).await {
                Ok(Ok(answer)) if answer.error_code == 0 => return answer.base_offset,
                // Whatever else was said, or nothing: the batch may be stored, and is sent again.
                _ => *connection = None,
            }
        }
    }
}

async fn create_topic(agent: &Agent) {
    let id = TopicId(uuid::Uuid::from_u128(1));
    let partitions = PARTITIONS as u32;
    let create = CreateTopic {
        name: TOPIC.into(),
        id,
        partitions,
        configs: BTreeMap::new(),
    };
    agent.session.submit(create).await.unwrap().unwrap();
}

/// Everything in a partition, by offset, as a new consumer reads it.
async fn read_all(raw: &mut Raw, partition: i32) -> BTreeMap<i64, String> {
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        let (error, high_watermark, bytes) = raw.fetch(TOPIC, partition, offset).await.unwrap();
        assert_eq!(error, 0);
        for (base, records) in Batch::decode_all(bytes) {
            for (i, (_, value)) in records.into_iter().enumerate() {
                let value = String::from_utf8(value.unwrap().to_vec()).unwrap();
                found.insert(base + i as i64, value);
            }
        }
        offset = found.last_key_value().map_or(0, |(last, _)| last + 1);
        if offset >= high_watermark {
            return found;
        }
    }
}

/// Gives how many requests to the bucket were sent twice.
async fn run(kind: LogKind, seed: u64, trouble: fn() -> Trouble) -> u64 {
    let site = Site::new(kind, seed);
    let mut agents = Vec::new();
    for name in ["a", "b", "c"] {
        agents.push(site.start(name, trouble(), &[]).await);
    }
    create_topic(&agents[0]).await;
    let addresses = Arc::new(Mutex::new(
        agents.iter().map(|a| a.address.clone()).collect::<Vec<_>>(),
    ));
    let (acknowledged, stop) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let mut producers = Vec::new();
    for name in 0..PRODUCERS {
        let id = match name % 3 {
            0 => None,
            _ => Some(
                agents[0]
                    .session
                    .submit(AllocateProducerId {})
                    .await
                    .unwrap(),
            ),
        };
        let producer = Producer {
            name,
            id,
            addresses: addresses.clone(),
            acknowledged: acknowledged.clone(),
            rng: Rng::from_seed(seed * 100 + name),
            stop: stop.clone(),
        };
        producers.push(tokio::spawn(producer.run()));
    }
    let wait_for = async |count: usize| {
        let what = format!("{count} batches are acknowledged");
        until(&what, Duration::from_secs(120), || async {
            acknowledged.lock().len() >= count
        })
        .await;
    };
    wait_for(100).await;
    agents.remove(0).kill();
    wait_for(200).await;
    agents.push(site.start("a", trouble(), &[]).await);
    addresses.lock()[0] = agents[2].address.clone();
    wait_for(300).await;
    stop.store(true, Ordering::Relaxed);
    agents.iter().for_each(Agent::heal);
    for producer in producers {
        producer.await.unwrap();
    }
    let reader = site.start("reader", Trouble::default(), &[]).await;
    let promised = acknowledged.lock().clone();
    let sent_twice = agents.iter().map(|agent| agent.store.sent_twice()).sum();
    check(&reader, &promised).await;
    for agent in agents {
        agent.stop().await.unwrap();
    }
    check(&reader, &promised).await;
    sent_twice
}

/// The invariants as a user would notice them (I1, I2, I4, I8).
async fn check(reader: &Agent, acknowledged: &[(i32, i64, String)]) {
    let mut raw = Raw::connect(&reader.address).await.unwrap();
    let mut stored = BTreeMap::new();
    for partition in 0..PARTITIONS {
        stored.insert(partition, read_all(&mut raw, partition).await);
    }
    for (partition, records) in &stored {
        let offsets: Vec<i64> = records.keys().copied().collect();
        let dense: Vec<i64> = (0..records.len() as i64).collect();
        assert_eq!(offsets, dense, "offsets of partition {partition} are dense");
        let mut last: HashMap<&str, u64> = HashMap::new();
        for value in records.values() {
            let (producer, number) = value.split_once('-').unwrap();
            let (name, number) = (
                producer.parse::<u64>().unwrap(),
                number.parse::<u64>().unwrap(),
            );
            let before = last.insert(producer, number);
            if name % 3 != 0 {
                assert!(
                    before.is_none_or(|b| b < number),
                    "{value} is stored twice or out of order"
                );
            }
        }
    }
    for (partition, offset, value) in acknowledged {
        assert_eq!(
            stored[partition].get(offset),
            Some(value),
            "acknowledged at {partition}/{offset}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_batches_survive_on_a_log_in_memory() {
    for seed in 1..=3 {
        run(LogKind::Memory, seed, trouble).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_batches_survive_on_a_log_in_the_bucket() {
    for seed in 11..=12 {
        run(LogKind::Bucket, seed, trouble).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_batches_survive_requests_that_are_sent_twice() {
    let mut sent_twice = 0;
    for seed in 21..=22 {
        sent_twice += run(LogKind::Bucket, seed, twice).await;
    }
    assert!(sent_twice > 20, "{sent_twice}");
}
