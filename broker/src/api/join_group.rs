//! JoinGroup (API key 11), versions 0 to 9: KIP-62, KIP-345, KIP-394, KIP-559, KIP-800, KIP-814.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::Groups;
use crate::group::machine::{JoinRefused, JoinRequest, Joined, Protocol};
use crate::wire::encode_response;

pub(super) const API: Api = Api {
    key: ApiKey::JoinGroup,
    versions: 0..=9,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Longest instance id (as Kafka's clients have it), and what is kept of a client id.
const NAME_BYTES_MAX: usize = 249;

async fn handle(call: Call) -> Answer {
    let Call {
        broker,
        connection,
        request,
        permit,
    } = call;
    let (version, correlation_id) = (request.version(), request.correlation_id());
    let body: JoinGroupRequest = request.decode()?;
    let groups = broker.groups();
    if let Err(error) = check(&body, groups.options().join_bytes_max) {
        return request.respond(&refused(error.code(), &body.member_id, version));
    }
    let group = body.group_id.to_string();
    let client_id = brief(request.client_id().map_or("", |id| id));
    let host = format!("/{}", connection.peer().ip());
    let join = join_request(&body, version, client_id, host, groups);
    // The group keeps copies; a join may be parked for minutes.
    drop((body, request));
    permit.release();
    let response = match groups.join(&group, join).await {
        Ok(joined) => accepted(joined, version),
        Err(JoinRefused { error, member_id }) => refused(error.code(), &member_id, version),
    };
    let answer = encode_response(ApiKey::JoinGroup, version, correlation_id, &response)?;
    Ok(answer.with_error_code(response.error_code))
}

fn check(body: &JoinGroupRequest, bytes_max: usize) -> Result<(), ResponseError> {
    let protocols = body.protocols.iter();
    let bytes: usize = protocols.map(|p| p.name.len() + p.metadata.len()).sum();
    if body.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else if bytes > bytes_max {
        tracing::warn!(group = %body.group_id.0, bytes, bytes_max, "refused an overlarge JoinGroup");
        Err(ResponseError::InvalidRequest)
    } else if body
        .group_instance_id
        .as_ref()
        .is_some_and(|i| i.len() > NAME_BYTES_MAX)
    {
        Err(ResponseError::InvalidRequest)
    } else {
        Ok(())
    }
}

/// What is kept of a client id.
fn brief(client_id: &str) -> &str {
    let end = client_id.floor_char_boundary(NAME_BYTES_MAX);
    &client_id[..end]
}

/// The request as the group's machine takes it, with nothing that points into the frame.
fn join_request(
    body: &JoinGroupRequest,
    version: i16,
    client_id: &str,
    client_host: String,
    groups: &Groups,
) -> JoinRequest {
    let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let protocol =
        |p: &kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol| Protocol {
            name: p.name.to_string(),
            metadata: Bytes::copy_from_slice(&p.metadata),
        };
    let instance_id = body.group_instance_id.as_ref().map(ToString::to_string);
    let rebalance_timeout_ms = match version {
        0 => body.session_timeout_ms,
        _ => body.rebalance_timeout_ms,
    };
    JoinRequest {
        member_id: body.member_id.to_string(),
        candidate_member_id: groups.new_member_id(instance_id.as_deref().unwrap_or(client_id)),
        instance_id,
        client_id: client_id.to_owned(),
        client_host,
        session_timeout: ms(body.session_timeout_ms),
        rebalance_timeout: ms(rebalance_timeout_ms),
        protocol_type: body.protocol_type.to_string(),
        protocols: body.protocols.iter().map(protocol).collect(),
        reason: body.reason.as_ref().map(ToString::to_string),
        requires_known_member_id: version >= 4,
        supports_skipping_assignment: version >= 9,
    }
}

fn accepted(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        let instance_id = member.instance_id.filter(|_| version >= 5);
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(instance_id.map(StrBytes::from_string))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(protocol_name(joined.protocol_name, version))
        .with_leader(StrBytes::from_string(joined.leader))
        .with_skip_assignment(joined.skip_assignment && version >= 9)
        .with_member_id(StrBytes::from_string(joined.member_id))
        .with_members(members.collect())
}

fn refused(error_code: i16, member_id: &str, version: i16) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error_code)
        .with_generation_id(-1)
        .with_protocol_name(protocol_name(None, version))
        .with_member_id(StrBytes::from_string(member_id.to_owned()))
}

/// Absent is written as empty before version 7.
fn protocol_name(name: Option<String>, version: i16) -> Option<StrBytes> {
    match name {
        None if version < 7 => Some(StrBytes::default()),
        name => name.map(StrBytes::from_string),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;

    use super::*;
    use crate::group::machine::JoinedMember;

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        let member = JoinedMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            metadata: Bytes::from_static(b"x"),
        };
        let joined = Joined {
            member_id: "m".into(),
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: "m".into(),
            skip_assignment: true,
            members: vec![member],
        };
        for version in API.versions {
            for response in [
                accepted(joined.clone(), version),
                refused(79, "m-1", version),
            ] {
                let mut out = bytes::BytesMut::new();
                response.encode(&mut out, version).unwrap();
            }
        }
    }

    #[test]
    fn a_group_must_be_named_and_a_member_be_brief() {
        let body = JoinGroupRequest::default();
        assert_eq!(check(&body, 10), Err(ResponseError::InvalidGroupId));
        let protocol =
            kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str("range"))
                .with_metadata(Bytes::from_static(b"123456"));
        let body = body
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_protocols(vec![protocol]);
        assert_eq!(check(&body, 10), Err(ResponseError::InvalidRequest));
        assert_eq!(check(&body, 11), Ok(()));
        let instance_id = |bytes| Some(StrBytes::from_string("i".repeat(bytes)));
        let body = body.with_group_instance_id(instance_id(NAME_BYTES_MAX));
        assert_eq!(check(&body, 11), Ok(()));
        let body = body.with_group_instance_id(instance_id(NAME_BYTES_MAX + 1));
        assert_eq!(check(&body, 11), Err(ResponseError::InvalidRequest));
        assert_eq!(brief("short"), "short");
        assert_eq!(brief(&"é".repeat(200)), "é".repeat(124));
    }
}
