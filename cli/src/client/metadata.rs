//! What the Metadata API says of a cluster: brokers, topics, leaders.

use std::collections::BTreeMap;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use uuid::Uuid;

use super::error::{ClientError, Result};

/// The answer to one Metadata request.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The cluster's id, if it has one.
    pub id: Option<String>,
    /// Broker ids and their host:port.
    pub brokers: Vec<(i32, String)>,
    /// The broker to which changes of topics are sent; -1 if unknown.
    pub controller: i32,
    /// The topics asked for, sorted by name.
    pub topics: Vec<Topic>,
}

/// A topic and its partitions.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; nil if the broker is older than topic ids.
    pub id: Uuid,
    /// Kafka's error code for the topic; 0 is none.
    pub error: i16,
    /// Whether the broker made it for itself.
    pub internal: bool,
    /// Sorted by index.
    pub partitions: Vec<Partition>,
}

/// A partition and who leads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// From 0.
    pub index: i32,
    /// Broker id of the leader; -1 for none.
    pub leader: i32,
    /// Epoch of the leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Broker ids.
    pub replicas: Vec<i32>,
    /// Broker ids of the replicas in sync.
    pub in_sync: Vec<i32>,
    /// Kafka's error code; 0 is none.
    pub error: i16,
}

const LEADER_NOT_AVAILABLE: i16 = 5;
const REPLICA_NOT_AVAILABLE: i16 = 9;

impl Cluster {
    pub(super) fn from_response(response: MetadataResponse) -> Self {
        let brokers = response.brokers.iter();
        let brokers = brokers
            .map(|b| (b.node_id.0, format!("{}:{}", b.host.as_str(), b.port)))
            .collect();
        let mut topics: Vec<Topic> = response.topics.into_iter().map(Topic::from).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            id: response.cluster_id.map(|id| id.to_string()),
            brokers,
            controller: response.controller_id.0,
            topics,
        }
    }
}

impl From<MetadataResponseTopic> for Topic {
    fn from(topic: MetadataResponseTopic) -> Self {
        let ids = |ids: &[kafka_protocol::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
        let partitions = topic.partitions.iter().map(|partition| Partition {
            index: partition.partition_index,
            leader: partition.leader_id.0,
            leader_epoch: partition.leader_epoch,
            replicas: ids(&partition.replica_nodes),
            in_sync: ids(&partition.isr_nodes),
            error: partition.error_code,
        });
        let mut partitions: Vec<Partition> = partitions.collect();
        partitions.sort_by_key(|partition| partition.index);
        Self {
            name: topic
                .name
                .map(|name| name.0.to_string())
                .unwrap_or_default(),
            id: topic.topic_id,
            error: topic.error_code,
            internal: topic.is_internal,
            partitions,
        }
    }
}

impl Topic {
    /// Fails if the topic has an error, or a partition has no leader.
    pub fn check(&self) -> Result<()> {
        let context = || format!("topic {}", self.name);
        if self.error != 0 {
            return Err(ClientError::broker(context(), self.error, None));
        }
        if self.partitions.is_empty() {
            return Err(ClientError::broker(context(), LEADER_NOT_AVAILABLE, None));
        }
        for partition in &self.partitions {
            let context = || format!("partition {}-{}", self.name, partition.index);
            if partition.leader < 0 {
                return Err(ClientError::broker(context(), LEADER_NOT_AVAILABLE, None));
            }
            if partition.error != 0 && partition.error != REPLICA_NOT_AVAILABLE {
                return Err(ClientError::broker(context(), partition.error, None));
            }
        }
        Ok(())
    }

    /// Partitions by the broker that leads them.
    pub fn by_leader(&self) -> BTreeMap<i32, Vec<i32>> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &self.partitions {
            by_leader
                .entry(partition.leader)
                .or_default()
                .push(partition.index);
        }
        by_leader
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_a_leader_is_not_usable_yet() {
        let partition = |index, leader| Partition {
            index,
            leader,
            ..Partition::default()
        };
        let mut topic = Topic {
            name: "t".into(),
            partitions: vec![partition(0, 1), partition(1, -1), partition(2, 1)],
            ..Topic::default()
        };
        assert!(topic.check().unwrap_err().is_retriable());
        topic.partitions[1].leader = 2;
        topic.check().unwrap();
        assert_eq!(topic.by_leader(), [(1, vec![0, 2]), (2, vec![1])].into());
        topic.error = 3;
        assert!(topic.check().is_err());
    }
}
