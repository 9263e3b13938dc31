//! One fetch from beginning to end: session, plan, wait for records, read.

use std::sync::Arc;
use std::time::Duration;

use control_plane::replica::Replica;
use object_format::TopicPartition;
use parking_lot::Mutex;
use runtime::{Rng, SharedClock, Store};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::block::{BLOCK_BYTES, BlockKey};
use super::cache::{BlockCache, CacheOptions};
use super::fair::{FairPermit, FairPermits};
use super::load::{LoadOptions, Loader};
use super::loan::{Lending, Loan};
use super::outcome::{FetchOutcome, PartitionOutcome};
use super::plan::{
    AHEAD_BYTES, BLOCK_BYTES_MAX, Isolation, Limits, PartitionFetch, Plan, Planner, Slice,
};
use super::pool::{Client, PerPool, Pool};
use super::read::{PartitionRecords, Reader};
use super::readahead::{Given, ReadAhead};
use super::session::{Begun, SessionOptions, SessionRequest, Sessions};
use super::wait::{Waiter, Waiters};
use super::walk::ReadFault;
use super::zone::Neighbours;
use super::{FetchError, metrics};

/// The longest a fetch waits to learn the true end of a partition.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(5);

/// Partitions planned in one go while the metadata stands still.
const PARTITIONS_PER_LOOK: usize = 2_000;

/// Most bytes of blocks in which offsets are looked up by time at once.
pub(crate) const LOOKUP_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of blocks that a fetch may need beyond those that its plan is bounded by: those of its first extent, and one
/// that its last batch reaches into.
const FIRST_BYTES_MAX: u64 = AHEAD_BYTES + 2 * BLOCK_BYTES;

/// How an agent serves consumers.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// The block cache.
    pub cache: CacheOptions,
    /// Bytes that all responses of a pool together may take while they are prepared and sent.
    pub memory_bytes: PerPool<u64>,
    /// Kafka's broker setting `fetch.max.bytes`: no response has more, but for one large batch.
    pub response_bytes_max: u64,
    /// Most bytes that are read ahead of one reader of one partition that is behind; 0 for none.
    pub ahead_bytes_max: u64,
    /// Fetch sessions.
    pub sessions: SessionOptions,
    /// Reads from the store.
    pub load: LoadOptions,
    /// How much of the memory for responses, in percent, other agents of the zone may take.
    pub lent_percent: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            cache: CacheOptions::default(),
            memory_bytes: PerPool {
                tail: 512 << 20,
                catch_up: 256 << 20,
            },
            response_bytes_max: 55 << 20,
            ahead_bytes_max: 32 << 20,
            sessions: SessionOptions::default(),
            load: LoadOptions::default(),
            lent_percent: 25,
        }
    }
}

impl FetchOptions {
    /// What one client gets of the memory of a pool: three quarters at most, so that a client that does not read what it
    /// asked for does not stop the others.
    fn share(memory_bytes: u64) -> u64 {
        memory_bytes / 4 * 3
    }

    /// Most bytes of one response, and of the blocks that it is read from: both together fit into a client's share,
    /// whichever pool it is read with.
    fn one_fetch(&self) -> (u64, u64) {
        let share = Self::share(self.memory_bytes.tail.min(self.memory_bytes.catch_up));
        let response = self.response_bytes_max.min(share / 2);
        (response, BLOCK_BYTES_MAX.min(share - response))
    }

    /// The most memory that all fetches together take. Where the memory of a pool is less than what one fetch needs at
    /// least, one may go beyond it.
    pub fn memory_bytes_max(&self) -> u64 {
        let (response, blocks) = self.one_fetch();
        let one = response + blocks + FIRST_BYTES_MAX;
        let of = |memory_bytes: u64| memory_bytes + one.saturating_sub(Self::share(memory_bytes));
        of(self.memory_bytes.tail) + of(self.memory_bytes.catch_up)
    }
}

