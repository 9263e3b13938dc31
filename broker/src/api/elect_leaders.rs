//! ElectLeaders (API key 43), versions 0 to 2: KIP-183, KIP-460. Every agent serves every partition, so each has its
//! preferred leader at all times, and none is ever without one: no election is needed.

use std::collections::BTreeSet;

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse};
use kafka_protocol::protocol::StrBytes;

use super::admin::{Rejection, catch_up, check_named_partitions, within};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::ElectLeaders,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: ElectLeadersRequest = call.request.decode()?;
    let response = match answer(&call, &body).await {
        Ok(results) => ElectLeadersResponse::default().with_replica_election_results(results),
        // Version 0 has no place for an error but beside each partition, and knows one type of elections only.
        Err(_) if call.request.version() == 0 => ElectLeadersResponse::default(),
        Err(rejection) => ElectLeadersResponse::default().with_error_code(rejection.code()),
    };
    call.request.respond(&response)
}

async fn answer(
    call: &Call,
    body: &ElectLeadersRequest,
) -> Result<Vec<ReplicaElectionResult>, Rejection> {
    check_election_type(body.election_type)?;
    // Of all partitions those are told that got a new leader: none.
    let Some(topics) = &body.topic_partitions else {
        return Ok(vec![]);
    };
    check_named_partitions(topics.iter().map(|topic| topic.partitions.len()))?;
    within(body.timeout_ms, catch_up(&call.broker)).await??;
    let results = call
        .broker
        .replica()
        .read(|state| topics.iter().map(|topic| judge(state, topic)).collect());
    Ok(results)
}

fn check_election_type(election_type: i8) -> Result<(), Rejection> {
    match election_type {
        0 | 1 => Ok(()),
        other => Err(Rejection::invalid_request(format!(
            "Unknown election type {other}"
        ))),
    }
}

fn judge(state: &State, asked: &TopicPartitions) -> ReplicaElectionResult {
    let topic = state.topic_named(&asked.topic);
    let results = BTreeSet::from_iter(&asked.partitions)
        .into_iter()
        .map(|&index| {
            let (error, message) = match topic {
                None => (
                    ResponseError::UnknownTopicOrPartition,
                    format!("No such topic as {}", asked.topic.as_str()),
                ),
                Some((_, topic)) if u32::try_from(index).is_ok_and(|i| i < topic.partitions) => (
                    ResponseError::ElectionNotNeeded,
                    "Leader election not needed for topic partition.".to_owned(),
                ),
                Some(_) => (
                    ResponseError::UnknownTopicOrPartition,
                    format!("No such partition as {}-{index}", asked.topic.as_str()),
                ),
            };
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)))
        });
    ReplicaElectionResult::default()
        .with_topic(asked.topic.clone())
        .with_partition_result(results.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::protocol::Encodable;

    use super::super::testing::state_with;
    use super::*;

    #[test]
    fn no_partition_needs_an_election_and_unknown_ones_are_told() {
        use ResponseError::{ElectionNotNeeded, UnknownTopicOrPartition};
        let state = state_with(&[("t", 2)]);
        let judged = |topic: &'static str, partitions: &[i32]| {
            let asked = TopicPartitions::default()
                .with_topic(TopicName(StrBytes::from_static_str(topic)))
                .with_partitions(partitions.to_vec());
            judge(&state, &asked)
        };
        let told = |result: &ReplicaElectionResult| -> Vec<(i32, i16, String)> {
            let one = |p: &PartitionResult| {
                let message = p.error_message.as_deref().unwrap_or_default();
                (p.partition_id, p.error_code, message.to_owned())
            };
            result.partition_result.iter().map(one).collect()
        };
        let (fine, unknown) = (ElectionNotNeeded.code(), UnknownTopicOrPartition.code());
        let not_needed = "Leader election not needed for topic partition.".to_owned();
        assert_eq!(
            told(&judged("t", &[2, 1, 1, -1])),
            [
                (-1, unknown, "No such partition as t--1".to_owned()),
                (1, fine, not_needed),
                (2, unknown, "No such partition as t-2".to_owned()),
            ]
        );
        let nowhere = judged("zzz", &[0]);
        assert_eq!(
            told(&nowhere),
            [(0, unknown, "No such topic as zzz".to_owned())]
        );
        for version in API.versions {
            let response = ElectLeadersResponse::default()
                .with_replica_election_results(vec![nowhere.clone()]);
            response
                .encode(&mut bytes::BytesMut::new(), version)
                .unwrap();
        }
    }

    #[test]
    fn there_are_two_kinds_of_elections() {
        assert_eq!(check_election_type(0), Ok(()));
        assert_eq!(check_election_type(1), Ok(()));
        assert_eq!(
            check_election_type(2),
            Err(Rejection::invalid_request("Unknown election type 2"))
        );
    }
}
