//! A small cluster in memory, and what it is expected to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compactor::layout::Limits;
use compactor::{Config, Parts, Stores};
use control_plane::checkpoint::CheckpointStore;
use control_plane::log::memory::{Faults as LogFaults, MemoryLog};
use control_plane::replica::{Replica, ReplicaParts, Session};
use control_plane::state::{
    AddToTransaction, BatchMeta, BatchOutcome, BatchProducer, CommitObject, CommitRun, CreateTopic,
    DeleteRecords, DeleteTopic, EndTransaction, EndedBy, Extent, Heartbeat, InitTransactionalId,
    Producer, PurgeTopic, RegisterAgent, TransactionEnd, UndeleteTopic, WriteKind,
};
use futures::TryStreamExt;
use object_format::batch::{self, BatchBuilder, BatchHeader, control_batch};
use object_format::object::ObjectBuilder;
use object_format::{ObjectId, TopicId, TopicPartition, path};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use runtime::store::FaultyStore;
use runtime::store::decorators::FaultPlan;
use runtime::{Clock, Rng, Shutdown, SimClock, Store};
use uuid::Uuid;

pub const GRACE: Duration = Duration::from_secs(600);
const PARTITIONS: u32 = 3;

/// Small limits, so that everything happens often.
pub fn config() -> Config {
    Config {
        interval: Duration::from_secs(1),
        limits: Limits {
            objects_min: 6,
            age_max: Duration::from_secs(3600),
            run_bytes: 4096,
            object_bytes: 3000,
            job_bytes: 40_000,
            memory_bytes: 100_000,
        },
        budget: compactor::Budget::default(),
        key_bytes_max: 1 << 20,
        retention_interval: Duration::from_secs(1),
        garbage_grace: GRACE,
        garbage_interval: Duration::from_secs(1),
        scrub_period: Duration::from_secs(2000),
        scrub_budget: compactor::Budget::default(),
        prices: runtime::store::Prices::default(),
        defaults: compactor::policy::Defaults::default(),
    }
}

/// What a partition is to hold.
#[derive(Default)]
pub struct Expected {
    /// By base offset: batches as they were written, and markers as they are read.
    pub batches: BTreeMap<i64, Bytes>,
    /// The high watermark.
    pub end: i64,
}

/// A cluster, and what it is to hold.
pub struct World {
    log: MemoryLog,
    pub bucket: Store,
    pub clock: Arc<SimClock>,
    pub rng: Rng,
    pub agent: Session,
    /// Says what time it is along with the agent: it takes two to let much time pass.
    witness: Session,
    pub topics: BTreeMap<TopicId, [Expected; PARTITIONS as usize]>,
    /// Deleted topics that may be undeleted, and until when.
    pub deleted: BTreeMap<TopicId, ([Expected; PARTITIONS as usize], i64)>,
    topics_made: u128,
    producers: BTreeMap<String, Producer>,
    sequences: BTreeMap<(i64, TopicPartition), i32>,
}

