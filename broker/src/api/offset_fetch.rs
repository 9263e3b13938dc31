//! OffsetFetch (API key 9), versions 1 to 9: KIP-98, KIP-320, KIP-447, KIP-709 (batched), KIP-848. Version 10 (topic
//! ids) is unknown to the decoder.
//!
//! `require_stable` needs nothing: a transaction's offsets are published when it commits.

use std::collections::BTreeMap;

use control_plane::state::{CommittedOffset, State};
use futures::FutureExt;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};

use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::OffsetFetch,
    versions: 1..=9,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Topics and partitions asked for; none for all that have an offset.
type Asked = Option<Vec<(TopicName, Vec<i32>)>>;

/// A partition and what is committed for it.
type Found = (i32, Option<CommittedOffset>);

async fn handle(call: Call) -> Answer {
    let body: OffsetFetchRequest = call.request.decode()?;
    let version = call.request.version();
    let caught_up = call.broker.groups().catch_up().await;
    let fetch = |group: &GroupId, asked: &Asked| match caught_up {
        Ok(()) => find(&call.broker, group, asked),
        Err(error) => Err(error),
    };
    let response = if version >= 8 {
        let mut groups = Vec::with_capacity(body.groups.len());
        for group in body.groups {
            let member = group.member_id.as_ref().map(ToString::to_string);
            let (id, epoch) = (group.group_id.to_string(), group.member_epoch);
            let allowed = call.broker.groups().check_fetch(&id, member, epoch);
            let allowed = allowed.await;
            let (id, asked) = asked_of_group(group);
            let found = allowed.and_then(|()| fetch(&id, &asked));
            groups.push(of_group(id, found));
        }
        OffsetFetchResponse::default().with_groups(groups)
    } else {
        let topics = body.topics.map(|topics| {
            let topics = topics.into_iter();
            topics.map(|t| (t.name, t.partition_indexes)).collect()
        });
        let found = fetch(&body.group_id, &topics);
        of_one(found, topics, version)
    };
    call.request.respond(&response)
}

fn asked_of_group(group: OffsetFetchRequestGroup) -> (GroupId, Asked) {
    let topics = group.topics.map(|topics| {
        let topics = topics.into_iter();
        topics.map(|t| (t.name, t.partition_indexes)).collect()
    });
    (group.group_id, topics)
}

fn find(
    broker: &Broker,
    group: &str,
    asked: &Asked,
) -> Result<Vec<(TopicName, Vec<Found>)>, GroupError> {
    if broker.groups().is_elsewhere(group) {
        return Err(GroupError::NotCoordinator);
    }
    let committed = broker.replica().read(|s| Committed::new(s, group, asked));
    Ok(committed.find(asked))
}

/// What a group has committed, copied so that the state is not held while a response is made.
struct Committed {
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// The topics asked for, in the request's order; of all, if all are asked for.
    topics: Vec<(TopicName, Option<TopicId>)>,
}

impl Committed {
    fn new(state: &State, group: &str, asked: &Asked) -> Self {
        let offsets = state
            .group(group)
            .map(|g| g.offsets.clone())
            .unwrap_or_default();
        let topics = match asked {
            Some(asked) => {
                let id = |name: &TopicName| state.topic_named(name).map(|(id, _)| id);
                asked.iter().map(|(n, _)| (n.clone(), id(n))).collect()
            }
            None => {
                let mut ids: Vec<TopicId> = offsets.keys().map(|p| p.topic).collect();
                ids.dedup();
                let named = |id: TopicId| {
                    let name = StrBytes::from_string(state.topic(id)?.name.clone());
                    Some((TopicName(name), Some(id)))
                };
                ids.into_iter().filter_map(named).collect()
            }
        };
        Self { offsets, topics }
    }

    fn find(&self, asked: &Asked) -> Vec<(TopicName, Vec<Found>)> {
        let of_topic = |(at, (name, id)): (usize, &(TopicName, Option<TopicId>))| {
            let found = match asked {
                Some(asked) => self.of(*id, &asked[at].1),
                None => self.all_of(*id),
            };
            (name.clone(), found)
        };
        self.topics.iter().enumerate().map(of_topic).collect()
    }

