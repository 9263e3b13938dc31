//! Idempotent producers that never give up, and the check of what they were promised.
//!
//! Each producer sends one batch after the other to its own partition and repeats it, unchanged,
//! at any broker that is up, until it is acknowledged. So whatever happens to the brokers: every
//! acknowledged batch is there, once, at the offset that was acknowledged, in the producer's order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::InitProducerIdRequest;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::raw::{Batch, Raw};

/// Longest silence of one broker before a producer turns to the next.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Errors after which an idempotent producer has lost its order.
const FATAL: [i16; 3] = [45, 47, 59];

/// One acknowledged batch of one record.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// Where it was stored.
    pub partition: i32,
    /// The offset in the answer.
    pub offset: i64,
    /// The record's value, `PRODUCER-NUMBER`.
    pub value: String,
}

/// Running producers.
pub struct Workload {
    addresses: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    producers: JoinSet<Vec<Acknowledged>>,
}

impl Workload {
    /// Starts as many producers; producer `n` writes to partition `n % partitions`.
    pub fn start(topic: &str, partitions: i32, producers: i32, addresses: &[&str]) -> Self {
        let addresses = addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect();
        let addresses: Arc<Mutex<Vec<String>>> = Arc::new(Mutex::new(addresses));
        let (stop, stopped) = watch::channel(false);
        let (counter, count) = watch::channel(0);
        let counter = Arc::new(counter);
        let mut running = JoinSet::new();
        for n in 0..producers {
            let producer = Producer {
                name: n,
                topic: topic.to_owned(),
                partition: n % partitions,
                addresses: addresses.clone(),
                attempts: usize::try_from(n).unwrap_or_default(),
                connection: None,
            };
            running.spawn(producer.run(stopped.clone(), counter.clone()));
        }
        Self {
            addresses,
            stop,
            count,
            producers: running,
        }
    }

    /// The brokers to use from now on.
    pub fn set_addresses(&self, addresses: &[&str]) {
        *self.addresses.lock() = addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect();
    }

    /// Waits until that many more batches are acknowledged.
    ///
    /// # Panics
    /// Not within a minute.
    pub async fn progress(&mut self, batches: usize) {
        let goal = *self.count.borrow() + batches;
        let reached = timeout(
            Duration::from_secs(60),
            self.count.wait_for(|count| *count >= goal),
        );
        let reached = reached.await.is_ok_and(|reached| reached.is_ok());
        assert!(
            reached,
            "{} of {goal} batches acknowledged in a minute",
            *self.count.borrow()
        );
    }

    /// Lets every producer finish the batch it is at, and returns what was acknowledged.
    ///
    /// # Panics
    /// A producer was told that it lost its order.
    pub async fn finish(self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        let finished = timeout(Duration::from_secs(60), self.producers.join_all()).await;
        finished
            .expect("producers that finish within a minute")
            .concat()
    }
}

struct Producer {
    name: i32,
    topic: String,
    partition: i32,
    addresses: Arc<Mutex<Vec<String>>>,
    attempts: usize,
    connection: Option<Raw>,
}

impl Producer {
    async fn run(
        mut self,
        stop: watch::Receiver<bool>,
        count: Arc<watch::Sender<usize>>,
    ) -> Vec<Acknowledged> {
        let id = self.producer_id().await;
        let mut acknowledged = Vec::new();
        let mut sequence = 0;
        while !*stop.borrow() {
            let value = format!("{}-{sequence}", self.name);
            let batch = Batch::of_values([value.clone()]).by_producer(id, 0, sequence);
            let offset = self.send(&batch).await;
            acknowledged.push(Acknowledged {
                partition: self.partition,
                offset,
                value,
            });
            count.send_modify(|count| *count += 1);
            sequence += 1;
        }
        acknowledged
    }

    async fn producer_id(&mut self) -> i64 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        loop {
            let Some(mut raw) = self.connected().await else {
                continue;
            };
            let answer = timeout(ANSWER_WITHIN, raw.call(4, &request)).await;
            if let Ok(Ok(response)) = answer
                && response.error_code == 0
            {
                self.connection = Some(raw);
                return response.producer_id.0;
            }
        }
    }

    /// Sends until it is acknowledged. Returns the offset.
    async fn send(&mut self, batch: &Batch) -> i64 {
        loop {
            let Some(mut raw) = self.connected().await else {
                continue;
            };
            let produced = raw.produce(&self.topic, self.partition, batch.encode());
            // No answer, or a closed connection: the next attempt is at another broker.
            let Ok(Ok(answer)) = timeout(ANSWER_WITHIN, produced).await else {
                continue;
            };
            assert!(
                !FATAL.contains(&answer.error_code),
                "error {}",
                answer.error_code
            );
            if answer.error_code == 0 {
                self.connection = Some(raw);
                return answer.base_offset;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn connected(&mut self) -> Option<Raw> {
        if self.connection.is_some() {
            return self.connection.take();
        }
        let address = {
            let addresses = self.addresses.lock();
            addresses[self.attempts % addresses.len()].clone()
        };
        self.attempts += 1;
        match timeout(ANSWER_WITHIN, Raw::connect(&address)).await {
            Ok(Ok(raw)) => Some(raw),
            _ => {
                sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }
}

/// Asserts that the topic holds every acknowledged batch where it was acknowledged, that offsets
/// are dense, nothing is there twice, and each producer's records are in its order.
///
/// # Panics
/// Something of this does not hold.
pub async fn verify(address: &str, topic: &str, partitions: i32, acknowledged: &[Acknowledged]) {
    let mut stored: HashMap<(i32, i64), String> = HashMap::new();
    let mut raw = Raw::connect(address).await.expect("a connection");
    for partition in 0..partitions {
        let mut last: HashMap<String, u64> = HashMap::new();
        let values = read(&mut raw, topic, partition).await;
        for (offset, value) in (0..).zip(values) {
            let (producer, number) = value.split_once('-').expect("a value of the workload");
            let number: u64 = number.parse().expect("a number");
            let expected = last.get(producer).map_or(0, |last| last + 1);
            assert_eq!(
                number, expected,
                "of producer {producer} at {partition}/{offset}"
            );
            last.insert(producer.to_owned(), number);
            stored.insert((partition, offset), value);
        }
    }
    for batch in acknowledged {
        let found = stored.get(&(batch.partition, batch.offset));
        assert_eq!(
            found,
            Some(&batch.value),
            "acknowledged at {}/{}",
            batch.partition,
            batch.offset
        );
    }
}

/// Every value of a partition, from offset 0 to its end; offsets must be dense.
async fn read(raw: &mut Raw, topic: &str, partition: i32) -> Vec<String> {
    let (error, end) = raw
        .list_offset(topic, partition, -1)
        .await
        .expect("an answer");
    assert_eq!(error, 0, "ListOffsets");
    let end = usize::try_from(end).expect("an offset");
    let mut values = Vec::new();
    while values.len() < end {
        let from = i64::try_from(values.len()).expect("an offset");
        let (error, _, records) = raw.fetch(topic, partition, from).await.expect("an answer");
        assert_eq!(error, 0, "Fetch at {partition}/{from}");
        for (base_offset, records) in Batch::decode_all(records) {
            let next = i64::try_from(values.len()).expect("an offset");
            assert_eq!(
                base_offset, next,
                "offsets of partition {partition} are not dense"
            );
            values.extend(records.into_iter().map(|(_, value)| {
                String::from_utf8(value.expect("a value").to_vec()).expect("text")
            }));
        }
    }
    values
}
