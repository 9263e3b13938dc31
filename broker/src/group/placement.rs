//! Which agent coordinates a group: who holds its lease; if nobody alive does, the one that
//! rendezvous hashing names, which takes the lease when it is asked to do something for the group.

use control_plane::state::State;

use crate::topology::{Node, mix};

/// Who coordinates a group, or should begin to; `nodes` are the agents that serve clients.
pub(crate) fn coordinator_node<'a>(
    state: &State,
    nodes: &'a [Node],
    group: &str,
) -> Option<&'a Node> {
    let held = state
        .coordinator(group)
        .and_then(|c| state.agent(c.agent))
        .map(|agent| agent.node_id);
    if let Some(node) = nodes.iter().find(|node| Some(node.id) == held) {
        return Some(node);
    }
    let any_steady = nodes.iter().any(|node| !node.draining);
    let candidates = nodes.iter().filter(|node| !(any_steady && node.draining));
    candidates.max_by_key(|node| mix(format!("{group}\n{}", node.id).as_bytes()))
}
