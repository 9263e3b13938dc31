//! Deleted topics that may still be undeleted, and how they go for good.
//!
//! To clients such a topic is gone. All of it is kept aside under its id: partitions, configs, where groups were. What
//! its extents name is no garbage. Nothing is added to it but the ends of transactions that had written to it, and
//! nothing taken away but by compaction of the objects it shares with others: retention stands still.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use object_format::{TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::{CommittedOffset, Context, Partition, Share, State, Topic, is_legal_topic_name};

/// Most deleted topics that are kept; the one that was deleted first goes for one more.
pub const DELETED_TOPICS_MAX: usize = 1_000;

/// Most partitions of deleted topics that are kept, likewise.
pub const DELETED_PARTITIONS_MAX: usize = 100_000;

/// How much one [`PurgeTopic`] takes away: partitions, and extents beyond the first of each.
pub const PURGE_MAX: usize = 10_000;

/// A deleted topic that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeletedTopic {
    /// As it was.
    pub topic: Topic,
    /// The log's time when it was deleted.
    pub deleted_ms: i64,
    /// The log's time from which on it may be purged, and not be undeleted any more.
    pub purge_ms: i64,
    /// Some of it is gone already.
    pub is_purging: bool,
    /// Another topic has had its name since.
    is_name_taken: bool,
    /// What groups had committed for it.
    offsets: BTreeMap<String, BTreeMap<TopicPartition, CommittedOffset>>,
    /// How far share groups were.
    shares: BTreeMap<String, BTreeMap<TopicPartition, Share>>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deleted {
    topics: BTreeMap<TopicId, DeletedTopic>,
    partitions: BTreeMap<TopicPartition, Shared<Partition>>,
}

/// Makes a deleted topic what it was, with its id, records, configs and what groups had committed. Gives its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndeleteTopic {
    /// Which one.
    pub id: TopicId,
    /// Another name; none is the one it had.
    pub name: Option<String>,
}

/// Why a topic stays deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum UndeleteRejection {
    /// It was never deleted, or was purged.
    #[error("there is no deleted topic of this id")]
    Unknown,
    /// Its window has passed, or somebody purges it.
    #[error("the time within which it could be undeleted is over")]
    TooLate,
    /// A living topic has the name.
    #[error("there is a topic {0:?}; it needs another name")]
    NameTaken(String),
    /// Kafka's rules for topic names are broken.
    #[error("{0:?} is no legal name of a topic")]
    BadName(String),
}

/// Takes away some of a deleted topic for good, at most [`PURGE_MAX`]; what only it named becomes garbage. Says whether
/// nothing is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurgeTopic {
    /// Which one.
    pub id: TopicId,
    /// Though it could still be undeleted: somebody wants it gone.
    pub at_once: bool,
}

/// Why a topic is not purged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum PurgeRejection {
    /// It is not among the deleted ones, or not any more.
    #[error("there is no deleted topic of this id")]
    Unknown,
    /// It may still be undeleted.
    #[error("it can still be undeleted")]
    TooEarly,
}

impl DeletedTopic {
    /// Whether it can still be undeleted.
    pub fn may_be_undeleted(&self, now_ms: i64) -> bool {
        !self.is_purging && now_ms < self.purge_ms
    }
}

impl UndeleteTopic {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<String, UndeleteRejection> {
        let known = state.deleted.topics.get(&self.id);
        let known = known.ok_or(UndeleteRejection::Unknown)?;
        if !known.may_be_undeleted(by.now_ms) {
            return Err(UndeleteRejection::TooLate);
        }
        let name = self.name.unwrap_or_else(|| known.topic.name.clone());
        if !is_legal_topic_name(&name) {
            return Err(UndeleteRejection::BadName(name));
        }
        if state.topic_names.contains_key(&name) {
            return Err(UndeleteRejection::NameTaken(name));
        }
        state.restore(self.id, name.clone());
        Ok(name)
    }
}

impl PurgeTopic {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<bool, PurgeRejection> {
        let known = state.deleted.topics.get(&self.id);
        let known = known.ok_or(PurgeRejection::Unknown)?;
        if known.may_be_undeleted(by.now_ms) && !self.at_once {
            return Err(PurgeRejection::TooEarly);
        }
        Ok(state.purge(self.id, PURGE_MAX, by.now_ms))
    }
}

impl State {
    /// Deleted topics that are kept, by their ids.
    pub fn deleted_topics(&self) -> impl Iterator<Item = (TopicId, &DeletedTopic)> {
        let topics = self.deleted.topics.iter();
        topics.map(|(&id, deleted)| (id, deleted))
    }

    /// A deleted topic that is kept.
    pub fn deleted_topic(&self, id: TopicId) -> Option<&DeletedTopic> {
        self.deleted.topics.get(&id)
    }

    /// A partition whose records are kept, be its topic deleted or not.
    pub fn stored_partition(&self, of: TopicPartition) -> Option<&Partition> {
        let living = self.partitions.get(&of);
        let stored = living.or_else(|| self.deleted.partitions.get(&of));
        stored.map(|partition| &**partition)
    }

