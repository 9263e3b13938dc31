//! DescribeShareGroupOffsets (API key 90), version 0: KIP-932.
//!
//! Start offsets are state, so any agent that has caught up with the log can tell them. As in Kafka a group that does
//! not exist is at no place, which is no error, and so is one in a partition that does not exist.

use std::collections::BTreeMap;

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};

use super::{Answer, Api, Call, Handler};
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::DescribeShareGroupOffsets,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Start offset of a share-partition that was never read.
const NO_OFFSET: i64 = -1;

async fn handle(call: Call) -> Answer {
    let body: DescribeShareGroupOffsetsRequest = call.request.decode()?;
    let caught_up = call.broker.groups().catch_up().await;
    let groups = body.groups.iter().map(|group| match caught_up {
        Ok(()) => call.broker.replica().read(|state| describe(state, group)),
        Err(error) => refused(group, error),
    });
    let groups = groups.collect();
    let response = DescribeShareGroupOffsetsResponse::default().with_groups(groups);
    call.request.respond(&response)
}

fn refused(
    group: &DescribeShareGroupOffsetsRequestGroup,
    error: GroupError,
) -> DescribeShareGroupOffsetsResponseGroup {
    DescribeShareGroupOffsetsResponseGroup::default()
        .with_group_id(group.group_id.clone())
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(error.to_string())))
}

fn describe(
    state: &State,
    group: &DescribeShareGroupOffsetsRequestGroup,
) -> DescribeShareGroupOffsetsResponseGroup {
    let topics = match &group.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| of_topic(state, &group.group_id, topic))
            .collect(),
        None => all(state, &group.group_id),
    };
    DescribeShareGroupOffsetsResponseGroup::default()
        .with_group_id(group.group_id.clone())
        .with_topics(topics)
}

fn partition(index: i32, start: Option<i64>) -> DescribeShareGroupOffsetsResponsePartition {
    DescribeShareGroupOffsetsResponsePartition::default()
        .with_partition_index(index)
        .with_start_offset(start.unwrap_or(NO_OFFSET))
        .with_leader_epoch(0)
}

fn of_topic(
    state: &State,
    group: &str,
    topic: &DescribeShareGroupOffsetsRequestTopic,
) -> DescribeShareGroupOffsetsResponseTopic {
    let id = state.topic_named(&topic.topic_name).map(|(id, _)| id);
    let partitions = topic.partitions.iter().map(|&index| {
        let key = id.zip(u32::try_from(index).ok());
        let key = key.map(|(topic, partition)| TopicPartition { topic, partition });
        partition(index, key.and_then(|key| state.share(group, key)?.start))
    });
    DescribeShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name.clone())
        .with_topic_id(id.unwrap_or_default().0)
        .with_partitions(partitions.collect())
}

/// Every share-partition of a group that was ever read.
fn all(state: &State, group: &str) -> Vec<DescribeShareGroupOffsetsResponseTopic> {
    let mut topics: BTreeMap<TopicId, Vec<DescribeShareGroupOffsetsResponsePartition>> =
        BTreeMap::new();
    for (key, share) in state.shares_of(group) {
        let index = i32::try_from(key.partition).unwrap_or(i32::MAX);
        let of_topic = topics.entry(key.topic).or_default();
        of_topic.push(partition(index, share.start));
    }
    let topics = topics.into_iter().filter_map(|(id, partitions)| {
        let name = StrBytes::from_string(state.topic(id)?.name.clone());
        let topic = DescribeShareGroupOffsetsResponseTopic::default()
            .with_topic_name(TopicName(name))
            .with_topic_id(id.0)
            .with_partitions(partitions);
        Some(topic)
    });
    topics.collect()
}
