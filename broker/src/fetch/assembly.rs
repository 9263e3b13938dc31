//! Puts the records of a response together as a chain of slices: the batches where they lie, each
//! behind its stamp, and all stamps in one allocation.

use std::collections::HashMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use object_format::batch::{self, STAMP_LEN};

use super::cache::BlockKey;
use super::plan::LEADER_EPOCH;
use super::walk::{Batch, Piece};

/// A batch up to this long is copied: that costs less than two more slices in the chain.
const COPY_BYTES_MAX: usize = 1024;

/// Slices that keep a block in memory must be this part of it together; fewer bytes are copied, so
/// that what a slow client holds is in proportion to what it was sent.
const KEEP_PART: u64 = 4;

/// Whole batches, end to end, as they go to the client.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The bytes, in order.
    pub chunks: Vec<Bytes>,
    /// How many.
    pub bytes: u64,
}

impl Records {
    /// The bytes in one piece, copied.
    pub fn to_bytes(&self) -> Bytes {
        self.chunks.concat().into()
    }
}

/// A part of a partition's records.
#[derive(Debug)]
pub(super) enum Segment {
    /// In the assembly's own buffer.
    Buffered(Range<usize>),
    /// Where it lies.
    Lying(Piece),
}

/// A response being put together.
#[derive(Default)]
pub(super) struct Assembly {
    buffer: BytesMut,
    lying: HashMap<BlockKey, u64>,
}

impl Assembly {
    /// Adds a batch to a partition's records.
    pub(super) fn push(&mut self, segments: &mut Vec<Segment>, batch: Batch) {
        let header = &batch.header;
        let stamp = batch::stamp(batch.base_offset, LEADER_EPOCH, header.batch_length);
        self.buffer(segments, &stamp);
        let copied = header.total_len() <= COPY_BYTES_MAX;
        let mut skip = STAMP_LEN;
        for mut piece in batch.pieces {
            let skipped = skip.min(piece.bytes.len());
            skip -= skipped;
            piece.bytes = piece.bytes.split_off(skipped);
            if copied {
                self.buffer(segments, &piece.bytes);
            } else if !piece.bytes.is_empty() {
                if let Some(key) = piece.keeps {
                    *self.lying.entry(key).or_default() += piece.bytes.len() as u64;
                }
                segments.push(Segment::Lying(piece));
            }
        }
    }

    /// Adds a batch that is in no object to a partition's records.
    pub(super) fn push_made(&mut self, segments: &mut Vec<Segment>, batch: &[u8]) {
        self.buffer(segments, batch);
    }

    /// Copies bytes, which are joined to those copied just before.
    fn buffer(&mut self, segments: &mut Vec<Segment>, bytes: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        let end = self.buffer.len();
        match segments.last_mut() {
            Some(Segment::Buffered(range)) if range.end == start => range.end = end,
            _ => segments.push(Segment::Buffered(start..end)),
        }
    }

    /// The records of all partitions.
    pub(super) fn finish(mut self, mut partitions: Vec<Vec<Segment>>) -> Vec<Records> {
        for segments in &mut partitions {
            self.copy_sparse(segments);
        }
        let buffer = self.buffer.freeze();
        let records = |segments: Vec<Segment>| {
            let bytes = segments.iter().map(Segment::len).sum();
            let cut = |segment| match segment {
                Segment::Buffered(range) => buffer.slice(range),
                Segment::Lying(piece) => piece.bytes,
            };
            Records {
                chunks: segments.into_iter().map(cut).collect(),
                bytes,
            }
        };
        partitions.into_iter().map(records).collect()
    }

    fn copy_sparse(&mut self, segments: &mut [Segment]) {
        for segment in segments {
            let Segment::Lying(piece) = segment else {
                continue;
            };
            let sparse = piece.keeps.is_some_and(|key| {
                self.lying
                    .get(&key)
                    .is_none_or(|&lying| lying < key.len() / KEEP_PART)
            });
            if sparse {
                let start = self.buffer.len();
                self.buffer.extend_from_slice(&piece.bytes);
                *segment = Segment::Buffered(start..self.buffer.len());
            }
        }
    }
}

impl Segment {
    fn len(&self) -> u64 {
        let len = match self {
            Self::Buffered(range) => range.len(),
            Self::Lying(piece) => piece.bytes.len(),
        };
        len as u64
    }
}