    fn of(&self, topic: Option<TopicId>, partitions: &[i32]) -> Vec<Found> {
        let committed = |index: i32| {
            let partition = TopicPartition {
                topic: topic?,
                partition: u32::try_from(index).ok()?,
            };
            self.offsets.get(&partition).cloned()
        };
        let found = |&index: &i32| (index, committed(index));
        partitions.iter().map(found).collect()
    }

    fn all_of(&self, topic: Option<TopicId>) -> Vec<Found> {
        let of_topic = self.offsets.iter().filter(|(p, _)| Some(p.topic) == topic);
        let found = |(p, c): (&TopicPartition, &CommittedOffset)| {
            let index = i32::try_from(p.partition).ok()?;
            Some((index, Some(c.clone())))
        };
        of_topic.filter_map(found).collect()
    }
}

/// The answer of version 8 and up, for one group.
fn of_group(
    group: GroupId,
    found: Result<Vec<(TopicName, Vec<Found>)>, GroupError>,
) -> OffsetFetchResponseGroup {
    let answer = OffsetFetchResponseGroup::default().with_group_id(group);
    let found = match found {
        Ok(found) => found,
        Err(error) => return answer.with_error_code(error.code()),
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (offset, leader_epoch, metadata) = shown(committed);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(metadata))
        });
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    answer.with_topics(topics.collect())
}

/// The answer before version 8. Version 1 has no error code but those of partitions.
fn of_one(
    found: Result<Vec<(TopicName, Vec<Found>)>, GroupError>,
    asked: Asked,
    version: i16,
) -> OffsetFetchResponse {
    let (found, error_code) = match found {
        Ok(found) => (found, 0),
        Err(error) if version >= 2 => {
            return OffsetFetchResponse::default().with_error_code(error.code());
        }
        Err(error) => {
            let none = |(name, indexes): (TopicName, Vec<i32>)| {
                (name, indexes.into_iter().map(|i| (i, None)).collect())
            };
            let found = asked.unwrap_or_default().into_iter().map(none).collect();
            (found, error.code())
        }
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (offset, leader_epoch, metadata) = shown(committed);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if version >= 5 { leader_epoch } else { -1 })
                .with_metadata(Some(metadata))
                .with_error_code(error_code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// Without a committed offset the offset is -1.
fn shown(committed: Option<CommittedOffset>) -> (i64, i32, StrBytes) {
    match committed {
        Some(committed) => (
            committed.offset,
            committed.leader_epoch,
            StrBytes::from_string(committed.metadata),
        ),
        None => (-1, -1, StrBytes::default()),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn found() -> Vec<(TopicName, Vec<Found>)> {
        let committed = CommittedOffset {
            offset: 42,
            leader_epoch: 3,
            metadata: "m".into(),
            committed_ms: 0,
            expires_ms: None,
        };
        let name = TopicName(StrBytes::from_static_str("t"));
        vec![(name, vec![(0, Some(committed)), (1, None)])]
    }

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        let asked = || Some(vec![(TopicName(StrBytes::from_static_str("t")), vec![0])]);
        for version in API.versions {
            for found in [Ok(found()), Err(GroupError::NotCoordinator)] {
                let response = match version {
                    1..=7 => of_one(found, asked(), version),
                    _ => OffsetFetchResponse::default().with_groups(vec![of_group(
                        GroupId(StrBytes::from_static_str("g")),
                        found,
                    )]),
                };
                let mut out = bytes::BytesMut::new();
                response.encode(&mut out, version).unwrap();
            }
        }
    }

    #[test]
    fn a_partition_without_offset_is_no_error() {
        let response = of_one(Ok(found()), None, 7);
        let shown: Vec<(i32, i64, i32, i16)> = response.topics[0]
            .partitions
            .iter()
            .map(|p| {
                let epoch = p.committed_leader_epoch;
                (p.partition_index, p.committed_offset, epoch, p.error_code)
            })
            .collect();
        assert_eq!(shown, [(0, 42, 3, 0), (1, -1, -1, 0)]);
    }

    #[test]
    fn version_1_tells_errors_by_partition() {
        let name = TopicName(StrBytes::from_static_str("t"));
        let asked = || Some(vec![(name.clone(), vec![5])]);
        let response = of_one(Err(GroupError::NotCoordinator), asked(), 1);
        assert_eq!(response.topics[0].partitions[0].error_code, 16);
        let response = of_one(Err(GroupError::NotCoordinator), asked(), 2);
        assert_eq!((response.error_code, response.topics.len()), (16, 0));
    }
}
