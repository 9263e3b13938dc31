//! Sets of partitions, by topic.

use std::collections::{BTreeMap, BTreeSet};

use object_format::{TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

/// A set of partitions. No topic in it is without partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment(BTreeMap<TopicId, BTreeSet<u32>>);

impl Assignment {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    pub(crate) fn insert(&mut self, partition: TopicPartition) {
        let topic = self.0.entry(partition.topic).or_default();
        topic.insert(partition.partition);
    }

    pub(crate) fn contains(&self, partition: TopicPartition) -> bool {
        let topic = self.0.get(&partition.topic);
        topic.is_some_and(|partitions| partitions.contains(&partition.partition))
    }

    /// All partitions in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TopicPartition> {
        self.0.iter().flat_map(|(&topic, partitions)| {
            let of_topic = move |&partition| TopicPartition { topic, partition };
            partitions.iter().map(of_topic)
        })
    }

    /// The partitions of each topic.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<u32>)> {
        self.0
            .iter()
            .map(|(&topic, partitions)| (topic, partitions))
    }

    /// Those that are in `other` too.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|p| other.contains(*p)).collect()
    }

    /// Those that are not in `other`.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.iter().filter(|p| !other.contains(*p)).collect()
    }

    pub(crate) fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|p| other.contains(p))
    }
}

impl FromIterator<TopicPartition> for Assignment {
    fn from_iter<T: IntoIterator<Item = TopicPartition>>(partitions: T) -> Self {
        let mut assignment = Self::default();
        assignment.extend(partitions);
        assignment
    }
}

impl Extend<TopicPartition> for Assignment {
    fn extend<T: IntoIterator<Item = TopicPartition>>(&mut self, partitions: T) {
        for partition in partitions {
            self.insert(partition);
        }
    }
}
