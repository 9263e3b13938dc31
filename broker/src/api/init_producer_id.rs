//! InitProducerId (API key 22), versions 0 to 5: KIP-98, KIP-360, KIP-588.

use control_plane::state::{AllocateProducerId, InitTransactionalId, Producer};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use object_format::batch::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use super::transactions::{code, outcome, producer, submit};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::InitProducerId,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: InitProducerIdRequest = call.request.decode()?;
    let response = match initialize(&call, body).await {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(code(error, call.request.version(), 4))
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    };
    call.request.respond(&response)
}

async fn initialize(call: &Call, body: InitProducerIdRequest) -> Result<Producer, ResponseError> {
    let expected = expected(body.producer_id.0, body.producer_epoch)?;
    let Some(id) = body.transactional_id else {
        // A producer that brings its old id is given a new one, as in Kafka.
        // SUBTLE: as in Kafka. COORDINATOR_NOT_AVAILABLE would have Java's producer look for the coordinator of the
        // transactional id that it does not have.
        let allocated = outcome(call.broker.session(), AllocateProducerId {}).await;
        let id = allocated.map_err(|_| ResponseError::CoordinatorLoadInProgress)?;
        return Ok(producer(id, 0));
    };
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let timeout_ms = body.transaction_timeout_ms;
    if !(1..=call.broker.config().transactions.timeout_ms_max).contains(&timeout_ms) {
        return Err(ResponseError::InvalidTransactionTimeout);
    }
    let command = InitTransactionalId {
        id: id.to_string(),
        timeout_ms,
        expected,
    };
    submit(&call.broker, command).await
}

/// What the producer says it is: an id with an epoch, or neither.
fn expected(id: i64, epoch: i16) -> Result<Option<Producer>, ResponseError> {
    match (id, epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => Ok(None),
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => Err(ResponseError::InvalidRequest),
        (id, epoch) => Ok(Some(producer(id, epoch))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_says_both_or_neither_of_its_id_and_epoch() {
        assert_eq!(expected(-1, -1), Ok(None));
        assert_eq!(expected(7, 3), Ok(Some(producer(7, 3))));
        assert_eq!(expected(7, -1), Err(ResponseError::InvalidRequest));
        assert_eq!(expected(-1, 3), Err(ResponseError::InvalidRequest));
    }
}
