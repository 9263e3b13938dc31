//! Producers that keep account of what was acknowledged, and the check that all of it is there: each record at the
//! offset that was promised, offsets dense, nothing twice.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::raw::{Batch, Raw, produce_request};

const PRODUCE_VERSION: i16 = 9;

/// Requests a producer has under way; an idempotent one may have no more.
pub const IN_FLIGHT: usize = 5;

/// Counts acknowledgements over all producers, for who waits for a number of them.
#[derive(Clone)]
pub struct Tally(Arc<watch::Sender<usize>>);

impl Default for Tally {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Tally {
    /// How many batches were acknowledged.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until there were `count` acknowledgements.
    ///
    /// # Panics
    /// That takes more than half a minute.
    pub async fn reached(&self, count: usize) {
        let mut counts = self.0.subscribe();
        let reached = counts.wait_for(|now| *now >= count);
        let reached = timeout(Duration::from_secs(30), reached).await;
        assert!(
            reached.is_ok(),
            "{} of {count} acknowledgements",
            self.count()
        );
    }
}

/// A batch that was sent.
struct Sent {
    correlation_id: i32,
    base_sequence: usize,
    values: Vec<String>,
}

/// A producer with several requests under way. Each of its records has a value of its own: `NAME-NUMBER`.
pub struct Producer {
    name: String,
    topic: String,
    partition: i32,
    /// Producer id and epoch of an idempotent one, which sends again what was not acknowledged.
    identity: Option<(i64, i16)>,
    raw: Option<Raw>,
    under_way: VecDeque<Sent>,
    records: usize,
    batches: usize,
    acknowledged: Vec<(i64, Vec<String>)>,
    tally: Tally,
}

impl Producer {
    /// One that never sends anything twice.
    pub fn plain(name: &str, topic: &str, partition: i32, tally: &Tally) -> Self {
        Self {
            name: name.to_owned(),
            topic: topic.to_owned(),
            partition,
            identity: None,
            raw: None,
            under_way: VecDeque::new(),
            records: 0,
            batches: 0,
            acknowledged: Vec::new(),
            tally: tally.clone(),
        }
    }

    /// One that sends again what was not acknowledged, with the same sequence.
    pub async fn idempotent(
        name: &str,
        topic: &str,
        partition: i32,
        tally: &Tally,
        bootstrap: &str,
    ) -> io::Result<Self> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let response = Raw::connect(bootstrap).await?.call(4, &request).await?;
        if response.error_code != 0 {
            let why = format!("InitProducerId: error {}", response.error_code);
            return Err(io::Error::other(why));
        }
        let identity = (response.producer_id.0, response.producer_epoch);
        Ok(Self {
            identity: Some(identity),
            ..Self::plain(name, topic, partition, tally)
        })
    }

    /// Goes on at this broker. What was not acknowledged is sent again, or, by a plain one, given up.
    pub async fn connect(&mut self, bootstrap: &str) -> io::Result<()> {
        self.raw = Some(Raw::connect(bootstrap).await?);
        let again = std::mem::take(&mut self.under_way);
        let mut done = Ok(());
        if self.identity.is_some() {
            // Also those behind one that cannot be written are still to be sent.
            for sent in again {
                done = done.and(self.send_batch(sent.base_sequence, sent.values).await);
            }
        }
        done
    }

    /// Sends the next batch, of one to three records, and does not wait.
    pub async fn send(&mut self) -> io::Result<()> {
        let base_sequence = self.records;
        let values: Vec<String> = (0..1 + self.batches % 3)
            .map(|n| format!("{}-{}", self.name, base_sequence + n))
            .collect();
        self.records += values.len();
        self.batches += 1;
        self.send_batch(base_sequence, values).await
    }

    /// The answer to the oldest request: an error code, 0 if the batch is acknowledged. An idempotent producer's batch
    /// that was refused counts as not acknowledged, to be sent again.
    pub async fn receive(&mut self) -> io::Result<i16> {
        let Some(sent) = self.under_way.front() else {
            return Err(io::Error::other("nothing is under way"));
        };
        let raw = self.raw.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let response = raw
            .read_response::<ProduceRequest>(PRODUCE_VERSION, sent.correlation_id)
            .await?;
        let partition = &response.responses[0].partition_responses[0];
        if partition.error_code != 0 && self.identity.is_some() {
            return Ok(partition.error_code);
        }
        let sent = self.under_way.pop_front();
        if let Some(sent) = sent.filter(|_| partition.error_code == 0) {
            self.acknowledged.push((partition.base_offset, sent.values));
            self.tally.0.send_modify(|count| *count += 1);
        }
        Ok(partition.error_code)
    }

