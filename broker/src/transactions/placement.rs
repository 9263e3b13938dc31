//! Which agent looks after a transactional id. Clients may be told any as its coordinator.

use crate::topology::{Node, mix};

/// The agent that rendezvous hashing names among those of `nodes` that clients are not steered away from.
pub(crate) fn transaction_node<'a>(
    nodes: impl Iterator<Item = &'a Node> + Clone,
    id: &str,
) -> Option<&'a Node> {
    let any_steady = nodes.clone().any(|node| !node.draining);
    let candidates = nodes.filter(|node| !(any_steady && node.draining));
    candidates.max_by_key(|node| mix(format!("transaction\n{id}\n{}", node.id).as_bytes()))
}
