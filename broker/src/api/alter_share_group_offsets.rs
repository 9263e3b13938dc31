//! AlterShareGroupOffsets (API key 91), version 0: KIP-932. Only while the group has no members.

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ApiKey,
};
use object_format::TopicPartition;

use super::delete_share_group_offsets::refusal;
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::AlterShareGroupOffsets,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: AlterShareGroupOffsetsRequest = call.request.decode()?;
    let changes = call.broker.replica().read(|state| {
        let topics = body.topics.iter();
        let of_topic = |topic| known(state, topic).into_iter().flatten();
        topics.flat_map(of_topic).collect::<Vec<_>>()
    });
    let groups = call.broker.groups();
    let response = match groups.reset_shares(&body.group_id, changes).await {
        Ok(()) => {
            let topics = body.topics.iter();
            let topics = call.broker.replica().read(|state| {
                let respond = |topic| respond(state, topic);
                topics.map(respond).collect()
            });
            AlterShareGroupOffsetsResponse::default().with_responses(topics)
        }
        Err(error) => AlterShareGroupOffsetsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(refusal(&body.group_id, error))),
    };
    let error_code = response.error_code;
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

/// For each partition that is asked for, what it stands for and its offset; none if it is not there or
/// the offset is none.
fn known(
    state: &State,
    topic: &AlterShareGroupOffsetsRequestTopic,
) -> Vec<Option<(TopicPartition, Option<i64>)>> {
    let id = state.topic_named(&topic.topic_name).map(|(id, _)| id);
    let partitions = topic.partitions.iter().map(|p| {
        let key = TopicPartition {
            topic: id?,
            partition: u32::try_from(p.partition_index).ok()?,
        };
        let is_sound = state.partition(key).is_some() && p.start_offset >= 0;
        is_sound.then_some((key, Some(p.start_offset)))
    });
    partitions.collect()
}

fn respond(
    state: &State,
    topic: &AlterShareGroupOffsetsRequestTopic,
) -> AlterShareGroupOffsetsResponseTopic {
    let partitions = topic.partitions.iter().zip(known(state, topic));
    let partitions = partitions.map(|(asked, known)| {
        let error = known.is_none().then_some(match asked.start_offset < 0 {
            true => ResponseError::InvalidRequest,
            false => ResponseError::UnknownTopicOrPartition,
        });
        AlterShareGroupOffsetsResponsePartition::default()
            .with_partition_index(asked.partition_index)
            .with_error_code(error.map_or(0, |e| e.code()))
    });
    let id = state.topic_named(&topic.topic_name).map(|(id, _)| id);
    AlterShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name.clone())
        .with_topic_id(id.unwrap_or_default().0)
        .with_partitions(partitions.collect())
}
