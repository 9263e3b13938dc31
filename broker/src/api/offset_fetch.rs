//! OffsetFetch (API key 9), versions 1 to 9: KIP-98, KIP-320, KIP-447, KIP-709 (batched), KIP-848. Version 10 (topic
//! ids) is unknown to the decoder.
//!
//! With `require_stable`, an offset that a transaction under way may change is UNSTABLE_OFFSET_COMMIT.

use std::collections::{BTreeMap, BTreeSet};

use control_plane::state::{CommittedOffset, State};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
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

/// A partition and what is committed for it, or why that is not told.
type Found = (i32, Result<Option<CommittedOffset>, ResponseError>);

async fn handle(call: Call) -> Answer {
    let body: OffsetFetchRequest = call.request.decode()?;
    let version = call.request.version();
    let caught_up = call.broker.groups().catch_up().await;
    let fetch = |group: &GroupId, asked: &Asked| match caught_up {
        Ok(()) => find(&call.broker, group, asked, body.require_stable),
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
    require_stable: bool,
) -> Result<Vec<(TopicName, Vec<Found>)>, GroupError> {
    if broker.groups().is_elsewhere(group) {
        return Err(GroupError::NotCoordinator);
    }
    let committed = broker
        .replica()
        .read(|s| Committed::new(s, group, asked, require_stable));
    Ok(committed.find(asked))
}

/// What a group has committed, copied so that the state is not held while a response is made.
struct Committed {
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Partitions whose offset is not told since a transaction may change it.
    unstable: BTreeSet<TopicPartition>,
    /// The topics asked for, in the request's order; of all, if all are asked for.
    topics: Vec<(TopicName, Option<TopicId>)>,
}

impl Committed {
    fn new(state: &State, group: &str, asked: &Asked, require_stable: bool) -> Self {
        let group = state.group(group);
        let offsets = group.map(|g| g.offsets.clone()).unwrap_or_default();
        let pending = group.filter(|_| require_stable).into_iter();
        let pending = pending.flat_map(|g| g.pending.values());
        let unstable = pending.flat_map(|p| p.keys().copied()).collect();
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
        Self {
            offsets,
            unstable,
            topics,
        }
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
        let partition = |index: i32| {
            Some(TopicPartition {
                topic: topic?,
                partition: u32::try_from(index).ok()?,
            })
        };
        let found = |&index: &i32| {
            let committed = partition(index).map_or(Ok(None), |partition| self.at(partition));
            (index, committed)
        };
        partitions.iter().map(found).collect()
    }

    fn at(&self, partition: TopicPartition) -> Result<Option<CommittedOffset>, ResponseError> {
        match self.unstable.contains(&partition) {
            true => Err(ResponseError::UnstableOffsetCommit),
            false => Ok(self.offsets.get(&partition).cloned()),
        }
    }

    fn all_of(&self, topic: Option<TopicId>) -> Vec<Found> {
        let of_topic = self.offsets.iter().filter(|(p, _)| Some(p.topic) == topic);
        let found = |(p, _): (&TopicPartition, &CommittedOffset)| {
            let index = i32::try_from(p.partition).ok()?;
            Some((index, self.at(*p)))
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
            let (offset, leader_epoch, metadata, error) = shown(committed);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(metadata))
                .with_error_code(error)
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
                (name, indexes.into_iter().map(|i| (i, Ok(None))).collect())
            };
            let found = asked.unwrap_or_default().into_iter().map(none).collect();
            (found, error.code())
        }
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (offset, leader_epoch, metadata, error) = shown(committed);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if version >= 5 { leader_epoch } else { -1 })
                .with_metadata(Some(metadata))
                .with_error_code(if error_code == 0 { error } else { error_code })
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// Without a committed offset the offset is -1.
fn shown(committed: Result<Option<CommittedOffset>, ResponseError>) -> (i64, i32, StrBytes, i16) {
    match committed {
        Ok(Some(committed)) => (
            committed.offset,
            committed.leader_epoch,
            StrBytes::from_string(committed.metadata),
            0,
        ),
        Ok(None) => (-1, -1, StrBytes::default(), 0),
        Err(error) => (-1, -1, StrBytes::default(), error.code()),
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
        vec![(
            name,
            vec![
                (0, Ok(Some(committed))),
                (1, Ok(None)),
                (2, Err(ResponseError::UnstableOffsetCommit)),
            ],
        )]
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
        assert_eq!(shown, [(0, 42, 3, 0), (1, -1, -1, 0), (2, -1, -1, 88)]);
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
