//! ListPartitionReassignments (API key 46), version 0: KIP-455. Partitions are not assigned to agents, so none is ever
//! on its way from one to another.

use futures::FutureExt;
use kafka_protocol::messages::{
    ApiKey, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::ListPartitionReassignments,
    versions: 0..=0,
    handler: Handler::InTurn(|call| async move { handle(&call) }.boxed()),
};

fn handle(call: &Call) -> Answer {
    // As in Kafka, topics that do not exist are no error.
    let _: ListPartitionReassignmentsRequest = call.request.decode()?;
    let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
    call.request.respond(&response)
}
