//! Which agents clients are shown, and which of them each partition is shown to belong to.
//!
//! Any agent takes any partition; leaders are named for locality only (records of one partition gather in fewer objects
//! and caches), and correctness never leans on them. Leaders are chosen by rendezvous hashing over the live agents that
//! clients are not steered away from, within the client's zone while it has any.

mod view;
mod zones;

use std::collections::BTreeSet;

use control_plane::state::State;
use object_format::{AgentEpoch, TopicPartition};

pub(crate) use view::View;
pub(crate) use zones::{ZoneBlocks, zone_in_client_id};

/// An agent as clients see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub id: i32,
    pub host: String,
    pub port: u16,
    pub zone: Option<String>,
    /// Clients are steered elsewhere: it is about to leave, is not well, or does not answer.
    pub draining: bool,
}

/// Agents that serve clients, by broker id.
pub(crate) fn nodes(state: &State) -> Vec<Node> {
    nodes_but(state, &BTreeSet::new())
}

/// As [`nodes`], with clients steered away from `doubtful` ones as well.
pub(crate) fn nodes_but(state: &State, doubtful: &BTreeSet<AgentEpoch>) -> Vec<Node> {
    let serving = state
        .agents()
        .filter(|(_, agent)| !agent.registration.host.is_empty());
    let mut nodes: Vec<Node> = serving
        .map(|(epoch, agent)| Node {
            id: agent.node_id,
            host: agent.registration.host.clone(),
            port: agent.registration.port,
            zone: agent.registration.zone.clone(),
            draining: agent.draining || doubtful.contains(&epoch),
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    nodes
}

/// The agent shown as controller; -1 if there is none.
pub(crate) fn controller(nodes: &[Node]) -> i32 {
    let steady = nodes.iter().find(|node| !node.draining);
    steady.or(nodes.first()).map_or(-1, |node| node.id)
}

/// Chooses among the agents a client should use.
#[derive(Clone, Debug)]
pub(crate) struct Leaders {
    candidates: Vec<i32>,
}

impl Leaders {
    /// For a client in `zone`.
    pub fn new(nodes: &[Node], zone: Option<&str>) -> Self {
        let steady = || nodes.iter().filter(|node| !node.draining);
        let near = steady().filter(|n| zone.is_some() && n.zone.as_deref() == zone);
        let mut candidates: Vec<i32> = near.map(|node| node.id).collect();
        if candidates.is_empty() {
            candidates = steady().map(|node| node.id).collect();
        }
        if candidates.is_empty() {
            candidates = nodes.iter().map(|node| node.id).collect();
        }
        Self { candidates }
    }

    /// The agent named as leader of a partition; -1 if there is none.
    pub fn of(&self, partition: TopicPartition) -> i32 {
        let weight = |&id: &i32| {
            let mut key = [0; 24];
            key[..16].copy_from_slice(partition.topic.0.as_bytes());
            key[16..20].copy_from_slice(&partition.partition.to_le_bytes());
            key[20..].copy_from_slice(&id.to_le_bytes());
            mix(&key)
        };
        self.candidates
            .iter()
            .copied()
            .max_by_key(weight)
            .unwrap_or(-1)
    }
}

/// A fixed 64-bit hash: agents must choose alike, whatever their build.
pub(crate) fn mix(key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in key {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use object_format::TopicId;
    use uuid::Uuid;

    use super::*;

    fn node(id: i32, zone: &str, draining: bool) -> Node {
        Node {
            id,
            host: "h".into(),
            port: 1,
            zone: Some(zone.into()),
            draining,
        }
    }

    fn partitions() -> impl Iterator<Item = TopicPartition> {
        let topic = TopicId(Uuid::from_u128(77));
        (0..300).map(move |partition| TopicPartition { topic, partition })
    }

    #[test]
    fn leaders_are_spread_and_stay_when_another_agent_leaves() {
        let three = [
            node(1, "a", false),
            node(2, "a", false),
            node(3, "b", false),
        ];
        let all = Leaders::new(&three, None);
        let without_3 = Leaders::new(&three[..2], None);
        for id in 1..=3 {
            let share = partitions().filter(|&p| all.of(p) == id).count();
            assert!(
                (60..140).contains(&share),
                "agent {id} leads {share} of 300"
            );
        }
        for p in partitions().filter(|&p| all.of(p) != 3) {
            assert_eq!(all.of(p), without_3.of(p));
        }
    }

    #[test]
    fn clients_are_kept_in_their_zone_and_off_draining_agents_while_there_are_others() {
        let nodes = [node(1, "a", true), node(2, "a", false), node(3, "b", false)];
        assert!(partitions().all(|p| Leaders::new(&nodes, Some("a")).of(p) == 2));
        assert!(partitions().all(|p| Leaders::new(&nodes, Some("c")).of(p) != 1));
        assert!(partitions().all(|p| Leaders::new(&nodes[..1], Some("a")).of(p) == 1));
        assert_eq!(controller(&nodes), 2);
    }
}
