//! Topics: names, ids, partition counts, configs.

use std::collections::BTreeMap;

use object_format::{TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, Partition, State};

/// Most partitions one topic may have.
pub const PARTITIONS_MAX: u32 = 100_000;

/// Longest topic name, as in Kafka.
const NAME_BYTES_MAX: usize = 249;

/// A topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name; unique among living topics.
    pub name: String,
    /// Number of its partitions, numbered from 0.
    pub partitions: u32,
    /// What its creator or an operator set; everything else has its default.
    pub configs: BTreeMap<String, String>,
    /// The log's time when it was created.
    pub created_ms: i64,
}

/// Why a change of topics is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum TopicRejection {
    /// A living topic has this name.
    #[error("a topic of this name exists already")]
    NameTaken,
    /// The id was used before.
    #[error("a topic of this id exists already")]
    IdTaken,
    /// Kafka's rules for topic names are broken.
    #[error(
        "a topic name has 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', and is not '.' or '..'"
    )]
    BadName,
    /// The count is 0, over the limit, or not more than there are.
    #[error("this number of partitions is not possible; the topic has {0}")]
    BadPartitionCount(u32),
    /// No such topic.
    #[error("there is no such topic")]
    Unknown,
}

/// Kafka's rules for topic names.
pub fn is_legal_topic_name(name: &str) -> bool {
    let chars = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    chars && !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != "." && name != ".."
}

/// Creates a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateTopic {
    /// Its name.
    pub name: String,
    /// Chosen at random by the submitter.
    pub id: TopicId,
    /// At least 1.
    pub partitions: u32,
    /// Checked by the submitter.
    pub configs: BTreeMap<String, String>,
}

impl CreateTopic {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), TopicRejection> {
        if !is_legal_topic_name(&self.name) {
            return Err(TopicRejection::BadName);
        }
        if state.topic_names.contains_key(&self.name) {
            return Err(TopicRejection::NameTaken);
        }
        if state.topics.contains_key(&self.id) || state.deleted.contains(self.id) {
            return Err(TopicRejection::IdTaken);
        }
        if self.partitions == 0 || self.partitions > PARTITIONS_MAX {
            return Err(TopicRejection::BadPartitionCount(0));
        }
        state.topics_epoch += 1;
        state.deleted.note_name(&self.name);
        state.add_partitions(self.id, 0..self.partitions);
        state.topic_names.insert(self.name.clone(), self.id);
        let Self {
            name,
            id,
            partitions,
            configs,
        } = self;
        state.topics.insert(
            id,
            Topic {
                name,
                partitions,
                configs,
                created_ms: by.now_ms,
            },
        );
        Ok(())
    }
}

/// Deletes a topic, its partitions and what groups committed for them. Its objects become garbage when the time within
/// which it can be undeleted is over (see [`super::UndeleteTopic`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteTopic {
    /// Which one.
    pub id: TopicId,
    /// How long it can be undeleted, in milliseconds of the log's time; 0 for not at all.
    pub window_ms: i64,
}

impl DeleteTopic {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) -> Result<(), TopicRejection> {
        let topic = state
            .topics
            .remove(&self.id)
            .ok_or(TopicRejection::Unknown)?;
        state.topics_epoch += 1;
        state.topic_names.remove(&topic.name);
        // Whoever waits for more of it should look again.
        let of = |partition| TopicPartition {
            topic: self.id,
            partition,
        };
        grown.extend((0..topic.partitions).map(of));
        let purge_ms = by.now_ms.saturating_add(self.window_ms);
        state.set_aside(self.id, topic, purge_ms, by.now_ms);
        Ok(())
    }
}

/// Raises the number of a topic's partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreatePartitions {
    /// Which topic.
    pub id: TopicId,
    /// The new total.
    pub total: u32,
}

