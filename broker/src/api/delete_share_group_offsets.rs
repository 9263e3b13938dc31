//! DeleteShareGroupOffsets (API key 92), version 0: KIP-932. Only while the group has no members.

use futures::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use kafka_protocol::messages::{
    ApiKey, DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse,
};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};

use super::{Answer, Api, Call, Handler};
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::DeleteShareGroupOffsets,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Said of a topic that the group is at no place in.
const NOTHING: &str = "There is no offset information to delete.";

async fn handle(call: Call) -> Answer {
    let body: DeleteShareGroupOffsetsRequest = call.request.decode()?;
    let of_topics: Vec<_> = call.broker.replica().read(|state| {
        let topics = body.topics.iter();
        let of_topic = |t: &DeleteShareGroupOffsetsRequestTopic| {
            let (id, _) = state.topic_named(&t.topic_name)?;
            let shares = state.shares_of(&body.group_id).map(|(key, _)| key);
            let shares: Vec<_> = shares.filter(|key| key.topic == id).collect();
            Some((id, shares))
        };
        topics.map(of_topic).collect()
    });
    let known = of_topics.iter().flatten().flat_map(|(_, shares)| shares);
    let changes = known.map(|&key| (key, None)).collect();
    let response = match call
        .broker
        .groups()
        .reset_shares(&body.group_id, changes)
        .await
    {
        Ok(()) => {
            let topics = body.topics.iter().zip(of_topics);
            let topics = topics.map(|(topic, of_topic)| respond(topic, of_topic));
            DeleteShareGroupOffsetsResponse::default().with_responses(topics.collect())
        }
        Err(error) => DeleteShareGroupOffsetsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(refusal(&body.group_id, error))),
    };
    let error_code = response.error_code;
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

fn respond(
    topic: &DeleteShareGroupOffsetsRequestTopic,
    of_topic: Option<(TopicId, Vec<TopicPartition>)>,
) -> DeleteShareGroupOffsetsResponseTopic {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let why = match &of_topic {
        None => Some(unknown.to_string()),
        Some((_, shares)) if shares.is_empty() => Some(NOTHING.to_owned()),
        Some(_) => None,
    };
    DeleteShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name.clone())
        .with_topic_id(of_topic.map(|(id, _)| id).unwrap_or_default().0)
        .with_error_code(why.as_ref().map_or(0, |_| unknown.code()))
        .with_error_message(why.map(StrBytes::from_string))
}

/// What Kafka says of a group whose start offsets cannot be changed.
pub(super) fn refusal(group: &str, error: GroupError) -> StrBytes {
    StrBytes::from_string(match error {
        GroupError::GroupIdNotFound => format!("Group {group} not found."),
        GroupError::NonEmptyGroup => "The group is not empty.".to_owned(),
        error => error.to_string(),
    })
}
