//! Transactions on three agents whose bucket fails, loses answers and throttles, while agents are killed, frozen and
//! ended in turn, as a seed has it. Each producer keeps a history: what it wrote in which transaction, and how that
//! ended as far as it was told. Readers of committed records see all of a transaction or nothing, in every partition.
//! Others move numbers from one offset to the next in transactions with their group's offset: each arrives just once.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, GroupId, InitProducerIdRequest,
    InitProducerIdResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceResponse,
    TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use object_format::batch::BatchHeader;
use parking_lot::Mutex;
use runtime::Rng;
use tests::cluster::metadata;
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::{Batch, Raw, fetch_request, produce_request, topic_name};
use tests::s3::{Effect, Latency, Op, Rule};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";
/// Where numbers are moved to.
const MOVED: &str = "moved";
const PARTITIONS: i32 = 3;
const PRODUCERS: usize = 6;
const MOVERS: usize = 3;
const STEPS: usize = 8;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// A producer leaves an agent that is silent for so long.
const PATIENCE: Duration = Duration::from_secs(4);
/// INVALID_PRODUCER_EPOCH and PRODUCER_FENCED.
const FENCED: [i16; 2] = [47, 90];
/// Errors after which a client tries again: the agent is ending, or the bucket does not answer it.
const TRANSIENT: [i16; 6] = [3, 6, 7, 14, 15, 16];

/// How a transaction ended, as far as its producer knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    Committed,
    Aborted,
    /// It was told to commit, and nobody waited for the answer.
    Unknown,
}

/// One transaction of the history: what was written to each partition, in order.
#[derive(Clone, Debug)]
struct Transaction {
    ended: Ended,
    written: BTreeMap<i32, Vec<String>>,
}

/// Where the agents are at present; a way to one of them.
#[derive(Clone)]
struct Cluster {
    addresses: Arc<Mutex<Vec<String>>>,
    ended: Arc<watch::Sender<usize>>,
}

impl Cluster {
    async fn ended(&self, more: usize) {
        let enough = *self.ended.borrow() + more;
        let mut counts = self.ended.subscribe();
        let reached = timeout(Duration::from_secs(60), counts.wait_for(|n| *n >= enough)).await;
        assert!(reached.is_ok(), "transactions come to an end");
    }
}

/// A producer id with its epoch and the next sequence for each partition.
#[derive(Clone, Debug)]
struct Identity {
    id: i64,
    epoch: i16,
    sequences: BTreeMap<i32, i32>,
}

/// An application that produces in transactions, and sometimes dies and comes back.
struct Worker {
    id: String,
    topic: &'static str,
    /// Whether it speaks transaction version 2 (KIP-890).
    newer: bool,
    cluster: Cluster,
    rng: Rng,
    raw: Option<Raw>,
    transactions: Vec<Transaction>,
}

/// Calls until some agent answers with something that is final.
macro_rules! call {
    ($worker:expr, $version:expr, $request:expr, $code:expr) => {{
        let request = $request;
        loop {
            let raw = $worker.connected().await;
            match timeout(PATIENCE, raw.call($version, &request)).await {
                Ok(Ok(response)) if !TRANSIENT.contains(&$code(&response)) => break response,
                _ => $worker.raw = None,
            }
        }
    }};
}

