//! The members of a group and what is derived from them: who is static, who leads, who has joined,
//! which protocols all of them support.
//!
//! The counts are kept here and nowhere else, so they always agree with the members.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::member::{Member, Protocol, protocols_bytes};
use super::{GroupError, Ticket};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<String, Member>,
    /// Instance id to member id.
    static_ids: BTreeMap<String, String>,
    /// Ids that were given out and not joined with yet (KIP-394).
    pending_join: BTreeSet<String>,
    /// Members of this generation that have not sent SyncGroup yet.
    pending_sync: BTreeSet<String>,
    /// How many members support each protocol.
    support: BTreeMap<String, usize>,
    /// How many members have a parked join.
    joined: usize,
    /// How many bytes the members say of themselves.
    said_bytes: usize,
    leader: Option<String>,
}

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader() == Some(id)
    }

    /// Makes a member the leader; ignored unless it is one.
    pub(super) fn set_leader(&mut self, id: &str) {
        if self.members.contains_key(id) {
            self.leader = Some(id.to_owned());
        }
    }

    /// The member id of a static member.
    pub(super) fn static_member_id(&self, instance_id: &str) -> Option<&str> {
        self.static_ids.get(instance_id).map(String::as_str)
    }

    /// Whether a member id, and an instance id if there is one, are those of a member.
    pub(super) fn validate(&self, id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_member_id(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if owner != id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(id) {
            true => Ok(()),
            false => Err(GroupError::UnknownMemberId),
        }
    }

    /// Adds a member; the first one leads. Its id and instance id must be free.
    pub(super) fn add(&mut self, member: Member) {
        self.pending_join.remove(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.static_ids
                .insert(instance_id.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        count_support(&mut self.support, &member.protocols);
        self.said_bytes += member.said_bytes();
        self.joined += usize::from(member.awaiting_join.is_some());
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member, and hands leadership on if it had it.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_sync.remove(id);
        let member = self.members.remove(id)?;
        uncount_support(&mut self.support, &member.protocols);
        self.said_bytes -= member.said_bytes();
        self.joined -= usize::from(member.awaiting_join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.static_ids.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives the member of `old_id` another id; all else stays. Its parked requests must have been
    /// taken before.
    pub(super) fn rename(&mut self, old_id: &str, new_id: &str) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        member.id = new_id.to_owned();
        if let Some(instance_id) = &member.instance_id {
            self.static_ids
                .insert(instance_id.clone(), new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.to_owned());
        }
        self.members.insert(new_id.to_owned(), member);
    }

    /// Takes over what a member says of itself when it joins again.
    pub(super) fn update(
        &mut self,
        id: &str,
        protocols: Vec<Protocol>,
        session_timeout: Duration,
        rebalance_timeout: Duration,
    ) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        uncount_support(&mut self.support, &member.protocols);
        count_support(&mut self.support, &protocols);
        self.said_bytes -= protocols_bytes(&member.protocols);
        self.said_bytes += protocols_bytes(&protocols);
        member.protocols = protocols;
        member.session_timeout = session_timeout;
        member.rebalance_timeout = rebalance_timeout;
    }

    /// Parks a join; returns the one it supersedes.
    pub(super) fn park_join(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        let superseded = member.awaiting_join.replace(ticket);
        self.joined += usize::from(superseded.is_none());
        superseded
    }

    /// Takes the parked join of a member.
    pub(super) fn take_join(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.members.get_mut(id)?.awaiting_join.take();
        self.joined -= usize::from(ticket.is_some());
        ticket
    }

    /// Parks a sync; returns the one it supersedes.
    pub(super) fn park_sync(&mut self, id: &str, ticket: Ticket) -> Option<Ticket> {
        self.members.get_mut(id)?.awaiting_sync.replace(ticket)
    }

    /// Takes the parked sync of a member.
    pub(super) fn take_sync(&mut self, id: &str) -> Option<Ticket> {
        self.members.get_mut(id)?.awaiting_sync.take()
    }

    pub(super) fn set_assignment(&mut self, id: &str, assignment: Bytes) {
        if let Some(member) = self.members.get_mut(id) {
            member.assignment = assignment;
        }
    }

    /// The member has become part of a generation.
    pub(super) fn set_not_new(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.is_new = false;
        }
    }

    pub(super) fn add_pending_join(&mut self, id: String) {
        self.pending_join.insert(id);
    }

    pub(super) fn remove_pending_join(&mut self, id: &str) -> bool {
        self.pending_join.remove(id)
    }

    pub(super) fn is_pending_join(&self, id: &str) -> bool {
        self.pending_join.contains(id)
    }

    pub(super) fn pending_join_len(&self) -> usize {
        self.pending_join.len()
    }

    pub(super) fn add_pending_sync(&mut self, id: String) {
        self.pending_sync.insert(id);
    }

    pub(super) fn remove_pending_sync(&mut self, id: &str) {
        self.pending_sync.remove(id);
    }

    pub(super) fn pending_sync(&self) -> &BTreeSet<String> {
        &self.pending_sync
    }

    pub(super) fn clear_pending_sync(&mut self) {
        self.pending_sync.clear();
    }

    /// How many bytes the members say of themselves together.
    pub(super) fn said_bytes(&self) -> usize {
        self.said_bytes
    }

    /// How many members have a parked join.
    pub(super) fn joined_len(&self) -> usize {
        self.joined
    }

    /// Whether every member has a parked join and nobody still is to join with a given id.
    pub(super) fn all_joined(&self) -> bool {
        self.joined == self.members.len() && self.pending_join.is_empty()
    }

    /// Sees to it that the leader is a member with a parked join; false if there is none.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |m: &&Member| m.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.as_ref().is_some_and(joined) {
            return true;
        }
        match self.members.values().find(joined) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// The longest rebalance timeout of all members.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.iter()
            .map(|m| m.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    /// Whether one of the protocols is supported by every member.
    pub(super) fn supports_any(&self, protocols: &[Protocol]) -> bool {
        let count = |p: &Protocol| self.support.get(&p.name).copied().unwrap_or(0);
        protocols.iter().any(|p| count(p) == self.members.len())
    }

    /// The protocol most members prefer among those all of them support. Ties go to the name that
    /// sorts first; Kafka leaves them open.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let by_all = self
            .support
            .iter()
            .filter(|(_, count)| **count == self.members.len());
        let candidates: BTreeSet<&str> = by_all.map(|(name, _)| name.as_str()).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.iter().filter_map(|m| m.vote(&candidates)) {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.to_owned())
    }
}

fn count_support(support: &mut BTreeMap<String, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        *support.entry(protocol.name.clone()).or_default() += 1;
    }
}

fn uncount_support(support: &mut BTreeMap<String, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        if let Some(count) = support.get_mut(&protocol.name) {
            *count -= 1;
            if *count == 0 {
                support.remove(&protocol.name);
            }
        }
    }
}
