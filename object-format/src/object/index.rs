//! The end of an object: the index, which says where each partition's run is, and the footer, which
//! says where the index is.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use uuid::Uuid;

use super::{
    FOOTER_LEN, FOOTER_MAGIC, FORMAT_VERSION, HEADER_LEN, ObjectError, Part, check_crc,
    check_version,
};
use crate::batch::{self, array};
use crate::ids::{TopicId, TopicPartition};

/// Bytes of one run's entry in the index.
const ENTRY_LEN: usize = 68;
/// Bytes of the index before the entries.
const COUNT_LEN: usize = 4;
/// Where in the footer its own CRC is.
const FOOTER_CRC: Range<usize> = 28..32;

/// What the index says of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIndex {
    /// Whose batches they are.
    pub topic_partition: TopicPartition,
    /// Where the run begins, in bytes from the start of the object.
    pub position: u64,
    /// Bytes of the run.
    pub length: u64,
    /// Batches in the run.
    pub batch_count: u32,
    /// Records in the run, as the batches' headers say.
    pub record_count: u64,
    /// Least timestamp in the run, as far as the batches' headers tell, in ms since 1970.
    pub min_timestamp: i64,
    /// Greatest timestamp in the run, in ms since 1970.
    pub max_timestamp: i64,
    /// CRC32C of the run's bytes.
    pub crc: u32,
}

impl RunIndex {
    /// The bytes of the object that are the run's.
    pub fn range(&self) -> Range<u64> {
        self.position..self.position.saturating_add(self.length)
    }

    fn parse(entry: &[u8; ENTRY_LEN]) -> Self {
        Self {
            topic_partition: TopicPartition {
                topic: TopicId(Uuid::from_bytes(array(entry, 0))),
                partition: u32::from_be_bytes(array(entry, 16)),
            },
            position: u64::from_be_bytes(array(entry, 20)),
            length: u64::from_be_bytes(array(entry, 28)),
            batch_count: u32::from_be_bytes(array(entry, 36)),
            record_count: u64::from_be_bytes(array(entry, 40)),
            min_timestamp: i64::from_be_bytes(array(entry, 48)),
            max_timestamp: i64::from_be_bytes(array(entry, 56)),
            crc: u32::from_be_bytes(array(entry, 64)),
        }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self.topic_partition.topic.0.as_bytes());
        out.put_u32(self.topic_partition.partition);
        out.put_u64(self.position);
        out.put_u64(self.length);
        out.put_u32(self.batch_count);
        out.put_u64(self.record_count);
        out.put_i64(self.min_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_u32(self.crc);
    }
}

/// The runs of an object, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// In the order of their positions, and of topic id and partition.
    pub runs: Vec<RunIndex>,
}

impl Index {
    /// Bytes of an index of `run_count` runs.
    pub(super) fn len(run_count: usize) -> usize {
        COUNT_LEN + run_count * ENTRY_LEN
    }

    /// Parses the bytes at [`Footer::index_range`]. The runs it names follow one another from the
    /// header to the index.
    ///
    /// # Errors
    /// [`ObjectError::Truncated`] if there are fewer or more bytes than the footer says,
    /// [`ObjectError::Crc`], [`ObjectError::Layout`].
    pub fn parse(bytes: &[u8], footer: &Footer) -> Result<Self, ObjectError> {
        if bytes.len() as u64 != footer.index_length {
            return Err(ObjectError::Truncated {
                part: Part::Index,
                needed: footer.index_length,
                have: bytes.len() as u64,
            });
        }
        check_crc(Part::Index, footer.index_crc, crc32c::crc32c(bytes))?;
        let Some((count, entries)) = bytes.split_first_chunk::<COUNT_LEN>() else {
            return Err(ObjectError::truncated(Part::Index, COUNT_LEN, bytes.len()));
        };
        let (entries, rest) = entries.as_chunks::<ENTRY_LEN>();
        if !rest.is_empty() || entries.len() as u64 != u64::from(u32::from_be_bytes(*count)) {
            return Err(layout("it has another number of runs than it says"));
        }
        let runs: Vec<RunIndex> = entries.iter().map(RunIndex::parse).collect();
        check_runs(&runs, footer)?;
        Ok(Self { runs })
    }

    pub(super) fn put(runs: impl ExactSizeIterator<Item = RunIndex>, out: &mut BytesMut) {
        out.put_u32(runs.len() as u32);
        runs.for_each(|run| run.put(out));
    }

