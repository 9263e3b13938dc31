//! What the tests of reading share: a small cluster's metadata, and a store that counts and fails.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use control_plane::checkpoint::CheckpointStore;
use control_plane::log::Position;
use control_plane::log::memory::MemoryLog;
use control_plane::replica::{Replica, ReplicaParts, Session};
use control_plane::state::{
    BatchMeta, BatchOutcome, BatchProducer, CommitObject, CommitRun, CreateTopic, DeleteTopic,
    Entry, RegisterAgent, State, Submit, Verdict, WriteKind,
};
use futures::stream::BoxStream;
use object_format::batch::{BatchBuilder, BatchHeader};
use object_format::object::{ObjectBuilder, SealedObject};
use object_format::{AgentEpoch, ObjectId, TopicId, TopicPartition, path};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use runtime::{Rng, SharedClock, Shutdown, SimClock, Store};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::cache::{BlockCache, CacheOptions};
use super::load::{LoadOptions, Loader};
use super::parts::Part;
use super::plan::{Isolation, Limits, PartitionFetch, Readable, Slice, TopicRef};
use super::pool::PerPool;
use super::{FetchOptions, Fetcher};

mod producer;
pub use producer::TestProducer;

/// A store in memory that counts reads, holds them back and fails them.
#[derive(Debug)]
pub struct TestStore {
    inner: InMemory,
    gets: AtomicUsize,
    failures: AtomicUsize,
    gate: Semaphore,
    gated: AtomicUsize,
}

impl TestStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            gets: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            gated: AtomicUsize::new(0),
        })
    }

    pub fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    /// Returns once something was read, or is held back.
    pub async fn asked(&self) {
        while self.gets() == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Fails the next `count` reads.
    pub fn fail(&self, count: usize) {
        self.failures.store(count, Ordering::SeqCst);
    }

    /// Holds all reads back, until as many are let through.
    pub fn hold(&self) {
        self.gated.store(1, Ordering::SeqCst);
    }

    pub fn let_through(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub async fn put_object(&self, object: &SealedObject) {
        let key = Path::from(path::data(object.id));
        self.inner
            .put(&key, object.to_bytes().into())
            .await
            .unwrap();
    }

    pub async fn damage(&self, id: ObjectId, at: u64) {
        let key = Path::from(path::data(id));
        let mut bytes = self
            .inner
            .get(&key)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec();
        bytes[at as usize] ^= 0x40;
        self.inner.put(&key, bytes.into()).await.unwrap();
    }

    pub async fn lose(&self, id: ObjectId) {
        self.inner
            .delete(&Path::from(path::data(id)))
            .await
            .unwrap();
    }
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for TestStore {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, bytes, o).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, o).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        if self.gated.load(Ordering::SeqCst) > 0 {
            self.gate.acquire().await.unwrap().forget();
        }
        let failing = |n: usize| n.checked_sub(1);
        if self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing)
            .is_ok()
        {
            let source = "503 SlowDown".into();
            return Err(object_store::Error::Generic {
                store: "test",
                source,
            });
        }
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

pub fn cache(store: &Arc<TestStore>, bytes_max: u64) -> BlockCache {
    let options = CacheOptions {
        bytes_max,
        ..CacheOptions::default()
    };
    cache_with(store, Arc::new(SimClock::default()), options)
}

pub fn cache_with(store: &Arc<TestStore>, clock: SharedClock, options: CacheOptions) -> BlockCache {
    let loader = Loader::new(both(store), Rng::from_seed(1), LoadOptions::default());
    BlockCache::new(loader, clock, options)
}

/// The same store for both pools.
pub fn both(store: &Arc<TestStore>) -> PerPool<Store> {
    PerPool {
        tail: store.clone(),
        catch_up: store.clone(),
    }
}

/// A batch of records of `value_bytes` each, at consecutive milliseconds from `time_ms` on.
pub fn batch_at(time_ms: i64, records: usize, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        let value: Vec<u8> = (0..value_bytes).map(|at| (at * 7 + n) as u8).collect();
        builder.push(time_ms + n as i64, None, Some(&value), &[]);
    }
    builder.build()
}

