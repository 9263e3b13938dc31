//! Transactions that take longer than their producer said are aborted (Kafka's `transaction.timeout.ms`). The agent that
//! began them may be long gone; the log's time decides.

use control_plane::replica::Session;
use control_plane::state::{EndTransaction, EndedBy, State, TransactionEnd};
use runtime::{Rng, Shutdown};

use super::{TransactionOptions, transaction_node};
use crate::topology;

/// Looks after the transactions of an agent until `shutdown` begins.
pub(crate) async fn run(
    session: Session,
    options: TransactionOptions,
    rng: Rng,
    shutdown: Shutdown,
) {
    loop {
        let sleep = tokio::time::sleep(rng.jitter(options.abort_interval));
        if shutdown.unless_begun(sleep).await.is_none() {
            return;
        }
        abort_overdue(&session).await;
    }
}

/// Looks once. What cannot be done now is done the next time.
async fn abort_overdue(session: &Session) {
    let node_id = session.node_id();
    for command in session.replica().read(|state| overdue(state, node_id)) {
        let id = command.id.clone();
        match session.submit(command).await {
            Ok(Ok(_)) => tracing::info!(id, "aborted a transaction that took too long"),
            Ok(Err(rejection)) => tracing::debug!(id, %rejection, "a transaction ended by itself"),
            Err(error) => return tracing::debug!(%error, "overdue transactions stay for now"),
        }
    }
}

/// What aborts the overdue transactions that the agent `node_id` looks after.
pub(super) fn overdue(state: &State, node_id: i32) -> Vec<EndTransaction> {
    let nodes = topology::nodes(state);
    let is_here =
        |id: &str| transaction_node(nodes.iter(), id).is_some_and(|node| node.id == node_id);
    let now_ms = state.log_time_ms();
    let due = state
        .transactional_ids()
        .filter(|(_, known)| known.is_overdue(now_ms));
    due.filter(|(id, _)| is_here(id))
        .filter_map(|(id, known)| {
            let started_ms = known.ongoing.as_ref()?.started_ms;
            Some(EndTransaction {
                id: id.to_owned(),
                producer: known.producer,
                end: TransactionEnd::Abort,
                by: EndedBy::Timeout { started_ms },
            })
        })
        .collect()
}
