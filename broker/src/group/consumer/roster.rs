//! The members of a group and what is derived from them: who is static, which partitions are held,
//! how many bytes they say, who must be saved.
//!
//! All of it changes together, here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use object_format::TopicPartition;

use super::Assignment;
use super::member::Member;

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<String, Member>,
    /// Instance id to member id.
    static_ids: BTreeMap<String, String>,
    /// Partitions that a member has assigned or is yet to give up.
    held: BTreeSet<TopicPartition>,
    said_bytes: usize,
    /// Members that have changed, come or gone since [`Roster::take_changed`].
    changed: BTreeSet<String>,
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

    /// The static member of this instance id.
    pub(super) fn of_instance(&self, instance_id: &str) -> Option<&Member> {
        self.members.get(self.static_ids.get(instance_id)?)
    }

    /// Whether a partition is assigned to a member, or one is yet to give it up.
    pub(super) fn is_held(&self, partition: TopicPartition) -> bool {
        self.held.contains(&partition)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> &BTreeSet<TopicPartition> {
        &self.held
    }

    /// How many bytes the members say of themselves together.
    pub(super) fn said_bytes(&self) -> usize {
        self.said_bytes
    }

    /// Puts a member in, or in the place of its former self.
    pub(super) fn put(&mut self, member: Member) {
        let id = member.id.clone();
        if self.members.get(&id) == Some(&member) {
            return;
        }
        self.remove(&id);
        self.held.extend(member.assigned.iter());
        self.held.extend(member.revoking.iter());
        self.said_bytes += member.said_bytes();
        if let Some(instance_id) = &member.instance_id {
            self.static_ids.insert(instance_id.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        self.changed.insert(id);
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        for partition in member.assigned.iter().chain(member.revoking.iter()) {
            self.held.remove(&partition);
        }
        self.said_bytes -= member.said_bytes();
        if let Some(instance_id) = &member.instance_id
            && self.static_ids.get(instance_id).map(String::as_str) == Some(id)
        {
            self.static_ids.remove(instance_id);
        }
        self.changed.insert(id.to_owned());
        Some(member)
    }

    /// Gives a member another target.
    pub(super) fn set_target(&mut self, id: &str, target: Assignment) {
        if let Some(member) = self.members.get_mut(id)
            && member.target != target
        {
            member.target = target;
            self.changed.insert(id.to_owned());
        }
    }

    /// Who has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }
}