    /// Sends and receives until `batches` more are acknowledged.
    ///
    /// # Errors
    /// The connection is lost, or a batch is refused.
    pub async fn run(&mut self, batches: usize) -> io::Result<()> {
        let enough = self.acknowledged.len() + batches;
        while self.acknowledged.len() < enough {
            while self.under_way.len() < IN_FLIGHT {
                self.send().await?;
            }
            self.accept_one().await?;
        }
        Ok(())
    }

    /// Receives until nothing is under way.
    ///
    /// # Errors
    /// The connection is lost, or a batch is refused.
    pub async fn settle(&mut self) -> io::Result<()> {
        while !self.under_way.is_empty() {
            self.accept_one().await?;
        }
        Ok(())
    }

    /// How many batches were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Whether it sends again what was not acknowledged.
    pub fn is_idempotent(&self) -> bool {
        self.identity.is_some()
    }

    /// How many batches were sent and not answered.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How many records were acknowledged.
    pub fn acknowledged_records(&self) -> usize {
        self.acknowledged
            .iter()
            .map(|(_, values)| values.len())
            .sum()
    }

    async fn accept_one(&mut self) -> io::Result<()> {
        match self.receive().await? {
            0 => Ok(()),
            code => Err(io::Error::other(format!("produce: error {code}"))),
        }
    }

    async fn send_batch(&mut self, base_sequence: usize, values: Vec<String>) -> io::Result<()> {
        let mut batch = Batch::of_values(values.clone());
        if let Some((id, epoch)) = self.identity {
            let sequence = i32::try_from(base_sequence).map_err(io::Error::other)?;
            batch = batch.by_producer(id, epoch, sequence);
        }
        let request = produce_request(&self.topic, self.partition, -1, batch.encode());
        let body = match &mut self.raw {
            Some(raw) => raw.send_request(PRODUCE_VERSION, &request).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        // A batch that could not be written counts as sent: part of it may have arrived.
        self.under_way.push_back(Sent {
            correlation_id: *body.as_ref().unwrap_or(&-1),
            base_sequence,
            values,
        });
        body.map(|_| ())
    }
}

/// The values of a partition, each at the index that is its offset.
///
/// # Panics
/// Offsets have gaps, or the partition cannot be read.
pub async fn read_all(bootstrap: &str, topic: &str, partition: i32) -> Vec<String> {
    let mut raw = Raw::connect(bootstrap).await.expect("a connection");
    let (error, end) = raw
        .list_offset(topic, partition, -1)
        .await
        .expect("an answer to ListOffsets");
    assert_eq!(error, 0, "ListOffsets of {topic}-{partition}");
    let mut values = Vec::new();
    while (values.len() as i64) < end {
        let offset = values.len() as i64;
        let (error, _, records) = raw
            .fetch(topic, partition, offset)
            .await
            .expect("an answer to Fetch");
        assert_eq!(error, 0, "Fetch of {topic}-{partition} from {offset}");
        for (base_offset, records) in Batch::decode_all(records) {
            // A fetch from within a batch gives all of it.
            let known = values.len() as i64 - base_offset;
            let known = usize::try_from(known).expect("offsets without a gap");
            let new = records.into_iter().skip(known);
            values.extend(new.map(|(_, value)| text(value.as_deref())));
        }
        assert!(
            values.len() as i64 > offset,
            "no records at {offset}, end {end}"
        );
    }
    values
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.expect("no null was written")).into_owned()
}

/// Asserts that what these producers were promised is there, once, and in order. Gives the number of records.
///
/// # Panics
/// It is not.
pub async fn assert_kept(bootstrap: &str, topic: &str, producers: &[Producer]) -> usize {
    let mut count = 0;
    let mut partitions: Vec<i32> = producers.iter().map(|p| p.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        let values = read_all(bootstrap, topic, partition).await;
        count += values.len();
        let mut seen = HashMap::new();
        for (offset, value) in values.iter().enumerate() {
            if let Some(before) = seen.insert(value, offset) {
                panic!("{value} is at {before} and again at {offset} of {topic}-{partition}");
            }
        }
        for producer in producers.iter().filter(|p| p.partition == partition) {
            producer.assert_kept_in(&values);
        }
    }
    count
}

impl Producer {
    fn assert_kept_in(&self, values: &[String]) {
        for (offset, promised) in &self.acknowledged {
            let from = usize::try_from(*offset).expect("an offset");
            let found = values.get(from..from + promised.len());
            assert_eq!(found, Some(&promised[..]), "acknowledged at {offset}");
        }
        let own: Vec<usize> = values
            .iter()
            .filter_map(|value| value.strip_prefix(&format!("{}-", self.name))?.parse().ok())
            .collect();
        assert!(
            own.is_sorted(),
            "the records of {} lost their order",
            self.name
        );
        if self.identity.is_some() {
            let dense = own.iter().enumerate().all(|(at, number)| at == *number);
            assert!(dense, "records of {} are missing: {own:?}", self.name);
        }
    }
}
