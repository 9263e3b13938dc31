//! A set of sequence numbers that come mostly in order: a few ranges.

use std::collections::BTreeMap;

/// Disjoint, non-adjacent half-open ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    by_start: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds one; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        self.insert_range(number, number + 1);
        true
    }

    /// Adds `start..end`.
    pub fn insert_range(&mut self, start: u64, end: u64) {
        // The usual case: the last range grows.
        if let Some(mut last) = self.by_start.last_entry()
            && *last.get() == start
        {
            *last.get_mut() = end;
            return;
        }
        let (mut start, mut end) = (start, end);
        while let Some((&before, &until)) = self.by_start.range(..=end).next_back() {
            if until < start {
                break;
            }
            start = start.min(before);
            end = end.max(until);
            self.by_start.remove(&before);
        }
        self.by_start.insert(start, end);
    }

    /// Whether it has a number.
    pub fn contains(&self, number: u64) -> bool {
        self.by_start
            .range(..=number)
            .next_back()
            .is_some_and(|(_, &end)| number < end)
    }

    /// How many numbers it has.
    pub fn len(&self) -> u64 {
        self.by_start.iter().map(|(start, end)| end - start).sum()
    }

    /// How many numbers between its first and its last it has not.
    pub fn gaps(&self) -> u64 {
        let first = self.by_start.keys().next();
        let last = self.by_start.values().next_back();
        first
            .zip(last)
            .map_or(0, |(first, last)| last - first - self.len())
    }

    /// How many of its numbers `other` has not.
    pub fn missing_in(&self, other: &Self) -> u64 {
        let shared = |(&start, &end): (&u64, &u64)| {
            let before = other.by_start.range(..start).next_back();
            let within = other.by_start.range(start..end);
            let overlap = |(&s, &e): (&u64, &u64)| end.min(e).saturating_sub(start.max(s));
            before.into_iter().chain(within).map(overlap).sum::<u64>()
        };
        self.len() - self.by_start.iter().map(shared).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(5));
        assert!(ranges.insert(7));
        assert!(!ranges.insert(7));
        assert_eq!((ranges.len(), ranges.gaps()), (2, 1));
        assert!(ranges.insert(6));
        assert_eq!((ranges.by_start.len(), ranges.gaps()), (1, 0));
        ranges.insert_range(20, 30);
        ranges.insert_range(0, 25);
        assert_eq!(ranges.by_start, [(0, 30)].into());
    }

    #[test]
    fn what_another_set_lacks_is_counted() {
        let of = |list: &[(u64, u64)]| {
            let mut ranges = Ranges::default();
            list.iter()
                .for_each(|&(start, end)| ranges.insert_range(start, end));
            ranges
        };
        assert_eq!(of(&[(0, 10)]).missing_in(&of(&[(0, 10)])), 0);
        assert_eq!(of(&[(0, 10)]).missing_in(&of(&[])), 10);
        assert_eq!(of(&[(0, 10)]).missing_in(&of(&[(2, 4), (6, 20)])), 4);
        assert_eq!(of(&[(3, 5), (8, 9)]).missing_in(&of(&[(0, 4), (8, 30)])), 1);
        assert_eq!(of(&[]).missing_in(&of(&[(0, 4)])), 0);
    }
}
