//! Fetches that wait for records, and the commits that wake them.
//!
//! SUBTLE: a fetch enters itself before it looks at the partitions, so that no commit can fall
//! between looking and waiting. One that came before the wait ends it at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use object_format::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::metrics;

/// Everyone who waits. Clones are the same registry.
#[derive(Clone, Debug, Default)]
pub struct Waiters(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    /// How many wait, so that a commit that interests nobody takes no lock.
    count: AtomicUsize,
    /// Nobody is to wait any more.
    over: AtomicBool,
    entered: Mutex<Entered>,
}

#[derive(Debug, Default)]
struct Entered {
    next: u64,
    by_partition: HashMap<TopicPartition, BTreeSet<u64>>,
    alarms: HashMap<u64, Arc<Notify>>,
}

impl Waiters {
    /// Enters somebody who waits for these partitions, until what is returned is dropped.
    pub fn enter(&self, partitions: impl IntoIterator<Item = TopicPartition>) -> Waiter {
        metrics::waiting(1 + self.0.count.fetch_add(1, Ordering::SeqCst));
        let alarm = Arc::new(Notify::new());
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let mut entered = self.0.entered.lock();
        entered.next += 1;
        let id = entered.next;
        entered.alarms.insert(id, Arc::clone(&alarm));
        for &partition in &partitions {
            entered
                .by_partition
                .entry(partition)
                .or_default()
                .insert(id);
        }
        drop(entered);
        Waiter {
            registry: self.clone(),
            id,
            partitions,
            alarm,
        }
    }

    /// Wakes who waits for one of these partitions, each once however many it waits for.
    pub fn wake(&self, changed: &[TopicPartition]) {
        if self.0.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let entered = self.0.entered.lock();
        let ids = changed
            .iter()
            .filter_map(|partition| entered.by_partition.get(partition));
        for id in ids.flatten() {
            // A second alarm before the waiter has run is the same as one.
            if let Some(alarm) = entered.alarms.get(id) {
                alarm.notify_one();
            }
        }
    }

    /// Wakes everyone, now and whenever they wait again.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::SeqCst);
        for alarm in self.0.entered.lock().alarms.values() {
            alarm.notify_one();
        }
    }

    /// Whether nobody is to wait any more.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub struct Waiter {
    registry: Waiters,
    id: u64,
    partitions: Vec<TopicPartition>,
    alarm: Arc<Notify>,
}

impl Waiter {
    /// Returns once a partition has changed since this was entered, or since this returned last.
    pub async fn woken(&self) {
        self.alarm.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut entered = self.registry.0.entered.lock();
        entered.alarms.remove(&self.id);
        for partition in &self.partitions {
            if let Some(ids) = entered.by_partition.get_mut(partition) {
                ids.remove(&self.id);
                if ids.is_empty() {
                    entered.by_partition.remove(partition);
                }
            }
        }
        drop(entered);
        let before = self.registry.0.count.fetch_sub(1, Ordering::SeqCst);
        metrics::waiting(before.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
