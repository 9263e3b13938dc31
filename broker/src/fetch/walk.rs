//! Walks the batches of a slice, one after another, and judges what is there: every header, that
//! lengths and offsets add up to the slice, and the CRC of each batch once.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use futures::StreamExt;
use object_format::ObjectId;
use object_format::batch::{BatchError, BatchHeader, HEADER_LEN};

use super::FetchError;
use super::cache::{Block, BlockCache, BlockKey};
use super::load::LoadError;
use super::metrics;
use super::plan::Slice;
use super::pool::{Client, Pool};

/// Bytes at the start of a batch that its CRC does not cover.
const CRC_FROM: usize = 21;

/// Most blocks that one reader waits for at once.
const CONCURRENT_BLOCKS: usize = 16;

/// Why the records of a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    /// The bucket gave bytes that are not those that were written.
    #[error("object {object} is damaged at byte {position}: {what}")]
    Damaged {
        /// Which object.
        object: ObjectId,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The bucket gave nothing.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<&ReadFault> for FetchError {
    fn from(fault: &ReadFault) -> Self {
        match fault {
            ReadFault::Damaged { .. } => Self::CorruptMessage,
            ReadFault::Load(_) => Self::Storage,
        }
    }
}

/// The blocks of one reader, held until it has read.
pub struct Blocks<'a> {
    cache: &'a BlockCache,
    client: &'a Client,
    held: HashMap<BlockKey, Result<Block, LoadError>>,
    /// Whether a block is let go once the walk is past it.
    passing: bool,
}

impl<'a> Blocks<'a> {
    /// Loads these blocks, several at once.
    pub async fn load(
        cache: &'a BlockCache,
        client: &'a Client,
        keys: &[(BlockKey, Pool)],
    ) -> Self {
        let load = |(key, pool)| async move { (key, cache.block(key, pool, client).await) };
        let held = futures::stream::iter(keys.iter().copied().map(load))
            .buffer_unordered(CONCURRENT_BLOCKS)
            .collect()
            .await;
        Self {
            cache,
            client,
            held,
            passing: false,
        }
    }

    /// None yet, of a reader of one slice that keeps nothing of what it has passed.
    pub fn passing(cache: &'a BlockCache, client: &'a Client) -> Self {
        Self {
            cache,
            client,
            held: HashMap::new(),
            passing: true,
        }
    }

    /// How many blocks are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The walk over a slice is at this position of its object.
    fn passed(&mut self, slice: &Slice, position: u64) {
        if self.passing {
            let current = position / BlockKey::step(slice.object_bytes);
            self.held.retain(|key, _| key.index >= current);
        }
    }

    async fn get(&mut self, key: BlockKey, pool: Pool) -> Result<Block, LoadError> {
        if let Some(block) = self.held.get(&key) {
            return block.clone();
        }
        let block = self.cache.block(key, pool, self.client).await;
        self.held.insert(key, block.clone());
        block
    }

    /// Reads again, from the bucket, what another agent gave of a slice that is found damaged. Says whether there was
    /// any: then the slice may be looked at once more.
    pub async fn distrust(&mut self, slice: &Slice) -> bool {
        let indices = BlockKey::covering(slice.object_bytes, slice.position..slice.end());
        let lent =
            |key: &BlockKey| matches!(self.held.get(key), Some(Ok(block)) if block.is_lent());
        let keys: Vec<BlockKey> = indices
            .map(|index| slice.block(index))
            .filter(lent)
            .collect();
        for &key in &keys {
            metrics::damaged_from_neighbour();
            let block = self.cache.read_again(key, slice.pool, self.client).await;
            self.held.insert(key, block);
        }
        !keys.is_empty()
    }

    /// The blocks that bytes `from..to` of a slice's object lie in, all of them held.
    fn covering(&self, slice: &Slice, from: u64, to: u64) -> impl Iterator<Item = &Block> {
        let indices = BlockKey::covering(slice.object_bytes, from..to);
        let held = |index| {
            self.held
                .get(&slice.block(index))
                .and_then(|block| block.as_ref().ok())
        };
        indices.filter_map(held)
    }
}

/// Bytes out of a block.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// The block, if these bytes keep all of it in memory.
    pub keeps: Option<BlockKey>,
}

/// A batch where it lies.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its header, as stored.
    pub header: BatchHeader,
    /// Where in the object it begins.
    pub position: u64,
    /// The offset of its first record.
    pub base_offset: i64,
    /// Its bytes, in order.
    pub pieces: Vec<Piece>,
}

impl Batch {
    /// Its length in bytes.
    pub fn total_len(&self) -> u64 {
        self.header.total_len() as u64
    }

    /// The offset after its last.
    pub fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.header.offset_count())
    }

    /// Its bytes in one piece.
    pub fn to_bytes(&self) -> Bytes {
        match &self.pieces[..] {
            [piece] => piece.bytes.clone(),
            pieces => pieces
                .iter()
                .flat_map(|piece| piece.bytes.iter().copied())
                .collect(),
        }
    }

    fn crc(&self) -> u32 {
        let mut skip = CRC_FROM;
        self.pieces.iter().fold(0, |crc, piece| {
            let skipped = skip.min(piece.bytes.len());
            skip -= skipped;
            crc32c::crc32c_append(crc, &piece.bytes[skipped..])
        })
    }
}

