//! Blocks of objects in memory: what was read lately, and what this agent has just written.
//!
//! A block is 8 MiB of an object, aligned; most objects are one block and so one GET. However many
//! readers want a block at once, it is read once, and what one read said, all of them are told. A
//! failed read leaves nothing behind. Memory is bounded by the cache's own limit and by the number
//! of reads under way; blocks that the cache has let go live only as long as their readers.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_format::ObjectId;
use object_format::object::SealedObject;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use super::load::{Flight, LoadError, Loader, Read};
use super::metrics::{self, Found};

/// Bytes of a whole block.
pub const BLOCK_BYTES: u64 = 8 << 20;

/// What a chunk costs besides its bytes: its handle, and the frame or allocation it keeps alive.
const CHUNK_OVERHEAD: u64 = 192;

/// A block's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The object.
    pub object: ObjectId,
    /// The how-manieth block of it, from 0.
    pub index: u64,
    /// The object's length, always the same for an object.
    pub object_bytes: u64,
}

impl BlockKey {
    /// Where in the object the block lies.
    pub fn range(&self) -> Range<u64> {
        let start = self.index.saturating_mul(BLOCK_BYTES);
        start
            ..start
                .saturating_add(BLOCK_BYTES)
                .min(self.object_bytes)
                .max(start)
    }

    /// Bytes of the block.
    pub fn len(&self) -> u64 {
        let range = self.range();
        range.end - range.start
    }

    /// Whether the block lies past the object's end.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A block's bytes, in chunks that lie end to end. Clones share them.
#[derive(Clone, Debug)]
pub struct Block(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    /// Position in the object of each chunk.
    starts: Vec<u64>,
    chunks: Vec<Bytes>,
    bytes: u64,
    /// Whether this process made the bytes, and checked them then.
    written_here: bool,
    /// Positions of batches whose CRC has been found right.
    verified: Mutex<HashSet<u64>>,
}

impl Block {
    fn new(start: u64, chunks: Vec<Bytes>, written_here: bool) -> Self {
        let mut at = start;
        let place = |chunk: &Bytes| {
            let start = at;
            at += chunk.len() as u64;
            start
        };
        let starts = chunks.iter().map(place).collect();
        Self(Arc::new(Contents {
            starts,
            bytes: at - start,
            chunks,
            written_here,
            verified: Mutex::default(),
        }))
    }

    /// A block as it came from the store.
    pub(super) fn loaded(key: BlockKey, bytes: Bytes) -> Self {
        Self::new(key.range().start, vec![bytes], false)
    }

    /// Its bytes that lie in `range` of the object, in order.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> {
        let Contents { starts, chunks, .. } = &*self.0;
        let first = starts
            .partition_point(|&start| start <= range.start)
            .saturating_sub(1);
        let cut = move |(chunk, &start): (&Bytes, &u64)| {
            let len = chunk.len() as u64;
            let from = range.start.saturating_sub(start).min(len);
            let to = range.end.saturating_sub(start).min(len);
            (from < to).then(|| chunk.slice(from as usize..to as usize))
        };
        chunks[first..].iter().zip(&starts[first..]).map_while(cut)
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.0.bytes
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }

    /// Whether it is one piece of memory that any slice of it keeps alive.
    pub fn is_one_piece(&self) -> bool {
        !self.0.written_here
    }

    /// Whether the batch at this position of the object needs no check of its CRC any more.
    pub fn is_verified(&self, position: u64) -> bool {
        self.0.written_here || self.0.verified.lock().contains(&position)
    }

