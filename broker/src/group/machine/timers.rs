//! The timers of one group: at most one per key, ordered by deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// The end of the join phase.
    Join,
    /// The end of the wait for every member's SyncGroup.
    Sync,
    /// The session of a member, or the time a pending member has to join. Holds the member id.
    Session(String),
}

/// Deadlines on the monotonic clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    by_key: BTreeMap<TimerKey, Duration>,
    by_time: BTreeSet<(Duration, TimerKey)>,
}

impl Timers {
    /// Sets the timer, replacing the one there was.
    pub(super) fn schedule(&mut self, key: TimerKey, at: Duration) {
        self.cancel(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Removes the timer, if there is one.
    pub(super) fn cancel(&mut self, key: &TimerKey) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Removes the timer if it still has this deadline; says whether it did.
    pub(super) fn take(&mut self, at: Duration, key: &TimerKey) -> bool {
        let due = self.by_key.get(key) == Some(&at);
        if due {
            self.cancel(key);
        }
        due
    }

    /// The timers due at `now`, in order of their deadlines. They stay set.
    pub(super) fn due(&self, now: Duration) -> Vec<(Duration, TimerKey)> {
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

    /// Whose sessions run.
    #[cfg(test)]
    pub(super) fn sessions(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().filter_map(|key| match key {
            TimerKey::Session(id) => Some(id.as_str()),
            TimerKey::Join | TimerKey::Sync => None,
        })
    }

    #[cfg(test)]
    pub(super) fn is_set(&self, key: &TimerKey) -> bool {
        self.by_key.contains_key(key)
    }
}
