//! DeleteRecords (API key 21), versions 0 to 2: KIP-107. Any agent takes it, for any partition.

use control_plane::state::{DeleteRecords, DeleteRecordsRejection, State};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use object_format::TopicPartition;

use super::admin::{catch_up, layers, within};
use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;
use crate::config::in_force::{BrokerLayers, may_delete_records};

pub(super) const API: Api = Api {
    key: ApiKey::DeleteRecords,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DeleteRecordsRequest = call.request.decode()?;
    let topics = match within(body.timeout_ms, delete_all(&call.broker, &body)).await {
        Ok(topics) => topics,
        Err(timed_out) => refuse_all(&body, timed_out.error),
    };
    call.request
        .respond(&DeleteRecordsResponse::default().with_topics(topics))
}

async fn delete_all(broker: &Broker, body: &DeleteRecordsRequest) -> Vec<DeleteRecordsTopicResult> {
    if catch_up(broker).await.is_err() {
        return refuse_all(body, ResponseError::NotLeaderOrFollower);
    }
    let mut topics = Vec::with_capacity(body.topics.len());
    for topic in &body.topics {
        let mut begun = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let planned = broker
                .replica()
                .read(|state| plan(state, &layers(broker, state), &topic.name, wanted));
            begun.push(match planned {
                Ok(command) => broker.session().enqueue(command).await.map_err(unable),
                Err(error) => Err(error),
            });
        }
        let mut partitions = Vec::with_capacity(begun.len());
        for (wanted, begun) in topic.partitions.iter().zip(begun) {
            let done = match begun {
                Ok(outcome) => match outcome.await {
                    Ok(outcome) => outcome.map_err(error_of),
                    Err(error) => Err(unable(error)),
                },
                Err(error) => Err(error),
            };
            partitions.push(result(wanted, done));
        }
        topics.push(result_of(&topic.name, partitions));
    }
    topics
}

/// Clients take this error as a sign to look for the partition's leader and to try again.
fn unable(error: control_plane::replica::SubmitError) -> ResponseError {
    tracing::debug!(%error, "records could not be deleted");
    ResponseError::NotLeaderOrFollower
}

fn error_of(rejection: DeleteRecordsRejection) -> ResponseError {
    match rejection {
        DeleteRecordsRejection::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        DeleteRecordsRejection::OffsetOutOfRange => ResponseError::OffsetOutOfRange,
    }
}

fn plan(
    state: &State,
    layers: &BrokerLayers<'_>,
    name: &TopicName,
    wanted: &DeleteRecordsPartition,
) -> Result<DeleteRecords, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let (id, topic) = state.topic_named(name).ok_or(unknown)?;
    let index = u32::try_from(wanted.partition_index).map_err(|_| unknown)?;
    if index >= topic.partitions {
        return Err(unknown);
    }
    if !may_delete_records(layers, &topic.configs) {
        return Err(ResponseError::PolicyViolation);
    }
    if wanted.offset < -1 {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let partition = TopicPartition {
        topic: id,
        partition: index,
    };
    Ok(DeleteRecords {
        partition,
        before_offset: wanted.offset,
    })
}

fn refuse_all(body: &DeleteRecordsRequest, error: ResponseError) -> Vec<DeleteRecordsTopicResult> {
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|wanted| result(wanted, Err(error)));
        result_of(&topic.name, partitions.collect())
    });
    topics.collect()
}

fn result_of(
    name: &TopicName,
    partitions: Vec<DeleteRecordsPartitionResult>,
) -> DeleteRecordsTopicResult {
    DeleteRecordsTopicResult::default()
        .with_name(name.clone())
        .with_partitions(partitions)
}

fn result(
    wanted: &DeleteRecordsPartition,
    done: Result<i64, ResponseError>,
) -> DeleteRecordsPartitionResult {
    let result =
        DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
    match done {
        Ok(log_start_offset) => result.with_low_watermark(log_start_offset),
        Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::StrBytes;
    use runtime::settings::Settings;

    use super::super::testing::{command, state_with};
    use super::*;

    #[test]
    fn only_topics_that_delete_lose_records() {
        let settings = Settings::resolve(&crate::config::settings(), None, [], vec![]).unwrap();
        let mut state = state_with(&[("t", 2), ("compacted", 1)]);
        let (id, _) = state.topic_named("compacted").unwrap();
        let changes = vec![("cleanup.policy".to_owned(), Some("compact".to_owned()))];
        let resource = control_plane::state::ConfigResource::Topic(id);
        command(
            &mut state,
            control_plane::state::AlterConfigs { resource, changes },
        )
        .unwrap();
        let agent = state.agents().next().unwrap().0;
        let planned = |topic: &'static str, partition_index, offset| {
            let wanted = DeleteRecordsPartition::default()
                .with_partition_index(partition_index)
                .with_offset(offset);
            plan(
                &state,
                &BrokerLayers::new(&state, agent, &settings),
                &TopicName(StrBytes::from_static_str(topic)),
                &wanted,
            )
        };
        for offset in [-1, 0, 99] {
            let planned = planned("t", 1, offset).unwrap();
            assert_eq!(
                (planned.before_offset, planned.partition.partition),
                (offset, 1)
            );
        }
        use ResponseError as E;
        assert_eq!(planned("t", 0, -2), Err(E::OffsetOutOfRange));
        assert_eq!(planned("t", 2, 0), Err(E::UnknownTopicOrPartition));
        assert_eq!(planned("t", -1, 0), Err(E::UnknownTopicOrPartition));
        assert_eq!(planned("zzz", 0, 0), Err(E::UnknownTopicOrPartition));
        assert_eq!(planned("compacted", 0, -2), Err(E::PolicyViolation));
    }
}
