//! What the records of a benchmark carry, and what their reader concludes from it.
//!
//! The records of one producer to one partition are a chain: each carries its sequence number and
//! the hash of the whole value before it. A reader that walks the chain sees a record that is lost,
//! comes twice, comes too early, or is not what was sent.

use std::collections::BTreeMap;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::ranges::Ranges;

/// Bytes of a value before its filler: the smallest record.
pub const LINK_BYTES: usize = 40;

const MAGIC: &[u8; 4] = b"MRB1";

/// The head of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number of the producer within its run.
    pub producer: u32,
    /// The run; records of other runs in the same topic are other chains.
    pub run: u64,
    /// Counts the producer's records to this partition, from 0.
    pub sequence: u64,
    /// When it was sent, by the monotonic clock of the sending machine, in nanoseconds.
    pub sent_ns: u64,
    /// Hash of the value before it in the chain; 0 for the first.
    pub previous: u64,
}

impl Link {
    /// Reads the head of a value; none if the value is not of a benchmark.
    pub fn read(value: &[u8]) -> Option<Self> {
        let head = value.first_chunk::<LINK_BYTES>()?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at..at + 8]);
            u64::from_be_bytes(word)
        };
        (&head[..4] == MAGIC).then(|| Self {
            producer: word(0) as u32,
            run: word(8),
            sequence: word(16),
            sent_ns: word(24),
            previous: word(32),
        })
    }

    /// Writes it to the head of a value, which must be long enough.
    pub fn write(&self, value: &mut [u8]) {
        value[..4].copy_from_slice(MAGIC);
        value[4..8].copy_from_slice(&self.producer.to_be_bytes());
        let words = [self.run, self.sequence, self.sent_ns, self.previous];
        for (index, word) in words.into_iter().enumerate() {
            let at = 8 * (index + 1);
            value[at..at + 8].copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// Hash of a value, which the next link carries.
pub fn hash(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// The sending end of a chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainEnd {
    /// Sequence number of the next record.
    pub next: u64,
    /// Hash of the record before it.
    pub last: u64,
}

/// Which chain: run, partition, producer.
pub type ChainId = (u64, i32, u32);

/// The receiving end of one chain.
#[derive(Clone, Debug, Default)]
struct Chain {
    received: Ranges,
    next: u64,
    last: u64,
    began: bool,
}

/// Counts of what a reader saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Records that came for the first time.
    pub received: u64,
    /// Of these, linked to the record before them.
    pub verified: u64,
    /// Records that had come before.
    pub duplicated: u64,
    /// Records that came after a later one.
    pub reordered: u64,
    /// Records whose link does not fit the record before them.
    pub altered: u64,
    /// Records of no benchmark.
    pub foreign: u64,
    /// Offsets that were not one more than the offset before them.
    pub offset_gaps: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.verified += other.verified;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.altered += other.altered;
        self.foreign += other.foreign;
        self.offset_gaps += other.offset_gaps;
    }
}

/// Walks the chains of some partitions.
#[derive(Debug, Default)]
pub struct Verifier {
    chains: BTreeMap<ChainId, Chain>,
    offsets: BTreeMap<i32, i64>,
    seen: Seen,
}

impl Verifier {
    /// The next record of a partition, in the order of offsets. Gives its link, if it has one.
    pub fn observe(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) -> Option<Link> {
        if let Some(last) = self.offsets.insert(partition, offset)
            && offset != last + 1
        {
            self.seen.offset_gaps += 1;
        }
        let Some((value, link)) = value.and_then(|value| Some((value, Link::read(value)?))) else {
            self.seen.foreign += 1;
            return None;
        };
        let chain = self
            .chains
            .entry((link.run, partition, link.producer))
            .or_default();
        let seen = &mut self.seen;
        if link.sequence < chain.next {
            match chain.received.insert(link.sequence) {
                true => (seen.reordered, seen.received) = (seen.reordered + 1, seen.received + 1),
                false => seen.duplicated += 1,
            }
            return Some(link);
        }
        let follows = link.sequence == chain.next && (chain.began || link.sequence == 0);
        match follows && link.previous == chain.last {
            true => seen.verified += 1,
            false if follows => seen.altered += 1,
            // After a gap the record before is not known.
            false => {}
        }
        seen.received += 1;
        chain.received.insert(link.sequence);
        chain.began = true;
        chain.next = link.sequence + 1;
        chain.last = hash(value);
        Some(link)
    }

    /// Takes over what another reader saw of other partitions.
    pub fn merge(&mut self, other: Self) {
        self.chains.extend(other.chains);
        self.offsets.extend(other.offsets);
        self.seen += other.seen;
    }

