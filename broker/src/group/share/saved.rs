//! What is saved of a share group: a record of its epochs, and one of each member.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::group::ShareGroup;
use crate::group::consumer::Assignment;
use crate::group::machine::SaveId;
use crate::group::output::Output;
use crate::group::records::{Change, Records, decode, encode};

/// What ListGroups shows as the protocol type of share groups.
pub(in crate::group) const PROTOCOL_TYPE: &str = "share";

/// The record of the group's epochs.
const HEAD: &str = "share";

/// What the names of its members' records begin with; the member id follows.
const MEMBER: &str = "share/";

/// The group's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The group's epoch, which the members' targets are of.
    pub epoch: i32,
    /// Of the topics that are subscribed to, as they were at this epoch.
    pub topics_hash: u64,
}

/// A member; what is here is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub id: String,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    /// What it was told last.
    pub epoch: i32,
    /// Before that. A member that did not get the answer still sends it.
    pub previous_epoch: i32,
    /// What it was told to fetch.
    pub assigned: Assignment,
    /// What it is to fetch from its next heartbeat on.
    pub target: Assignment,
}

impl Member {
    /// How many bytes it says of itself.
    pub(super) fn said_bytes(&self) -> usize {
        let rack = self.rack_id.as_ref().map_or(0, String::len);
        let topics: usize = self.topics.iter().map(String::len).sum();
        self.id.len() + self.client_id.len() + self.client_host.len() + rack + topics
    }
}

/// Whether the records are those of a share group.
pub(in crate::group) fn is_share(records: &Records) -> bool {
    records.contains_key(HEAD)
}

/// Whether a saved group has members.
pub(in crate::group) fn has_members(records: &Records) -> bool {
    members(records).next().is_some()
}

fn members(records: &Records) -> impl Iterator<Item = &[u8]> {
    let members = records.range(MEMBER.to_owned()..);
    let members = members.take_while(|(name, _)| name.starts_with(MEMBER));
    members.map(|(_, record)| &record[..])
}

/// A group from its records; none if they cannot be read.
pub(super) fn read(records: &Records) -> Option<(Head, Vec<Member>)> {
    let head = decode(records.get(HEAD)?)?;
    let members = members(records).map(decode).collect::<Option<_>>()?;
    Some((head, members))
}

/// What of a group is not saved yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// The group's record as it was saved last.
    pub head: Option<Head>,
    /// Members that have changed, come or gone.
    pub members: BTreeSet<String>,
    /// Records of what the group was before it was a share group.
    pub stale: BTreeSet<String>,
    pub last_save: SaveId,
}

impl ShareGroup {
    /// Emits a save of what has changed, if anything has.
    pub(super) fn flush(&mut self) {
        let mut change = Change {
            puts: vec![],
            removed: std::mem::take(&mut self.unsaved.stale)
                .into_iter()
                .collect(),
        };
        for id in std::mem::take(&mut self.unsaved.members) {
            let name = format!("{MEMBER}{id}");
            match self.members.get(&id) {
                Some(member) => change.puts.push((name, encode(member))),
                None => change.removed.push(name),
            }
        }
        if self.unsaved.head != Some(self.head) {
            self.unsaved.head = Some(self.head);
            change.puts.push((HEAD.to_owned(), encode(&self.head)));
        }
        if change == Change::default() {
            return;
        }
        let id = SaveId(self.unsaved.last_save.0 + 1);
        self.unsaved.last_save = id;
        self.outputs.push(Output::Save(id, change));
    }
}