pub fn batch(records: usize, value_bytes: usize) -> Bytes {
    batch_at(1_000, records, value_bytes)
}

/// Metadata, changed by entries as in a cluster, and the objects it names.
pub struct World {
    pub state: State,
    pub store: Arc<TestStore>,
    pub writer: AgentEpoch,
    entries: u64,
    objects: u64,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            state: State::new(),
            store: TestStore::new(),
            writer: AgentEpoch(0),
            entries: 0,
            objects: 0,
        };
        world.submit(registration());
        world.writer = AgentEpoch(1);
        world
    }

    pub fn submit(&mut self, command: impl Submit) {
        let _ = self.submitted(command);
    }

    /// Submits a command and gives what the state machine makes of it.
    pub fn submitted<C: Submit>(&mut self, command: C) -> C::Outcome {
        self.entries += 1;
        let entry = Entry {
            writer: self.writer,
            sequence: self.entries,
            time_ms: 1_000_000,
            commands: vec![command.into()],
        };
        let applied = self.state.apply(Position(self.entries), &entry.encode(1));
        match applied.unwrap().verdict {
            Verdict::Done(mut outcomes) => C::outcome(outcomes.remove(0)).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub fn topic(&mut self, name: &str, partitions: u32) -> TopicId {
        let command = create_topic(name, partitions);
        let id = command.id;
        self.submit(command);
        id
    }

    pub fn delete_topic(&mut self, id: TopicId) {
        self.submit(DeleteTopic { id, window_ms: 0 });
    }

    /// Writes an object with these batches, each partition's in order, and commits it.
    pub async fn write(&mut self, batches: &[(TopicPartition, Bytes)]) -> SealedObject {
        let id = ObjectId {
            writer: self.writer,
            sequence: self.objects,
        };
        self.objects += 1;
        let object = seal(id, batches);
        self.store.put_object(&object).await;
        let runs = self.submitted(commit(&object)).unwrap();
        let mut outcomes = runs.iter().flat_map(|run| &run.batches);
        assert!(outcomes.all(|batch| matches!(batch, BatchOutcome::Accepted(_))));
        object
    }

    pub fn cache(&self) -> BlockCache {
        cache(&self.store, 64 << 20)
    }
}

pub fn registration() -> RegisterAgent {
    RegisterAgent {
        host: "127.0.0.1".into(),
        port: 9092,
        version_max: 1,
        ..RegisterAgent::new(Uuid::from_u128(1), "a")
    }
}

/// A topic whose id is made from its name.
pub fn create_topic(name: &str, partitions: u32) -> CreateTopic {
    let mut id = [7; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    let id = TopicId(Uuid::from_bytes(id));
    CreateTopic {
        name: name.into(),
        id,
        partitions,
        configs: BTreeMap::new(),
    }
}

pub fn seal(id: ObjectId, batches: &[(TopicPartition, Bytes)]) -> SealedObject {
    let mut builder = ObjectBuilder::new();
    for (partition, batch) in batches {
        builder.push(
            *partition,
            batch.clone(),
            &BatchHeader::parse(batch).unwrap(),
            (),
        );
    }
    builder.seal(id, 1_000_000)
}

pub fn commit(object: &SealedObject) -> CommitObject {
    let bytes = object.to_bytes();
    let run = |run: &object_format::object::SealedRun| CommitRun {
        partition: run.index.topic_partition,
        position: run.index.position,
        batches: run
            .batches
            .iter()
            .map(|b| meta(&bytes[b.position as usize..]))
            .collect(),
    };
    CommitObject {
        object: object.id,
        bytes: object.len,
        runs: object.runs.iter().map(run).collect(),
    }
}

fn meta(batch: &[u8]) -> BatchMeta {
    let header = BatchHeader::parse(batch).unwrap();
    BatchMeta {
        bytes: header.total_len() as u32,
        records: header.offset_count() as u32,
        max_timestamp: header.max_timestamp,
        producer: (header.producer_id >= 0).then(|| BatchProducer {
            id: header.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            kind: match header.is_transactional() {
                true => WriteKind::JoinsTransaction,
                false => WriteKind::Plain,
            },
        }),
    }
}

pub fn tp(topic: TopicId, partition: u32) -> TopicPartition {
    TopicPartition { topic, partition }
}

pub fn fetch(topic: TopicId, partition: i32, fetch_offset: i64) -> PartitionFetch {
    PartitionFetch {
        topic: TopicRef::Id(topic),
        partition,
        fetch_offset,
        bytes_max: 1 << 20,
        current_leader_epoch: -1,
    }
}

pub fn limits(bytes_max: u64) -> Limits {
    Limits {
        bytes_max,
        isolation: Isolation::ReadUncommitted,
    }
}

/// The parts of a plan that are records.
pub fn slices(readable: &Readable) -> Vec<Slice> {
    let slice = |part: &Part| match part {
        Part::Records(slice) => Some(*slice),
        Part::Marker(..) => None,
    };
    readable.parts.iter().filter_map(slice).collect()
}

/// Base offset and number of offsets of every batch in what a client gets.
pub fn offsets(records: &Bytes) -> Vec<Range<i64>> {
    object_format::batch::split(records.clone())
        .map(|batch| {
            let header = object_format::batch::verify_crc(&batch.unwrap()).unwrap();
            assert_eq!(header.partition_leader_epoch, 0);
            header.base_offset..header.base_offset + header.offset_count()
        })
        .collect()
}

/// An agent on a log in memory: what it is told to write is committed, and it serves fetches.
pub struct Agent {
    pub session: Session,
    pub store: Arc<TestStore>,
    pub fetcher: Fetcher,
    objects: AtomicUsize,
}

impl Agent {
    pub async fn start(name: &str, log: MemoryLog, store: Arc<TestStore>) -> Self {
        let options = FetchOptions::default();
        Self::start_with(name, log, store, options).await
    }

    pub async fn start_with(
        name: &str,
        log: MemoryLog,
        store: Arc<TestStore>,
        options: FetchOptions,
    ) -> Self {
        let stores = PerPool {
            tail: store.clone(),
            catch_up: store,
        };
        Self::start_on(name, log, stores, options).await
    }

    /// With a store for each pool; what it writes is in that of the tail.
    pub async fn start_on(
        name: &str,
        log: MemoryLog,
        stores: PerPool<Arc<TestStore>>,
        options: FetchOptions,
    ) -> Self {
        let store = stores.tail.clone();
        let clock: SharedClock = Arc::new(SimClock::default());
        let shutdown = Shutdown::new(runtime::shutdown::DRAIN_DEFAULT);
        let parts = ReplicaParts {
            log: Arc::new(log.clone()),
            checkpoints: CheckpointStore::new(store.clone()),
            clock: clock.clone(),
            rng: Rng::from_seed(name.len() as u64),
        };
        let replica = Replica::open(parts, &shutdown).await.unwrap();
        let nonce = name
            .bytes()
            .fold(0, |sum, byte| sum * 256 + u128::from(byte));
        let registration = RegisterAgent {
            nonce: Uuid::from_u128(nonce),
            agent_id: name.into(),
            ..registration()
        };
        let session = replica.join(registration, &shutdown).await.unwrap();
        let fetcher = Fetcher::new(
            replica,
            stores.map(|_, store| store as Store),
            clock,
            &Rng::from_seed(5),
            options,
        );
        Self {
            session,
            store,
            fetcher,
            objects: AtomicUsize::new(0),
        }
    }

    pub async fn topic(&self, name: &str, partitions: u32) -> TopicId {
        let command = create_topic(name, partitions);
        let id = command.id;
        self.session.submit(command).await.unwrap().unwrap();
        id
    }

    pub async fn write(&self, batches: &[(TopicPartition, Bytes)]) -> SealedObject {
        let sequence = self.objects.fetch_add(1, Ordering::SeqCst) as u64;
        let object = seal(
            ObjectId {
                writer: self.session.epoch(),
                sequence,
            },
            batches,
        );
        self.store.put_object(&object).await;
        self.session.submit(commit(&object)).await.unwrap().unwrap();
        object
    }
}

/// One agent and its topic `t`.
pub async fn agent(partitions: u32) -> (Agent, TopicId) {
    let agent = Agent::start("a", MemoryLog::new(), TestStore::new()).await;
    let topic = agent.topic("t", partitions).await;
    (agent, topic)
}
