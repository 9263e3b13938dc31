//! What the APIs of transactions have in common. Any agent serves them: the rules are in the metadata's state.

use std::time::Duration;

use control_plane::replica::Session;
use control_plane::state::{Producer, Submit, TransactionRejection};
use kafka_protocol::error::ResponseError;

use crate::broker::Broker;

/// Partitions that one command names, so that it fits.
pub(super) const COMMAND_PARTITIONS_MAX: usize = 20_000;

/// How long the log may take for a command; these requests have no timeout of their own. Clients give up after 30 s, and
/// are to be told before to try again.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Appends a command about a transactional id, and gives what applying it said, as Kafka's errors.
pub(super) async fn submit<T, C>(broker: &Broker, command: C) -> Result<T, ResponseError>
where
    C: Submit<Outcome = Result<T, TransactionRejection>>,
{
    outcome(broker.session(), command).await?.map_err(error)
}

/// Appends a command, and gives what applying it said. If that takes too long the command may yet be applied: who tries
/// again finds it done.
pub(super) async fn outcome<C: Submit>(
    session: &Session,
    command: C,
) -> Result<C::Outcome, ResponseError> {
    match tokio::time::timeout(WAIT_MAX, session.submit(command)).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) | Err(_) => Err(ResponseError::CoordinatorNotAvailable),
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
