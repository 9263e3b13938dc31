//! The partitions of a fetch session, in the order they are fetched: those that gave records go to
//! the end, so that none is starved by those in front of it.

use std::collections::{BTreeMap, HashMap};

use super::outcome::PartitionOutcome;
use super::plan::{PartitionFetch, TopicRef};

/// The partitions of a session.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    places: HashMap<(TopicRef, i32), u64>,
    in_order: BTreeMap<u64, Partition>,
    next: u64,
}

#[derive(Debug)]
struct Partition {
    fetch: PartitionFetch,
    told: Option<Ends>,
}

/// What a client knows of a partition's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

impl Partitions {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a partition at the end, or changes what is wanted of it.
    pub(super) fn set(&mut self, fetch: PartitionFetch) {
        let key = (fetch.topic.clone(), fetch.partition);
        let place = *self.places.entry(key).or_insert(self.next);
        self.next = self.next.max(place + 1);
        let told = self
            .in_order
            .remove(&place)
            .and_then(|partition| partition.told);
        self.in_order.insert(place, Partition { fetch, told });
    }

    pub(super) fn remove(&mut self, topic: &TopicRef, partition: i32) {
        if let Some(place) = self.places.remove(&(topic.clone(), partition)) {
            self.in_order.remove(&place);
        }
    }

    /// What is wanted of each, in order.
    pub(super) fn wanted(&self) -> Vec<PartitionFetch> {
        self.in_order
            .values()
            .map(|partition| partition.fetch.clone())
            .collect()
    }

    /// Notes what a client is about to be told; says whether there is news in it.
    pub(super) fn tell(&mut self, outcome: &PartitionOutcome) -> bool {
        let key = (outcome.topic.clone(), outcome.partition);
        // Forgotten meanwhile.
        let Some(place) = self.places.get_mut(&key) else {
            return false;
        };
        let ends = Ends {
            high_watermark: outcome.high_watermark,
            last_stable_offset: outcome.last_stable_offset,
            log_start_offset: outcome.log_start_offset,
        };
        // After an error the client is told again, whatever the ends are.
        let told = outcome.error.is_none().then_some(ends);
        let has_records = outcome.records.bytes > 0;
        let Some(partition) = self.in_order.get_mut(place) else {
            return false;
        };
        let news =
            has_records || outcome.preferred.is_some() || told.is_none() || partition.told != told;
        partition.told = told;
        if has_records && let Some(partition) = self.in_order.remove(place) {
            *place = self.next;
            self.next += 1;
            self.in_order.insert(*place, partition);
        }
        news
    }
}
