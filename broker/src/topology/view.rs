//! The cluster as one client is shown it: Metadata, DescribeCluster and DescribeTopicPartitions must agree.
//!
//! While the client's zone has an agent, the brokers are those of the zone, else all that clients are not steered away
//! from, else all. Every broker that is named as leader or replica is among them. Coordinators of groups are as well: a
//! group's members may be in several zones and its coordinator is in one, and clients (franz-go, kafkajs) give up on a
//! coordinator that is not among the brokers.
//!
//! A client of which no zone is known is shown a replica in every zone, so that one that tells its `client.rack` with
//! its first Fetch can be sent to the replica in its zone (KIP-392).

use std::collections::BTreeSet;

use control_plane::state::State;
use object_format::TopicPartition;

use super::{Leaders, Node};

/// What a client is shown.
#[derive(Debug)]
pub(crate) struct View {
    /// The brokers there are.
    pub brokers: Vec<Node>,
    leaders: Leaders,
    /// The agents of each zone, if the client is of none.
    zones: Vec<Leaders>,
}

impl View {
    /// For a client in `zone`, out of `nodes`.
    pub fn new(state: &State, nodes: &[Node], zone: Option<&str>) -> Self {
        let leaders = Leaders::new(nodes, zone);
        let mut shown: BTreeSet<i32> = leaders.candidates.iter().copied().collect();
        let candidate = |node: &&Node| leaders.candidates.contains(&node.id);
        let is_near = nodes
            .iter()
            .filter(candidate)
            .all(|node| zone.is_some() && node.zone.as_deref() == zone);
        let zones = match is_near {
            true => Vec::new(),
            false => each_zone(nodes),
        };
        if is_near {
            shown.extend(coordinators(state, nodes, &shown));
        }
        let brokers = nodes.iter().filter(|node| shown.contains(&node.id));
        Self {
            brokers: brokers.cloned().collect(),
            leaders,
            zones,
        }
    }

    /// The agent named as leader of a partition; -1 if there is none.
    pub fn leader(&self, partition: TopicPartition) -> i32 {
        self.leaders.of(partition)
    }

    /// The agents named as replicas of a partition, the leader first.
    pub fn replicas(&self, partition: TopicPartition) -> Vec<i32> {
        let leader = self.leader(partition);
        let others = self.zones.iter().map(|zone| zone.of(partition));
        // The leader is the choice of its own zone as well, the weights being the same.
        let others = others.filter(|&id| id != leader);
        std::iter::once(leader).chain(others).collect()
    }

    /// The brokers of the client's zone, or whatever stands for it: those that may lead something.
    pub fn candidates(&self) -> impl Iterator<Item = &Node> + Clone {
        let near = |node: &&Node| self.leaders.candidates.contains(&node.id);
        self.brokers.iter().filter(near)
    }

    /// The broker shown as controller; -1 if there is none.
    pub fn controller(&self) -> i32 {
        super::controller(&self.brokers)
    }
}

/// The agents of each zone that clients are not steered away from; none unless there are two zones.
fn each_zone(nodes: &[Node]) -> Vec<Leaders> {
    let steady = nodes.iter().filter(|node| !node.draining);
    let zones: BTreeSet<&str> = steady.filter_map(|node| node.zone.as_deref()).collect();
    match zones.len() {
        0 | 1 => Vec::new(),
        _ => zones
            .into_iter()
            .map(|zone| Leaders::new(nodes, Some(zone)))
            .collect(),
    }
}

