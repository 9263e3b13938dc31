//! Reading partitions of a topic: one long-polling Fetch in flight per leader.
//!
//! The next Fetch to a leader goes out before the caller is handed the last response, so that the
//! broker works while the caller does. In memory at most: two responses per leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::error::{ClientError, Result};
use super::records::{BatchView, split_batches};
use super::{BACKOFF, Client, Topic};

/// How a fetcher asks.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Longest wait of the broker for `min_bytes`.
    pub max_wait: Duration,
    /// Bytes for which the broker waits.
    pub min_bytes: i32,
    /// Bytes of one response.
    pub max_bytes: i32,
    /// Bytes of one partition in a response.
    pub partition_max_bytes: i32,
    /// Leave out records of transactions that are open or aborted.
    pub read_committed: bool,
}

impl Default for FetchOptions {
    /// The defaults of Kafka's consumer.
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            read_committed: false,
        }
    }
}

/// What one response brought for one partition.
#[derive(Debug)]
pub struct Fetched {
    /// Index of the partition.
    pub partition: i32,
    /// The offset asked for: the first batch may begin before it.
    pub from: i64,
    /// Offset after the last record that can be read.
    pub high_watermark: i64,
    /// Offset from which the next Fetch asks.
    pub next: i64,
    /// Whole batches, in order.
    pub batches: Vec<BatchView>,
    /// Producers and first offsets of aborted transactions (read_committed only).
    pub aborted: Vec<(i64, i64)>,
}

enum Event {
    Response {
        leader: i32,
        asked: BTreeMap<i32, i64>,
        result: Result<FetchResponse>,
    },
    Routed(Result<Topic>),
}

/// Reads some partitions of one topic from given offsets on.
pub struct Fetcher {
    client: Arc<Client>,
    topic: Topic,
    options: FetchOptions,
    positions: BTreeMap<i32, i64>,
    /// Partitions whose leader must be looked up again.
    homeless: bool,
    rotation: usize,
    tries: u32,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

const OFFSET_OUT_OF_RANGE: i16 = 1;
/// Tries in a row without any response before the fetcher gives up.
const TRIES_MAX: u32 = 30;

impl Fetcher {
    /// Starts at `positions` (offset by partition).
    pub fn new(
        client: Arc<Client>,
        topic: Topic,
        positions: BTreeMap<i32, i64>,
        options: FetchOptions,
    ) -> Self {
        let mut fetcher = Self {
            client,
            topic,
            options,
            positions,
            homeless: false,
            rotation: 0,
            tries: 0,
            events: FuturesUnordered::new(),
        };
        fetcher.ask_all();
        fetcher
    }

    /// Offset by partition from which the next Fetch asks.
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// Stops reading a partition; a response under way may still bring records of it.
    pub fn drop_partition(&mut self, partition: i32) {
        self.positions.remove(&partition);
    }

    /// The next response that brings records or moves a high watermark. Cancel-safe.
    ///
    /// Fails on an error that repetition does not cure, or that repeats for long.
    pub async fn next(&mut self) -> Result<Vec<Fetched>> {
        loop {
            match self.events.next().await {
                Some(Event::Response {
                    leader,
                    asked,
                    result: Ok(response),
                }) => {
                    let (fetched, retriable) = self.take(&asked, response)?;
                    match retriable {
                        Some(error) => self.failed(error)?,
                        None if self.homeless => self.route(),
                        None => {
                            self.tries = 0;
                            self.ask(leader);
                        }
                    }
                    if !fetched.is_empty() {
                        return Ok(fetched);
                    }
                }
                Some(Event::Response {
                    result: Err(error), ..
                }) => self.failed(error)?,
                Some(Event::Routed(Ok(topic))) => {
                    self.topic = topic;
                    self.homeless = false;
                    self.ask_all();
                }
                Some(Event::Routed(Err(error))) => self.failed(error)?,
                None => return Ok(Vec::new()),
            }
        }
    }

    fn failed(&mut self, error: ClientError) -> Result<()> {
        self.tries += 1;
        if !error.is_retriable() || self.tries > TRIES_MAX {
            return Err(error);
        }
        self.route();
        Ok(())
    }

