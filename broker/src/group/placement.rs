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
    held_by(state, nodes, group).or_else(|| {
        let any_steady = nodes.iter().any(|node| !node.draining);
        let candidates = nodes.iter().filter(|node| !(any_steady && node.draining));
        rendezvous(candidates, group)
    })
}

/// Who coordinates a group, if anybody alive does.
pub(crate) fn held_by<'a>(state: &State, nodes: &'a [Node], group: &str) -> Option<&'a Node> {
    let coordinator = state.coordinator(group)?;
    let held = state.agent(coordinator.agent)?.node_id;
    nodes.iter().find(|node| node.id == held)
}

/// Who of these should begin to coordinate a group that nobody does.
pub(crate) fn rendezvous<'a>(
    candidates: impl Iterator<Item = &'a Node>,
    group: &str,
) -> Option<&'a Node> {
    candidates.max_by_key(|node| mix(format!("{group}\n{}", node.id).as_bytes()))
}
