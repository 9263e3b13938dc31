//! The end of the log as this process knows it: counted positions, the newest entries, and who waits for theirs. Pure.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::chunks::{AppendId, Whole};
use super::keys::{Place, Stamp};
use crate::log::Position;

/// What a tail says to a read.
#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    /// These come next.
    Found(Vec<(Position, Bytes)>),
    /// Nothing newer is known.
    AtEnd,
    /// What comes next is no longer in memory.
    Older,
}

/// Everything up to a version, the newest of it in memory.
#[derive(Debug)]
pub(super) struct Tail {
    end: Place,
    /// What was committed up to this version is counted.
    version: i64,
    recent: VecDeque<(Place, Bytes)>,
    recent_bytes: usize,
    bytes_max: usize,
    waiting: HashMap<AppendId, oneshot::Sender<Place>>,
}

impl Tail {
    /// The tail of a log of which `from` is the last entry counted.
    pub fn new(from: Place, bytes_max: usize) -> Self {
        Self {
            end: from,
            version: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            bytes_max,
            waiting: HashMap::new(),
        }
    }

    pub fn end(&self) -> Place {
        self.end
    }

    pub fn version(&self) -> i64 {
        self.version
    }

    /// Notes that somebody wants to know the place of what is appended under `id`.
    pub fn expect(&mut self, id: AppendId) -> oneshot::Receiver<Place> {
        let (waiter, place) = oneshot::channel();
        self.waiting.insert(id, waiter);
        place
    }

    /// Notes that nobody waits for `id` any more.
    pub fn forget(&mut self, id: &AppendId) {
        self.waiting.remove(id);
    }

    /// Counts the next entry.
    pub fn push(&mut self, whole: Whole) {
        let Whole { stamp, id, entry } = whole;
        self.end = Place {
            position: Position(self.end.position.0 + 1),
            stamp,
        };
        if let Some(waiter) = self.waiting.remove(&id) {
            let _ = waiter.send(self.end);
        }
        self.recent_bytes += entry.len();
        self.recent.push_back((self.end, entry));
        while self.recent_bytes > self.bytes_max && self.recent.len() > 1 {
            let (_, oldest) = self.recent.pop_front().unwrap_or_default();
            self.recent_bytes -= oldest.len();
        }
    }

    /// Everything committed up to `version` has been counted.
    pub fn reached(&mut self, version: i64) {
        self.version = self.version.max(version);
    }

    /// Forgets what was trimmed, which is everything up to `base`; goes on from there if it is not even counted.
    pub fn trimmed(&mut self, base: Place) {
        while self
            .recent
            .front()
            .is_some_and(|(first, _)| first.position <= base.position)
        {
            let (_, entry) = self.recent.pop_front().unwrap_or_default();
            self.recent_bytes -= entry.len();
        }
        if self.end.position < base.position {
            self.end = base;
        }
    }

    /// Entries after `after`, at least one if one is there, and no more than about `bytes_max` bytes.
    pub fn read(&self, after: Position, bytes_max: usize) -> Lookup {
        if after >= self.end.position {
            return Lookup::AtEnd;
        }
        let Some(skipped) = self.index(Position(after.0 + 1)) else {
            return Lookup::Older;
        };
        let mut bytes = 0usize;
        let mut found = Vec::new();
        for (place, entry) in self.recent.range(skipped..) {
            bytes = bytes.saturating_add(entry.len());
            if !found.is_empty() && bytes > bytes_max {
                break;
            }
            found.push((place.position, entry.clone()));
        }
        Lookup::Found(found)
    }

    /// The stamp of an entry in memory.
    pub fn stamp(&self, at: Position) -> Option<Stamp> {
        let (place, _) = self.recent.get(self.index(at)?)?;
        Some(place.stamp)
    }

    /// Where in memory the entry at `at` is, which must not be after the end.
    fn index(&self, at: Position) -> Option<usize> {
        let (first, _) = self.recent.front()?;
        usize::try_from(at.0.checked_sub(first.position.0)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(number: u8, size: usize) -> Whole {
        Whole {
            stamp: Stamp([number; 10]),
            id: [number; 16],
            entry: vec![number; size].into(),
        }
    }

    fn tail(entries: u8) -> Tail {
        let mut tail = Tail::new(Place::default(), 1_000);
        (1..=entries).for_each(|number| tail.push(whole(number, 100)));
        tail
    }

    #[test]
    fn entries_are_counted_and_read_within_a_limit() {
        let tail = tail(5);
        assert_eq!(tail.end().position, Position(5));
        assert_eq!(tail.read(Position(5), 1_000), Lookup::AtEnd);
        let Lookup::Found(found) = tail.read(Position(2), 250) else {
            panic!("not there")
        };
        let positions: Vec<_> = found.iter().map(|(at, _)| at.0).collect();
        assert_eq!(positions, [3, 4]);
        assert_eq!(found[0].1[0], 3);
        let Lookup::Found(found) = tail.read(Position(2), 0) else {
            panic!("not there")
        };
        assert_eq!(found.len(), 1);
        assert_eq!(tail.stamp(Position(4)), Some(Stamp([4; 10])));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_is_kept() {
        let mut tail = tail(12);
        assert_eq!(tail.read(Position(1), 10), Lookup::Older);
        assert!(matches!(tail.read(Position(2), 10), Lookup::Found(_)));
        tail.push(whole(13, 5_000));
        assert_eq!(tail.read(Position(11), 10), Lookup::Older);
        assert!(matches!(tail.read(Position(12), 10), Lookup::Found(_)));
        assert_eq!(tail.stamp(Position(12)), None);
    }

    #[test]
    fn who_waits_learns_the_place_once() {
        let mut tail = tail(3);
        let mut mine = tail.expect([9; 16]);
        let mut given_up = tail.expect([8; 16]);
        tail.forget(&[8; 16]);
        tail.push(whole(8, 1));
        tail.push(whole(9, 1));
        assert_eq!(mine.try_recv().unwrap().position, Position(5));
        assert!(given_up.try_recv().is_err());
        tail.push(whole(9, 1));
        assert_eq!(tail.end().position, Position(6));
    }

    #[test]
    fn a_tail_skips_what_was_trimmed() {
        let mut tail = tail(3);
        let base = Place {
            position: Position(10),
            stamp: Stamp([10; 10]),
        };
        tail.trimmed(base);
        assert_eq!(tail.read(Position(3), 10), Lookup::Older);
        tail.push(whole(11, 1));
        assert_eq!(tail.end().position, Position(11));
        assert_eq!(tail.read(Position(9), 10), Lookup::Older);
        assert!(matches!(tail.read(Position(10), 10), Lookup::Found(_)));
    }
}
