//! DescribeTopicPartitions (API key 75), version 0: KIP-966. A page at a time, in the order of topic names.

use control_plane::state::{State, is_legal_topic_name};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use object_format::TopicPartition;

use super::{Answer, Api, Call, Handler};
use crate::topology::View;

pub(super) const API: Api = Api {
    key: ApiKey::DescribeTopicPartitions,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2000;

async fn handle(call: Call) -> Answer {
    let body: DescribeTopicPartitionsRequest = call.request.decode()?;
    // A barrier that fails leaves what this agent knows, which is what Kafka's brokers answer from as well.
    let _ = call.broker.replica().barrier().await;
    let response = call.look(|state, view| page(state, &body, view));
    call.request.respond(&response)
}

fn page(
    state: &State,
    body: &DescribeTopicPartitionsRequest,
    view: &View,
) -> DescribeTopicPartitionsResponse {
    let (from_topic, from_partition) = match &body.cursor {
        Some(cursor) => (
            cursor.topic_name.to_string(),
            cursor.partition_index.max(0) as u32,
        ),
        None => (String::new(), 0),
    };
    let mut names: Vec<String> = if body.topics.is_empty() {
        state
            .topics()
            .map(|(_, topic)| topic.name.clone())
            .collect()
    } else {
        body.topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    };
    names.sort_unstable();
    names.dedup();
    let mut left = usize::try_from(body.response_partition_limit)
        .unwrap_or(0)
        .clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from_topic) {
        let topic_name = TopicName(StrBytes::from_string(name.clone()));
        let first = if name == from_topic {
            from_partition
        } else {
            0
        };
        if left == 0 {
            let cursor = Cursor::default()
                .with_topic_name(topic_name)
                .with_partition_index(first as i32);
            return response.with_next_cursor(Some(cursor));
        }
        let described = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic_name.clone()))
            .with_topic_authorized_operations(i32::MIN);
        let Some((id, topic)) = state.topic_named(&name) else {
            let error = match is_legal_topic_name(&name) {
                true => ResponseError::UnknownTopicOrPartition,
                false => ResponseError::InvalidTopicException,
            };
            response
                .topics
                .push(described.with_error_code(error.code()));
            continue;
        };
        let last = topic.partitions.min(first.saturating_add(left as u32));
        let partitions = (first..last).map(|index| {
            let replicas = view.replicas(TopicPartition {
                topic: id,
                partition: index,
            });
            let replicas: Vec<BrokerId> = replicas.into_iter().map(BrokerId).collect();
            DescribeTopicPartitionsResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id(replicas[0])
                .with_leader_epoch(0)
                .with_isr_nodes(replicas.clone())
                .with_replica_nodes(replicas)
                .with_eligible_leader_replicas(Some(vec![]))
                .with_last_known_elr(Some(vec![]))
        });
        let described = described
            .with_topic_id(id.0)
            .with_partitions(partitions.collect());
        left -= described.partitions.len().min(left);
        response.topics.push(described);
        if last < topic.partitions {
            let cursor = Cursor::default()
                .with_topic_name(topic_name)
                .with_partition_index(last as i32);
            return response.with_next_cursor(Some(cursor));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;

    use super::super::testing::state_with;
    use super::*;
    use crate::topology;

    #[test]
    fn a_name_that_no_topic_can_have_is_told_apart_from_an_unknown_one() {
        let state = state_with(&[("t", 1)]);
        let view = View::new(&state, &topology::nodes(&state), None);
        let topic = |name: &'static str| {
            TopicRequest::default().with_name(TopicName(StrBytes::from_static_str(name)))
        };
        let body = DescribeTopicPartitionsRequest::default()
            .with_topics(["a b", "t", "u"].map(topic).to_vec())
            .with_response_partition_limit(10);
        let codes = page(&state, &body, &view).topics;
        let codes: Vec<i16> = codes.iter().map(|topic| topic.error_code).collect();
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        let illegal = ResponseError::InvalidTopicException.code();
        assert_eq!(codes, [illegal, 0, unknown]);
    }
}
