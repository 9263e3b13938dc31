//! The keys of a log. All begin with the prefix and a zero byte, which no prefix contains, so that no prefix reaches
//! into another. Numbers are big-endian.
//!
//! ```text
//! c                                    who owns the prefix             written once, and by a move
//! b <cell: 2>                          base: what was trimmed          written by trim, and by a move
//! i <cell: 2> <position: 8>            anchor: the stamp of a position written once, removed by trim
//! l <cell: 2> <stamp: 10> <chunk: 2>   an entry, in chunks             written once, removed by trim
//! n <cell: 2>                          bell: the newest entry's stamp  written by append
//! ```
//!
//! SUBTLE: the log orders entries by stamp, and a [`Position`] is how many entries came before, plus one. No key says
//! it: whoever reads counts, from the base or from an anchor on. Stamps never change and none is ever added before
//! another that can be seen, so everybody counts alike.

use crate::log::Position;

/// The cell of every log, until a deployment has several.
const CELL: u16 = 0;

const STAMP_BYTES: usize = 10;

/// What FoundationDB puts in the place of a stamp when it commits: the commit's version and its place in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub [u8; STAMP_BYTES]);

impl Stamp {
    /// The version at which its entry was committed.
    pub fn version(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// A place in the log whose position is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub position: Position,
    pub stamp: Stamp,
}

impl Place {
    pub fn encode(self) -> Vec<u8> {
        [&self.position.0.to_be_bytes()[..], &self.stamp.0].concat()
    }

    /// A value that will be the place of `position` with the commit's stamp.
    pub fn encode_unstamped(position: Position) -> Vec<u8> {
        let place = Self {
            position,
            stamp: Stamp::default(),
        };
        let stamp_at = u32::try_from(size_of::<u64>()).unwrap_or(0);
        [&place.encode()[..], &stamp_at.to_le_bytes()].concat()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (position, stamp) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            position: Position(u64::from_be_bytes(*position)),
            stamp: Stamp(stamp.try_into().ok()?),
        })
    }
}

/// The keys under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys(Vec<u8>);

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self([prefix.as_bytes(), &[0]].concat())
    }

    fn key(&self, kind: u8, rest: &[&[u8]]) -> Vec<u8> {
        let mut key = self.0.clone();
        key.push(kind);
        key.extend(rest.iter().copied().flatten());
        key
    }

    fn in_cell(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        self.key(kind, &[&CELL.to_be_bytes(), rest])
    }

    /// Everything under the prefix: from the first up to but without the second.
    pub fn all(&self) -> (Vec<u8>, Vec<u8>) {
        (self.key(0, &[]), self.key(0xff, &[]))
    }

    pub fn owner(&self) -> Vec<u8> {
        self.key(b'c', &[])
    }

    pub fn base(&self) -> Vec<u8> {
        self.in_cell(b'b', &[])
    }

    pub fn bell(&self) -> Vec<u8> {
        self.in_cell(b'n', &[])
    }

    pub fn anchor(&self, at: Position) -> Vec<u8> {
        self.in_cell(b'i', &at.0.to_be_bytes())
    }

    pub fn chunk(&self, stamp: Stamp, chunk: u16) -> Vec<u8> {
        self.in_cell(b'l', &[&stamp.0[..], &chunk.to_be_bytes()].concat())
    }

    /// The key of a chunk before its commit, as FoundationDB takes it: with the place of the stamp in four
    /// little-endian bytes behind it.
    pub fn unstamped_chunk(&self, chunk: u16) -> Vec<u8> {
        let mut key = self.chunk(Stamp::default(), chunk);
        let at = key.len() - STAMP_BYTES - size_of::<u16>();
        key.extend(u32::try_from(at).unwrap_or(0).to_le_bytes());
        key
    }

    /// A value that will be the commit's stamp.
    pub fn unstamped_value() -> [u8; STAMP_BYTES + 4] {
        [0; STAMP_BYTES + 4]
    }

    /// The last key that an entry stamped so can have.
    pub fn last_chunk(&self, stamp: Stamp) -> Vec<u8> {
        self.chunk(stamp, u16::MAX)
    }

    /// Stamp and number of the chunk with this key.
    pub fn parse_chunk(&self, key: &[u8]) -> Option<(Stamp, u16)> {
        let head = self.in_cell(b'l', &[]);
        let (stamp, chunk) = key.strip_prefix(&head[..])?.split_first_chunk()?;
        Some((Stamp(*stamp), u16::from_be_bytes(chunk.try_into().ok()?)))
    }

    /// The position of the anchor with this key.
    pub fn parse_anchor(&self, key: &[u8]) -> Option<Position> {
        let at = key.strip_prefix(&self.in_cell(b'i', &[])[..])?;
        Some(Position(u64::from_be_bytes(at.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_chunks_sort_by_stamp_and_number_and_come_back() {
        let keys = Keys::new("p");
        let stamp = |last| Stamp([0, 0, 0, 0, 0, 0, 7, 0, 0, last]);
        let sorted = [
            keys.last_chunk(Stamp::default()),
            keys.chunk(stamp(1), 0),
            keys.chunk(stamp(1), 300),
            keys.last_chunk(stamp(1)),
            keys.chunk(stamp(2), 0),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(keys.parse_chunk(&sorted[2]), Some((stamp(1), 300)));
        assert_eq!(stamp(1).version(), 0x700);
        assert_eq!(keys.parse_chunk(&keys.anchor(Position(1))), None);
        let anchor = keys.anchor(Position(77));
        assert_eq!(keys.parse_anchor(&anchor), Some(Position(77)));
    }

    #[test]
    fn an_unstamped_key_says_where_the_stamp_goes() {
        let keys = Keys::new("prefix");
        let mut key = keys.unstamped_chunk(3);
        let at = key.split_off(key.len() - 4);
        let at = u32::from_le_bytes(at.try_into().unwrap()) as usize;
        let stamp = Stamp([9; 10]);
        key[at..at + STAMP_BYTES].copy_from_slice(&stamp.0);
        assert_eq!(key, keys.chunk(stamp, 3));
    }

    #[test]
    fn no_prefix_reaches_into_another() {
        let (short, long) = (Keys::new("a"), Keys::new("ab"));
        let (from, to) = short.all();
        for key in [long.owner(), long.last_chunk(Stamp([0xff; 10]))] {
            assert!(!(from.clone()..to.clone()).contains(&key));
        }
        let (from, to) = short.all();
        for key in [
            short.owner(),
            short.base(),
            short.bell(),
            short.anchor(Position(u64::MAX)),
            short.last_chunk(Stamp([0xff; 10])),
        ] {
            assert!((from.clone()..to.clone()).contains(&key));
        }
    }

    #[test]
    fn places_come_back() {
        let place = Place {
            position: Position(5),
            stamp: Stamp([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        assert_eq!(Place::decode(&place.encode()[1..]), None);
    }
}
