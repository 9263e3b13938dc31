//! Sending batches to the partitions of one topic: pipelined, in order, retried in order.
//!
//! Invariants: a partition has at most `in_flight` batches under way; the batches of a partition
//! are sent, and sent again, in the order in which they were queued; with idempotence a batch
//! keeps its sequence number through all its tries, so the broker stores it once. After a failure a
//! partition first waits until nothing of it is under way, then its leader is looked up again, and
//! all its batches are sent again.

mod lane;
mod route;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use runtime::SharedClock;

use super::connection::{Connection, decode};
use super::error::{ClientError, Result};
use super::produce_frame::{PRODUCE, ProduceTarget, VERSIONS};
use super::records::{ProducerIdentity, seal};
use super::{BACKOFF, Client, Topic};
use lane::{Lane, Queued};
use route::{Links, init_producer_id, route};

/// Batches of one partition of which a broker remembers the sequence numbers (KIP-98).
pub const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;

/// How a producer sends.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// 0, 1, or -1 for all.
    pub acks: i16,
    /// Ask for a producer id, so that retries are stored once.
    pub idempotent: bool,
    /// Requests under way to one broker, and batches under way of one partition.
    pub in_flight: usize,
    /// How long nothing may be acknowledged, while retrying, before giving up.
    pub delivery_timeout: Duration,
}

