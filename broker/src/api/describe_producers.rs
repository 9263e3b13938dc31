//! DescribeProducers (API key 61), version 0: KIP-664. Any agent tells of any partition.

use std::collections::BTreeSet;

use control_plane::state::{ProducerState, State};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as ProducerResponse, TopicResponse,
};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, ProducerId, TopicName,
};
use object_format::TopicPartition;
use object_format::batch::COORDINATOR_EPOCH;

use super::admin::check_topic_name;
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::DescribeProducers,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DescribeProducersRequest = call.request.decode()?;
    let is_current = call.broker.replica().barrier().await.is_ok();
    let topics = call.broker.replica().read(|state| {
        let mut seen = BTreeSet::new();
        let topics = body.topics.into_iter();
        topics
            .map(|topic| describe(state, topic, is_current, &mut seen))
            .collect()
    });
    call.request
        .respond(&DescribeProducersResponse::default().with_topics(topics))
}

/// Tells of each partition once, however often it is asked for: an answer is not larger than the state.
fn describe(
    state: &State,
    asked: TopicRequest,
    is_current: bool,
    seen: &mut BTreeSet<(TopicName, i32)>,
) -> TopicResponse {
    let name = asked.name;
    let mut partitions = Vec::new();
    for index in asked.partition_indexes {
        if !seen.insert((name.clone(), index)) {
            continue;
        }
        let told = PartitionResponse::default()
            .with_partition_index(index)
            .with_error_message(None);
        partitions.push(match producers(state, &name, index, is_current) {
            Ok(producers) => told.with_active_producers(producers),
            Err(error) => told.with_error_code(error.code()),
        });
    }
    TopicResponse::default()
        .with_name(name)
        .with_partitions(partitions)
}

fn producers(
    state: &State,
    topic: &TopicName,
    index: i32,
    is_current: bool,
) -> Result<Vec<ProducerResponse>, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    check_topic_name(topic).map_err(|rejection| rejection.error)?;
    if !is_current {
        return Err(ResponseError::NotLeaderOrFollower);
    }
    let (topic, _) = state.topic_named(topic).ok_or(unknown)?;
    let partition = u32::try_from(index).map_err(|_| unknown)?;
    let of = TopicPartition { topic, partition };
    let partition = state.partition(of).ok_or(unknown)?;
    let active = partition.active_producers(state.log_time_ms());
    Ok(active.map(|(id, producer)| told(id, producer)).collect())
}

fn told(id: i64, producer: &ProducerState) -> ProducerResponse {
    let coordinator_epoch = match producer.is_marked {
        true => COORDINATOR_EPOCH,
        false => -1,
    };
    ProducerResponse::default()
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence())
        .with_last_timestamp(producer.seen_ms)
        .with_coordinator_epoch(coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction_first_offset.unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use control_plane::state::{
        EndTransaction, EndedBy, InitTransactionalId, TransactionEnd, WriteKind,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::super::testing::{self, state_with};
    use super::*;

    #[test]
    fn producers_are_told_with_their_newest_sequence() {
        let mut state = state_with(&[("t", 2)]);
        testing::produce(&mut state, "t", 0, 5, 3);
        let asked = TopicRequest::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partition_indexes(vec![0, 0, 1, 7]);
        let told = describe(&state, asked.clone(), true, &mut BTreeSet::new());
        let codes: Vec<_> = told
            .partitions
            .iter()
            .map(|p| (p.partition_index, p.error_code, p.active_producers.len()))
            .collect();
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        assert_eq!(codes, [(0, 0, 1), (1, 0, 0), (7, unknown, 0)]);
        let producer = &told.partitions[0].active_producers[0];
        assert_eq!(
            (
                producer.producer_id.0,
                producer.producer_epoch,
                producer.last_sequence
            ),
            (5, 0, 2)
        );
        assert_eq!(producer.current_txn_start_offset, -1);
        let behind = describe(&state, asked, false, &mut BTreeSet::new());
        let retriable = ResponseError::NotLeaderOrFollower.code();
        assert_eq!(behind.partitions[0].error_code, retriable);
    }

    #[test]
    fn a_transaction_under_way_is_told_with_its_first_offset() {
        let mut state = state_with(&[("t", 1)]);
        testing::store(&mut state, "t", 0, 100);
        let init = InitTransactionalId {
            id: "x".into(),
            timeout_ms: 1_000,
            expected: None,
        };
        let producer = testing::command(&mut state, init).unwrap();
        testing::produce_as(
            &mut state,
            "t",
            0,
            producer.id,
            3,
            WriteKind::JoinsTransaction,
        );
        let topic = TopicName(StrBytes::from_static_str("t"));
        let told = |state: &State| {
            let told = producers(state, &topic, 0, true).unwrap();
            let one = |p: &ProducerResponse| {
                (
                    p.producer_epoch,
                    p.current_txn_start_offset,
                    p.coordinator_epoch,
                )
            };
            told.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(told(&state), [(0, 1, -1)]);
        let end = EndTransaction {
            id: "x".into(),
            producer,
            end: TransactionEnd::Abort,
            by: EndedBy::ProducerBumped,
        };
        testing::command(&mut state, end).unwrap();
        assert_eq!(told(&state), [(1, -1, 0)]);
    }

    #[test]
    fn names_that_no_topic_can_have_are_told_so() {
        let state = state_with(&[]);
        let name = TopicName(StrBytes::from_static_str("a b"));
        assert_eq!(
            producers(&state, &name, 0, true),
            Err(ResponseError::InvalidTopicException)
        );
    }
}
