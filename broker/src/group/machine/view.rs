//! The group as ListGroups and DescribeGroups show it.

use std::fmt;

use bytes::Bytes;

use super::group::{ClassicGroup, Phase};

/// Kafka's states of groups; they display as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupState {
    /// No members.
    Empty,
    /// A target assignment is to be made (KIP-848).
    Assigning,
    /// Members are on their way to the target assignment (KIP-848).
    Reconciling,
    /// Members are joining.
    PreparingRebalance,
    /// The leader's assignment is awaited.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// Gone.
    Dead,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        })
    }
}

/// A described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its state.
    pub state: GroupState,
    /// Its protocol type; empty for a simple group.
    pub protocol_type: String,
    /// The chosen protocol; empty unless the group is stable, as in Kafka.
    pub protocol_name: String,
    /// Its members.
    pub members: Vec<MemberView>,
}

/// A described member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The member's id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Its metadata for the chosen protocol; empty unless the group is stable, as in Kafka.
    pub metadata: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// The state.
    pub fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::PreparingRebalance { .. } => GroupState::PreparingRebalance,
            Phase::CompletingRebalance { .. } => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
            Phase::Dead(_) => GroupState::Dead,
        }
    }

    /// The current generation; 0 before the first.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The protocol type; none for a group that only ever held committed offsets.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The number of members.
    pub fn members_len(&self) -> usize {
        self.roster.len()
    }

    /// How many bytes the members say of themselves together.
    pub fn members_bytes(&self) -> usize {
        self.roster.said_bytes()
    }

    /// Whether nobody is in the group or about to be: the machine may be dropped, and restored when
    /// the group is next needed. (If the save of the empty group has failed, it will be restored
    /// with its last members, whose sessions then end once more.)
    pub fn is_idle(&self) -> bool {
        let at_rest = matches!(self.phase, Phase::Empty | Phase::Dead(_));
        at_rest && self.roster.pending_join_len() == 0 && self.saves.is_empty()
    }

    /// Whether no save is under way.
    pub fn is_saved(&self) -> bool {
        self.saves.is_empty()
    }

    /// The group as DescribeGroups shows it.
    pub fn describe(&self) -> GroupView {
        let stable = self.phase == Phase::Stable;
        let protocol_name = self.protocol_name.as_deref().filter(|_| stable);
        let members = self.roster.iter().map(|m| MemberView {
            member_id: m.id.clone(),
            instance_id: m.instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: m.metadata(protocol_name),
            assignment: m.assignment.clone(),
        });
        GroupView {
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_name: protocol_name.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }
}
