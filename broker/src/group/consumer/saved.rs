//! What is saved of a consumer group: a record of its epochs, and one of each member.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::group::ConsumerGroup;
use super::member::Member;
use crate::group::machine::SaveId;
use crate::group::output::Output;
use crate::group::records::{Change, Records, decode, encode};

/// The record of the group's epochs.
const HEAD: &str = "consumer";

/// What the names of its members' records begin with; the member id follows.
const MEMBER: &str = "consumer/";

/// The group's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The group's epoch.
    pub epoch: i32,
    /// The epoch that the members' targets are of.
    pub target_epoch: i32,
    /// Of the topics that are subscribed to, as they were at this epoch.
    pub topics_hash: u64,
}

/// Whether the records are those of a consumer group.
pub(in crate::group) fn is_consumer(records: &Records) -> bool {
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

fn member_name(id: &str) -> String {
    format!("{MEMBER}{id}")
}

/// What of a group is not saved yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// The group's record as it was saved last.
    pub head: Option<Head>,
    /// Records of what the group was before it was a consumer group.
    pub stale: BTreeSet<String>,
    pub last_save: SaveId,
}

impl ConsumerGroup {
    /// Emits a save of what has changed, if anything has.
    pub(super) fn flush(&mut self) {
        let mut change = Change {
            puts: Vec::new(),
            removed: std::mem::take(&mut self.unsaved.stale)
                .into_iter()
                .collect(),
        };
        for id in self.roster.take_changed() {
            match self.roster.get(&id) {
                Some(member) => change.puts.push((member_name(&id), encode(member))),
                None => change.removed.push(member_name(&id)),
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

    /// The group as records.
    pub(in crate::group) fn records(&self) -> Records {
        let member = |m: &Member| (member_name(&m.id), encode(m));
        let mut records: Records = self.roster.iter().map(member).collect();
        records.insert(HEAD.to_owned(), encode(&self.head));
        records.extend(
            self.unsaved
                .stale
                .iter()
                .map(|s| (s.clone(), Default::default())),
        );
        records
    }

    /// The last save that was asked for.
    pub(in crate::group) fn last_save(&self) -> SaveId {
        self.unsaved.last_save
    }
}
