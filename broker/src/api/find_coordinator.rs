//! FindCoordinator (API key 10), versions 0 to 6: KIP-98, KIP-699 (batched), KIP-890, KIP-932.
//!
//! A group's coordinator is whoever holds its lease. A group without one is offered to the agent that rendezvous hashing
//! names, which takes the lease when it is asked to do something for the group. Transactional ids have no coordinator:
//! any agent serves them, and the one that looks after an id is told.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::coordinator_node;
use crate::topology;
use crate::transactions::transaction_node;
use control_plane::state::State;

pub(super) const API: Api = Api {
    key: ApiKey::FindCoordinator,
    versions: 0..=6,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn handle(call: Call) -> Answer {
    let body: FindCoordinatorRequest = call.request.decode()?;
    let version = call.request.version();
    let _ = call.broker.replica().barrier().await;
    let find = |key: &StrBytes| call.broker.replica().read(|s| find(s, body.key_type, key));
    if version >= 4 {
        let coordinators = body.coordinator_keys.iter().map(find).collect();
        let response = FindCoordinatorResponse::default().with_coordinators(coordinators);
        return call.request.respond(&response);
    }
    let found = find(&body.key);
    let response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    call.request.respond(&response)
}

fn find(state: &State, key_type: i8, key: &StrBytes) -> Coordinator {
    let answer = Coordinator::default().with_key(key.clone());
    let refused = |error: ResponseError, why: &'static str| {
        answer
            .clone()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(why)))
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    };
    let nodes = topology::nodes(state);
    let node = match key_type {
        GROUP if key.is_empty() => {
            return refused(ResponseError::InvalidGroupId, "the group id is empty");
        }
        GROUP => coordinator_node(state, &nodes, key),
        TRANSACTION if key.is_empty() => {
            return refused(
                ResponseError::InvalidRequest,
                "the transactional id is empty",
            );
        }
        TRANSACTION => transaction_node(&nodes, key),
        _ => {
            let why = "only coordinators of groups and of transactions are served";
            return refused(ResponseError::InvalidRequest, why);
        }
    };
    match node {
        Some(node) => answer
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host.clone()))
            .with_port(i32::from(node.port)),
        None => refused(
            ResponseError::CoordinatorNotAvailable,
            "no agent serves clients",
        ),
    }
}