impl Worker {
    async fn connected(&mut self) -> &mut Raw {
        loop {
            let address = {
                let addresses = self.cluster.addresses.lock();
                addresses[self.rng.below(addresses.len() as u64) as usize].clone()
            };
            if self.raw.is_none() {
                self.raw = Raw::connect(&address).await.ok();
            }
            if self.raw.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.raw.as_mut().unwrap()
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }

    async fn init(&mut self) -> Identity {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let response = call!(self, 4, request, |r: &InitProducerIdResponse| r.error_code);
        assert_eq!(response.error_code, 0);
        Identity {
            id: response.producer_id.0,
            epoch: response.producer_epoch,
            sequences: BTreeMap::new(),
        }
    }

    async fn add(&mut self, who: &Identity, partitions: &BTreeSet<i32>) -> i16 {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name(self.topic))
            .with_partitions(partitions.iter().copied().collect());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(who.id.into())
            .with_v3_and_below_producer_epoch(who.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let code = |r: &AddPartitionsToTxnResponse| {
            let of_topic = &r.results_by_topic_v3_and_below[0];
            of_topic.results_by_partition[0].partition_error_code
        };
        let response = call!(self, 3, request, code);
        code(&response)
    }

    async fn write(&mut self, who: &mut Identity, partition: i32, value: &str) -> i16 {
        let sequence = who.sequences.entry(partition).or_default();
        let mut batch =
            Batch::of_values([value.to_owned()]).by_producer(who.id, who.epoch, *sequence);
        batch.attributes |= TRANSACTIONAL;
        let request = produce_request(self.topic, partition, -1, batch.encode())
            .with_transactional_id(Some(self.transactional_id()));
        let version = if self.newer { 12 } else { 9 };
        let code = |r: &ProduceResponse| r.responses[0].partition_responses[0].error_code;
        let response = call!(self, version, request, code);
        *sequence += 1;
        code(&response)
    }

    fn end_request(&self, who: &Identity, commit: bool) -> (i16, EndTxnRequest) {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(who.id.into())
            .with_producer_epoch(who.epoch)
            .with_committed(commit);
        (if self.newer { 5 } else { 3 }, request)
    }

    /// Ends the transaction; the identity from then on, or the error.
    async fn end(&mut self, who: Identity, commit: bool) -> Result<Identity, i16> {
        let (version, request) = self.end_request(&who, commit);
        let response = call!(self, version, request, |r: &EndTxnResponse| r.error_code);
        match response.error_code {
            0 if self.newer => Ok(Identity {
                id: response.producer_id.0,
                epoch: response.producer_epoch,
                sequences: BTreeMap::new(),
            }),
            0 => Ok(who),
            code => Err(code),
        }
    }

    /// Tells some agent to commit and does not wait for what it says.
    async fn commit_and_die(&mut self, who: &Identity) {
        let (version, request) = self.end_request(who, true);
        let raw = self.connected().await;
        let _ = raw.send_request(version, &request).await;
        self.raw = None;
    }

    /// One transaction after the other until `stop`, then one last start, which aborts what is left.
    async fn work(mut self, stop: CancellationToken) -> Self {
        let mut who = self.init().await;
        while !stop.is_cancelled() {
            who = self.transact(who).await;
            self.cluster.ended.send_modify(|count| *count += 1);
        }
        self.init().await;
        self
    }

    async fn transact(&mut self, mut who: Identity) -> Identity {
        let label = format!("{}-{}", self.id, self.transactions.len());
        let partitions: BTreeSet<i32> = (0..PARTITIONS).filter(|_| self.rng.below(3) > 0).collect();
        let mut transaction = Transaction {
            ended: Ended::Aborted,
            written: BTreeMap::new(),
        };
        if partitions.is_empty() {
            return who;
        }
        if !self.newer {
            assert_eq!(self.add(&who, &partitions).await, 0);
        }
        let mut turns: VecDeque<i32> = partitions.iter().chain(&partitions).copied().collect();
        // Between any two steps it may die, and a successor takes over.
        let dies_after = match self.rng.below(4) {
            0 => self.rng.below(turns.len() as u64 + 1) as usize,
            _ => usize::MAX,
        };
        for step in 0.. {
            if step == dies_after {
                self.transactions.push(transaction);
                return self.succeed(who).await;
            }
            let Some(partition) = turns.pop_front() else {
                break;
            };
            let value = format!("{label}:{step}");
            assert_eq!(self.write(&mut who, partition, &value).await, 0);
            transaction
                .written
                .entry(partition)
                .or_default()
                .push(value);
        }
        let commit = self.rng.below(3) > 0;
        if commit && self.rng.below(5) == 0 {
            transaction.ended = Ended::Unknown;
            self.transactions.push(transaction);
            self.commit_and_die(&who).await;
            return self.init().await;
        }
        let who = self.end(who, commit).await.unwrap();
        transaction.ended = if commit {
            Ended::Committed
        } else {
            Ended::Aborted
        };
        self.transactions.push(transaction);
        who
    }

    /// Moves numbers until `stop`, going on from the group's offset each time.
    async fn move_on(mut self, stop: CancellationToken) -> Self {
        let mut who = self.init().await;
        while !stop.is_cancelled() {
            who = self.move_some(who).await;
            self.cluster.ended.send_modify(|count| *count += 1);
        }
        self.init().await;
        self
    }

    async fn move_some(&mut self, mut who: Identity) -> Identity {
        let from = self.moved().await;
        let to = from + 1 + self.rng.below(4) as i64;
        if !self.newer {
            assert_eq!(self.add(&who, &BTreeSet::from([0])).await, 0);
            assert_eq!(self.add_offsets(&who).await, 0);
        }
        // Between any two steps it may die, and a successor takes over.
        let dies = self.rng.below(4) == 0;
        let commits_first = self.rng.below(2) == 0;
        if commits_first {
            assert_eq!(self.commit_offset(&who, to).await, 0);
        }
        for number in from..to {
            let value = format!("{}/{number}", self.id);
            assert_eq!(self.write(&mut who, 0, &value).await, 0);
        }
        if dies {
            return self.init().await;
        }
        if !commits_first {
            assert_eq!(self.commit_offset(&who, to).await, 0);
        }
        match self.rng.below(5) {
            0 => {
                self.commit_and_die(&who).await;
                self.init().await
            }
            1 => self.end(who, false).await.unwrap(),
            _ => self.end(who, true).await.unwrap(),
        }
    }

    /// The group's committed offset: the next number to be moved.
    async fn moved(&mut self) -> i64 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(self.topic))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())))
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        let response = call!(
            self,
            7,
            request,
            |r: &OffsetFetchResponse| match r.error_code {
                0 => r.topics[0].partitions[0].error_code,
                code => code,
            }
        );
        let partition = &response.topics[0].partitions[0];
        assert_eq!((response.error_code, partition.error_code), (0, 0));
        partition.committed_offset.max(0)
    }

    async fn add_offsets(&mut self, who: &Identity) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(who.id.into())
            .with_producer_epoch(who.epoch)
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())));
        let code = |r: &AddOffsetsToTxnResponse| r.error_code;
        code(&call!(self, 3, request, code))
    }

    async fn commit_offset(&mut self, who: &Identity, offset: i64) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(self.topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())))
            .with_producer_id(who.id.into())
            .with_producer_epoch(who.epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let code = |r: &TxnOffsetCommitResponse| r.topics[0].partitions[0].error_code;
        let version = if self.newer { 5 } else { 3 };
        code(&call!(self, version, request, code))
    }

    /// A successor begins while this one believes to go on: nothing it says has an effect any more.
    async fn succeed(&mut self, mut zombie: Identity) -> Identity {
        let successor = self.init().await;
        let partition = self.rng.below(PARTITIONS as u64) as i32;
        let code = self.write(&mut zombie, partition, "from the dead").await;
        assert!(FENCED.contains(&code), "a zombie wrote: {code}");
        let code = self.end(zombie, true).await.unwrap_err();
        assert!(FENCED.contains(&code), "a zombie committed: {code}");
        successor
    }
}

