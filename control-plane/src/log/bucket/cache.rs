//! Owns the recent entries in memory, so that what this process has just written or probed is not fetched again.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::log::Position;

/// Entries known to be the log's, bounded by bytes; the oldest positions go first.
#[derive(Debug)]
pub(super) struct EntryCache {
    entries: BTreeMap<Position, Bytes>,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry costs beside its bytes.
const OVERHEAD_BYTES: usize = 96;

impl EntryCache {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub fn insert(&mut self, at: Position, entry: Bytes) {
        self.bytes += entry.len() + OVERHEAD_BYTES;
        if let Some(replaced) = self.entries.insert(at, entry) {
            self.bytes -= replaced.len() + OVERHEAD_BYTES;
        }
        while self.bytes > self.bytes_max {
            let Some((_, gone)) = self.entries.pop_first() else {
                break;
            };
            self.bytes -= gone.len() + OVERHEAD_BYTES;
        }
    }

    pub fn get(&self, at: Position) -> Option<Bytes> {
        self.entries.get(&at).cloned()
    }

    /// The entries from `first` on without a gap, at least one if it is here, up to about `bytes_max` bytes.
    pub fn run(&self, first: Position, bytes_max: usize) -> Vec<(Position, Bytes)> {
        let mut run = Vec::new();
        let mut bytes = 0usize;
        for (expected, (at, entry)) in (first.0..).zip(self.entries.range(first..)) {
            bytes = bytes.saturating_add(entry.len());
            if at.0 != expected || (!run.is_empty() && bytes > bytes_max) {
                break;
            }
            run.push((*at, entry.clone()));
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_within_its_bound() {
        let mut cache = EntryCache::new(3 * (OVERHEAD_BYTES + 10));
        for at in 1..=5 {
            cache.insert(Position(at), Bytes::from(vec![0; 10]));
            cache.insert(Position(at), Bytes::from(vec![1; 10]));
        }
        assert_eq!(cache.get(Position(2)), None);
        let run = cache.run(Position(3), usize::MAX);
        assert_eq!(
            run.iter().map(|(at, _)| at.0).collect::<Vec<_>>(),
            [3, 4, 5]
        );
        assert!(run.iter().all(|(_, entry)| entry[..] == [1; 10]));
    }

    #[test]
    fn a_run_stops_at_a_gap_and_at_the_limit() {
        let mut cache = EntryCache::new(1 << 20);
        for at in [1, 2, 3, 5] {
            cache.insert(Position(at), Bytes::from(vec![0; 10]));
        }
        let positions = |first, bytes_max| -> Vec<u64> {
            cache
                .run(Position(first), bytes_max)
                .iter()
                .map(|(at, _)| at.0)
                .collect()
        };
        assert_eq!(positions(1, usize::MAX), [1, 2, 3]);
        assert_eq!(positions(1, 25), [1, 2]);
        assert_eq!(positions(1, 0), [1]);
        assert_eq!(positions(4, usize::MAX), [0; 0]);
    }
}
