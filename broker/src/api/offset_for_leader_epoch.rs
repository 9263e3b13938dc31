//! OffsetForLeaderEpoch (API key 23), versions 2 to 4: KIP-101, KIP-320.
//!
//! Nothing is ever truncated, so every partition has leader epoch 0 for all its life and that epoch ends at the high
//! watermark.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{ApiKey, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use object_format::TopicPartition;

use super::{Answer, Api, Call, Handler};
use control_plane::state::State;

pub(super) const API: Api = Api {
    key: ApiKey::OffsetForLeaderEpoch,
    versions: 2..=4,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: OffsetForLeaderEpochRequest = call.request.decode()?;
    let topics = call.broker.replica().read(|state| {
        let topic = |topic: kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic| {
            let id = state.topic_named(&topic.topic).map(|(id, _)| id);
            let end = |p: &OffsetForLeaderPartition| match id {
                Some(topic) => end_offset(state, topic, p),
                None => refused(p, ResponseError::UnknownTopicOrPartition),
            };
            let partitions = topic.partitions.iter().map(end).collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
        };
        body.topics.into_iter().map(topic).collect()
    });
    call.request
        .respond(&OffsetForLeaderEpochResponse::default().with_topics(topics))
}

fn end_offset(
    state: &State,
    topic: object_format::TopicId,
    asked: &OffsetForLeaderPartition,
) -> EpochEndOffset {
    let index = u32::try_from(asked.partition).unwrap_or(u32::MAX);
    let Some(partition) = state.partition(TopicPartition {
        topic,
        partition: index,
    }) else {
        return refused(asked, ResponseError::UnknownTopicOrPartition);
    };
    if asked.current_leader_epoch > 0 {
        return refused(asked, ResponseError::UnknownLeaderEpoch);
    }
    let answer = EpochEndOffset::default().with_partition(asked.partition);
    match asked.leader_epoch {
        0 => answer
            .with_leader_epoch(0)
            .with_end_offset(partition.high_watermark),
        _ => answer.with_leader_epoch(-1).with_end_offset(-1),
    }
}

fn refused(asked: &OffsetForLeaderPartition, error: ResponseError) -> EpochEndOffset {
    EpochEndOffset::default()
        .with_error_code(error.code())
        .with_partition(asked.partition)
        .with_leader_epoch(-1)
        .with_end_offset(-1)
}
