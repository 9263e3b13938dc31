//! ShareGroupHeartbeat (API key 76), version 1: KIP-932.

use std::time::Duration;

use futures::FutureExt;
use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ApiKey, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::Groups;
use crate::group::consumer::{self, HeartbeatAnswer, Refusal};
use crate::group::machine::GroupError;
use crate::group::share::ShareHeartbeat;

pub(super) const API: Api = Api {
    key: ApiKey::ShareGroupHeartbeat,
    versions: 1..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Longest rack, and what is kept of a client id.
const NAME_BYTES_MAX: usize = 249;

/// Longest member id; clients take a UUID.
const MEMBER_ID_BYTES_MAX: usize = 1024;

async fn handle(call: Call) -> Answer {
    let body: ShareGroupHeartbeatRequest = call.request.decode()?;
    let groups = call.broker.groups();
    let group = body.group_id.to_string();
    let client_id = call.request.client_id().map_or("", |id| id);
    let client_id = client_id[..client_id.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
    let client_host = format!("/{}", call.connection.peer().ip());
    let answer = match check(&body, groups) {
        Ok(()) => {
            let heartbeat = heartbeat(body, client_id, client_host);
            match heartbeat.check() {
                Ok(()) => groups.share_heartbeat(&group, heartbeat).await,
                Err(refusal) => Err(refusal),
            }
        }
        Err(refusal) => Err(refusal),
    };
    let response = respond(answer);
    let error_code = response.error_code;
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

/// What only the bounds of this agent can know.
fn check(body: &ShareGroupHeartbeatRequest, groups: &Groups) -> Result<(), Refusal> {
    let invalid = |what: &str| Err(Refusal::new(GroupError::InvalidRequest, what));
    if body.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if body.member_id.len() > MEMBER_ID_BYTES_MAX {
        return invalid("MemberId is too long.");
    }
    if body
        .rack_id
        .as_ref()
        .is_some_and(|rack| rack.len() > NAME_BYTES_MAX)
    {
        return invalid("RackId has at most 249 bytes.");
    }
    let topics = body.subscribed_topic_names.iter().flatten();
    if topics.map(|topic| topic.len()).sum::<usize>() > groups.options().join_bytes_max {
        return invalid("The subscription is too large.");
    }
    Ok(())
}

fn heartbeat(
    body: ShareGroupHeartbeatRequest,
    client_id: String,
    client_host: String,
) -> ShareHeartbeat {
    let topics = body.subscribed_topic_names;
    ShareHeartbeat {
        member_id: body.member_id.to_string(),
        epoch: body.member_epoch,
        rack_id: body.rack_id.map(|rack| rack.to_string()),
        client_id,
        client_host,
        topics: topics.map(|topics| topics.iter().map(|t| t.to_string()).collect()),
    }
}

fn respond(answer: Result<HeartbeatAnswer, Refusal>) -> ShareGroupHeartbeatResponse {
    let response = ShareGroupHeartbeatResponse::default();
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
        let partitions = partitions.iter();
        let partitions = partitions.map(|p| i32::try_from(*p).unwrap_or(i32::MAX));
        TopicPartitions::default()
            .with_topic_id(id.0)
            .with_partitions(partitions.collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