/// A walk over a slice.
pub struct Walk<'a, 'b> {
    slice: Slice,
    blocks: &'a mut Blocks<'b>,
    rope: VecDeque<Piece>,
    rope_bytes: u64,
    next_block: u64,
    position: u64,
    offset: i64,
}

impl<'a, 'b> Walk<'a, 'b> {
    /// Stands before the slice's first batch.
    pub fn new(slice: &Slice, blocks: &'a mut Blocks<'b>) -> Self {
        Self {
            slice: *slice,
            blocks,
            rope: VecDeque::new(),
            rope_bytes: 0,
            next_block: slice.position / BlockKey::step(slice.object_bytes),
            position: slice.position,
            offset: slice.base_offset,
        }
    }

    /// The next batch; its CRC has not been looked at. None at the slice's end.
    ///
    /// # Errors
    /// [`ReadFault`], if the batch cannot be had or does not fit into the slice.
    pub async fn next(&mut self) -> Result<Option<Batch>, ReadFault> {
        let end_offset = self
            .slice
            .base_offset
            .saturating_add_unsigned(self.slice.offsets);
        let left = self.slice.end() - self.position;
        if left == 0 {
            return match self.offset {
                offset if offset == end_offset || self.slice.is_stamped => Ok(None),
                offset => Err(self.damaged(format!("the run ends at offset {offset}"))),
            };
        }
        self.fill(left.min(HEADER_LEN as u64)).await?;
        let header = self
            .peek()
            .map_err(|error| self.damaged(error.to_string()))?;
        let bytes = header.total_len() as u64;
        if bytes > left {
            return Err(self.damaged(format!("a batch of {bytes} bytes where {left} are left")));
        }
        let base_offset = match self.slice.is_stamped {
            true => header.base_offset,
            false => self.offset,
        };
        let offsets = header.offset_count();
        let room = end_offset.saturating_sub(base_offset);
        if base_offset < self.offset || offsets < 1 || offsets > room {
            return Err(self.damaged(format!("a batch of {offsets} offsets at {base_offset}")));
        }
        self.fill(bytes).await?;
        let batch = Batch {
            header,
            position: self.position,
            base_offset,
            pieces: self.take(bytes),
        };
        self.position += bytes;
        self.offset = base_offset + offsets;
        Ok(Some(batch))
    }

    /// Checks a batch's CRC, unless that has been done since its block was loaded.
    ///
    /// # Errors
    /// [`ReadFault::Damaged`].
    pub fn verify(&self, batch: &Batch) -> Result<(), ReadFault> {
        let covering = || {
            let end = batch.position + batch.total_len();
            self.blocks.covering(&self.slice, batch.position, end)
        };
        if covering().all(|block| block.is_verified(batch.position)) {
            return Ok(());
        }
        let computed = batch.crc();
        if computed != batch.header.crc {
            let stored = batch.header.crc;
            return Err(ReadFault::Damaged {
                object: self.slice.object,
                position: batch.position,
                what: format!("the batch's CRC is {computed:#010x}, not {stored:#010x}"),
            });
        }
        covering().for_each(|block| block.set_verified(batch.position));
        Ok(())
    }

    fn damaged(&self, what: String) -> ReadFault {
        ReadFault::Damaged {
            object: self.slice.object,
            position: self.position,
            what,
        }
    }

    /// Has at least `bytes` of what follows in the rope, which the slice must have.
    async fn fill(&mut self, bytes: u64) -> Result<(), ReadFault> {
        while self.rope_bytes < bytes {
            let key = self.slice.block(self.next_block);
            let range = key.range();
            if range.is_empty() {
                return Err(self.damaged("the run goes on past the object's end".into()));
            }
            self.blocks.passed(&self.slice, self.position);
            let block = self.blocks.get(key, self.slice.pool).await?;
            let from = range.start.max(self.slice.position);
            let to = range.end.min(self.slice.end());
            let keeps = block.is_one_piece().then_some(key);
            for bytes in block.slices(from..to) {
                self.rope_bytes += bytes.len() as u64;
                self.rope.push_back(Piece { bytes, keeps });
            }
            self.next_block += 1;
        }
        Ok(())
    }

    /// The header at the front of the rope, which must hold it if the slice does.
    fn peek(&self) -> Result<BatchHeader, BatchError> {
        match self.rope.front() {
            Some(piece) if piece.bytes.len() >= HEADER_LEN => BatchHeader::parse(&piece.bytes),
            _ => {
                let bytes = self.rope.iter().flat_map(|piece| &piece.bytes[..]);
                BatchHeader::parse(&bytes.take(HEADER_LEN).copied().collect::<Vec<u8>>())
            }
        }
    }

    /// Takes `bytes`, which are there, off the rope.
    fn take(&mut self, bytes: u64) -> Vec<Piece> {
        self.rope_bytes -= bytes;
        let mut left = bytes;
        let mut taken = Vec::with_capacity(1);
        while left > 0 {
            let Some(piece) = self.rope.front_mut() else {
                break;
            };
            if piece.bytes.len() as u64 > left {
                let bytes = piece.bytes.split_to(left as usize);
                taken.push(Piece {
                    bytes,
                    keeps: piece.keeps,
                });
                break;
            }
            left -= piece.bytes.len() as u64;
            taken.extend(self.rope.pop_front());
        }
        taken
    }
}
