//! InitProducerId (API key 22), versions 0 to 5: KIP-98, KIP-360. For idempotent producers; transactional ids are not
//! served yet.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Answer, Api, Call, Handler};
use control_plane::state::AllocateProducerId;

pub(super) const API: Api = Api {
    key: ApiKey::InitProducerId,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: InitProducerIdRequest = call.request.decode()?;
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if body.transactional_id.is_some() {
        let response = refused(ResponseError::TransactionalIdAuthorizationFailed);
        return call.request.respond(&response);
    }
    // A producer without transactional id that brings its old id is given a new one, as in Kafka.
    let response = match call.broker.session().submit(AllocateProducerId {}).await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(_) => refused(ResponseError::CoordinatorNotAvailable),
    };
    call.request.respond(&response)
}
