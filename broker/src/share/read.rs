//! The records that were read in a turn: finding their batches, and cutting out what a member was given.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_format::batch::{BatchHeader, HEADER_LEN};

use super::partition::{Acquired, ReadBatch};
use crate::fetch::outcome::AbortedTransaction;

/// A batch among the bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    batch: ReadBatch,
    /// Where its bytes begin.
    position: usize,
    bytes: usize,
}

/// Whole batches end to end, cut into slices anywhere.
#[derive(Debug, Default)]
pub(super) struct ReadRecords {
    chunks: Vec<Bytes>,
    found: Vec<Found>,
}

impl ReadRecords {
    /// Finds the batches. Those of aborted transactions are not shown, nor are control batches.
    pub(super) fn new(chunks: Vec<Bytes>, aborted: &[AbortedTransaction]) -> Self {
        let mut aborted: Vec<AbortedTransaction> = aborted.to_vec();
        aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        let mut aborting: BTreeSet<i64> = BTreeSet::new();
        let mut found = vec![];
        let mut position = 0;
        while let Some(header) = header_at(&chunks, position) {
            let first = header.base_offset;
            let last = first + i64::from(header.last_offset_delta.max(0));
            while let Some(begun) = aborted.pop_if(|transaction| transaction.first_offset <= last) {
                aborting.insert(begun.producer_id);
            }
            let is_shown = match header.is_control() {
                // Whichever marker it is, it ends the producer's transaction.
                true => {
                    aborting.remove(&header.producer_id);
                    false
                }
                false => !(header.is_transactional() && aborting.contains(&header.producer_id)),
            };
            let batch = ReadBatch {
                first,
                last,
                is_shown,
            };
            let bytes = header.total_len();
            found.push(Found {
                batch,
                position,
                bytes,
            });
            position += bytes;
        }
        Self { chunks, found }
    }

    /// The batches from `offset` on, as they are told to the leader of a share-partition.
    pub(super) fn batches(&self, offset: i64) -> Vec<ReadBatch> {
        let batches = self.found.iter().map(|found| found.batch);
        batches
            .filter(|batch| batch.last >= offset)
            .map(|batch| ReadBatch {
                first: batch.first.max(offset),
                ..batch
            })
            .collect()
    }

    /// The bytes from the first to the last batch that a member was given something of.
    pub(super) fn cut(self, acquired: &[Acquired]) -> Vec<Bytes> {
        let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else {
            return vec![];
        };
        let given =
            |found: &&Found| found.batch.last >= first.first && found.batch.first <= last.last;
        let begin = self.found.iter().find(given).map(|f| f.position);
        let end = self
            .found
            .iter()
            .rev()
            .find(given)
            .map(|f| f.position + f.bytes);
        match (begin, end) {
            (Some(begin), Some(end)) => slice(self.chunks, begin, end),
            _ => vec![],
        }
    }
}

/// The header of the batch that begins at `position`.
fn header_at(chunks: &[Bytes], position: usize) -> Option<BatchHeader> {
    let mut header = [0; HEADER_LEN];
    let mut filled = 0;
    let mut skip = position;
    for chunk in chunks {
        if skip >= chunk.len() {
            skip -= chunk.len();
            continue;
        }
        let part = &chunk[skip..];
        skip = 0;
        let taken = part.len().min(HEADER_LEN - filled);
        header[filled..filled + taken].copy_from_slice(&part[..taken]);
        filled += taken;
        if filled == HEADER_LEN {
            return BatchHeader::parse(&header).ok();
        }
    }
    None
}

/// The bytes from `begin` to `end`, without copying them.
fn slice(chunks: Vec<Bytes>, begin: usize, end: usize) -> Vec<Bytes> {
    let mut position = 0;
    let mut cut = vec![];
    for chunk in chunks {
        let from = begin.saturating_sub(position).min(chunk.len());
        let to = end.saturating_sub(position).min(chunk.len());
        position += chunk.len();
        if from < to {
            cut.push(chunk.slice(from..to));
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, records: usize, producer: Option<i64>) -> Vec<u8> {
        let mut bytes = header(base, records, producer).to_bytes().to_vec();
        bytes.resize(100, 7);
        bytes
    }

    fn header(base: i64, records: usize, producer: Option<i64>) -> BatchHeader {
        let mut bytes = [0; HEADER_LEN];
        bytes[11] = 88;
        bytes[16] = 2;
        let header = BatchHeader::parse(&bytes).unwrap();
        BatchHeader {
            base_offset: base,
            last_offset_delta: records as i32 - 1,
            producer_id: producer.unwrap_or(-1),
            attributes: if producer.is_some() { 0x10 } else { 0 },
            ..header
        }
    }

    fn control(base: i64, producer: i64) -> Vec<u8> {
        let header = BatchHeader {
            attributes: 0x30,
            ..header(base, 1, Some(producer))
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.resize(100, 7);
        bytes
    }

    fn shown(first: i64, last: i64, is_shown: bool) -> ReadBatch {
        ReadBatch {
            first,
            last,
            is_shown,
        }
    }

    fn acquired(first: i64, last: i64) -> Acquired {
        Acquired {
            first,
            last,
            deliveries: 1,
        }
    }

    #[test]
    fn batches_are_found_however_the_bytes_are_cut() {
        let whole: Bytes = [batch(5, 10, None), batch(15, 1, None), batch(16, 4, None)]
            .concat()
            .into();
        for cut in 1..whole.len() {
            let chunks = vec![whole.slice(..cut), whole.slice(cut..)];
            let records = ReadRecords::new(chunks, &[]);
            let expected = [shown(8, 14, true), shown(15, 15, true), shown(16, 19, true)];
            assert_eq!(records.batches(8), expected, "cut at {cut}");
            let middle = records.cut(&[acquired(15, 15)]);
            assert_eq!(middle.concat(), &whole[100..200]);
        }
    }

    #[test]
    fn only_batches_that_something_was_given_of_are_sent() {
        let whole: Bytes = (0..5).flat_map(|i| batch(i * 10, 10, None)).collect();
        let cut = |ranges: &[Acquired]| {
            ReadRecords::new(vec![whole.clone()], &[])
                .cut(ranges)
                .concat()
        };
        assert_eq!(cut(&[]), b"");
        assert_eq!(cut(&[acquired(12, 13)]), &whole[100..200]);
        assert_eq!(cut(&[acquired(12, 13), acquired(38, 39)]), &whole[100..400]);
    }

    #[test]
    fn control_batches_and_aborted_records_are_not_shown() {
        let whole = [
            batch(0, 5, Some(1)),
            batch(5, 5, Some(2)),
            control(10, 1),
            batch(11, 1, Some(1)),
            batch(12, 1, None),
        ];
        let aborted = [AbortedTransaction {
            producer_id: 1,
            first_offset: 0,
        }];
        let records = ReadRecords::new(vec![whole.concat().into()], &aborted);
        let expected = [
            shown(0, 4, false),
            shown(5, 9, true),
            shown(10, 10, false),
            shown(11, 11, true),
            shown(12, 12, true),
        ];
        assert_eq!(records.batches(0), expected);
    }
}
