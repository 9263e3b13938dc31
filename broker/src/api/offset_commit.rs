//! OffsetCommit (API key 8), versions 2 to 9: KIP-211, KIP-320, KIP-345, KIP-848. Version 10 (topic ids) is unknown to
//! the decoder. Retention times of versions 2 to 4 are ignored, as they are by Kafka where they have no effect.

use control_plane::state::{OffsetToCommit, State};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};
use object_format::TopicPartition;

use super::{Answer, Api, Call, Handler};
use crate::group::Committer;
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::OffsetCommit,
    versions: 2..=9,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: OffsetCommitRequest = call.request.decode()?;
    let (replica, groups) = (call.broker.replica(), call.broker.groups());
    let metadata_max = groups.options().offset_metadata_bytes_max;
    if replica.read(|s| names_unknown(s, &body)) {
        // It may have been created through another agent a moment ago.
        let _ = groups.catch_up().await;
    }
    let (offsets, refusals) = replica.read(|s| sort(s, &body, metadata_max));
    let committed = match offsets.is_empty() {
        true => Ok(()),
        false => {
            let absent = match call.request.version() {
                0..=8 => GroupError::IllegalGeneration,
                _ => GroupError::GroupIdNotFound,
            };
            let who = Committer {
                member_id: body.member_id.to_string(),
                instance_id: body.group_instance_id.as_ref().map(ToString::to_string),
                generation: body.generation_id_or_member_epoch,
                knows_member_epochs: call.request.version() >= 9,
                transaction: None,
            };
            groups.commit(&body.group_id, who, offsets, absent).await
        }
    };
    let error_code = committed.map_or_else(GroupError::code, |()| 0);
    let response = respond(&body, &refusals, error_code);
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

pub(super) fn names_unknown(state: &State, body: &OffsetCommitRequest) -> bool {
    body.topics.iter().any(|topic| {
        let known = state.topic_named(&topic.name).map(|(_, t)| t.partitions);
        let partitions = i64::from(known.unwrap_or(0));
        let is_unknown =
            |p: &OffsetCommitRequestPartition| i64::from(p.partition_index) >= partitions;
        topic.partitions.iter().any(is_unknown)
    })
}

/// What can be committed, and for each partition in the order of the request, why it cannot be.
pub(super) fn sort(
    state: &State,
    body: &OffsetCommitRequest,
    metadata_bytes_max: usize,
) -> (Vec<OffsetToCommit>, Vec<Option<ResponseError>>) {
    let (mut offsets, mut refusals) = (Vec::new(), Vec::new());
    for topic in &body.topics {
        for partition in &topic.partitions {
            match to_commit(
                state,
                body.retention_time_ms,
                topic,
                partition,
                metadata_bytes_max,
            ) {
                Ok(offset) => {
                    offsets.push(offset);
                    refusals.push(None);
                }
                Err(error) => refusals.push(Some(error)),
            }
        }
    }
    (offsets, refusals)
}

/// Stands for the brokers' retention; the field is there in versions 2 to 4.
pub(super) const RETENTION_OF_BROKERS: i64 = -1;

fn to_commit(
    state: &State,
    retention_ms: i64,
    topic: &OffsetCommitRequestTopic,
    asked: &OffsetCommitRequestPartition,
    metadata_bytes_max: usize,
) -> Result<OffsetToCommit, ResponseError> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let (id, _) = state.topic_named(&topic.name).ok_or(unknown)?;
    let partition = TopicPartition {
        topic: id,
        partition: u32::try_from(asked.partition_index).map_err(|_| unknown)?,
    };
    state.partition(partition).ok_or(unknown)?;
    let metadata = asked.committed_metadata.as_ref();
    if metadata.map_or(0, |m| m.len()) > metadata_bytes_max {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(OffsetToCommit {
        partition,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: metadata.map(ToString::to_string).unwrap_or_default(),
        retention_ms: (retention_ms != RETENTION_OF_BROKERS).then_some(retention_ms),
    })
}

fn respond(
    body: &OffsetCommitRequest,
    refusals: &[Option<ResponseError>],
    error_code: i16,
) -> OffsetCommitResponse {
    let mut refusals = refusals.iter();
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let refusal = refusals.next().copied().flatten();
            OffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(refusal.map_or(error_code, |error| error.code()))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn a_refused_partition_keeps_its_own_error() {
        let topic = |name, partitions: &[i32]| {
            let partition =
                |&p: &i32| OffsetCommitRequestPartition::default().with_partition_index(p);
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(StrBytes::from_static_str(name)))
                .with_partitions(partitions.iter().map(partition).collect())
        };
        let body =
            OffsetCommitRequest::default().with_topics(vec![topic("a", &[0, 1]), topic("b", &[7])]);
        let unknown = Some(ResponseError::UnknownTopicOrPartition);
        let response = respond(&body, &[None, unknown, None], 27);
        let codes = response.topics.iter().flat_map(|t| &t.partitions);
        let codes: Vec<(i32, i16)> = codes.map(|p| (p.partition_index, p.error_code)).collect();
        assert_eq!(codes, [(0, 27), (1, 3), (7, 27)]);
    }

    #[test]
    fn what_does_not_exist_is_not_committed() {
        let state = State::new();
        let topic = OffsetCommitRequestTopic::default()
            .with_partitions(vec![OffsetCommitRequestPartition::default()]);
        let body = OffsetCommitRequest::default().with_topics(vec![topic]);
        assert!(names_unknown(&state, &body));
        let unknown = ResponseError::UnknownTopicOrPartition;
        assert_eq!(sort(&state, &body, 10), (vec![], vec![Some(unknown)]));
    }
}
