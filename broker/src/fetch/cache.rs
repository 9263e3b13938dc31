//! Blocks of objects in memory: what was read lately, and what this agent has just written.
//!
//! However many readers want a block at once, it is read once, and what one read said, all of them
//! are told. What belongs to another agent of the zone is read from that one, see [`super::zone`].
//! A failed read leaves nothing behind. Memory is bounded by the cache's own limit and by the
//! number of reads under way; blocks that the cache has let go live only as long as their readers.
//!
//! What readers that are behind have read is kept apart from what was just written or is read by
//! those who keep up: it takes a bounded part of the memory, and only while somebody is behind. So
//! the one cannot sweep the other out, and memory is not set aside for what may never come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_format::AgentEpoch;
use object_format::object::SealedObject;
use parking_lot::Mutex;
use quick_cache::OptionsBuilder;
use quick_cache::sync::Cache;
use runtime::SharedClock;

pub use super::block::{BLOCK_BYTES, Block, BlockKey};
use super::block::{Origin, WHOLE_BYTES_MAX, Weight};
use super::load::{Flight, LoadError, Loader, Read};
use super::metrics::{self, Found};
use super::pool::{Client, PerPool, Pool};
use super::zone::Neighbours;

/// After so long without a reader that is behind, the memory for such readers is given back.
const CATCH_UP_IDLE: Duration = Duration::from_secs(60);

/// Memory of a cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Bytes of all blocks.
    pub bytes_max: u64,
    /// How many of them, in percent, may be of readers that are behind.
    pub catch_up_percent: u64,
}

impl CacheOptions {
    /// Bytes that may be of readers that are behind.
    pub fn catch_up_max(&self) -> u64 {
        self.bytes_max / 100 * self.catch_up_percent.min(100)
    }
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 20,
            catch_up_percent: 50,
        }
    }
}

/// The cache. Clones are the same cache.
#[derive(Clone)]
pub struct BlockCache(Arc<Inner>);

struct Inner {
    blocks: PerPool<Cache<BlockKey, Block, Weight>>,
    shares: Mutex<Shares>,
    flights: Mutex<Flights>,
    loader: Loader,
    neighbours: Option<Arc<dyn Neighbours>>,
    clock: SharedClock,
}

/// Whose the memory is.
struct Shares {
    bytes_max: u64,
    catch_up_max: u64,
    /// When readers that are behind last used their part; none if it is lent to the others.
    catch_up_used: Option<Duration>,
}

#[derive(Default)]
struct Flights {
    next: u64,
    under_way: HashMap<(BlockKey, Way), (u64, Flight)>,
}

/// Which way a block is read.
///
/// SUBTLE: a block may be read both ways at once. Who is asked by a neighbour reads from the bucket and shares only such
/// reads; else two agents that each take the other for the owner would wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// From the bucket.
    Bucket,
    /// From the owner in the zone, and from the bucket if that does not give it.
    Zone,
}

impl Flights {
    /// A share in a read that is under way.
    fn join(&self, at: (BlockKey, Way)) -> Option<Read> {
        let (_, flight) = self.under_way.get(&at)?;
        flight.join()
    }
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl BlockCache {
    /// A cache over what `loader` reads.
    pub fn new(loader: Loader, clock: SharedClock, options: CacheOptions) -> Self {
        Self::with_neighbours(loader, None, clock, options)
    }

    /// As [`BlockCache::new`], with other agents from which some blocks are read first.
    pub fn with_neighbours(
        loader: Loader,
        neighbours: Option<Arc<dyn Neighbours>>,
        clock: SharedClock,
        options: CacheOptions,
    ) -> Self {
        let bytes_max = options.bytes_max;
        let catch_up_max = options.catch_up_max();
        let blocks = PerPool {
            tail: region(bytes_max),
            catch_up: region(catch_up_max),
        };
        let shares = Shares {
            bytes_max,
            catch_up_max,
            catch_up_used: None,
        };
        Self(Arc::new(Inner {
            blocks,
            shares: Mutex::new(shares),
            flights: Mutex::default(),
            loader,
            neighbours,
            clock,
        }))
    }

    /// Bytes in the cache.
    pub fn bytes(&self) -> u64 {
        let bytes = Pool::ALL.map(|pool| self.0.blocks.of(pool).weight());
        bytes.iter().sum()
    }

    /// Bytes that may be of readers that are behind.
    pub fn catch_up_max(&self) -> u64 {
        self.0.shares.lock().catch_up_max
    }

    /// How many reads from the store are under way.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.0.flights.lock().under_way.len()
    }

