//! Reads ahead of consumers that are behind and read one record after another.
//!
//! How far is decided purely by [`Readers`]: as much as the reader takes in half a second, at least
//! a block, at most its share of the part of the cache that is for such readers. What was begun and
//! is no longer ahead of the reader, because it went elsewhere or stopped, is given up.

use std::collections::HashMap;
use std::time::Duration;

use control_plane::replica::Replica;
use control_plane::state::State;
use object_format::TopicPartition;
use parking_lot::Mutex;
use runtime::SharedClock;
use tokio::task::JoinHandle;

use super::block::{BLOCK_BYTES, WHOLE_BYTES_MAX};
use super::cache::{BlockCache, BlockKey};
use super::fair::FairPermits;
use super::metrics;
use super::parts::{Part, parts_between};
use super::pool::{Client, Pool};

/// A reader is kept supplied for so long.
const HORIZON: Duration = Duration::from_millis(500);

/// A reader that has not come for so long has stopped.
const STOPPED: Duration = Duration::from_secs(5);

/// Most readers that are remembered.
const READERS_MAX: usize = 10_000;

/// Most parts of a partition that are looked at, and most blocks read ahead, for one reader.
const PARTS_MAX: usize = 64;

/// Who reads what.
type ReaderKey = (Client, TopicPartition);

/// A reader has been given the records between two offsets.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Where it began.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
    /// How many bytes.
    pub bytes: u64,
}

/// Where readers are and how fast they read.
#[derive(Debug)]
struct Readers {
    /// Most bytes ahead of one reader, and of all.
    one_max: u64,
    all_max: u64,
    readers: HashMap<ReaderKey, Position>,
    swept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    next: i64,
    seen: Duration,
    bytes_per_second: f64,
    /// Fetches that went on where the one before ended.
    in_turn: u32,
}

impl Readers {
    fn new(one_max: u64, all_max: u64) -> Self {
        Self {
            one_max,
            all_max,
            readers: HashMap::new(),
            swept: Duration::ZERO,
        }
    }

    /// How many bytes are to be read ahead of a reader that has been given this; 0 for none.
    fn ahead(&mut self, now: Duration, client: &Client, given: &Given) -> u64 {
        let key = (client.clone(), given.partition);
        let count = self.readers.len();
        let before = self.readers.get(&key).copied();
        if before.is_none() && count >= READERS_MAX {
            return 0;
        }
        let position = match before {
            Some(before) if before.next == given.from => before.go_on(now, given),
            _ => Position::new(now, given),
        };
        self.readers.insert(key, position);
        if position.in_turn == 0 {
            return 0;
        }
        let wanted = position.bytes_per_second * HORIZON.as_secs_f64();
        let share = self.all_max / self.readers.len() as u64;
        let ahead = (wanted as u64).max(BLOCK_BYTES);
        match ahead.min(self.one_max).min(share) {
            // Too many readers: what is read ahead of one would push out what another is about to read.
            ahead if ahead < BLOCK_BYTES => 0,
            ahead => ahead,
        }
    }

    /// Forgets readers that have stopped, once in a while; gives those.
    fn sweep(&mut self, now: Duration) -> Vec<ReaderKey> {
        if now.saturating_sub(self.swept) < STOPPED / 4 {
            return vec![];
        }
        self.swept = now;
        let stopped =
            |(_, position): &(&ReaderKey, &Position)| now.saturating_sub(position.seen) > STOPPED;
        let stopped = self.readers.iter().filter(stopped);
        let stopped: Vec<ReaderKey> = stopped.map(|(key, _)| key.clone()).collect();
        for key in &stopped {
            self.readers.remove(key);
        }
        stopped
    }
}

impl Position {
    fn new(now: Duration, given: &Given) -> Self {
        Self {
            next: given.to,
            seen: now,
            bytes_per_second: 0.0,
            in_turn: 0,
        }
    }

    fn go_on(self, now: Duration, given: &Given) -> Self {
        let took = now.saturating_sub(self.seen).as_secs_f64().max(0.001);
        let speed = given.bytes as f64 / took;
        let bytes_per_second = match self.in_turn {
            0 => speed,
            _ => (self.bytes_per_second * 3.0 + speed) / 4.0,
        };
        Self {
            next: given.to,
            seen: now,
            bytes_per_second,
            in_turn: self.in_turn.saturating_add(1),
        }
    }
}

