//! One member of a consumer group; what is here is durable.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Assignment;
use super::message::STATIC_LEAVE_EPOCH;
use crate::group::machine::Protocol;

/// Where a member is on its way to its target assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemberState {
    /// It has what it is to have in its epoch.
    Stable,
    /// It is to give up partitions.
    UnrevokedPartitions,
    /// It waits for partitions that others are to give up.
    UnreleasedPartitions,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout: Duration,
    /// Topics it subscribes to by name.
    pub topics: BTreeSet<String>,
    /// The expression whose topics it subscribes to besides.
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// Of a member that goes on with the classic protocol.
    pub classic: Option<ClassicSelf>,
    /// What it was told last; [`STATIC_LEAVE_EPOCH`] of a static member that is away.
    pub epoch: i32,
    /// Before that. A member that did not get the answer still sends it.
    pub previous_epoch: i32,
    pub state: MemberState,
    /// What it may own.
    pub assigned: Assignment,
    /// What it may own no longer, and perhaps still does.
    pub revoking: Assignment,
    /// What it is to own in the end.
    pub target: Assignment,
}

/// What a member of the classic protocol said when it joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassicSelf {
    pub session_timeout: Duration,
    /// Preferred first; at least one.
    pub protocols: Vec<Protocol>,
}

impl Member {
    /// One that nothing is known of yet.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout: Duration::ZERO,
            topics: BTreeSet::new(),
            regex: None,
            assignor: None,
            classic: None,
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Assignment::default(),
            revoking: Assignment::default(),
            target: Assignment::default(),
        }
    }

    /// Whether it has reached the target assignment of this epoch.
    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Whether it is a static member that has left for a while.
    pub(super) fn is_away(&self) -> bool {
        self.epoch == STATIC_LEAVE_EPOCH
    }

    /// Whether it subscribes otherwise than `former`.
    pub(super) fn subscribes_differently(&self, former: Option<&Self>) -> bool {
        match former {
            Some(former) => self.topics != former.topics || self.regex != former.regex,
            None => !self.topics.is_empty() || self.regex.is_some(),
        }
    }

    /// How many bytes it says of itself.
    pub(super) fn said_bytes(&self) -> usize {
        let optional = |s: &Option<String>| s.as_ref().map_or(0, String::len);
        let words = self.id.len() + self.client_id.len() + self.client_host.len();
        let topics: usize = self.topics.iter().map(String::len).sum();
        let protocols = self.classic.iter().flat_map(|c| &c.protocols);
        let protocols: usize = protocols.map(|p| p.name.len() + p.metadata.len()).sum();
        let others = [
            &self.instance_id,
            &self.rack_id,
            &self.regex,
            &self.assignor,
        ];
        words + topics + protocols + others.into_iter().map(optional).sum::<usize>()
    }
}
