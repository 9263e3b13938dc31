//! What the APIs of transactions have in common. Any agent serves them: the rules are in the metadata's state.

use control_plane::state::{Producer, Submit, TransactionRejection};
use kafka_protocol::error::ResponseError;

use crate::broker::Broker;

/// Partitions that one command names, so that it fits.
pub(super) const COMMAND_PARTITIONS_MAX: usize = 20_000;

/// Appends a command about a transactional id, and gives what applying it said, as Kafka's errors.
pub(super) async fn submit<T, C>(broker: &Broker, command: C) -> Result<T, ResponseError>
where
    C: Submit<Outcome = Result<T, TransactionRejection>>,
{
    match broker.session().submit(command).await {
        Ok(outcome) => outcome.map_err(error),
        Err(_) => Err(ResponseError::CoordinatorNotAvailable),
    }
}

fn error(rejection: TransactionRejection) -> ResponseError {
    match rejection {
        TransactionRejection::UnknownProducer => ResponseError::InvalidProducerIdMapping,
        TransactionRejection::Fenced => ResponseError::ProducerFenced,
        TransactionRejection::InvalidState => ResponseError::InvalidTxnState,
        TransactionRejection::NotCoordinator => ResponseError::NotCoordinator,
    }
}

/// Its code. Before `since`, a version of the request at hand, PRODUCER_FENCED was not among the errors (KIP-588).
pub(super) fn code(error: ResponseError, version: i16, since: i16) -> i16 {
    match error {
        ResponseError::ProducerFenced if version < since => {
            ResponseError::InvalidProducerEpoch.code()
        }
        error => error.code(),
    }
}

/// A producer as requests name it.
pub(super) fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}