    /// The runs of one partition: at most one, in an object that was not compacted.
    pub fn runs_of(&self, topic_partition: TopicPartition) -> &[RunIndex] {
        let from = self
            .runs
            .partition_point(|run| run.topic_partition < topic_partition);
        let runs = &self.runs[from..];
        let len = runs.partition_point(|run| run.topic_partition == topic_partition);
        &runs[..len]
    }
}

fn check_runs(runs: &[RunIndex], footer: &Footer) -> Result<(), ObjectError> {
    let mut position = HEADER_LEN as u64;
    for run in runs {
        if run.position != position {
            return Err(layout("a run does not begin where the one before it ends"));
        }
        let least = u64::from(run.batch_count) * batch::HEADER_LEN as u64;
        if run.batch_count == 0 || run.length < least {
            return Err(layout("a run has no place for its batches"));
        }
        position = position
            .checked_add(run.length)
            .filter(|&end| end <= footer.index_position)
            .ok_or_else(|| layout("a run ends behind the start of the index"))?;
    }
    if position != footer.index_position {
        return Err(layout("the last run does not end where the index begins"));
    }
    if !runs.is_sorted_by_key(|run| run.topic_partition) {
        return Err(layout("the runs are not in order"));
    }
    Ok(())
}

fn layout(what: &'static str) -> ObjectError {
    ObjectError::Layout {
        part: Part::Index,
        what,
    }
}

/// The last bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the index begins, in bytes from the start of the object.
    pub index_position: u64,
    /// Bytes of the index.
    pub index_length: u64,
    /// Bytes of the object.
    pub object_length: u64,
    /// CRC32C of the index.
    pub index_crc: u32,
}

impl Footer {
    /// Parses the footer at the end of `tail`, the last bytes of an object of `object_len` bytes.
    ///
    /// # Errors
    /// [`ObjectError::Truncated`], [`ObjectError::Magic`], [`ObjectError::Version`],
    /// [`ObjectError::Crc`], [`ObjectError::Length`] and [`ObjectError::Layout`].
    pub fn parse(tail: &[u8], object_len: u64) -> Result<Self, ObjectError> {
        let Some(bytes) = tail.last_chunk::<FOOTER_LEN>() else {
            return Err(ObjectError::truncated(Part::Footer, FOOTER_LEN, tail.len()));
        };
        if array(bytes, 36) != FOOTER_MAGIC {
            return Err(ObjectError::Magic(Part::Footer));
        }
        check_version(u32::from_be_bytes(array(bytes, 32)))?;
        let stored = u32::from_be_bytes(array(bytes, FOOTER_CRC.start));
        check_crc(Part::Footer, stored, footer_crc(bytes))?;
        let footer = Self {
            index_position: u64::from_be_bytes(array(bytes, 0)),
            index_length: u64::from_be_bytes(array(bytes, 8)),
            object_length: u64::from_be_bytes(array(bytes, 16)),
            index_crc: u32::from_be_bytes(array(bytes, 24)),
        };
        footer.check(object_len)?;
        Ok(footer)
    }

    fn check(&self, object_len: u64) -> Result<(), ObjectError> {
        if self.object_length != object_len {
            return Err(ObjectError::Length {
                stored: self.object_length,
                have: object_len,
            });
        }
        let end = self
            .index_position
            .checked_add(self.index_length)
            .and_then(|end| end.checked_add(FOOTER_LEN as u64));
        if self.index_position < HEADER_LEN as u64 || end != Some(object_len) {
            return Err(ObjectError::Layout {
                part: Part::Footer,
                what: "the index does not lie between the runs and the footer",
            });
        }
        Ok(())
    }

    /// The bytes of the object that are the index's.
    pub fn index_range(&self) -> Range<u64> {
        self.index_position..self.index_position.saturating_add(self.index_length)
    }

    /// The footer's bytes.
    pub fn to_bytes(&self) -> [u8; FOOTER_LEN] {
        let mut out = [0; FOOTER_LEN];
        out[0..8].copy_from_slice(&self.index_position.to_be_bytes());
        out[8..16].copy_from_slice(&self.index_length.to_be_bytes());
        out[16..24].copy_from_slice(&self.object_length.to_be_bytes());
        out[24..28].copy_from_slice(&self.index_crc.to_be_bytes());
        out[32..36].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        out[36..44].copy_from_slice(&FOOTER_MAGIC);
        let crc = footer_crc(&out);
        out[FOOTER_CRC].copy_from_slice(&crc.to_be_bytes());
        out
    }
}

/// CRC32C of everything in the footer but the CRC itself.
fn footer_crc(footer: &[u8; FOOTER_LEN]) -> u32 {
    let before = crc32c::crc32c(&footer[..FOOTER_CRC.start]);
    crc32c::crc32c_append(before, &footer[FOOTER_CRC.end..])
}
