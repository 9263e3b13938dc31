//! The group's epoch, and the target assignment that follows it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use object_format::TopicId;

use super::assignor::{AssignorName, MemberSpec, Spec};
use super::group::ConsumerGroup;
use super::member::Member;
use crate::group::machine::Note;
use crate::group::output::Output;
use crate::topology::mix;

impl ConsumerGroup {
    /// Raises the group's epoch.
    pub(super) fn bump(&mut self, reason: String) {
        let generation = self.head.epoch;
        self.head.epoch = self.head.epoch.saturating_add(1);
        let note = Note::RebalanceStarted { generation, reason };
        self.outputs.push(Output::Note(note));
    }

    /// Looks at the topics that are subscribed to; says whether they are others than before, or
    /// have changed.
    pub(super) fn look_at_topics(&mut self) -> bool {
        let expressions = self.roster.iter().filter_map(|m| m.regex.as_deref());
        self.patterns.refresh(expressions, &self.topics);
        self.topics_seen = Some(self.topics.epoch);
        let hash = self.topics_hash();
        let has_changed = hash != self.head.topics_hash;
        self.head.topics_hash = hash;
        has_changed
    }

    /// Topics that anybody subscribes to.
    fn subscribed(&self) -> BTreeSet<&str> {
        self.roster.iter().flat_map(|m| self.topics_of(m)).collect()
    }

    /// Topics a member subscribes to.
    pub(super) fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a str> {
        let by_name = member.topics.iter().map(String::as_str);
        let expression = member.regex.iter();
        by_name.chain(expression.flat_map(|e| self.patterns.of(e)))
    }

    fn topics_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for name in self.subscribed() {
            if let Some((id, partitions)) = self.topics.get(name) {
                bytes.extend_from_slice(id.0.as_bytes());
                bytes.extend_from_slice(&partitions.to_be_bytes());
            }
        }
        mix(&bytes)
    }

    /// The assignor that most of those who name one want; else the default.
    pub(super) fn assignor(&self) -> AssignorName {
        let mut votes: BTreeMap<AssignorName, usize> = BTreeMap::new();
        let named = self.roster.iter().filter_map(|m| m.assignor.as_deref());
        for assignor in named.filter_map(AssignorName::from_name) {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        let default = || self.limits.assignors.first().copied();
        let chosen = most.map(|(assignor, _)| assignor).or_else(default);
        chosen.unwrap_or(AssignorName::Uniform)
    }

    /// Makes the target assignment of the group's epoch.
    pub(super) fn retarget(&mut self) {
        let assignor = self.assignor();
        let spec = self.spec();
        let ids: Vec<String> = spec.members.iter().map(|m| m.id.to_owned()).collect();
        let targets = assignor.assign(&spec);
        for (id, target) in ids.into_iter().zip(targets) {
            self.roster.set_target(&id, target);
        }
        self.head.target_epoch = self.head.epoch;
    }

    fn spec(&self) -> Spec<'_> {
        let mut partitions = BTreeMap::new();
        for name in self.subscribed() {
            if let Some((id, count)) = self.topics.get(name) {
                partitions.insert(id, count);
            }
        }
        // Most members subscribe alike; their topics are looked up once.
        let mut alike: BTreeMap<_, Rc<BTreeSet<TopicId>>> = BTreeMap::new();
        let mut topics = |member: &'_ Member| -> Rc<BTreeSet<TopicId>> {
            let look_up = || {
                let ids = self
                    .topics_of(member)
                    .filter_map(|name| self.topics.get(name));
                Rc::new(ids.map(|(id, _)| id).collect())
            };
            let key = (member.topics.clone(), member.regex.clone());
            alike.entry(key).or_insert_with(look_up).clone()
        };
        let member = |m| MemberSpec {
            topics: topics(m),
            ..MemberSpec::of(m)
        };
        Spec {
            members: self.roster.iter().map(member).collect(),
            partitions,
        }
    }
}

impl<'a> MemberSpec<'a> {
    fn of(member: &'a Member) -> Self {
        Self {
            id: &member.id,
            instance_id: member.instance_id.as_deref(),
            topics: Rc::default(),
            current: &member.target,
        }
    }
}