    /// Notes that the batch at this position of the object has the right CRC.
    pub fn set_verified(&self, position: u64) {
        if !self.0.written_here {
            self.0.verified.lock().insert(position);
        }
    }
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<BlockKey, Block> for Weight {
    fn weight(&self, _: &BlockKey, block: &Block) -> u64 {
        block.0.bytes + CHUNK_OVERHEAD * (1 + block.0.chunks.len() as u64)
    }
}

/// The cache. Clones are the same cache.
#[derive(Clone)]
pub struct BlockCache(Arc<Inner>);

struct Inner {
    blocks: Cache<BlockKey, Block, Weight>,
    flights: Mutex<Flights>,
    loader: Loader,
}

#[derive(Default)]
struct Flights {
    next: u64,
    under_way: HashMap<BlockKey, (u64, Flight)>,
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache")
            .field("bytes", &self.0.blocks.weight())
            .finish()
    }
}

impl BlockCache {
    /// A cache of at most `bytes_max` bytes over what `loader` reads.
    pub fn new(loader: Loader, bytes_max: u64) -> Self {
        // SUBTLE: one shard, because blocks are large: a shard must hold several. Half of it is for
        // blocks seen once, so that what was just written is still there when it is read first.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(bytes_max >> 18).unwrap_or(64).max(64))
            .weight_capacity(bytes_max)
            .shards(1)
            .hot_allocation(0.5)
            .build();
        let blocks = match options {
            Ok(options) => {
                Cache::with_options(options, Weight, Default::default(), Default::default())
            }
            Err(_) => Cache::with_weighter(64, bytes_max, Weight),
        };
        Self(Arc::new(Inner {
            blocks,
            flights: Mutex::default(),
            loader,
        }))
    }

    /// Bytes in the cache.
    pub fn bytes(&self) -> u64 {
        self.0.blocks.weight()
    }

    /// Whether a block is in memory. Does not count as a use of it.
    pub fn contains(&self, key: &BlockKey) -> bool {
        self.0.blocks.contains_key(key)
    }

    /// A block, from memory or from the store.
    ///
    /// # Errors
    /// See [`LoadError`]; every reader that waited for the same read is told the same.
    pub async fn block(&self, key: BlockKey) -> Result<Block, LoadError> {
        loop {
            if let Some(block) = self.0.blocks.get(&key) {
                metrics::block(Found::Hit, self.bytes());
                return Ok(block);
            }
            if let Some((read, found)) = self.join(key) {
                metrics::block(found, self.bytes());
                return read.await;
            }
        }
    }

    /// The read of a block that is under way, or a new one; none if the block has just come.
    fn join(&self, key: BlockKey) -> Option<(Read, Found)> {
        let mut flights = self.0.flights.lock();
        let under_way = flights
            .under_way
            .get(&key)
            .and_then(|(_, flight)| flight.join());
        if let Some(read) = under_way {
            return Some((read, Found::Shared));
        }
        if self.0.blocks.contains_key(&key) {
            return None;
        }
        flights.next += 1;
        let landing = Landing {
            cache: self.clone(),
            key,
            number: flights.next,
        };
        let number = flights.next;
        let (read, flight) = Flight::start(self.load(key, landing));
        if let Some(flight) = flight {
            flights.under_way.insert(key, (number, flight));
        }
        Some((read, Found::Miss))
    }

    fn load(
        &self,
        key: BlockKey,
        landing: Landing,
    ) -> impl Future<Output = Result<Block, LoadError>> + Send + 'static {
        let cache = self.clone();
        async move {
            let block = cache.0.loader.load(key).await?;
            // SUBTLE: the block is in the cache before its read is forgotten, so that nobody finds
            // neither and reads it again.
            cache.0.blocks.insert(key, block.clone());
            drop(landing);
            Ok(block)
        }
    }

    /// Keeps an object that this process has just written, without copying it.
    pub fn insert_written<T>(&self, object: &SealedObject<T>) {
        let mut start = 0;
        let mut rest = object.chunks.iter().cloned();
        let mut carried: Option<Bytes> = None;
        while start < object.len {
            let index = start / BLOCK_BYTES;
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
            self.0.blocks.insert(key, Block::new(start, chunks, true));
            start += key.len();
        }
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
