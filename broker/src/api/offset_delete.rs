//! OffsetDelete (API key 47), version 0: KIP-496.

use std::collections::BTreeSet;

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{ApiKey, OffsetDeleteRequest, OffsetDeleteResponse};
use object_format::TopicPartition;

use super::{Answer, Api, Call, Handler};
use control_plane::state::State;

pub(super) const API: Api = Api {
    key: ApiKey::OffsetDelete,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: OffsetDeleteRequest = call.request.decode()?;
    let topics = call.broker.replica().read(|state| {
        let topic =
            |topic: &OffsetDeleteRequestTopic| (topic.name.to_string(), known(state, topic));
        body.topics.iter().map(topic).collect::<Vec<_>>()
    });
    let groups = call.broker.groups();
    let deleted = groups.delete_offsets(&body.group_id, topics.clone()).await;
    let response = match deleted {
        Ok(subscribed) => respond(&body, &topics, &subscribed),
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let answer = call.request.respond(&response)?;
    Ok(answer.with_error_code(response.error_code))
}

/// Those of the partitions asked for that exist.
fn known(state: &State, topic: &OffsetDeleteRequestTopic) -> BTreeSet<TopicPartition> {
    let Some((id, _)) = state.topic_named(&topic.name) else {
        return BTreeSet::new();
    };
    let partition = |index: i32| {
        let partition = TopicPartition {
            topic: id,
            partition: u32::try_from(index).ok()?,
        };
        state.partition(partition).map(|_| partition)
    };
    let asked = topic.partitions.iter();
    asked.filter_map(|p| partition(p.partition_index)).collect()
}

fn respond(
    body: &OffsetDeleteRequest,
    known: &[(String, BTreeSet<TopicPartition>)],
    subscribed: &BTreeSet<String>,
) -> OffsetDeleteResponse {
    let topics = body.topics.iter().zip(known).map(|(asked, (name, known))| {
        let indexes: BTreeSet<u32> = known.iter().map(|p| p.partition).collect();
        let partitions = asked.partitions.iter().map(|p| {
            let exists = u32::try_from(p.partition_index).is_ok_and(|i| indexes.contains(&i));
            let error_code = if !exists {
                ResponseError::UnknownTopicOrPartition.code()
            } else if subscribed.contains(name) {
                ResponseError::GroupSubscribedToTopic.code()
            } else {
                0
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(error_code)
        });
        OffsetDeleteResponseTopic::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