    /// What was seen.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// How many of the acknowledged records never came.
    pub fn lost(&self, acknowledged: &Acknowledged) -> u64 {
        let none = Ranges::default();
        let lost = acknowledged.iter().map(|(id, sent)| {
            sent.missing_in(self.chains.get(id).map_or(&none, |chain| &chain.received))
        });
        lost.sum()
    }

    /// Records missing between the first and the last of each chain, and after the first: what is
    /// known without having been the sender.
    pub fn gaps(&self) -> u64 {
        self.chains
            .values()
            .map(|chain| chain.received.gaps())
            .sum()
    }
}

/// Sequence numbers acknowledged, by chain.
pub type Acknowledged = BTreeMap<ChainId, Ranges>;

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 99;

    /// A chain of `count` values of producer 3.
    fn chain(count: u64) -> Vec<Vec<u8>> {
        let mut last = 0;
        let value = |sequence| {
            let mut value = vec![b'.'; LINK_BYTES + 20];
            Link {
                producer: 3,
                run: RUN,
                sequence,
                sent_ns: 5,
                previous: last,
            }
            .write(&mut value);
            last = hash(&value);
            value
        };
        (0..count).map(value).collect()
    }

    fn walk(values: &[Vec<u8>]) -> Verifier {
        let mut verifier = Verifier::default();
        for (offset, value) in values.iter().enumerate() {
            verifier.observe(0, offset as i64, Some(value));
        }
        verifier
    }

    fn acknowledged(until: u64) -> Acknowledged {
        let mut ranges = Ranges::default();
        ranges.insert_range(0, until);
        [((RUN, 0, 3), ranges)].into()
    }

    #[test]
    fn a_link_round_trips() {
        let link = Link {
            producer: 7,
            run: 1 << 60,
            sequence: 3,
            sent_ns: 9,
            previous: u64::MAX,
        };
        let mut value = [0xaa; LINK_BYTES];
        link.write(&mut value);
        assert_eq!(Link::read(&value), Some(link));
        assert_eq!(Link::read(&value[..39]), None);
        value[0] = b'X';
        assert_eq!(Link::read(&value), None);
    }

    #[test]
    fn a_whole_chain_is_verified() {
        let verifier = walk(&chain(100));
        assert_eq!(
            verifier.seen(),
            Seen {
                received: 100,
                verified: 100,
                ..Seen::default()
            }
        );
        assert_eq!((verifier.lost(&acknowledged(100)), verifier.gaps()), (0, 0));
    }

    #[test]
    fn a_lost_record_is_counted_if_it_was_acknowledged() {
        let mut values = chain(10);
        values.remove(4);
        let verifier = walk(&values);
        assert_eq!(verifier.seen().received, 9);
        assert_eq!(verifier.seen().verified, 8);
        assert_eq!((verifier.lost(&acknowledged(10)), verifier.gaps()), (1, 1));
        assert_eq!(verifier.lost(&acknowledged(4)), 0);
        // The end of the chain is lost too.
        assert_eq!(walk(&chain(7)).lost(&acknowledged(10)), 3);
        assert_eq!(walk(&[]).lost(&acknowledged(10)), 10);
    }

    #[test]
    fn a_record_that_comes_twice_is_duplicated() {
        let mut values = chain(10);
        values.insert(5, values[4].clone());
        values.push(values[0].clone());
        let seen = walk(&values).seen();
        assert_eq!((seen.received, seen.duplicated, seen.reordered), (10, 2, 0));
    }

    #[test]
    fn a_record_that_comes_late_is_reordered() {
        let mut values = chain(10);
        values.swap(4, 5);
        let verifier = walk(&values);
        let seen = verifier.seen();
        assert_eq!((seen.received, seen.duplicated, seen.reordered), (10, 0, 1));
        assert_eq!(verifier.lost(&acknowledged(10)), 0);
    }

    #[test]
    fn a_changed_byte_breaks_the_chain() {
        let mut values = chain(10);
        values[6][LINK_BYTES + 3] ^= 1;
        let seen = walk(&values).seen();
        assert_eq!((seen.verified, seen.altered), (9, 1));
    }

    #[test]
    fn offsets_are_dense() {
        let values = chain(3);
        let mut verifier = Verifier::default();
        verifier.observe(0, 10, Some(&values[0]));
        verifier.observe(0, 11, Some(&values[1]));
        verifier.observe(0, 13, Some(&values[2]));
        verifier.observe(1, 0, None);
        assert_eq!(
            (verifier.seen().offset_gaps, verifier.seen().foreign),
            (1, 1)
        );
    }

    #[test]
    fn a_chain_met_in_its_middle_is_not_called_altered() {
        let verifier = walk(&chain(10)[4..]);
        assert_eq!((verifier.seen().altered, verifier.gaps()), (0, 0));
    }
}