/// The blocks in which the next `bytes` of a partition lie that only readers that are behind want.
fn blocks_ahead(state: &State, of: TopicPartition, from: i64, bytes: u64) -> Vec<BlockKey> {
    let Some(partition) = state.partition(of) else {
        return vec![];
    };
    let mut blocks: Vec<BlockKey> = vec![];
    let mut left = bytes;
    let end = partition.high_watermark;
    for part in parts_between(state, partition, from, end).take(PARTS_MAX) {
        let Part::Records(slice) = part else { continue };
        if slice.pool != Pool::CatchUp {
            break;
        }
        // Within a slice a place is known only by its share of the offsets.
        let skipped = part.bytes_between(slice.base_offset, from).min(slice.bytes);
        let skipped = if from > slice.base_offset { skipped } else { 0 };
        let begin = slice.position + skipped;
        let end = begin.saturating_add(left).min(slice.end());
        for index in BlockKey::covering(slice.object_bytes, begin..end) {
            let block = slice.block(index);
            if blocks.last() != Some(&block) {
                blocks.push(block);
            }
        }
        left = left.saturating_sub(end - begin);
        if left == 0 || blocks.len() >= PARTS_MAX {
            break;
        }
    }
    blocks.truncate(PARTS_MAX);
    blocks
}

/// Reads under way or ended, by block; dropped with the reader.
type Begun = HashMap<BlockKey, Reading>;

/// A read that is given up when this is dropped.
struct Reading(JoinHandle<()>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Most bytes that are ahead of all readers together, of a cache with so many for readers that are behind.
fn all_max(catch_up_max: u64) -> u64 {
    catch_up_max / 2
}

/// Most bytes that reads ahead have in memory besides what is in the cache, `one_max` being most of one reader.
pub(crate) fn memory_bytes_max(catch_up_max: u64, one_max: u64) -> u64 {
    match all_max(catch_up_max).min(one_max) < BLOCK_BYTES {
        true => 0,
        false => all_max(catch_up_max).max(WHOLE_BYTES_MAX),
    }
}

/// Reads ahead.
pub(super) struct ReadAhead {
    cache: BlockCache,
    /// Memory for blocks that are being read.
    memory: FairPermits,
    replica: Replica,
    clock: SharedClock,
    readers: Mutex<Readers>,
    begun: Mutex<HashMap<ReaderKey, Begun>>,
}

impl ReadAhead {
    /// Reads into `cache`, at most `one_max` bytes ahead of a reader.
    pub(super) fn new(
        cache: BlockCache,
        replica: Replica,
        clock: SharedClock,
        one_max: u64,
    ) -> Self {
        let all_max = all_max(cache.catch_up_max());
        let memory = memory_bytes_max(cache.catch_up_max(), one_max);
        Self {
            cache,
            memory: FairPermits::new(memory, memory),
            replica,
            clock,
            readers: Mutex::new(Readers::new(one_max, all_max)),
            begun: Mutex::default(),
        }
    }

    /// A client has been given this.
    pub(super) fn given(&self, client: &Client, given: impl IntoIterator<Item = Given>) {
        let now = self.clock.monotonic();
        let stopped = self.readers.lock().sweep(now);
        self.give_up(&stopped);
        for given in given {
            let ahead = self.readers.lock().ahead(now, client, &given);
            let key = (client.clone(), given.partition);
            match ahead {
                0 => self.give_up(&[key]),
                ahead => {
                    let look =
                        |state: &State| blocks_ahead(state, given.partition, given.to, ahead);
                    let blocks = self.replica.read(look);
                    self.begin(key, &blocks);
                }
            }
        }
    }

    /// Begins to read those of these blocks that are new, and gives up what is not among them.
    fn begin(&self, key: ReaderKey, blocks: &[BlockKey]) {
        let mut begun = self.begun.lock();
        let reads = begun.entry(key.clone()).or_default();
        reads.retain(|block, _| blocks.contains(block));
        for &block in blocks {
            if reads.contains_key(&block) {
                continue;
            }
            let is_there = self.cache.contains(&block);
            let (cache, client) = (self.cache.clone(), key.0.clone());
            let memory = self.memory.clone();
            let read = async move {
                let _memory = memory.acquire(&client, block.len()).await;
                metrics::read_ahead();
                let _ = cache.block(block, Pool::CatchUp, &client).await;
            };
            // What is there is noted as well: it is not read again when the cache has let it go. The reader itself joins
            // a read that it comes to; one that nobody has come to for so long is of no use.
            let read = tokio::spawn(async move {
                if !is_there {
                    let _ = tokio::time::timeout(STOPPED, read).await;
                }
            });
            reads.insert(block, Reading(read));
        }
        if reads.is_empty() {
            begun.remove(&key);
        }
    }

    /// The blocks that were begun.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> Vec<BlockKey> {
        let begun = self.begun.lock();
        begun
            .values()
            .flat_map(|reads| reads.keys().copied())
            .collect()
    }

    fn give_up(&self, readers: &[ReaderKey]) {
        let mut begun = self.begun.lock();
        for reader in readers {
            begun.remove(reader);
        }
    }
}

#[cfg(test)]
mod tests;