/// The values that a reader of committed records is shown, filtered as Kafka's consumer does it.
async fn read_committed(bootstrap: &str, topic: &str, partition: i32) -> io::Result<Vec<String>> {
    let mut raw = Raw::connect(bootstrap).await?;
    let (error, end) = raw.list_offset(topic, partition, -1).await?;
    assert_eq!(error, 0);
    let (mut offset, mut values) = (0, Vec::new());
    let mut skipped = BTreeSet::new();
    while offset < end {
        let request = fetch_request(topic, partition, offset).with_isolation_level(1);
        let response = raw.call(11, &request).await?;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        assert_eq!(answer.last_stable_offset, end, "everything is decided");
        let mut aborted: Vec<(i64, i64)> = answer
            .aborted_transactions
            .iter()
            .flatten()
            .map(|a| (a.first_offset, a.producer_id.0))
            .collect();
        // They come in the order of their ends.
        aborted.sort_unstable();
        let mut aborted = VecDeque::from(aborted);
        let mut records = answer.records.clone().unwrap_or_default();
        let before = offset;
        while !records.is_empty() {
            let header = BatchHeader::parse(&records).map_err(io::Error::other)?;
            let batch: Bytes = records.split_to(header.total_len());
            assert_eq!(header.base_offset, offset, "offsets are dense");
            offset += header.offset_count();
            while aborted.front().is_some_and(|(first, _)| *first < offset) {
                skipped.extend(aborted.pop_front().map(|(_, producer)| producer));
            }
            if header.attributes & CONTROL != 0 {
                skipped.remove(&header.producer_id);
            } else if !skipped.contains(&header.producer_id) {
                for (_, records) in Batch::decode_all(batch) {
                    let text =
                        |value: Option<Bytes>| String::from_utf8(value.unwrap().into()).unwrap();
                    values.extend(records.into_iter().map(|(_, value)| text(value)));
                }
            }
        }
        assert!(offset > before, "nothing at {offset}, end {end}");
    }
    Ok(values)
}