/// The agents beyond `shown` that coordinate a group, but for those that clients are steered away from.
fn coordinators(state: &State, nodes: &[Node], shown: &BTreeSet<i32>) -> BTreeSet<i32> {
    let hidden = |node: &&Node| !node.draining && !shown.contains(&node.id);
    let mut hidden: BTreeSet<i32> = nodes.iter().filter(hidden).map(|node| node.id).collect();
    let mut found = BTreeSet::new();
    for (_, group) in state.groups() {
        if hidden.is_empty() {
            break;
        }
        let id = state.agent(group.coordinator).map(|agent| agent.node_id);
        if let Some(id) = id.filter(|id| hidden.remove(id)) {
            found.insert(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use control_plane::state::{AcquireGroup, Heartbeat};
    use object_format::{AgentEpoch, TopicId};
    use uuid::Uuid;

    use super::*;
    use crate::api::testing::{command_as, register_in};
    use crate::topology::{nodes, nodes_but};

    /// Agents 1 to 4 in the zones a, a, b and c.
    fn cluster() -> State {
        let mut state = State::new();
        for (n, zone) in ["a", "a", "b", "c"].into_iter().enumerate() {
            register_in(&mut state, &format!("agent{n}"), Some(zone));
        }
        state
    }

    fn partitions() -> impl Iterator<Item = TopicPartition> {
        let topic = TopicId(Uuid::from_u128(77));
        (0..300).map(move |partition| TopicPartition { topic, partition })
    }

    fn ids(view: &View) -> Vec<i32> {
        view.brokers.iter().map(|node| node.id).collect()
    }

    /// Whatever is named is among the brokers.
    fn assert_consistent(view: &View) {
        let ids = ids(view);
        assert!(ids.contains(&view.controller()));
        for partition in partitions() {
            let replicas = view.replicas(partition);
            assert_eq!(replicas[0], view.leader(partition));
            assert!(
                replicas.iter().all(|id| ids.contains(id)),
                "{replicas:?} in {ids:?}"
            );
            let distinct: BTreeSet<&i32> = replicas.iter().collect();
            assert_eq!(distinct.len(), replicas.len(), "{replicas:?}");
        }
    }

    #[test]
    fn a_client_is_shown_the_agents_of_its_zone_while_there_are_any() {
        let mut state = cluster();
        let seen = |state: &State, zone, away: &[u64]| {
            let away = away.iter().map(|&epoch| AgentEpoch(epoch)).collect();
            let view = View::new(state, &nodes_but(state, &away), zone);
            assert_consistent(&view);
            ids(&view)
        };
        assert_eq!(seen(&state, Some("a"), &[]), [1, 2]);
        assert_eq!(seen(&state, Some("b"), &[]), [3]);
        assert_eq!(seen(&state, Some("nowhere"), &[]), [1, 2, 3, 4]);
        assert_eq!(seen(&state, None, &[]), [1, 2, 3, 4]);
        assert_eq!(seen(&state, Some("a"), &[2]), [1]);
        assert_eq!(seen(&state, Some("b"), &[3]), [1, 2, 4]);
        assert_eq!(seen(&state, Some("b"), &[1, 2, 3, 4]), [1, 2, 3, 4]);
        command_as(&mut state, AgentEpoch(1), Heartbeat { draining: true });
        assert_eq!(seen(&state, Some("a"), &[]), [2]);
        assert_eq!(seen(&state, None, &[]), [2, 3, 4]);
        command_as(&mut state, AgentEpoch(1), Heartbeat { draining: false });
        assert_eq!(seen(&state, None, &[]), [1, 2, 3, 4]);
    }

    #[test]
    fn partitions_are_shown_in_every_zone_to_who_may_be_in_any() {
        let state = cluster();
        let view = View::new(&state, &nodes(&state), None);
        for partition in partitions() {
            let replicas = view.replicas(partition);
            let zones: BTreeSet<_> = replicas
                .iter()
                .map(|id| ["a", "a", "b", "c"][*id as usize - 1])
                .collect();
            assert_eq!((replicas.len(), zones.len()), (3, 3), "{replicas:?}");
            // Whoever is told where to read in a zone finds the leader of that zone's clients.
            for zone in ["a", "b", "c"] {
                let near = View::new(&state, &nodes(&state), Some(zone));
                assert_eq!(near.replicas(partition).len(), 1);
                assert!(replicas.contains(&near.leader(partition)));
            }
        }
    }

    #[test]
    fn coordinators_elsewhere_are_shown_but_lead_nothing() {
        let mut state = cluster();
        let acquire = AcquireGroup { group: "g".into() };
        command_as(&mut state, AgentEpoch(4), acquire);
        let view = View::new(&state, &nodes(&state), Some("a"));
        assert_eq!(ids(&view), [1, 2, 4]);
        assert!(partitions().all(|partition| view.leader(partition) != 4));
        assert_consistent(&view);
        let away = [AgentEpoch(4)].into();
        let view = View::new(&state, &nodes_but(&state, &away), Some("a"));
        assert_eq!(ids(&view), [1, 2]);
    }
}
