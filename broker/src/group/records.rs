//! What is saved of a group: records by name, one for the group and one for each member, so that a change costs what
//! has changed. The name of the group's own record tells its type.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::machine::{SavedGroup, SavedMember};

/// The first byte of a record: its format. What follows is in postcard.
const FORMAT: u8 = 1;

/// The record of a classic group's generation.
const CLASSIC: &str = "classic";

/// What the names of its members' records begin with; the member id follows.
const CLASSIC_MEMBER: &str = "classic/";

/// Records of a group by name.
pub(super) type Records = BTreeMap<String, Bytes>;

/// What is to be saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub puts: Vec<(String, Bytes)>,
    pub removed: Vec<String>,
}

/// A record's bytes.
pub(super) fn encode(record: &impl Serialize) -> Bytes {
    let mut bytes = vec![FORMAT];
    bytes.extend(postcard::to_stdvec(record).unwrap_or_default());
    bytes.into()
}

/// A record from its bytes; none if it is not of this format.
pub(super) fn decode<T: DeserializeOwned>(record: &[u8]) -> Option<T> {
    let (format, rest) = record.split_first()?;
    (*format == FORMAT)
        .then(|| postcard::from_bytes(rest).ok())
        .flatten()
}

/// The record of a classic group's generation; see [`SavedGroup`].
#[derive(Debug, Serialize, Deserialize)]
struct ClassicHead {
    generation: i32,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
}

/// What ListGroups shows of a classic group that no task serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClassicSummary {
    pub protocol_type: Option<String>,
    pub has_members: bool,
}

/// A classic group as records.
pub(super) fn of_classic(group: SavedGroup) -> Records {
    let member = |m: &SavedMember| (format!("{CLASSIC_MEMBER}{}", m.member_id), encode(m));
    let mut records: Records = group.members.iter().map(member).collect();
    let head = ClassicHead {
        generation: group.generation,
        protocol_type: group.protocol_type,
        protocol_name: group.protocol_name,
        leader: group.leader,
    };
    records.insert(CLASSIC.to_owned(), encode(&head));
    records
}

/// A classic group from its records; none if they are not one's.
pub(super) fn classic(records: &Records) -> Option<SavedGroup> {
    let head: ClassicHead = decode(records.get(CLASSIC)?)?;
    let members = classic_members(records).map(|(_, member)| decode(member));
    Some(SavedGroup {
        generation: head.generation,
        protocol_type: head.protocol_type,
        protocol_name: head.protocol_name,
        leader: head.leader,
        members: members.collect::<Option<_>>()?,
    })
}

/// As [`classic`], without reading the members.
pub(super) fn classic_summary(records: &Records) -> Option<ClassicSummary> {
    let head: ClassicHead = decode(records.get(CLASSIC)?)?;
    Some(ClassicSummary {
        protocol_type: head.protocol_type,
        has_members: classic_members(records).next().is_some(),
    })
}

fn classic_members(records: &Records) -> impl Iterator<Item = (&String, &Bytes)> {
    let members = records.range(CLASSIC_MEMBER.to_owned()..);
    members.take_while(|(name, _)| name.starts_with(CLASSIC_MEMBER))
}

/// What was last asked to be saved, so that the next save names only what differs.
#[derive(Debug)]
pub(super) struct Ledger {
    records: Records,
    /// Records whose removal is not known to be durable.
    removed: BTreeSet<String>,
    /// A save has failed: what is durable may differ from `records`.
    is_doubtful: bool,
}

impl Ledger {
    /// These records are durable, and nothing else.
    pub(super) fn new(records: Records) -> Self {
        Self {
            records,
            removed: BTreeSet::new(),
            is_doubtful: false,
        }
    }

    /// What turns that which was last saved into `records`.
    pub(super) fn change(&mut self, records: Records) -> Change {
        let is_new = |(name, record): &(&String, &Bytes)| {
            self.is_doubtful || self.records.get(*name) != Some(*record)
        };
        let puts = records.iter().filter(is_new);
        let puts = puts.map(|(n, r)| (n.clone(), r.clone())).collect();
        let mut removed: BTreeSet<String> = self.records.keys().cloned().collect();
        if self.is_doubtful {
            removed.extend(self.removed.iter().cloned());
        }
        removed.retain(|name| !records.contains_key(name));
        self.removed.extend(removed.iter().cloned());
        self.records = records;
        self.is_doubtful = false;
        Change {
            puts,
            removed: removed.into_iter().collect(),
        }
    }

    /// Every record that may be there.
    pub(super) fn names(&self) -> Vec<String> {
        self.records.keys().chain(&self.removed).cloned().collect()
    }

    /// Every change so far is durable.
    pub(super) fn settled(&mut self) {
        if !self.is_doubtful {
            self.removed.clear();
        }
    }

    /// A change has failed, or may have.
    pub(super) fn doubt(&mut self) {
        self.is_doubtful = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(of: &[(&str, &'static str)]) -> Records {
        let record = |&(name, value): &(&str, &'static str)| (name.to_owned(), Bytes::from(value));
        of.iter().map(record).collect()
    }

    fn shown(change: &Change) -> (String, String) {
        let puts: Vec<&str> = change.puts.iter().map(|(n, _)| n.as_str()).collect();
        (puts.concat(), change.removed.concat())
    }

    #[test]
    fn only_what_differs_is_saved() {
        let mut ledger = Ledger::new(records(&[("a", "1"), ("b", "1")]));
        let change = ledger.change(records(&[("a", "1"), ("b", "2"), ("c", "1")]));
        assert_eq!(shown(&change), ("bc".into(), String::new()));
        let change = ledger.change(records(&[("b", "2")]));
        assert_eq!(shown(&change), (String::new(), "ac".into()));
    }

    #[test]
    fn after_a_failed_save_everything_is_saved_again() {
        let mut ledger = Ledger::new(records(&[("a", "1"), ("b", "1"), ("c", "1")]));
        ledger.change(records(&[("b", "1"), ("c", "1")]));
        ledger.change(records(&[("c", "1")]));
        // The first of them has failed.
        ledger.doubt();
        let change = ledger.change(records(&[("c", "1"), ("d", "1")]));
        assert_eq!(shown(&change), ("cd".into(), "ab".into()));
        ledger.settled();
        let change = ledger.change(records(&[("c", "1"), ("d", "2")]));
        assert_eq!(shown(&change), ("d".into(), String::new()));
    }

    #[test]
    fn a_classic_group_is_what_it_was() {
        let member = |id: &str| SavedMember {
            member_id: id.into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout_ms: 1,
            rebalance_timeout_ms: 2,
            protocols: vec![],
            assignment: Bytes::from_static(b"x"),
        };
        let group = SavedGroup {
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: Some("a".into()),
            members: vec![member("a"), member("b/c")],
        };
        let mut records = of_classic(group.clone());
        assert_eq!(records.len(), 3);
        assert_eq!(classic(&records), Some(group));
        let summary = classic_summary(&records).unwrap();
        assert!(summary.has_members);
        records.insert("classic/b/c".to_owned(), Bytes::from_static(b"\x02"));
        assert_eq!(classic(&records), None);
        assert_eq!(classic(&Records::new()), None);
    }
}