    /// Looks the leaders up again, once no other request is under way.
    fn route(&mut self) {
        self.homeless = true;
        if !self.events.is_empty() {
            return;
        }
        let (client, name) = (Arc::clone(&self.client), self.topic.name.clone());
        let pause = (BACKOFF.0 * (1 << self.tries.min(5))).min(BACKOFF.1);
        self.events.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Event::Routed(client.topic(&name).await)
        }));
    }

    fn ask_all(&mut self) {
        for leader in self.topic.by_leader().into_keys() {
            self.ask(leader);
        }
    }

    fn ask(&mut self, leader: i32) {
        let led = self.topic.partitions.iter().filter(|p| p.leader == leader);
        let asked: BTreeMap<i32, i64> = led
            .filter_map(|p| Some((p.index, *self.positions.get(&p.index)?)))
            .collect();
        if asked.is_empty() {
            return;
        }
        // Kafka fills a response in the order of the request: rotate, so that all get their turn.
        self.rotation = (self.rotation + 1) % asked.len();
        let order: Vec<(i32, i64)> = asked.iter().map(|(&p, &o)| (p, o)).collect();
        let (first, last) = order.split_at(self.rotation);
        let request = self.request(last.iter().chain(first));
        let client = Arc::clone(&self.client);
        let max_wait = self.options.max_wait;
        let has_id = !self.topic.id.is_nil();
        self.events.push(Box::pin(async move {
            let result = async {
                let connection = client.broker(leader).await?;
                // From version 13 on topics are named by id.
                let version = connection.version::<FetchRequest>()?;
                let version = if has_id { version } else { version.min(12) };
                connection.call_version(&request, version, max_wait).await
            };
            let result = result.await;
            Event::Response {
                leader,
                asked,
                result,
            }
        }));
    }

    fn request<'a>(&self, partitions: impl Iterator<Item = &'a (i32, i64)>) -> FetchRequest {
        let partition = |&(index, offset): &(i32, i64)| {
            FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(offset)
                .with_partition_max_bytes(self.options.partition_max_bytes)
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_string(self.topic.name.clone())))
            .with_topic_id(self.topic.id)
            .with_partitions(partitions.map(partition).collect());
        FetchRequest::default()
            .with_max_wait_ms(self.options.max_wait.as_millis() as i32)
            .with_min_bytes(self.options.min_bytes)
            .with_max_bytes(self.options.max_bytes)
            .with_isolation_level(i8::from(self.options.read_committed))
            .with_topics(vec![topic])
    }

    /// Moves the positions on and splits the batches, without looking into records. The error it
    /// gives beside them is one to be cured by looking the leaders up again.
    fn take(
        &mut self,
        asked: &BTreeMap<i32, i64>,
        response: FetchResponse,
    ) -> Result<(Vec<Fetched>, Option<ClientError>)> {
        let context = |index: i32| format!("fetch {}-{index}", self.topic.name);
        if response.error_code != 0 {
            let error = ClientError::broker("fetch", response.error_code, None);
            return if error.is_retriable() {
                Ok((Vec::new(), Some(error)))
            } else {
                Err(error)
            };
        }
        let (mut all, mut retriable) = (Vec::new(), None);
        for partition in response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
        {
            let index = partition.partition_index;
            let Some(&from) = asked.get(&index) else {
                continue;
            };
            if partition.error_code != 0 {
                let error = ClientError::broker(context(index), partition.error_code, None);
                if !error.is_retriable() || partition.error_code == OFFSET_OUT_OF_RANGE {
                    return Err(error);
                }
                retriable = Some(error);
                continue;
            }
            let batches = split_batches(partition.records.unwrap_or_default())
                .map_err(|bad| ClientError::Protocol(format!("{}: {bad}", context(index))))?;
            let next = batches
                .last()
                .map_or(from, BatchView::next_offset)
                .max(from);
            if let Some(position) = self.positions.get_mut(&index) {
                *position = next;
            }
            let aborted = partition.aborted_transactions.unwrap_or_default();
            all.push(Fetched {
                partition: index,
                from,
                high_watermark: partition.high_watermark,
                next,
                batches,
                aborted: aborted
                    .iter()
                    .map(|a| (a.producer_id.0, a.first_offset))
                    .collect(),
            });
        }
        Ok((all, retriable))
    }
}
