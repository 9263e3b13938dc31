//! Which agent looks after a transactional id, and is told to clients as its coordinator. Any other would do.

use crate::topology::{Node, mix};

/// The agent that rendezvous hashing names among `nodes`, those that serve clients.
pub(crate) fn transaction_node<'a>(nodes: &'a [Node], id: &str) -> Option<&'a Node> {
    let any_steady = nodes.iter().any(|node| !node.draining);
    let candidates = nodes.iter().filter(|node| !(any_steady && node.draining));
    candidates.max_by_key(|node| mix(format!("transaction\n{id}\n{}", node.id).as_bytes()))
}