impl World {
    /// Two empty topics.
    pub async fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let (log, bucket): (_, Store) = (MemoryLog::new(), Arc::new(InMemory::new()));
        let rng = Rng::from_seed(seed);
        let agent = join(log.clone(), &bucket, &clock, &rng, "agent").await;
        let witness = join(log.clone(), &bucket, &clock, &rng, "witness").await;
        let mut world = Self {
            log,
            bucket,
            clock,
            rng,
            agent,
            witness,
            topics: BTreeMap::new(),
            deleted: BTreeMap::new(),
            topics_made: 0,
            producers: BTreeMap::new(),
            sequences: BTreeMap::new(),
        };
        world.create_topic(&[]).await;
        world.create_topic(&[]).await;
        world
    }

    /// A new topic with these configs.
    pub async fn create_topic(&mut self, configs: &[(&str, &str)]) -> TopicId {
        self.topics_made += 1;
        let id = TopicId(Uuid::from_u128(self.topics_made));
        let configs = configs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let create = CreateTopic {
            name: format!("t{}", self.topics_made),
            id,
            partitions: PARTITIONS,
            configs: configs.collect(),
        };
        self.agent.submit(create).await.unwrap().unwrap();
        self.topics.insert(id, Default::default());
        id
    }

    /// One topic with these configs, and no other.
    pub async fn only_topic(&mut self, configs: &[(&str, &str)]) {
        let topics: Vec<TopicId> = self.topics.keys().copied().collect();
        for id in topics {
            self.delete_topic(id, 0).await;
        }
        self.create_topic(configs).await;
    }

    /// All.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        let of = |topic: &TopicId| {
            let topic = *topic;
            (0..PARTITIONS).map(move |partition| TopicPartition { topic, partition })
        };
        self.topics.keys().flat_map(of).collect()
    }

    /// What was aborted in a partition: producer id, first offset, offset of the marker.
    pub fn aborted(&mut self, of: TopicPartition) -> Vec<(i64, i64, i64)> {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let mut aborted = Vec::new();
        for (&at, bytes) in &self.expected(of).batches {
            let header = BatchHeader::parse(bytes).unwrap();
            if !header.is_control() {
                if header.is_transactional() {
                    open.entry(header.producer_id).or_insert(at);
                }
                continue;
            }
            let first = open.remove(&header.producer_id);
            let commit = control_batch(
                at,
                header.producer_id,
                header.producer_epoch,
                true,
                header.max_timestamp,
            );
            if *bytes != commit {
                aborted.extend(first.map(|first| (header.producer_id, first, at)));
            }
        }
        aborted
    }

    /// Any.
    pub fn some_partition(&self) -> TopicPartition {
        let nth = self.rng.below(self.topics.len() as u64) as usize;
        TopicPartition {
            topic: *self.topics.keys().nth(nth).unwrap(),
            partition: self.rng.below(u64::from(PARTITIONS)) as u32,
        }
    }

    /// What a partition is to hold.
    pub fn expected(&mut self, of: TopicPartition) -> &mut Expected {
        let deleted = self.deleted.get_mut(&of.topic).map(|(topic, _)| topic);
        let topic = self.topics.get_mut(&of.topic).or(deleted).unwrap();
        &mut topic[of.partition as usize]
    }

    /// An object with batches of some partitions, some of them in a transaction.
    pub async fn produce(&mut self) {
        let mut batches = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            let of = self.some_partition();
            let producer = match self.rng.below(3) {
                0 => Some(self.transactional(of).await),
                _ => None,
            };
            batches.push((of, self.batch(of, producer)));
        }
        self.commit(batches).await;
    }

    /// An object with these batches.
    pub async fn commit(&mut self, batches: Vec<(TopicPartition, Bytes)>) {
        let mut builder: ObjectBuilder<BatchMeta> = ObjectBuilder::new();
        for (of, bytes) in batches {
            let header = BatchHeader::parse(&bytes).unwrap();
            let producer = header.has_producer().then_some(BatchProducer {
                id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
                kind: WriteKind::InTransaction,
            });
            let meta = BatchMeta {
                bytes: bytes.len() as u32,
                records: header.record_count as u32,
                max_timestamp: header.max_timestamp,
                producer,
            };
            builder.push(of, bytes, &header, meta);
        }
        let object = builder.seal(self.agent.next_object(), self.clock.wall_ms());
        let key = Path::from(path::data(object.id));
        let stored = object.to_bytes();
        self.bucket.put(&key, stored.clone().into()).await.unwrap();
        let runs = object.runs.iter().map(|run| CommitRun {
            partition: run.index.topic_partition,
            position: run.index.position,
            batches: run.batches.iter().map(|batch| batch.tag).collect(),
        });
        let commit = CommitObject {
            object: object.id,
            bytes: object.len,
            runs: runs.collect(),
        };
        let outcomes = self.agent.submit(commit).await.unwrap().unwrap();
        for (run, outcome) in object.runs.iter().zip(outcomes) {
            for (batch, outcome) in run.batches.iter().zip(outcome.batches) {
                let BatchOutcome::Accepted(base) = outcome else {
                    panic!("{outcome:?}");
                };
                let at = batch.position as usize;
                let bytes = stored.slice(at..at + batch.length as usize);
                let expected = self.expected(run.index.topic_partition);
                expected.batches.insert(base, bytes);
                expected.end = base + i64::from(batch.tag.records);
            }
        }
    }

    fn batch(&mut self, of: TopicPartition, producer: Option<Producer>) -> Bytes {
        let records = 1 + self.rng.below(5);
        let mut builder = self.batch_of(of, producer, records as i32);
        for _ in 0..records {
            let mut value = vec![0; self.rng.below(200) as usize];
            self.rng.fill(&mut value);
            builder.push(self.clock.wall_ms(), None, Some(&value), &[]);
        }
        builder.build()
    }

    /// A batch to which so many records are to be added.
    pub fn batch_of(
        &mut self,
        of: TopicPartition,
        producer: Option<Producer>,
        records: i32,
    ) -> BatchBuilder {
        let Some(producer) = producer else {
            return BatchBuilder::new();
        };
        let sequence = self.sequences.entry((producer.id, of)).or_default();
        let first = *sequence;
        *sequence += records;
        BatchBuilder::new()
            .producer(producer.id, producer.epoch, first)
            .transactional()
    }

    /// A producer whose transaction has this partition.
    pub async fn transactional(&mut self, of: TopicPartition) -> Producer {
        let id = format!("tx{}", self.rng.below(3));
        if !self.producers.contains_key(&id) {
            let init = InitTransactionalId {
                id: id.clone(),
                timeout_ms: 60_000,
                expected: None,
            };
            let producer = self.agent.submit(init).await.unwrap().unwrap();
            self.producers.insert(id.clone(), producer);
        }
        let producer = self.producers[&id];
        let add = AddToTransaction {
            id,
            producer,
            partitions: vec![of],
            group: None,
        };
        self.agent.submit(add).await.unwrap().unwrap();
        producer
    }

    /// Commits or aborts a transaction, if one is under way.
    pub async fn end_transaction(&mut self) {
        self.end_transaction_of(self.rng.below(3)).await;
    }

    /// Commits or aborts this transaction, if it is under way.
    pub async fn end_transaction_of(&mut self, n: u64) {
        let id = format!("tx{n}");
        let Some(&producer) = self.producers.get(&id) else {
            return;
        };
        let end = match self.rng.chance(0.5) {
            true => TransactionEnd::Commit,
            false => TransactionEnd::Abort,
        };
        let by = EndedBy::Producer;
        let command = EndTransaction {
            id,
            producer,
            end,
            by,
        };
        if self.agent.submit(command).await.unwrap().is_err() {
            return;
        }
        for (of, end_offset) in self.ends() {
            let now_ms = self.clock.wall_ms();
            let expected = self.expected(of);
            if end_offset > expected.end {
                let at = expected.end;
                let commit = end == TransactionEnd::Commit;
                let marker = control_batch(at, producer.id, producer.epoch, commit, now_ms);
                expected.batches.insert(at, marker);
                expected.end = end_offset;
            }
        }
    }

    fn ends(&self) -> Vec<(TopicPartition, i64)> {
        let known = |of: &TopicPartition| {
            self.topics.contains_key(&of.topic) || self.deleted.contains_key(&of.topic)
        };
        self.agent.replica().read(|state| {
            let all = state.stored_partitions_from(TopicPartition::default());
            let all = all.filter(|(of, _)| known(of));
            all.map(|(of, partition)| (of, partition.high_watermark))
                .collect()
        })
    }

    /// Deletes a topic, or records.
    pub async fn delete_something(&mut self) {
        if self.rng.chance(0.3) {
            let id = self.some_partition().topic;
            let window_ms = match self.rng.chance(0.7) {
                true => self.rng.below(4 * GRACE.as_millis() as u64) as i64,
                false => 0,
            };
            self.delete_topic(id, window_ms).await;
            self.create_topic(&[]).await;
            return;
        }
        let partition = self.some_partition();
        let end = self.expected(partition).end;
        let before_offset = self.rng.below(end as u64 + 1) as i64;
        let delete = DeleteRecords {
            partition,
            before_offset,
        };
        self.agent.submit(delete).await.unwrap().unwrap();
    }

    /// Deletes a topic.
    pub async fn delete_topic(&mut self, id: TopicId, window_ms: i64) {
        let until_ms = self.clock.wall_ms() + window_ms;
        let deleted = self.agent.submit(DeleteTopic { id, window_ms }).await;
        deleted.unwrap().unwrap();
        let expected = self.topics.remove(&id).unwrap();
        if window_ms > 0 {
            self.deleted.insert(id, (expected, until_ms));
        }
    }

    /// Brings back a deleted topic, or makes it go at once.
    pub async fn undelete_something(&mut self) {
        let Some(&id) = self.deleted.keys().next() else {
            return;
        };
        if self.rng.chance(0.2) {
            let at_once = true;
            let purged = self.agent.submit(PurgeTopic { id, at_once }).await.unwrap();
            let (_, until_ms) = self.deleted.remove(&id).unwrap();
            assert!(purged == Ok(true) || self.clock.wall_ms() >= until_ms);
            return;
        }
        self.undelete(id).await;
    }

    /// Brings back a deleted topic, unless it is too late.
    pub async fn undelete(&mut self, id: TopicId) {
        let name = Some(format!("again-{}", self.rng.u64()));
        let undeleted = self.agent.submit(UndeleteTopic { id, name }).await.unwrap();
        let (expected, until_ms) = self.deleted.remove(&id).unwrap();
        match undeleted {
            Ok(_) => {
                self.topics.insert(id, expected);
                // Under another name clients begin anew.
                self.sequences.retain(|(_, of), _| of.topic != id);
            }
            Err(refused) => assert!(self.clock.wall_ms() >= until_ms, "{refused} too early"),
        }
    }

    /// A process that does the background duties; one of the same number that was there is fenced.
    pub async fn compactor(&self, n: u64, faulty: bool) -> Parts {
        self.compactor_at(n, faulty, &self.clock).await
    }

    /// The same, on a machine with a clock of its own.
    pub async fn compactor_at(&self, n: u64, faulty: bool, clock: &Arc<SimClock>) -> Parts {
        let (mut store, mut log) = (self.bucket.clone(), self.log.clone());
        if faulty {
            let faults = FaultyStore::new(store, self.rng.fork("store"));
            faults.faults().set(FaultPlan {
                before: 0.03,
                after: 0.03,
                throttle: 0.02,
                delay: 0.5,
                delay_max: Duration::from_millis(50),
                ..FaultPlan::default()
            });
            store = Arc::new(faults);
            let faults = LogFaults {
                append_rejected: 0.05,
                append_unknown_lost: 0.05,
                append_unknown_kept: 0.05,
                ..LogFaults::default()
            };
            log = log.with_faults(self.rng.fork("log"), faults);
        }
        let name = format!("compactor{n}");
        let session = join(log, &self.bucket, clock, &self.rng, &name).await;
        Parts {
            session,
            stores: Stores {
                compaction: store.clone(),
                garbage: store.clone(),
                scrub: store,
            },
            clock: clock.clone(),
            rng: self.rng.fork("parts"),
        }
    }

    /// Lets time pass, as the log sees it.
    pub async fn pass(&self, time: Duration) {
        self.clock.jump_wall(time.as_millis() as i64);
        let heartbeat = Heartbeat { draining: false };
        for says in [&self.witness, &self.agent] {
            says.submit(heartbeat.clone()).await.unwrap();
        }
    }

    /// Every retained record is there, unchanged, at its offset; also those of topics that may be undeleted.
    pub async fn check(&self) {
        let now_ms = self.clock.wall_ms();
        let deleted = self
            .deleted
            .iter()
            .filter(|(_, (_, until_ms))| *until_ms > now_ms);
        let deleted = deleted.map(|(topic, (partitions, _))| (topic, partitions));
        for (topic, partitions) in self.topics.iter().chain(deleted) {
            for (n, expected) in partitions.iter().enumerate() {
                let of = TopicPartition {
                    topic: *topic,
                    partition: n as u32,
                };
                self.check_partition(of, expected).await;
            }
        }
    }

    async fn check_partition(&self, of: TopicPartition, expected: &Expected) {
        let partition = self
            .agent
            .replica()
            .read(|s| s.stored_partition(of).cloned());
        let partition = partition.unwrap();
        assert_eq!(partition.high_watermark, expected.end, "{of:?}");
        let mut found: BTreeMap<i64, Bytes> = BTreeMap::new();
        for (at, marker) in partition.markers_from(0) {
            let commit = marker.end == TransactionEnd::Commit;
            let producer = marker.producer;
            let bytes = control_batch(at, producer.id, producer.epoch, commit, marker.timestamp_ms);
            found.insert(at, bytes);
        }
        for (base, extent) in &partition.extents {
            let is_retained = extent.end_offset(*base) > partition.log_start_offset;
            assert!(
                is_retained,
                "{of:?} names {extent:?} at {base}, which was deleted"
            );
            let batches = self.read(*base, extent).await;
            let expected_end = batches
                .last()
                .map_or(*base, |(at, bytes)| at + offsets(bytes));
            assert_eq!(extent.end_offset(*base), expected_end, "{of:?}");
            for (at, bytes) in batches {
                assert!(found.insert(at, bytes).is_none(), "{of:?} has {at} twice");
            }
        }
        let start = partition.log_start_offset;
        let retained = |batches: &BTreeMap<i64, Bytes>| -> Vec<(i64, Bytes)> {
            let all = batches.iter().map(|(at, bytes)| (*at, bytes.clone()));
            all.filter(|(at, bytes)| at + offsets(bytes) > start)
                .collect()
        };
        let (found, wanted) = (retained(&found), retained(&expected.batches));
        assert_eq!(found, wanted, "{of:?} from {start} on");
    }

    /// The batches of an extent at their offsets.
    pub async fn read(&self, base: i64, extent: &Extent) -> Vec<(i64, Bytes)> {
        let key = Path::from(path::data(extent.object));
        let range = extent.position..extent.position + extent.bytes;
        let run = self.bucket.get_range(&key, range).await.unwrap();
        let mut next = base;
        let at = |bytes: Bytes| {
            let at = match extent.is_stamped {
                true => BatchHeader::parse(&bytes).unwrap().base_offset,
                false => next,
            };
            next = at + offsets(&bytes);
            (at, bytes)
        };
        batch::split(run).map(Result::unwrap).map(at).collect()
    }

    /// The data objects in the bucket.
    pub async fn stored(&self) -> BTreeSet<ObjectId> {
        let found = self.bucket.list(Some(&Path::from(path::DATA)));
        let ids = found.try_filter_map(async |o| Ok(path::parse_data(o.location.as_ref())));
        ids.try_collect().await.unwrap()
    }
}

/// How many offsets a batch takes.
pub fn offsets(batch: &Bytes) -> i64 {
    BatchHeader::parse(batch).unwrap().offset_count()
}

async fn join(
    log: MemoryLog,
    bucket: &Store,
    clock: &Arc<SimClock>,
    rng: &Rng,
    name: &str,
) -> Session {
    let parts = ReplicaParts {
        log: Arc::new(log),
        checkpoints: CheckpointStore::new(bucket.clone()),
        clock: clock.clone(),
        rng: rng.fork(name),
    };
    let shutdown = Shutdown::default();
    let replica = Replica::open(parts, &shutdown).await.unwrap();
    let registration = RegisterAgent {
        version_max: 1,
        ..RegisterAgent::new(rng.uuid(), name)
    };
    replica.join(registration, &shutdown).await.unwrap()
}