    /// Whether a block is in memory. Does not count as a use of it.
    pub fn contains(&self, key: &BlockKey) -> bool {
        let has = |pool| self.0.blocks.of(pool).contains_key(key);
        Pool::ALL.into_iter().any(has)
    }

    /// A block, from memory, from a neighbour or from the store.
    ///
    /// # Errors
    /// See [`LoadError`]; every reader that waited for the same read is told the same.
    pub async fn block(
        &self,
        key: BlockKey,
        pool: Pool,
        client: &Client,
    ) -> Result<Block, LoadError> {
        loop {
            if let Some(block) = self.get(&key) {
                metrics::block(Found::Hit, pool);
                return Ok(block);
            }
            let neighbours = self.0.neighbours.as_ref();
            let owner = neighbours.and_then(|others| others.owner(&key));
            if let Some((read, found)) = self.join(key, pool, client, owner) {
                metrics::block(found, pool);
                return read.await;
            }
        }
    }

    /// A block, from memory or from the store and from nobody else, and how it was found.
    ///
    /// # Errors
    /// See [`BlockCache::block`].
    pub(super) async fn block_from_bucket(
        &self,
        key: BlockKey,
        pool: Pool,
        client: &Client,
    ) -> (Found, Result<Block, LoadError>) {
        loop {
            if let Some(block) = self.get(&key) {
                return (Found::Hit, Ok(block));
            }
            if let Some((read, found)) = self.join_bucket(key, pool, client) {
                return (found, read.await);
            }
        }
    }

    /// Reads a block from the store, whatever is in memory: what is there is damaged.
    ///
    /// # Errors
    /// See [`BlockCache::block`].
    pub(super) async fn read_again(
        &self,
        key: BlockKey,
        pool: Pool,
        client: &Client,
    ) -> Result<Block, LoadError> {
        let block = self.0.loader.load(key, pool, client).await?;
        for damaged in Pool::ALL {
            self.0.blocks.of(damaged).remove(&key);
        }
        self.insert(pool, key, block.clone());
        Ok(block)
    }

    fn get(&self, key: &BlockKey) -> Option<Block> {
        let blocks = &self.0.blocks;
        blocks.tail.get(key).or_else(|| {
            let block = blocks.catch_up.get(key)?;
            self.share(Pool::CatchUp);
            Some(block)
        })
    }

    /// The read of a block that is under way, or a new one, from its owner if it has one; none if the block has just
    /// come.
    fn join(
        &self,
        key: BlockKey,
        pool: Pool,
        client: &Client,
        owner: Option<AgentEpoch>,
    ) -> Option<(Read, Found)> {
        let mut flights = self.0.flights.lock();
        for way in [Way::Zone, Way::Bucket] {
            if let Some(read) = flights.join((key, way)) {
                return Some((read, Found::Shared));
            }
        }
        if self.contains(&key) {
            return None;
        }
        let client = client.clone();
        Some(match (owner, &self.0.neighbours) {
            (Some(owner), Some(neighbours)) => {
                let read = self.ask(neighbours.clone(), owner, key, pool, client);
                let read = self.start(&mut flights, (key, Way::Zone), pool, read);
                (read, Found::Asked)
            }
            _ => {
                let read = self.load(key, pool, client);
                let read = self.start(&mut flights, (key, Way::Bucket), pool, read);
                (read, Found::Miss)
            }
        })
    }

    /// The read from the bucket that is under way, or a new one; none if the block has just come.
    fn join_bucket(&self, key: BlockKey, pool: Pool, client: &Client) -> Option<(Read, Found)> {
        let mut flights = self.0.flights.lock();
        let at = (key, Way::Bucket);
        if let Some(read) = flights.join(at) {
            return Some((read, Found::Shared));
        }
        if self.contains(&key) {
            return None;
        }
        let read = self.load(key, pool, client.clone());
        Some((self.start(&mut flights, at, pool, read), Found::Miss))
    }

    /// Begins a read, whose block goes into the cache.
    fn start(
        &self,
        flights: &mut Flights,
        at: (BlockKey, Way),
        pool: Pool,
        read: impl Future<Output = Result<Block, LoadError>> + Send + 'static,
    ) -> Read {
        flights.next += 1;
        let number = flights.next;
        let cache = self.clone();
        let landing = Landing {
            cache: self.clone(),
            at,
            number,
        };
        let read = async move {
            let block = read.await?;
            // SUBTLE: the block is in the cache before its read is forgotten, so that nobody finds
            // neither and reads it again.
            cache.insert(pool, at.0, block.clone());
            drop(landing);
            Ok(block)
        };
        let (read, flight) = Flight::start(read);
        if let Some(flight) = flight {
            flights.under_way.insert(at, (number, flight));
        }
        read
    }