/// A Fetch request, whatever its version.
#[derive(Clone, Debug, Default)]
pub struct FetchParts {
    /// Who asks.
    pub client: Client,
    /// Its session and partitions.
    pub session: SessionRequest,
    /// The longest it waits for `bytes_min`.
    pub wait_max: Duration,
    /// Bytes it would rather wait for.
    pub bytes_min: u64,
    /// Most bytes it wants.
    pub bytes_max: u64,
    /// Which records it may be shown.
    pub isolation: Isolation,
    /// Where the client would rather read.
    pub nearer: Option<Nearer>,
}

/// The agent in a client's own zone that it is to read a partition from, instead of this one (KIP-392).
#[derive(Clone)]
pub struct Nearer(Arc<dyn Fn(TopicPartition) -> i32 + Send + Sync>);

impl Nearer {
    /// As `choose` says.
    pub fn new(choose: impl Fn(TopicPartition) -> i32 + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }
}

impl std::fmt::Debug for Nearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nearer")
    }
}

/// Serves fetches. Clones are the same.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    replica: Replica,
    clock: SharedClock,
    reader: Reader,
    sessions: Mutex<Sessions>,
    waiters: Waiters,
    ahead: ReadAhead,
    memory: PerPool<FairPermits>,
    lending: Lending,
    response_bytes_max: u64,
    block_bytes_max: u64,
    /// A permit for each byte.
    lookups: Semaphore,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("cache", self.cache())
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Serves what `replica` names and `stores` hold.
    pub fn new(
        replica: Replica,
        stores: PerPool<Store>,
        clock: SharedClock,
        rng: &Rng,
        options: FetchOptions,
    ) -> Self {
        Self::with_neighbours(replica, stores, None, clock, rng, options)
    }

    /// As [`Fetcher::new`], with other agents from which some blocks are read first.
    pub fn with_neighbours(
        replica: Replica,
        stores: PerPool<Store>,
        neighbours: Option<Arc<dyn Neighbours>>,
        clock: SharedClock,
        rng: &Rng,
        options: FetchOptions,
    ) -> Self {
        let (response_bytes_max, block_bytes_max) = options.one_fetch();
        let loader = Loader::new(stores, rng.fork("block loader"), options.load);
        let cache = BlockCache::with_neighbours(loader, neighbours, clock.clone(), options.cache);
        let waiters = Waiters::default();
        let alarm = waiters.clone();
        replica.observe(move |_, changed| alarm.wake(changed));
        let memory = |_, bytes| FairPermits::new(bytes, FetchOptions::share(bytes));
        let bytes = options.memory_bytes.clone();
        let memory = options.memory_bytes.map(memory);
        let lending = Lending::new(memory.clone(), bytes, options.lent_percent);
        let sessions = Sessions::new(options.sessions, rng.fork("fetch sessions"));
        let ahead_max = options.ahead_bytes_max;
        let ahead = ReadAhead::new(cache.clone(), replica.clone(), clock.clone(), ahead_max);
        Self(Arc::new(Inner {
            ahead,
            reader: Reader::new(cache, clock.clone()),
            sessions: Mutex::new(sessions),
            memory,
            lending,
            lookups: Semaphore::new(LOOKUP_BYTES_MAX as usize),
            response_bytes_max,
            block_bytes_max,
            replica,
            clock,
            waiters,
        }))
    }

    /// The block cache, for whoever has just written an object.
    pub fn cache(&self) -> &BlockCache {
        self.0.reader.cache()
    }

    /// A block for another agent; none if there is no memory for it now.
    pub(crate) fn lend(&self, key: BlockKey, pool: Pool, client: &Client) -> Option<Loan> {
        self.0.lending.lend(self.cache(), key, pool, client)
    }

    /// The metadata it serves from.
    pub fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// Answers the fetches that wait with what there is, and lets none wait any more: the agent is
    /// about to end.
    pub fn end_waits(&self) {
        self.0.waiters.end();
    }

    /// Enters somebody who waits for commits to partitions, beside those who fetch.
    pub(crate) fn await_commits(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Waiter {
        self.0.waiters.enter(partitions)
    }

    /// Whether nobody is to wait any more.
    pub(crate) fn waits_are_over(&self) -> bool {
        self.0.waiters.is_over()
    }

    /// Waits for its turn to look into stored records for a time, and for the memory of the block or two that it has at
    /// once.
    pub(super) async fn lookup_turn(&self, slice: &Slice) -> Option<SemaphorePermit<'_>> {
        let bytes = BlockKey::step(slice.object_bytes) * 2;
        let bytes = bytes.min(slice.object_bytes).min(LOOKUP_BYTES_MAX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.lookups.acquire_many(bytes).await.ok()
    }

    /// Logs a fault met while reading, and gives what the client is told.
    pub(super) fn report(&self, fault: &ReadFault) -> FetchError {
        self.0.reader.report(fault)
    }

    /// The blocks that are being read ahead.
    #[cfg(test)]
    pub(super) fn reads_ahead(&self) -> Vec<super::block::BlockKey> {
        self.0.ahead.blocks()
    }

    /// How many partitions all fetch sessions have together.
    pub fn session_partitions(&self) -> usize {
        self.0.sessions.lock().partitions()
    }

    /// How many fetches wait for records.
    pub fn waiting(&self) -> usize {
        self.0.waiters.count()
    }

    /// Answers a fetch, if need be after waiting as long as it allows.
    pub async fn fetch(&self, parts: FetchParts) -> FetchOutcome {
        let inner = &*self.0;
        let begun = inner
            .sessions
            .lock()
            .begin(inner.clock.monotonic(), parts.session);
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return FetchOutcome::refused(error),
        };
        if let Some(nearer) = &parts.nearer {
            let answered = self
                .send_nearer(&begun.wanted, parts.isolation, nearer)
                .await;
            return self.finish(begun, answered);
        }
        let bytes_max = parts.bytes_max.min(inner.response_bytes_max);
        let limits = Limits {
            bytes_max,
            isolation: parts.isolation,
        };
        let enough = parts.bytes_min.min(bytes_max);
        let plan = self
            .plan_when(&begun.wanted, limits, enough, parts.wait_max)
            .await;
        let memory = self.reserve(&plan, &parts.client).await;
        let read = inner.reader.read(&plan, &parts.client).await;
        // What is not kept for the records goes back at once.
        let bytes: u64 = read.iter().map(|partition| partition.records.bytes).sum();
        let memory = memory.map(|memory| Arc::new(memory.keep(bytes)));
        if plan.pool() == Pool::CatchUp {
            inner.ahead.given(&parts.client, given(&plan, &read));
        }
        metrics::fetched(bytes);
        let answered = begun.wanted.iter().zip(&plan.partitions).zip(read);
        let outcome = |((fetch, planned), read)| PartitionOutcome::new(fetch, planned, read);
        let answered = answered.map(outcome).collect();
        FetchOutcome {
            memory,
            ..self.finish(begun, answered)
        }
    }

    /// Answers without records where they are to be read. What is wrong with a partition is said here: of an offset
    /// out of range, clients believe only the leader.
    async fn send_nearer(
        &self,
        wanted: &[PartitionFetch],
        isolation: Isolation,
        nearer: &Nearer,
    ) -> Vec<PartitionOutcome> {
        let limits = Limits {
            bytes_max: 0,
            isolation,
        };
        let plan = self.plan_when(wanted, limits, 0, Duration::ZERO).await;
        let answered = wanted.iter().zip(&plan.partitions);
        let outcomes = answered.map(|(fetch, planned)| {
            let unread = PartitionRecords {
                end_offset: fetch.fetch_offset,
                ..PartitionRecords::default()
            };
            let partition = self
                .0
                .replica
                .read(|state| fetch.topic.resolve(state, fetch.partition));
            let preferred = partition
                .ok()
                .filter(|_| planned.is_ok())
                .map(|of| (nearer.0)(of));
            PartitionOutcome {
                preferred,
                ..PartitionOutcome::new(fetch, planned, unread)
            }
        });
        outcomes.collect()
    }

    /// What is answered of what was found, as the session has it.
    fn finish(&self, begun: Begun, answered: Vec<PartitionOutcome>) -> FetchOutcome {
        let inner = &*self.0;
        let now = inner.clock.monotonic();
        match inner.sessions.lock().finish(now, begun, answered) {
            Ok((session_id, partitions)) => FetchOutcome {
                session_id,
                partitions,
                ..FetchOutcome::default()
            },
            Err(error) => FetchOutcome::refused(error),
        }
    }

    fn plan(&self, wanted: &[PartitionFetch], limits: Limits) -> Plan {
        let mut planner = Planner::new(limits, self.0.block_bytes_max);
        for piece in wanted.chunks(PARTITIONS_PER_LOOK) {
            self.0.replica.read(|state| planner.add(state, piece));
        }
        planner.finish()
    }

    /// A plan, once there is enough to read, something is wrong, or the time is over.
    async fn plan_when(
        &self,
        wanted: &[PartitionFetch],
        limits: Limits,
        enough: u64,
        wait_max: Duration,
    ) -> Plan {
        let mut first = self.plan(wanted, limits);
        if !first.beyond_end.is_empty() {
            first = self.plan_at_true_end(wanted, limits).await;
        }
        let unknown = first.unknown();
        let answers = |plan: &Plan| {
            let has_enough = plan.available >= enough || plan.is_cut;
            has_enough || plan.has_error() || plan.unknown() != unknown
        };
        if wait_max.is_zero() || unknown == wanted.len() || answers(&first) {
            return first;
        }
        let waiter = self
            .0
            .waiters
            .enter(first.resolved.iter().copied().flatten());
        drop(first);
        let deadline = tokio::time::sleep(wait_max);
        tokio::pin!(deadline);
        loop {
            let plan = self.plan(wanted, limits);
            // SUBTLE: looked at after having entered, so that the end cannot be slept through.
            if answers(&plan) || self.0.waiters.is_over() {
                return plan;
            }
            tokio::select! {
                () = waiter.woken() => {}
                () = &mut deadline => return plan,
            }
        }
    }

    /// A plan that knows of every commit made before now, by any agent: only then is an offset past
    /// the end truly out of range, and the consumer may be told to start over elsewhere.
    async fn plan_at_true_end(&self, wanted: &[PartitionFetch], limits: Limits) -> Plan {
        let barrier = tokio::time::timeout(BARRIER_TIMEOUT, self.0.replica.barrier()).await;
        let mut plan = self.plan(wanted, limits);
        if !matches!(barrier, Ok(Ok(()))) {
            for &index in &plan.beyond_end {
                plan.partitions[index] = Err(FetchError::OffsetNotAvailable);
            }
        }
        plan
    }

    /// Waits for a share of the memory for responses, as large as the plan takes.
    async fn reserve(&self, plan: &Plan, client: &Client) -> Option<FairPermit> {
        let bytes = self.0.reader.memory(plan);
        if bytes == 0 {
            return None;
        }
        let (pool, clock) = (plan.pool(), &self.0.clock);
        let began = clock.monotonic();
        let memory = self.0.memory.of(pool).acquire(client, bytes).await;
        let waited = clock.monotonic().saturating_sub(began);
        metrics::reserved(pool, waited, memory.amount());
        Some(memory)
    }
}

/// What each partition of a plan has given.
fn given(plan: &Plan, read: &[PartitionRecords]) -> Vec<Given> {
    let planned = plan.partitions.iter().zip(&plan.resolved).zip(read);
    let given = planned.filter_map(|((readable, partition), read)| {
        let from = readable.as_ref().ok()?.fetch_offset;
        (read.end_offset > from).then_some(Given {
            partition: (*partition)?,
            from,
            to: read.end_offset,
            bytes: read.records.bytes,
        })
    });
    given.collect()
}

#[cfg(test)]
mod tests;
