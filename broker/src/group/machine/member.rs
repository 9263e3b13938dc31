//! One member of a group.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Ticket;

/// A protocol a member supports, with its opaque metadata (a consumer's subscription).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// The name of the assignor.
    pub name: String,
    /// What the leader's assignor gets to see.
    pub metadata: Bytes,
}

/// A member, from its first join to its end.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// Preferred first; no name twice.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// The parked JoinGroup. Only [`Roster`](super::roster::Roster) sets it, which counts them.
    pub(super) awaiting_join: Option<Ticket>,
    /// The parked SyncGroup.
    pub(super) awaiting_sync: Option<Ticket>,
    /// It has never been part of a generation, so it cannot send heartbeats.
    pub(super) is_new: bool,
}

impl Member {
    /// Whether the member is excused from heartbeats. A new member is not, even while its join is
    /// parked: see [`Limits::new_member_join_timeout`](super::Limits).
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// How many bytes it says of itself.
    pub(super) fn said_bytes(&self) -> usize {
        let instance_id = self.instance_id.as_ref().map_or(0, String::len);
        let client = self.client_id.len() + self.client_host.len();
        instance_id + client + protocols_bytes(&self.protocols)
    }

    /// The metadata for a protocol; empty if the member does not support it.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|p| Some(p.name.as_str()) == protocol);
        found.map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// The candidate the member prefers.
    pub(super) fn vote(&self, candidates: &BTreeSet<&str>) -> Option<&str> {
        self.protocols
            .iter()
            .map(|p| p.name.as_str())
            .find(|name| candidates.contains(name))
    }
}

/// How many bytes protocols and their metadata have.
pub(super) fn protocols_bytes(protocols: &[Protocol]) -> usize {
    protocols
        .iter()
        .map(|p| p.name.len() + p.metadata.len())
        .sum()
}
