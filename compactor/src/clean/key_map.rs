//! The latest offset of each key, in memory that is bounded whatever the keys are.

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Two words of the key's hash; the offset plus one, and zero where there is none.
type Slot = [u64; 3];

/// There is no place for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place for another key")]
pub struct Full;

/// Latest offset of each key. Of a key only its hash is kept, of 128 bits and under a seed that
/// nobody who writes keys can know, so that no two keys are ever taken for the same.
///
/// The memory is asked for at once and zeroed by the operating system when it is first touched.
#[derive(Clone, Debug)]
pub struct KeyMap {
    /// Open addressing with linear probing; the hash is spread over the slots in proportion.
    slots: Vec<Slot>,
    len: usize,
    seed: u64,
}

impl KeyMap {
    /// An empty map that takes `bytes_max` bytes at most: 30 for each key it can hold.
    pub fn new(bytes_max: usize, seed: u64) -> Self {
        Self {
            slots: vec![Slot::default(); bytes_max / size_of::<Slot>()],
            len: 0,
            seed,
        }
    }

    /// Notes that `key` is at `offset`. Only the greatest offset counts.
    ///
    /// # Errors
    /// [`Full`] if the key is new and there is no place for it.
    pub fn note(&mut self, key: &[u8], offset: i64) -> Result<(), Full> {
        let hash = self.hash(key);
        let noted = offset.max(0) as u64 + 1;
        let is_full = self.len >= self.capacity();
        let Some(slot) = self.find(hash) else {
            return Err(Full);
        };
        let slot = &mut self.slots[slot];
        if slot[2] == 0 {
            if is_full {
                return Err(Full);
            }
            *slot = [hash[0], hash[1], noted];
            self.len += 1;
        } else {
            slot[2] = slot[2].max(noted);
        }
        Ok(())
    }

    /// The greatest offset noted for `key`.
    pub fn latest(&self, key: &[u8]) -> Option<i64> {
        let [.., noted] = self.slots[self.find(self.hash(key))?];
        noted.checked_sub(1).map(|offset| offset as i64)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many keys it can hold: four of five slots, so that probing stays short and ends.
    pub fn capacity(&self) -> usize {
        self.slots.len() / 5 * 4
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = xxh3_128_with_seed(key, self.seed);
        [(hash >> 64) as u64, hash as u64]
    }

    /// The slot that has this hash, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> Option<usize> {
        if self.capacity() == 0 {
            return None;
        }
        let slots = self.slots.len();
        let first = ((u128::from(hash[0]) * slots as u128) >> 64) as usize;
        let mut probed = (first..slots).chain(0..first);
        probed.find(|&at| {
            let [high, low, noted] = self.slots[at];
            noted == 0 || [high, low] == hash
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_map_takes_no_new_key_and_still_the_old_ones() {
        let mut map = KeyMap::new(24 * 100, 1);
        for n in 0..map.capacity() as i64 {
            map.note(&n.to_be_bytes(), n).unwrap();
        }
        assert_eq!((map.len(), map.capacity()), (80, 80));
        assert_eq!(map.note(b"new", 1_000), Err(Full));
        assert_eq!(map.note(&7i64.to_be_bytes(), 1_001), Ok(()));
        assert_eq!(map.latest(&7i64.to_be_bytes()), Some(1_001));
        assert_eq!(map.latest(b"new"), None);
    }

    #[test]
    fn a_map_without_memory_is_full() {
        let mut map = KeyMap::new(23, 0);
        assert_eq!(map.note(b"key", 0), Err(Full));
        assert_eq!(map.latest(b"key"), None);
    }

    #[test]
    fn the_seed_moves_keys() {
        let place = |seed| {
            let map = KeyMap::new(1 << 20, seed);
            map.find(map.hash(b"key"))
        };
        assert_ne!(place(1), place(2));
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_the_greatest_offsets(
            notes in vec((vec(0u8..3, 0..4), 0i64..100), 0..200),
            seed in any::<u64>(),
        ) {
            let mut map = KeyMap::new(24 * 200, seed);
            let mut model = HashMap::<_, i64>::new();
            for (key, offset) in &notes {
                map.note(key, *offset).unwrap();
                let latest = model.entry(key).or_default();
                *latest = offset.max(latest).to_owned();
            }
            prop_assert_eq!(map.len(), model.len());
            for (key, latest) in model {
                prop_assert_eq!(map.latest(key), Some(latest));
            }
            prop_assert_eq!(map.latest(b"other"), None);
        }
    }
}