impl Default for ProducerOptions {
    /// The defaults of Kafka's producer.
    fn default() -> Self {
        Self {
            acks: -1,
            idempotent: true,
            in_flight: IDEMPOTENT_IN_FLIGHT_MAX,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// What the broker said of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Offset of its first record; -1 if unknown (acks=0, a duplicate long ago).
    pub base_offset: i64,
    /// Tries it took beyond the first.
    pub retries: u32,
}

/// A batch that is done with.
#[derive(Debug)]
pub struct Completion<T> {
    /// Its partition.
    pub partition: i32,
    /// What the caller attached to it.
    pub tag: T,
    /// Its bytes, to be used again if nobody else holds them.
    pub batch: Bytes,
    /// What the broker said.
    pub acknowledgement: Acknowledgement,
}

/// Sends batches to one topic. Driven by its caller: nothing moves but in [`Producer::next`].
pub struct Producer<T> {
    client: Arc<Client>,
    clock: SharedClock,
    topic: Topic,
    options: ProducerOptions,
    identity: ProducerIdentity,
    lanes: BTreeMap<i32, Lane<T>>,
    links: BTreeMap<i32, Link>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    done: VecDeque<Completion<T>>,
    next_id: u64,
    routing: bool,
    tries: u32,
    failing_since: Option<Duration>,
}

/// A leader's connection.
struct Link {
    connection: Arc<Connection>,
    in_flight: usize,
}

/// Partition and id of each batch in a request.
type Parts = Vec<(i32, u64)>;

enum Event {
    Response {
        connection: Arc<Connection>,
        leader: i32,
        parts: Parts,
        result: Result<Answer>,
    },
    Routed(Result<(Topic, Links)>),
}

/// Answers by partition; none with acks=0.
type Answer = Option<Vec<PartitionProduceResponse>>;

impl<T: 'static> Producer<T> {
    /// Looks up the topic, connects to its leaders, and asks for a producer id if idempotent.
    pub async fn open(
        client: Arc<Client>,
        clock: SharedClock,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Self> {
        let (topic, links) = route(&client, topic).await?;
        let identity = match options.idempotent {
            true => init_producer_id(&client).await?,
            false => ProducerIdentity::NONE,
        };
        let lanes = topic
            .partitions
            .iter()
            .map(|p| (p.index, Lane::new(p.leader)));
        let mut producer = Self {
            client,
            clock,
            options,
            identity,
            lanes: lanes.collect(),
            links: BTreeMap::new(),
            topic,
            events: FuturesUnordered::new(),
            done: VecDeque::new(),
            next_id: 0,
            routing: false,
            tries: 0,
            failing_since: None,
        };
        producer.connect(links);
        Ok(producer)
    }

    /// The partitions of the topic.
    pub fn partitions(&self) -> Vec<i32> {
        self.lanes.keys().copied().collect()
    }

    /// Batches that are not acknowledged yet.
    pub fn unacknowledged(&self) -> usize {
        self.lanes.values().map(|lane| lane.len()).sum::<usize>() + self.done.len()
    }

    /// Partitions of one leader, one batch for each of which could be sent at once in one request;
    /// none if every leader has enough to do.
    pub fn ready(&self) -> Option<Vec<i32>> {
        let free = |leader: &i32| {
            self.links
                .get(leader)
                .is_some_and(|link| link.in_flight < self.options.in_flight)
        };
        self.links
            .keys()
            .filter(|leader| free(leader))
            .find_map(|leader| {
                let of_leader = self.lanes.iter().filter(|(_, lane)| lane.leader == *leader);
                let room: Vec<i32> = of_leader
                    .filter(|(_, lane)| !lane.recovering && lane.len() < self.options.in_flight)
                    .map(|(&index, _)| index)
                    .collect();
                (!room.is_empty()).then_some(room)
            })
    }

    /// Queues an encoded batch of `count` records; [`Producer::pump`] sends what is queued.
    pub fn queue(&mut self, partition: i32, mut batch: BytesMut, count: usize, tag: T) {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        let sequence = if self.options.idempotent {
            lane.sequence()
        } else {
            -1
        };
        seal(&mut batch, self.identity, sequence);
        lane.push(self.next_id, batch.freeze(), count, tag);
        self.next_id += 1;
    }

    /// Sends what is queued as far as leaders have room: one request takes one batch of each
    /// partition.
    pub fn pump(&mut self) {
        let leaders: Vec<i32> = self.links.keys().copied().collect();
        for leader in leaders {
            while self.send_one(leader) {}
        }
    }

    fn send_one(&mut self, leader: i32) -> bool {
        let Some(link) = self.links.get_mut(&leader) else {
            return false;
        };
        if link.in_flight >= self.options.in_flight {
            return false;
        }
        let (mut parts, mut batches) = (Parts::new(), Vec::new());
        for (&index, lane) in &mut self.lanes {
            let usable = lane.leader == leader && !lane.recovering;
            if !usable || lane.in_flight() >= self.options.in_flight {
                continue;
            }
            if let Some((id, batch)) = lane.send_next() {
                parts.push((index, id));
                batches.push((index, batch));
            }
        }
        if parts.is_empty() {
            return false;
        }
        link.in_flight += 1;
        let connection = Arc::clone(&link.connection);
        let request = self.transmit(&connection, &batches);
        self.events.push(Box::pin(async move {
            let result = match request {
                Ok(request) => request.await,
                Err(error) => Err(error),
            };
            Event::Response {
                connection,
                leader,
                parts,
                result,
            }
        }));
        true
    }

    fn transmit(
        &self,
        connection: &Connection,
        batches: &[(i32, Bytes)],
    ) -> Result<impl Future<Output = Result<Answer>> + Send + use<T>> {
        let unsupported = || ClientError::Unsupported {
            broker: connection.broker().to_owned(),
            api: "Produce".into(),
        };
        let version = connection
            .versions()
            .highest(PRODUCE, VERSIONS)
            .ok_or_else(unsupported)?;
        // From version 13 on topics are named by id.
        let version = if self.topic.id.is_nil() {
            version.min(12)
        } else {
            version
        };
        let target = ProduceTarget {
            version,
            client_id: connection.client_id(),
            acks: self.options.acks,
            timeout_ms: self.client.request_timeout().as_millis() as i32,
            topic: &self.topic.name,
            topic_id: self.topic.id,
        };
        let frame = target.frame(connection.next_correlation(), batches);
        let answered = frame.answered;
        let pending = connection.submit(frame, Duration::ZERO)?;
        Ok(async move {
            let frame = pending.wait().await?;
            if !answered {
                return Ok(None);
            }
            let response = decode::<ProduceRequest>(frame, version)?;
            let topics = response.responses.into_iter();
            Ok(Some(
                topics.flat_map(|topic| topic.partition_responses).collect(),
            ))
        })
    }

    /// Waits for the next batch that is done with; none if nothing is under way. Cancel-safe.
    ///
    /// An error is final: what is not acknowledged by then may or may not be stored.
    pub async fn next(&mut self) -> Result<Option<Completion<T>>> {
        loop {
            if let Some(done) = self.done.pop_front() {
                return Ok(Some(done));
            }
            match self.events.next().await {
                Some(Event::Response {
                    connection,
                    leader,
                    parts,
                    result,
                }) => {
                    self.respond(&connection, leader, parts, result)?;
                }
                Some(Event::Routed(Ok((topic, links)))) => self.routed(topic, links),
                Some(Event::Routed(Err(error))) => {
                    self.routing = false;
                    self.failed(error)?;
                }
                None => return Ok(None),
            }
            self.recover();
            self.pump();
        }
    }

    fn respond(
        &mut self,
        connection: &Arc<Connection>,
        leader: i32,
        parts: Parts,
        result: Result<Answer>,
    ) -> Result<()> {
        if let Some(link) = self.links.get_mut(&leader)
            && Arc::ptr_eq(&link.connection, connection)
        {
            link.in_flight -= 1;
        }
        let answers = match result {
            Ok(answers) => answers,
            Err(error) => {
                // An answer that comes too late must not be taken for the answer to a retry.
                connection.close();
                for (partition, id) in parts {
                    if let Some(lane) = self.lanes.get_mut(&partition) {
                        lane.unsend(id);
                    }
                }
                return self.failed(error);
            }
        };
        for (partition, id) in parts {
            let answer = match &answers {
                None => Some((0, -1, None)),
                Some(answers) => answers.iter().find(|a| a.index == partition).map(|a| {
                    (
                        a.error_code,
                        a.base_offset,
                        a.error_message.as_ref().map(|m| m.to_string()),
                    )
                }),
            };
            let (code, base_offset, message) = answer.unwrap_or((-1, -1, None));
            self.judge(partition, id, code, base_offset, message)?;
        }
        Ok(())
    }

    fn judge(
        &mut self,
        partition: i32,
        id: u64,
        code: i16,
        base_offset: i64,
        message: Option<String>,
    ) -> Result<()> {
        if code == 0 || code == DUPLICATE_SEQUENCE_NUMBER {
            self.tries = 0;
            self.failing_since = None;
            self.acknowledge(partition, id, base_offset);
            return Ok(());
        }
        let recovering = self
            .lanes
            .get(&partition)
            .is_some_and(|lane| lane.recovering);
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.unsend(id);
        }
        // SUBTLE: after a batch failed, those behind it that were under way are out of order.
        if recovering && code == OUT_OF_ORDER_SEQUENCE_NUMBER {
            return Ok(());
        }
        let context = format!("produce to {}-{partition}", self.topic.name);
        self.failed(ClientError::broker(context, code, message.as_deref()))
    }

    fn acknowledge(&mut self, partition: i32, id: u64, base_offset: i64) {
        let queued = self
            .lanes
            .get_mut(&partition)
            .and_then(|lane| lane.remove(id));
        if let Some(Queued {
            batch,
            tag,
            retries,
            ..
        }) = queued
        {
            let acknowledgement = Acknowledgement {
                base_offset,
                retries,
            };
            self.done.push_back(Completion {
                partition,
                tag,
                batch,
                acknowledgement,
            });
        }
    }

    fn failed(&mut self, error: ClientError) -> Result<()> {
        let now = self.clock.monotonic();
        let since = *self.failing_since.get_or_insert(now);
        if !error.is_retriable() || now.saturating_sub(since) > self.options.delivery_timeout {
            return Err(error);
        }
        tracing::debug!(%error, "retrying");
        self.tries += 1;
        Ok(())
    }

    /// Looks the leaders up again once nothing of the partitions that failed is under way.
    fn recover(&mut self) {
        let mut failed = self
            .lanes
            .values()
            .filter(|lane| lane.recovering)
            .peekable();
        if self.routing || failed.peek().is_none() || failed.any(|lane| lane.in_flight() > 0) {
            return;
        }
        self.routing = true;
        let (client, name) = (Arc::clone(&self.client), self.topic.name.clone());
        let pause = (BACKOFF.0 * (1 << self.tries.min(5))).min(BACKOFF.1);
        self.events.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Event::Routed(route(&client, &name).await)
        }));
    }

    fn routed(&mut self, topic: Topic, links: Links) {
        self.routing = false;
        self.connect(links);
        for partition in &topic.partitions {
            let Some(lane) = self.lanes.get_mut(&partition.index) else {
                continue;
            };
            if lane.in_flight() == 0 {
                lane.leader = partition.leader;
                lane.recovering = false;
            }
        }
        self.topic = topic;
    }

    fn connect(&mut self, links: Links) {
        for (leader, connection) in links {
            match self.links.get(&leader) {
                Some(link) if Arc::ptr_eq(&link.connection, &connection) => {}
                _ => {
                    self.links.insert(
                        leader,
                        Link {
                            connection,
                            in_flight: 0,
                        },
                    );
                }
            }
        }
    }
}
