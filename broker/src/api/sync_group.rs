//! SyncGroup (API key 14), versions 0 to 5: KIP-345, KIP-559.

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::machine::{GroupError, SyncRequest, Synced};
use crate::wire::encode_response;

pub(super) const API: Api = Api {
    key: ApiKey::SyncGroup,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let Call {
        broker,
        request,
        permit,
        ..
    } = call;
    let (version, correlation_id) = (request.version(), request.correlation_id());
    let body: SyncGroupRequest = request.decode()?;
    if let Err(error) = check(&body, version) {
        return request.respond(&refused(error.code()));
    }
    let group = body.group_id.to_string();
    let sync = sync_request(&body);
    // The group keeps copies. A follower's sync is parked until the leader's has come.
    drop((body, request));
    if sync.assignments.is_empty() {
        permit.release();
    }
    let response = match broker.groups().sync(&group, sync).await {
        Ok(synced) => accepted(synced),
        Err(error) => refused(code(error)),
    };
    let answer = encode_response(ApiKey::SyncGroup, version, correlation_id, &response)?;
    Ok(answer.with_error_code(response.error_code))
}

fn check(body: &SyncGroupRequest, version: i16) -> Result<(), ResponseError> {
    let names_protocol = body.protocol_type.is_some() && body.protocol_name.is_some();
    if body.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else if version >= 5 && !names_protocol {
        Err(ResponseError::InconsistentGroupProtocol)
    } else {
        Ok(())
    }
}

fn sync_request(body: &SyncGroupRequest) -> SyncRequest {
    let owned = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    let assignments = body.assignments.iter().map(|a| {
        (
            a.member_id.to_string(),
            Bytes::copy_from_slice(&a.assignment),
        )
    });
    SyncRequest {
        member_id: body.member_id.to_string(),
        instance_id: owned(&body.group_instance_id),
        generation: body.generation_id,
        protocol_type: owned(&body.protocol_type),
        protocol_name: owned(&body.protocol_name),
        assignments: assignments.collect(),
    }
}

fn accepted(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(synced.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(synced.protocol_name.map(StrBytes::from_string))
        .with_assignment(synced.assignment)
}

fn refused(error_code: i16) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error_code)
}

/// Clients do not expect to be told to wait here; Kafka lets them join again instead.
fn code(error: GroupError) -> i16 {
    match error {
        GroupError::CoordinatorLoadInProgress => GroupError::RebalanceInProgress.code(),
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;

    use super::*;

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        let synced = Synced {
            protocol_type: Some("consumer".into()),
            protocol_name: None,
            assignment: Bytes::from_static(b"x"),
        };
        for version in API.versions {
            for response in [accepted(synced.clone()), refused(27)] {
                let mut out = bytes::BytesMut::new();
                response.encode(&mut out, version).unwrap();
            }
        }
    }

    #[test]
    fn from_version_5_the_protocol_is_named() {
        let body = SyncGroupRequest::default().with_group_id(StrBytes::from_static_str("g").into());
        assert_eq!(check(&body, 4), Ok(()));
        assert_eq!(
            check(&body, 5),
            Err(ResponseError::InconsistentGroupProtocol)
        );
        let body = SyncGroupRequest::default();
        assert_eq!(check(&body, 4), Err(ResponseError::InvalidGroupId));
    }
}