/// Holds what readers see against the histories.
fn check(seen: &[Vec<String>], workers: &[Worker]) {
    let mut expected = 0;
    for worker in workers {
        for (number, transaction) in worker.transactions.iter().enumerate() {
            let label = format!("{}-{number}:", worker.id);
            let of = |partition: i32| -> Vec<String> {
                let values = seen[partition as usize].iter();
                values.filter(|v| v.starts_with(&label)).cloned().collect()
            };
            let visible = (0..PARTITIONS).any(|partition| !of(partition).is_empty());
            match transaction.ended {
                Ended::Committed => assert!(visible, "{label} was committed and is not there"),
                Ended::Aborted => assert!(!visible, "{label} was aborted and is there"),
                Ended::Unknown => {}
            }
            if visible {
                for partition in 0..PARTITIONS {
                    let written = transaction
                        .written
                        .get(&partition)
                        .cloned()
                        .unwrap_or_default();
                    expected += written.len();
                    assert_eq!(of(partition), written, "{label} in partition {partition}");
                }
            }
        }
    }
    let total: usize = seen.iter().map(Vec::len).sum();
    assert_eq!(total, expected, "nothing but what was written");
}

/// Each mover's numbers have arrived up to its group's offset, once and in order.
fn check_moved(seen: &[String], movers: &[(String, i64)]) {
    for (id, to) in movers {
        let prefix = format!("{id}/");
        let arrived: Vec<&str> = seen
            .iter()
            .filter_map(|v| v.strip_prefix(&prefix))
            .collect();
        let wanted: Vec<String> = (0..*to).map(|number| number.to_string()).collect();
        assert_eq!(arrived, wanted, "{id}");
    }
}

fn launch(place: &Place, id: usize) -> Launch {
    place
        .broker(&format!("agent{id}"))
        .arg("--agent-session-timeout-ms", "30s")
        .arg("--agent-heartbeat-ms", "500ms")
        .arg("--store-request-timeout-ms", "2s")
        .allow(" WARN ")
}

/// Rewrites what is written as soon as there is something to rewrite.
fn launch_compactor(place: &Place) -> Launch {
    place
        .compactor("compactor")
        .arg("--agent-session-timeout-ms", "30s")
        .arg("--store-request-timeout-ms", "2s")
        .arg("--compaction-interval-ms", "100ms")
        .arg("--compaction-objects-min", "4")
        .arg("--compaction-age-max-ms", "1s")
        .arg("--compaction-run-bytes", "16KiB")
        .allow(" WARN ")
}

fn trouble(place: &Place) {
    for effect in [
        Effect::SlowDown,
        Effect::InternalErrorAfter,
        Effect::Drop,
        Effect::DropAfter,
    ] {
        place.faults().add(Rule::always(&[], effect).chance(0.02));
    }
    let latency = Latency::LogNormal {
        median: Duration::from_millis(3),
        sigma: 1.0,
    };
    place.faults().set_latency(Op::Put, latency);
}

async fn start(launch: &Launch) -> Process {
    // The store may refuse so often in a row that the start fails; whoever runs agents starts them again.
    for _ in 0..10 {
        if let Ok(process) = launch.start().await {
            return process;
        }
    }
    panic!("an agent does not start");
}

