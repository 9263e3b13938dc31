//! The timers of one group: at most one per key, ordered by deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Deadlines on the monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Timers<K> {
    by_key: BTreeMap<K, Duration>,
    by_time: BTreeSet<(Duration, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Ord> Timers<K> {
    /// Sets the timer, replacing the one there was.
    pub(super) fn schedule(&mut self, key: K, at: Duration) {
        self.cancel(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Removes the timer, if there is one.
    pub(super) fn cancel(&mut self, key: &K) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Removes the timer if it still has this deadline; says whether it did.
    pub(super) fn take(&mut self, at: Duration, key: &K) -> bool {
        let due = self.by_key.get(key) == Some(&at);
        if due {
            self.cancel(key);
        }
        due
    }

    /// The timers due at `now`, in order of their deadlines. They stay set.
    pub(super) fn due(&self, now: Duration) -> Vec<(Duration, K)> {
        self.by_time
            .iter()
            .take_while(|(at, _)| *at <= now)
            .cloned()
            .collect()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Removes every timer.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
        self.by_time.clear();
    }

    /// Whether the timer is set.
    pub(super) fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// What is set.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }
}