    /// All partitions whose records are kept, from this one on, be their topics deleted or not.
    pub fn stored_partitions_from(
        &self,
        from: TopicPartition,
    ) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        let mut living = self.partitions.range(from..).peekable();
        let mut deleted = self.deleted.partitions.range(from..).peekable();
        std::iter::from_fn(move || {
            let is_deleted = match (living.peek(), deleted.peek()) {
                (Some((living, _)), Some((deleted, _))) => deleted < living,
                (living, _) => living.is_none(),
            };
            let next = match is_deleted {
                true => deleted.next(),
                false => living.next(),
            };
            next.map(|(&of, partition)| (of, &**partition))
        })
    }

    /// As [`State::stored_partition`].
    pub(super) fn stored_partition_mut(&mut self, of: TopicPartition) -> Option<&mut Partition> {
        let stored = match self.partitions.get_mut(&of) {
            Some(living) => Some(living),
            None => self.deleted.partitions.get_mut(&of),
        };
        stored.map(|partition| &mut **partition)
    }

    /// Keeps a deleted topic until `purge_ms`, if that is to come. Otherwise, and for what is too much then, it goes at
    /// once.
    pub(super) fn set_aside(&mut self, id: TopicId, topic: Topic, purge_ms: i64, now_ms: i64) {
        let offsets = self.groups.iter_mut().map(|(name, group)| {
            let gone = take_topic(&mut group.offsets, id);
            (name.clone(), gone)
        });
        let offsets = offsets.filter(|(_, gone)| !gone.is_empty()).collect();
        let shares = self.take_shares_of_topic(id);
        let partitions = take_topic(&mut self.partitions, id);
        self.deleted.partitions.extend(partitions);
        let deleted = DeletedTopic {
            topic,
            deleted_ms: now_ms,
            purge_ms,
            is_purging: false,
            is_name_taken: false,
            offsets,
            shares,
        };
        self.deleted.topics.insert(id, deleted);
        if purge_ms <= now_ms {
            self.purge(id, usize::MAX, now_ms);
        }
        while self.deleted.is_too_much() {
            let oldest = self
                .deleted
                .topics
                .iter()
                .map(|(&id, t)| (t.deleted_ms, id));
            let Some((_, oldest)) = oldest.min() else {
                return;
            };
            self.purge(oldest, usize::MAX, now_ms);
        }
    }

    /// Notes what a transaction has committed for a partition, if its topic is kept.
    pub(super) fn set_offset_aside(
        &mut self,
        group: &str,
        of: TopicPartition,
        offset: CommittedOffset,
    ) {
        if let Some(deleted) = self.deleted.topics.get_mut(&of.topic) {
            let of_group = deleted.offsets.entry(group.to_owned()).or_default();
            of_group.insert(of, offset);
        }
    }

    /// Brings a deleted topic back under a name that is free.
    fn restore(&mut self, id: TopicId, name: String) {
        let Some(deleted) = self.deleted.topics.remove(&id) else {
            return;
        };
        let mut partitions = take_topic(&mut self.deleted.partitions, id);
        if deleted.is_name_taken || name != deleted.topic.name {
            for partition in partitions.values_mut() {
                partition.forget_sequences(self.producer_id_next);
            }
        }
        self.partitions.extend(partitions);
        // A group that has been forgotten since, having nothing else, is there again.
        for (group, offsets) in deleted.offsets {
            self.groups
                .entry(group)
                .or_default()
                .offsets
                .extend(offsets);
        }
        for (group, shares) in deleted.shares {
            self.groups.entry(group.clone()).or_default();
            let of_group = self.shares.entry(group).or_default();
            // Whoever led it before must not go on as if nothing had happened.
            of_group.extend(
                shares
                    .into_iter()
                    .map(|(of, share)| (of, share.without_leader())),
            );
        }
        self.topics_epoch += 1;
        self.deleted.note_name(&name);
        self.topic_names.insert(name.clone(), id);
        let topic = Topic {
            name,
            ..deleted.topic
        };
        self.topics.insert(id, topic);
    }

    /// Takes away so much of a deleted topic. Says whether nothing is left.
    fn purge(&mut self, id: TopicId, most: usize, now_ms: i64) -> bool {
        if let Some(deleted) = self.deleted.topics.get_mut(&id) {
            deleted.is_purging = true;
        }
        let mut released = Vec::new();
        let mut left = most;
        while left > 0
            && let Some((&of, partition)) = self.deleted.partitions.range_mut(of_topic(id)).next()
        {
            let extents = partition.extents.len().min(left);
            released.extend((0..extents).filter_map(|_| Some(partition.extents.pop_first()?.1)));
            left -= extents.max(1);
            if partition.extents.is_empty() {
                self.deleted.partitions.remove(&of);
            }
        }
        self.release_extents(released.into_iter(), now_ms);
        let is_gone = self.deleted.partitions.range(of_topic(id)).next().is_none();
        if is_gone {
            self.deleted.topics.remove(&id);
        }
        is_gone
    }
}

impl Deleted {
    pub(super) fn contains(&self, id: TopicId) -> bool {
        self.topics.contains_key(&id)
    }

    /// A topic gets this name.
    pub(super) fn note_name(&mut self, name: &str) {
        let same = self.topics.values_mut().filter(|t| t.topic.name == name);
        same.for_each(|deleted| deleted.is_name_taken = true);
    }

    fn is_too_much(&self) -> bool {
        self.topics.len() > DELETED_TOPICS_MAX || self.partitions.len() > DELETED_PARTITIONS_MAX
    }
}

/// All partitions that a topic may have.
fn of_topic(topic: TopicId) -> RangeInclusive<TopicPartition> {
    let partition = |partition| TopicPartition { topic, partition };
    partition(0)..=partition(u32::MAX)
}

/// Takes out what belongs to a topic.
pub(super) fn take_topic<V>(
    from: &mut BTreeMap<TopicPartition, V>,
    topic: TopicId,
) -> BTreeMap<TopicPartition, V> {
    let keys: Vec<TopicPartition> = from.range(of_topic(topic)).map(|(&of, _)| of).collect();
    let taken = keys.into_iter().filter_map(|of| from.remove_entry(&of));
    taken.collect()
}
