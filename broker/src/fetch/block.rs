//! Blocks: the aligned parts in which objects are read and kept.
//!
//! An object that a producer's agent wrote is one block, and so one GET. A large object, which
//! compaction wrote, is many of 4 MiB: large enough for what a request costs, small enough that a
//! reader of many partitions keeps a block of each in memory.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_format::ObjectId;
use parking_lot::Mutex;
use quick_cache::Weighter;

/// Bytes of a block of a large object.
pub const BLOCK_BYTES: u64 = 4 << 20;

/// An object of up to so many bytes is one block.
pub const WHOLE_BYTES_MAX: u64 = 12 << 20;

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
    /// Bytes of each block, but the last, of an object of so many bytes.
    pub fn step(object_bytes: u64) -> u64 {
        match object_bytes <= WHOLE_BYTES_MAX {
            true => WHOLE_BYTES_MAX,
            false => BLOCK_BYTES,
        }
    }

    /// Indices of the blocks in which a part of an object of `object_bytes` lies.
    pub fn covering(object_bytes: u64, part: Range<u64>) -> Range<u64> {
        let step = Self::step(object_bytes);
        part.start / step..part.end.div_ceil(step)
    }

    /// Where in the object the block lies.
    pub fn range(&self) -> Range<u64> {
        let step = Self::step(self.object_bytes);
        let start = self.index.saturating_mul(step);
        start..start.saturating_add(step).min(self.object_bytes).max(start)
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
    origin: Origin,
    /// Positions of batches whose CRC has been found right.
    verified: Mutex<HashSet<u64>>,
}

/// Where the bytes of a block are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This process made them, and checked them then.
    Written,
    /// The bucket.
    Bucket,
    /// Another agent: if they are damaged, the bucket may have better ones.
    Neighbour,
}

impl Block {
    pub(super) fn new(start: u64, chunks: Vec<Bytes>, origin: Origin) -> Self {
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
            origin,
            verified: Mutex::default(),
        }))
    }

    /// A block as it came from the store.
    pub(super) fn loaded(key: BlockKey, bytes: Bytes) -> Self {
        Self::new(key.range().start, vec![bytes], Origin::Bucket)
    }

    /// A block as another agent gave it.
    pub(crate) fn lent(key: BlockKey, bytes: Bytes) -> Self {
        Self::new(key.range().start, vec![bytes], Origin::Neighbour)
    }

    /// Whether another agent gave it.
    pub(super) fn is_lent(&self) -> bool {
        self.0.origin == Origin::Neighbour
    }

    /// Its bytes, in order.
    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.0.chunks
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
        self.0.origin != Origin::Written
    }

    /// Whether the batch at this position of the object needs no check of its CRC any more.
    pub fn is_verified(&self, position: u64) -> bool {
        self.0.origin == Origin::Written || self.0.verified.lock().contains(&position)
    }

    /// Notes that the batch at this position of the object has the right CRC.
    pub fn set_verified(&self, position: u64) {
        if self.0.origin != Origin::Written {
            self.0.verified.lock().insert(position);
        }
    }
}

/// What a block weighs in a cache: its bytes, and what keeping them costs.
#[derive(Clone, Debug)]
pub(super) struct Weight;

impl Weighter<BlockKey, Block> for Weight {
    fn weight(&self, _: &BlockKey, block: &Block) -> u64 {
        block.0.bytes + CHUNK_OVERHEAD * (1 + block.0.chunks.len() as u64)
    }
}
