//! Transactional ids that nobody has used for long are forgotten, as in Kafka (`transactional.id.expiration.ms`).

use control_plane::replica::Session;
use control_plane::state::{ForgetTransactionalIds, State};
use runtime::{Rng, Shutdown};

use super::{TransactionOptions, transaction_node};
use crate::topology;

/// Transactional ids that one command forgets, so that it fits.
const FORGOTTEN_MAX: usize = 1_000;

/// Looks after the transactional ids of an agent until `shutdown` begins.
pub(crate) async fn run(
    session: Session,
    options: TransactionOptions,
    rng: Rng,
    shutdown: Shutdown,
) {
    loop {
        let sleep = tokio::time::sleep(rng.jitter(options.expiry_interval));
        if shutdown.unless_begun(sleep).await.is_none() {
            return;
        }
        let (node_id, idle_ms) = (session.node_id(), options.expiration_ms);
        let idle = session
            .replica()
            .read(|state| idle(state, node_id, idle_ms));
        for seen in idle.chunks(FORGOTTEN_MAX) {
            let seen = seen.to_vec();
            match session.submit(ForgetTransactionalIds { seen }).await {
                Ok(forgotten) => tracing::info!(forgotten, "transactional ids have expired"),
                Err(error) => tracing::debug!(%error, "transactional ids stay for now"),
            }
        }
    }
}

/// The ids that the agent `node_id` looks after, that have been idle for so long, and when they were last in use.
pub(super) fn idle(state: &State, node_id: i32, idle_ms: i64) -> Vec<(String, i64)> {
    let nodes = topology::nodes(state);
    let is_here =
        |id: &str| transaction_node(nodes.iter(), id).is_some_and(|node| node.id == node_id);
    let is_idle = |updated_ms: i64| state.log_time_ms().saturating_sub(updated_ms) >= idle_ms;
    let known = state.transactional_ids();
    known
        .filter(|(_, known)| known.ongoing.is_none() && is_idle(known.updated_ms))
        .filter(|(id, _)| is_here(id))
        .map(|(id, known)| (id.to_owned(), known.updated_ms))
        .collect()
}
