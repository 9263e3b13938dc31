//! EndTxn (API key 26), versions 0 to 5: KIP-98, KIP-588, KIP-890. From version 5 on every end raises the producer's epoch.

use control_plane::state::{EndTransaction, EndedBy, Producer, TransactionEnd};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse, ProducerId};

use super::transactions::{code, producer, submit};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::EndTxn,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Transaction version 2.
const RAISES_EPOCH_SINCE: i16 = 5;

async fn handle(call: Call) -> Answer {
    let body: EndTxnRequest = call.request.decode()?;
    let version = call.request.version();
    let response = match end(&call, body).await {
        Ok(producer) => EndTxnResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(error) => EndTxnResponse::default().with_error_code(code(error, version, 2)),
    };
    call.request.respond(&response)
}

async fn end(call: &Call, body: EndTxnRequest) -> Result<Producer, ResponseError> {
    if body.transactional_id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let command = EndTransaction {
        id: body.transactional_id.to_string(),
        producer: producer(body.producer_id.0, body.producer_epoch),
        end: match body.committed {
            true => TransactionEnd::Commit,
            false => TransactionEnd::Abort,
        },
        by: match call.request.version() >= RAISES_EPOCH_SINCE {
            true => EndedBy::ProducerBumped,
            false => EndedBy::Producer,
        },
    };
    submit(&call.broker, command).await
}
