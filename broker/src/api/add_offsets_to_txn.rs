//! AddOffsetsToTxn (API key 25), versions 0 to 4: KIP-98, KIP-588. Begins a transaction, if none is under way, that will
//! commit offsets of a group.

use control_plane::state::AddToTransaction;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};

use super::transactions::{code, producer, submit};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::AddOffsetsToTxn,
    versions: 0..=4,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: AddOffsetsToTxnRequest = call.request.decode()?;
    let added = add(&call, body).await.err();
    let error_code = added.map_or(0, |error| code(error, call.request.version(), 2));
    let response = AddOffsetsToTxnResponse::default().with_error_code(error_code);
    call.request.respond(&response)
}

async fn add(call: &Call, body: AddOffsetsToTxnRequest) -> Result<(), ResponseError> {
    if body.transactional_id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let command = AddToTransaction {
        id: body.transactional_id.to_string(),
        producer: producer(body.producer_id.0, body.producer_epoch),
        partitions: vec![],
        group: Some(body.group_id.to_string()),
    };
    submit(&call.broker, command).await
}
