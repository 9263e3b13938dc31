//! ConsumerGroupHeartbeat (API key 68), versions 0 and 1: KIP-848, KIP-1082 (members choose their ids).

use std::time::Duration;

use futures::FutureExt;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};

use super::{Answer, Api, Call, Handler};
use crate::group::Groups;
use crate::group::consumer::{self, ConsumerHeartbeat, HeartbeatAnswer, Refusal};
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::ConsumerGroupHeartbeat,
    versions: 0..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Longest instance id and rack, and what is kept of a client id.
const NAME_BYTES_MAX: usize = 249;

/// Longest member id; clients take a UUID.
const MEMBER_ID_BYTES_MAX: usize = 1024;

async fn handle(call: Call) -> Answer {
    let body: ConsumerGroupHeartbeatRequest = call.request.decode()?;
    let groups = call.broker.groups();
    let group = body.group_id.to_string();
    let client_id = call.request.client_id().map_or("", |id| id);
    let client_id = client_id[..client_id.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
    let client_host = format!("/{}", call.connection.peer().ip());
    let answer = match check(&body, call.request.version(), groups) {
        Ok(()) => {
            let heartbeat = heartbeat(body, client_id, client_host, groups);
            match heartbeat.check(&groups.options().consumer) {
                Ok(()) => groups.consumer_heartbeat(&group, heartbeat).await,
                Err(refusal) => Err(refusal),
            }
        }
        Err(refusal) => Err(refusal),
    };
    let response = respond(answer);
    let error_code = response.error_code;
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

/// What only this API's version and the bounds of this agent can know.
fn check(
    body: &ConsumerGroupHeartbeatRequest,
    version: i16,
    groups: &Groups,
) -> Result<(), Refusal> {
    let invalid = |what: &str| Err(Refusal::new(GroupError::InvalidRequest, what));
    let is_long = |s: &Option<StrBytes>| s.as_ref().is_some_and(|s| s.len() > NAME_BYTES_MAX);
    if body.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if version >= 1 && body.member_id.is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if body.member_id.len() > MEMBER_ID_BYTES_MAX {
        return invalid("MemberId is too long.");
    }
    if is_long(&body.instance_id) || is_long(&body.rack_id) {
        return invalid("InstanceId and RackId have at most 249 bytes.");
    }
    let topics = body.subscribed_topic_names.iter().flatten();
    let topics: usize = topics.map(|topic| topic.len()).sum();
    let regex = body.subscribed_topic_regex.as_ref().map_or(0, |r| r.len());
    if topics + regex > groups.options().join_bytes_max {
        return invalid("The subscription is too large.");
    }
    Ok(())
}

fn heartbeat(
    body: ConsumerGroupHeartbeatRequest,
    client_id: String,
    client_host: String,
    groups: &Groups,
) -> ConsumerHeartbeat {
    let text = |s: Option<StrBytes>| s.map(|s| s.to_string());
    let topics = body.subscribed_topic_names;
    ConsumerHeartbeat {
        member_id: match body.member_id.is_empty() && body.member_epoch == 0 {
            true => groups.new_consumer_member_id(),
            false => body.member_id.to_string(),
        },
        epoch: body.member_epoch,
        instance_id: text(body.instance_id),
        rack_id: text(body.rack_id),
        rebalance_timeout: u64::try_from(body.rebalance_timeout_ms)
            .ok()
            .map(Duration::from_millis),
        client_id,
        client_host,
        topics: topics.map(|topics| topics.iter().map(|t| t.to_string()).collect()),
        regex: text(body.subscribed_topic_regex),
        assignor: text(body.server_assignor),
        owned: body.topic_partitions.map(|topics| owned(&topics)),
    }
}

fn owned(topics: &[OwnedPartitions]) -> consumer::Assignment {
    let of_topic = |topic: &OwnedPartitions| {
        let id = TopicId(topic.topic_id);
        // What cannot be a partition is none that was assigned.
        let partition = move |&p: &i32| TopicPartition {
            topic: id,
            partition: u32::try_from(p).unwrap_or(u32::MAX),
        };
        topic.partitions.iter().map(partition).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn respond(answer: Result<HeartbeatAnswer, Refusal>) -> ConsumerGroupHeartbeatResponse {
    let response = ConsumerGroupHeartbeatResponse::default();
    match answer {
        Ok(answer) => response
            .with_member_id(Some(StrBytes::from_string(answer.member_id)))
            .with_member_epoch(answer.epoch)
            .with_heartbeat_interval_ms(millis(answer.interval))
            .with_assignment(answer.assignment.as_ref().map(assignment)),
        Err(refusal) => response
            .with_error_code(refusal.error.code())
            .with_error_message(refusal.message.map(StrBytes::from_string)),
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn assignment(assigned: &consumer::Assignment) -> Assignment {
    let topics = assigned.topics().map(|(id, partitions)| {
        let partitions = partitions
            .iter()
            .map(|p| i32::try_from(*p).unwrap_or(i32::MAX));
        TopicPartitions::default()
            .with_topic_id(id.0)
            .with_partitions(partitions.collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        let partition = TopicPartition {
            topic: TopicId(Uuid::from_u128(1)),
            partition: 3,
        };
        let accepted = HeartbeatAnswer {
            member_id: "m".into(),
            epoch: 2,
            interval: Duration::from_secs(5),
            assignment: Some([partition].into_iter().collect()),
        };
        let accepted = respond(Ok(accepted));
        assert_eq!(accepted.heartbeat_interval_ms, 5000);
        let refused = respond(Err(Refusal::new(GroupError::FencedMemberEpoch, "why")));
        assert_eq!((refused.error_code, refused.member_id.clone()), (110, None));
        for version in API.versions {
            for response in [&accepted, &refused] {
                response
                    .encode(&mut bytes::BytesMut::new(), version)
                    .unwrap();
            }
        }
    }

    #[test]
    fn what_cannot_be_a_partition_is_not_taken_for_one() {
        let topic = OwnedPartitions::default()
            .with_topic_id(Uuid::from_u128(1))
            .with_partitions(vec![-1, 4]);
        let owned = owned(&[topic]);
        let partitions: Vec<u32> = owned.iter().map(|p| p.partition).collect();
        assert_eq!(partitions, [4, u32::MAX]);
    }
}
