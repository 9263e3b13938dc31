//! Blocks of objects in memory: what was read lately, and what this agent has just written.
//!
//! However many readers want a block at once, it is read once, and what one read said, all of them
//! are told. A failed read leaves nothing behind. Memory is bounded by the cache's own limit and by
//! the number of reads under way; blocks that the cache has let go live only as long as their
//! readers.
//!
//! What readers that are behind have read is kept apart from what was just written or is read by
//! those who keep up: it takes a bounded part of the memory, and only while somebody is behind. So
//! the one cannot sweep the other out, and memory is not set aside for what may never come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_format::object::SealedObject;
use parking_lot::Mutex;
use quick_cache::OptionsBuilder;
use quick_cache::sync::Cache;
use runtime::SharedClock;

use super::block::Weight;
pub use super::block::{BLOCK_BYTES, Block, BlockKey};
use super::load::{Flight, LoadError, Loader, Read};
use super::metrics::{self, Found};
use super::pool::{Client, PerPool, Pool};

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
    under_way: HashMap<BlockKey, (u64, Flight)>,
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
        let bytes_max = options.bytes_max;
        let catch_up_max = bytes_max / 100 * options.catch_up_percent.min(100);
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

    /// A block, from memory or from the store.
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
            if let Some((read, found)) = self.join(key, pool, client) {
                metrics::block(found, pool);
                return read.await;
            }
        }
    }

    fn get(&self, key: &BlockKey) -> Option<Block> {
        let blocks = &self.0.blocks;
        blocks.tail.get(key).or_else(|| {
            let block = blocks.catch_up.get(key)?;
            self.share(Pool::CatchUp);
            Some(block)
        })
    }

    /// The read of a block that is under way, or a new one; none if the block has just come.
    fn join(&self, key: BlockKey, pool: Pool, client: &Client) -> Option<(Read, Found)> {
        let mut flights = self.0.flights.lock();
        let under_way = flights
            .under_way
            .get(&key)
            .and_then(|(_, flight)| flight.join());
        if let Some(read) = under_way {
            return Some((read, Found::Shared));
        }
        if self.contains(&key) {
            return None;
        }
        flights.next += 1;
        let landing = Landing {
            cache: self.clone(),
            key,
            number: flights.next,
        };
        let number = flights.next;
        let (read, flight) = Flight::start(self.load(key, pool, client.clone(), landing));
        if let Some(flight) = flight {
            flights.under_way.insert(key, (number, flight));
        }
        Some((read, Found::Miss))
    }

    fn load(
        &self,
        key: BlockKey,
        pool: Pool,
        client: Client,
        landing: Landing,
    ) -> impl Future<Output = Result<Block, LoadError>> + Send + 'static {
        let cache = self.clone();
        async move {
            let block = cache.0.loader.load(key, pool, &client).await?;
            // SUBTLE: the block is in the cache before its read is forgotten, so that nobody finds
            // neither and reads it again.
            cache.insert(pool, key, block.clone());
            drop(landing);
            Ok(block)
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
            self.insert(Pool::Tail, key, Block::new(start, chunks, true));
            start += key.len();
        }
    }
}

/// SUBTLE: one shard, because blocks are large: a shard must hold several. Half of it is for blocks
/// seen once, so that what was just written is still there when it is read first.
fn region(bytes_max: u64) -> Cache<BlockKey, Block, Weight> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(usize::try_from(bytes_max >> 18).unwrap_or(64).max(64))
        .weight_capacity(bytes_max)
        .shards(1)
        .hot_allocation(0.5)
        .build();
    match options {
        Ok(options) => Cache::with_options(options, Weight, Default::default(), Default::default()),
        Err(_) => Cache::with_weighter(64, bytes_max, Weight),
    }
}

/// Forgets a read once it has ended, or all its readers have gone.
struct Landing {
    cache: BlockCache,
    key: BlockKey,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.cache.0.flights.lock();
        if flights
            .under_way
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            flights.under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
