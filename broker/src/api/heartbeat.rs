//! Heartbeat (API key 12), versions 0 to 4: KIP-345.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, HeartbeatRequest, HeartbeatResponse};

use super::{Answer, Api, Call, Handler};
use crate::group::machine::{self, GroupError};

pub(super) const API: Api = Api {
    key: ApiKey::Heartbeat,
    versions: 0..=4,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: HeartbeatRequest = call.request.decode()?;
    let error_code = if body.group_id.is_empty() {
        ResponseError::InvalidGroupId.code()
    } else {
        let heartbeat = machine::HeartbeatRequest {
            member_id: body.member_id.to_string(),
            instance_id: body.group_instance_id.as_ref().map(ToString::to_string),
            generation: body.generation_id,
        };
        let groups = call.broker.groups();
        code(groups.heartbeat(&body.group_id, heartbeat).await)
    };
    let response = HeartbeatResponse::default().with_error_code(error_code);
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

/// Clients take being told to wait as fatal here, and have nothing to do but to go on: as in Kafka.
fn code(answer: Result<(), GroupError>) -> i16 {
    match answer {
        Ok(()) | Err(GroupError::CoordinatorLoadInProgress) => 0,
        Err(error) => error.code(),
    }
}