fn jobs_done(compactor: &Process) -> usize {
    let log = compactor.log();
    let done = |line: &&String| line.contains("finished a job");
    log.iter().filter(done).count()
}

async fn atomic(seed: u64) {
    let rng = Rng::from_seed(seed);
    let place = Place::s3().await.unwrap();
    let launches: Vec<Launch> = (0..3).map(|id| launch(&place, id)).collect();
    let mut agents = join_all(launches.iter().map(start)).await;
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    assert_eq!(raw.create_topic(MOVED, 1).await.unwrap(), 0);
    for agent in &agents {
        metadata(&agent.bootstrap, Some(MOVED)).await.unwrap();
    }
    trouble(&place);
    let addresses = agents.iter().map(|agent| agent.bootstrap.clone()).collect();
    let cluster = Cluster {
        addresses: Arc::new(Mutex::new(addresses)),
        ended: Arc::new(watch::Sender::new(0)),
    };
    let mut compactor = start(&launch_compactor(&place)).await;
    let mut rewritten = 0;
    let stop = CancellationToken::new();
    let mut working = JoinSet::new();
    let mut moving = JoinSet::new();
    for n in 0..PRODUCERS + MOVERS {
        let is_mover = n >= PRODUCERS;
        let worker = Worker {
            id: format!("worker{n}"),
            topic: if is_mover { MOVED } else { TOPIC },
            newer: n % 2 == 0,
            cluster: cluster.clone(),
            rng: rng.fork(&format!("worker {n}")),
            raw: None,
            transactions: Vec::new(),
        };
        match is_mover {
            true => moving.spawn(worker.move_on(stop.clone())),
            false => working.spawn(worker.work(stop.clone())),
        };
    }
    for _ in 0..STEPS {
        cluster.ended(10 + rng.below(20) as usize).await;
        let at = rng.below(3) as usize;
        match rng.below(3) {
            0 => agents[at].kill().await,
            1 => {
                agents[at].stop(Duration::from_secs(15)).await;
            }
            _ => {
                agents[at].pause();
                cluster.ended(10).await;
                agents[at].resume();
                continue;
            }
        }
        rewritten += jobs_done(&compactor);
        compactor.kill().await;
        compactor = start(&launch_compactor(&place)).await;
        agents[at] = start(&launches[at]).await;
        cluster.addresses.lock()[at] = agents[at].bootstrap.clone();
    }
    place.faults().clear();
    stop.cancel();
    let ended = timeout(Duration::from_secs(60), working.join_all()).await;
    let workers = ended.expect("every transaction ends");
    let ended = timeout(Duration::from_secs(60), moving.join_all()).await;
    let mut moved = Vec::new();
    for mut mover in ended.expect("every transaction ends") {
        let to = mover.moved().await;
        moved.push((mover.id, to));
    }
    assert!(moved.iter().any(|(_, to)| *to > 0));
    rewritten += jobs_done(&compactor);
    assert!(rewritten > 0, "nothing was rewritten meanwhile");
    for agent in &agents {
        metadata(&agent.bootstrap, Some(TOPIC)).await.unwrap();
        let mut seen = Vec::new();
        for partition in 0..PARTITIONS {
            seen.push(
                read_committed(&agent.bootstrap, TOPIC, partition)
                    .await
                    .unwrap(),
            );
        }
        check(&seen, &workers);
        let seen = read_committed(&agent.bootstrap, MOVED, 0).await.unwrap();
        check_moved(&seen, &moved);
    }
}

#[tokio::test]
async fn transactions_are_atomic_seed_1() {
    atomic(1).await;
}

#[tokio::test]
async fn transactions_are_atomic_seed_2() {
    atomic(2).await;
}

#[tokio::test]
#[ignore = "takes a while; CHAOS_SEED=N runs one of choice"]
async fn transactions_are_atomic_with_the_seed_of_choice() {
    let seed = std::env::var("CHAOS_SEED").expect("CHAOS_SEED");
    atomic(seed.parse().expect("a number")).await;
}