impl CreatePartitions {
    pub(crate) fn apply(
        self,
        state: &mut State,
        _: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), TopicRejection> {
        let topic = state
            .topics
            .get_mut(&self.id)
            .ok_or(TopicRejection::Unknown)?;
        let before = topic.partitions;
        if self.total <= before || self.total > PARTITIONS_MAX {
            return Err(TopicRejection::BadPartitionCount(before));
        }
        topic.partitions = self.total;
        state.topics_epoch += 1;
        state.add_partitions(self.id, before..self.total);
        Ok(())
    }
}

/// What configs belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConfigResource {
    /// One topic.
    Topic(TopicId),
    /// Every agent (Kafka's cluster-wide dynamic broker configs).
    Brokers,
    /// The agents of one lasting name; a broker id is given out anew whenever an agent starts.
    Agent(String),
    /// One group, whether it exists or not.
    Group(String),
}

/// Configs of one thing, by name.
pub type Configs = BTreeMap<String, String>;

/// What is set for things of which nothing is set.
static NONE: Configs = Configs::new();

/// Sets (`Some`) or resets to the default (`None`) configs, all or nothing. Values are checked by the submitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlterConfigs {
    /// Of what.
    pub resource: ConfigResource,
    /// Name and value.
    pub changes: Vec<(String, Option<String>)>,
}

impl AlterConfigs {
    pub(crate) fn apply(
        self,
        state: &mut State,
        _: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), TopicRejection> {
        match self.resource {
            ConfigResource::Topic(id) => {
                let topic = state.topics.get_mut(&id).ok_or(TopicRejection::Unknown)?;
                change(&mut topic.configs, self.changes);
            }
            ConfigResource::Brokers => change(&mut state.broker_configs, self.changes),
            ConfigResource::Agent(name) => change_of(&mut state.agent_configs, name, self.changes),
            ConfigResource::Group(name) => change_of(&mut state.group_configs, name, self.changes),
        }
        Ok(())
    }
}

fn change(configs: &mut Configs, changes: Vec<(String, Option<String>)>) {
    for (name, value) in changes {
        match value {
            Some(value) => configs.insert(name, value),
            None => configs.remove(&name),
        };
    }
}

/// Changes the configs of one of many; one that sets nothing is not kept.
fn change_of(
    all: &mut BTreeMap<String, Configs>,
    of: String,
    changes: Vec<(String, Option<String>)>,
) {
    let mut configs = all.remove(&of).unwrap_or_default();
    change(&mut configs, changes);
    if !configs.is_empty() {
        all.insert(of, configs);
    }
}

impl State {
    /// A topic by id.
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// A topic by name.
    pub fn topic_named(&self, name: &str) -> Option<(TopicId, &Topic)> {
        let id = *self.topic_names.get(name)?;
        Some((id, self.topics.get(&id)?))
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        self.topic_names
            .values()
            .filter_map(|&id| Some((id, self.topics.get(&id)?)))
    }

    /// Raised whenever a topic is created, deleted, undeleted or grown.
    pub fn topics_epoch(&self) -> u64 {
        self.topics_epoch
    }

    /// Cluster-wide dynamic broker configs.
    pub fn broker_configs(&self) -> &Configs {
        &self.broker_configs
    }

    /// What is set for agents of this lasting name alone.
    pub fn agent_configs(&self, agent_id: &str) -> &Configs {
        self.agent_configs.get(agent_id).unwrap_or(&NONE)
    }

    /// What is set for a group, whether it exists or not.
    pub fn group_configs(&self, group: &str) -> &Configs {
        self.group_configs.get(group).unwrap_or(&NONE)
    }

    /// The groups for which something is set.
    pub fn configured_groups(&self) -> impl Iterator<Item = &str> {
        self.group_configs.keys().map(String::as_str)
    }

    fn add_partitions(&mut self, topic: TopicId, which: std::ops::Range<u32>) {
        for partition in which {
            let fresh = Partition::new(self.producer_id_next);
            self.partitions
                .insert(TopicPartition { topic, partition }, fresh.into());
        }
    }
}