    fn load(
        &self,
        key: BlockKey,
        pool: Pool,
        client: Client,
    ) -> impl Future<Output = Result<Block, LoadError>> + Send + 'static {
        let cache = self.clone();
        async move { cache.0.loader.load(key, pool, &client).await }
    }

    fn ask(
        &self,
        neighbours: Arc<dyn Neighbours>,
        owner: AgentEpoch,
        key: BlockKey,
        pool: Pool,
        client: Client,
    ) -> impl Future<Output = Result<Block, LoadError>> + Send + 'static {
        let cache = self.clone();
        let from_bucket = async move {
            let (found, read) = cache.block_from_bucket(key, pool, &client).await;
            metrics::block(found, pool);
            read
        };
        async move {
            let from_bucket = Box::pin(from_bucket);
            neighbours.read(owner, key, pool, from_bucket).await
        }
    }

    fn insert(&self, pool: Pool, key: BlockKey, block: Block) {
        self.share(pool);
        let blocks = self.0.blocks.of(pool);
        blocks.insert(key, block);
        metrics::cached(pool, blocks.weight());
    }

    /// Sees to it that a pool has its part of the memory before it is used.
    fn share(&self, by: Pool) {
        let now = self.0.clock.monotonic();
        let blocks = &self.0.blocks;
        let mut shares = self.0.shares.lock();
        match (by, shares.catch_up_used) {
            (Pool::CatchUp, Some(_)) => shares.catch_up_used = Some(now),
            (Pool::CatchUp, None) => {
                shares.catch_up_used = Some(now);
                let left = shares.bytes_max - shares.catch_up_max;
                blocks.tail.set_capacity(left);
            }
            (Pool::Tail, Some(used)) if now.saturating_sub(used) > CATCH_UP_IDLE => {
                shares.catch_up_used = None;
                blocks.catch_up.clear();
                blocks.tail.set_capacity(shares.bytes_max);
                metrics::cached(Pool::CatchUp, 0);
            }
            (Pool::Tail, _) => {}
        }
    }

    /// Keeps an object that this process has just written, without copying it.
    pub fn insert_written<T>(&self, object: &SealedObject<T>) {
        let mut start = 0;
        let mut rest = object.chunks.iter().cloned();
        let mut carried: Option<Bytes> = None;
        while start < object.len {
            let index = start / BlockKey::step(object.len);
            let key = BlockKey {
                object: object.id,
                index,
                object_bytes: object.len,
            };
            let mut room = key.len();
            let mut chunks = Vec::new();
            while room > 0 {
                let Some(mut chunk) = carried.take().or_else(|| rest.next()) else {
                    return;
                };
                if chunk.len() as u64 > room {
                    carried = Some(chunk.split_off(room as usize));
                }
                room -= chunk.len() as u64;
                if !chunk.is_empty() {
                    chunks.push(chunk);
                }
            }
            self.insert(Pool::Tail, key, Block::new(start, chunks, Origin::Written));
            start += key.len();
        }
    }
}

/// SUBTLE: one shard, because blocks are large: a shard must hold several. Blocks leave in the order in which they came,
/// but for a small part that have been read again and again; it must have room for the largest block, else no block is
/// taken. No memory of blocks that have left: one that comes back would be taken into that part whatever its size, until
/// there is no room for what is written.
fn region(bytes_max: u64) -> Cache<BlockKey, Block, Weight> {
    let read_again = (2 * WHOLE_BYTES_MAX) as f64 / bytes_max as f64;
    let options = OptionsBuilder::new()
        .estimated_items_capacity(usize::try_from(bytes_max >> 18).unwrap_or(64).max(64))
        .weight_capacity(bytes_max)
        .shards(1)
        .hot_allocation(read_again.clamp(0.05, 0.5))
        .ghost_allocation(0.0)
        .build();
    match options {
        Ok(options) => Cache::with_options(options, Weight, Default::default(), Default::default()),
        Err(_) => Cache::with_weighter(64, bytes_max, Weight),
    }
}

/// Forgets a read once it has ended, or all its readers have gone.
struct Landing {
    cache: BlockCache,
    at: (BlockKey, Way),
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.cache.0.flights.lock();
        if flights
            .under_way
            .get(&self.at)
            .is_some_and(|(number, _)| *number == self.number)
        {
            flights.under_way.remove(&self.at);
        }
    }
}

#[cfg(test)]
mod tests;
