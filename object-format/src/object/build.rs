//! Builds an object out of batches as they arrive, without copying them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{FOOTER_LEN, Footer, HEADER_LEN, Index, ObjectHeader, RunIndex};
use crate::batch::BatchHeader;
use crate::crc;
use crate::ids::{ObjectId, TopicPartition};

/// Bytes at the start of a batch that its own CRC does not cover.
const BEFORE_BATCH_CRC: usize = 21;
/// From how many bytes on it costs less to combine CRCs than to read the batch.
const COMBINE_FROM: usize = 4096;

/// An object that still takes batches. `T` goes with each batch, to find again who waits for it.
#[derive(Debug)]
pub struct ObjectBuilder<T = ()> {
    runs: BTreeMap<TopicPartition, Run<T>>,
    bytes: u64,
    batch_count: usize,
}

#[derive(Debug)]
struct Run<T> {
    /// Position is not known before the object is sealed.
    index: RunIndex,
    batches: Vec<(Bytes, T)>,
}

/// A finished object, to be written in one piece.
#[derive(Clone, Debug)]
pub struct SealedObject<T = ()> {
    /// Its name.
    pub id: ObjectId,
    /// Its bytes, in order. The batches are those that were pushed, not copies.
    pub chunks: Vec<Bytes>,
    /// How many bytes those are.
    pub len: u64,
    /// The runs, in the order they have in the object: by topic id and partition.
    pub runs: Vec<SealedRun<T>>,
}

/// One partition's batches in a finished object.
#[derive(Clone, Debug)]
pub struct SealedRun<T = ()> {
    /// What the object's index says of the run.
    pub index: RunIndex,
    /// Its batches, as they were pushed.
    pub batches: Vec<PlacedBatch<T>>,
}

/// Where in a finished object a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedBatch<T = ()> {
    /// Where it begins, in bytes from the start of the object.
    pub position: u64,
    /// Its bytes.
    pub length: u32,
    /// What was pushed with it.
    pub tag: T,
}

impl<T> Default for ObjectBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ObjectBuilder<T> {
    /// Takes no batch yet.
    pub fn new() -> Self {
        Self {
            runs: BTreeMap::new(),
            bytes: 0,
            batch_count: 0,
        }
    }

    /// Adds a batch at the end of its partition's run.
    ///
    /// `header` must be this batch's, with its CRC verified: the run's CRC is made from it, so
    /// that a batch damaged in memory after that is found out when it is read. A batch changed
    /// since (by [`crate::batch::with_log_append_time`], say) has a new header.
    pub fn push(
        &mut self,
        topic_partition: TopicPartition,
        batch: Bytes,
        header: &BatchHeader,
        tag: T,
    ) {
        debug_assert_eq!(batch.len(), header.total_len());
        self.bytes += batch.len() as u64;
        self.batch_count += 1;
        self.runs
            .entry(topic_partition)
            .or_insert_with(|| Run::new(topic_partition))
            .push(batch, header, tag);
    }

    /// Whether there is no batch yet.
    pub fn is_empty(&self) -> bool {
        self.batch_count == 0
    }

    /// Bytes of all batches.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of batches.
    pub fn batch_count(&self) -> usize {
        self.batch_count
    }

    /// Number of partitions that have a batch here.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Bytes the object would have if it were sealed now.
    pub fn object_len(&self) -> u64 {
        (HEADER_LEN + Index::len(self.runs.len()) + FOOTER_LEN) as u64 + self.bytes
    }

    /// Finishes the object. The same batches in the same order of arrival within each partition
    /// give the same bytes.
    pub fn seal(self, id: ObjectId, created_ms: i64) -> SealedObject<T> {
        let len = self.object_len();
        let mut chunks = Vec::with_capacity(self.batch_count + 2);
        let header = ObjectHeader { id, created_ms };
        chunks.push(Bytes::copy_from_slice(&header.to_bytes()));
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut position = HEADER_LEN as u64;
        for run in self.runs.into_values() {
            runs.push(run.seal(&mut position, &mut chunks));
        }
        chunks.push(render_tail(&runs, position, len));
        SealedObject {
            id,
            chunks,
            len,
            runs,
        }
    }
}

impl<T> Run<T> {
    fn new(topic_partition: TopicPartition) -> Self {
        let index = RunIndex {
            topic_partition,
            position: 0,
            length: 0,
            batch_count: 0,
            record_count: 0,
            min_timestamp: i64::MAX,
            max_timestamp: i64::MIN,
            crc: 0,
        };
        Self {
            index,
            batches: Vec::new(),
        }
    }

    fn push(&mut self, batch: Bytes, header: &BatchHeader, tag: T) {
        let index = &mut self.index;
        index.length += batch.len() as u64;
        index.batch_count += 1;
        index.record_count += u64::try_from(header.record_count).unwrap_or(0);
        index.min_timestamp = index.min_timestamp.min(header.min_timestamp());
        index.max_timestamp = index.max_timestamp.max(header.max_timestamp);
        index.crc = if batch.len() < COMBINE_FROM {
            crc32c::crc32c_append(index.crc, &batch)
        } else {
            let before = crc32c::crc32c_append(index.crc, &batch[..BEFORE_BATCH_CRC]);
            crc::combine(before, header.crc, batch.len() - BEFORE_BATCH_CRC)
        };
        self.batches.push((batch, tag));
    }

    fn seal(mut self, position: &mut u64, chunks: &mut Vec<Bytes>) -> SealedRun<T> {
        self.index.position = *position;
        let place = |(batch, tag): (Bytes, T)| {
            let placed = PlacedBatch {
                position: *position,
                length: batch.len() as u32,
                tag,
            };
            *position += batch.len() as u64;
            chunks.push(batch);
            placed
        };
        SealedRun {
            index: self.index,
            batches: self.batches.into_iter().map(place).collect(),
        }
    }
}

/// Index and footer.
fn render_tail<T>(runs: &[SealedRun<T>], index_position: u64, object_length: u64) -> Bytes {
    let index_len = Index::len(runs.len());
    let mut tail = BytesMut::with_capacity(index_len + FOOTER_LEN);
    Index::put(runs.iter().map(|run| run.index), &mut tail);
    let footer = Footer {
        index_position,
        index_length: index_len as u64,
        object_length,
        index_crc: crc32c::crc32c(&tail),
    };
    tail.extend_from_slice(&footer.to_bytes());
    tail.freeze()
}

impl<T> SealedObject<T> {
    /// The whole object in one piece, copied.
    pub fn to_bytes(&self) -> Bytes {
        self.chunks.concat().into()
    }
}
