//! The group as others see it: ListGroups, ConsumerGroupDescribe, commits and deletions.

use super::Assignment;
use super::embedded::CONSUMER;
use super::group::ConsumerGroup;
use super::member::Member;

use crate::group::machine::{CommitIdentity, GroupError, GroupState};
use crate::group::topics::Topics;
use crate::re2;

/// A described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerGroupView {
    pub state: GroupState,
    pub epoch: i32,
    pub target_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<ConsumerMemberView>,
}

/// A described member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerMemberView {
    pub member: Member,
    pub kind: MemberKind,
    /// Its assigned partitions and its target, by topic.
    pub assigned: Vec<TopicView>,
    pub target: Vec<TopicView>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicView {
    pub topic: object_format::TopicId,
    pub name: String,
    pub partitions: Vec<i32>,
}

/// Which protocol a member speaks; the numbers are those of ConsumerGroupDescribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberKind {
    Classic = 0,
    Consumer = 1,
}

impl ConsumerGroup {
    /// The state, as Kafka names it.
    pub(in crate::group) fn state(&self) -> GroupState {
        let is_reconciled = |m: &Member| m.is_reconciled_to(self.head.target_epoch);
        if self.roster.is_empty() {
            GroupState::Empty
        } else if self.head.epoch > self.head.target_epoch {
            GroupState::Assigning
        } else if self.roster.iter().all(is_reconciled) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    pub(in crate::group) fn has_members(&self) -> bool {
        !self.roster.is_empty()
    }

    /// How many bytes the members say of themselves together.
    pub(in crate::group) fn members_bytes(&self) -> usize {
        self.roster.said_bytes()
    }

    /// The group as ConsumerGroupDescribe shows it.
    pub(in crate::group) fn describe(&self) -> ConsumerGroupView {
        let member = |m: &Member| ConsumerMemberView {
            kind: match m.classic {
                Some(_) => MemberKind::Classic,
                None => MemberKind::Consumer,
            },
            assigned: named(&m.assigned, &self.topics),
            target: named(&m.target, &self.topics),
            member: m.clone(),
        };
        ConsumerGroupView {
            state: self.state(),
            epoch: self.head.epoch,
            target_epoch: self.head.target_epoch,
            assignor: self.assignor().as_str(),
            members: self.roster.iter().map(member).collect(),
        }
    }

    /// Whether offsets may be committed.
    pub(in crate::group) fn check_commit(
        &self,
        who: &CommitIdentity<'_>,
    ) -> Result<(), GroupError> {
        if who.generation < 0 && self.roster.is_empty() {
            return Ok(());
        }
        if who.transactional && who.member_id.is_empty() && who.generation < 0 {
            return Ok(());
        }
        let member = self.member(who.member_id, who.instance_id)?;
        if member.classic.is_none() && !who.knows_member_epochs {
            return Err(GroupError::UnsupportedVersion);
        }
        check_epoch(member, who.generation)
    }

    /// Whether committed offsets may be fetched by a member that says so much of itself.
    pub(in crate::group) fn check_fetch(
        &self,
        id: Option<&str>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        match id {
            None if epoch < 0 => Ok(()),
            id => check_epoch(self.member(id.unwrap_or_default(), None)?, epoch),
        }
    }

    /// Whether members use committed offsets of the topic.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        // Not by what the expressions matched last: nobody may have been heard of since a takeover.
        let matches = |e: &String| re2::compile(e).is_ok_and(|regex| regex.is_match(topic));
        let subscribes =
            |m: &Member| m.topics.contains(topic) || m.regex.as_ref().is_some_and(matches);
        self.roster.iter().any(subscribes)
    }

    /// As ListGroups shows it.
    pub(in crate::group) fn protocol_type(&self) -> &'static str {
        CONSUMER
    }
}

fn check_epoch(member: &Member, said: i32) -> Result<(), GroupError> {
    if said == member.epoch {
        return Ok(());
    }
    Err(match member.classic {
        Some(_) => GroupError::IllegalGeneration,
        None => GroupError::StaleMemberEpoch,
    })
}

/// Topics that are gone are left out.
fn named(assignment: &Assignment, topics: &Topics) -> Vec<TopicView> {
    let of_topic = |(topic, partitions): (_, &std::collections::BTreeSet<u32>)| {
        let partitions = partitions
            .iter()
            .map(|p| i32::try_from(*p).unwrap_or(i32::MAX));
        Some(TopicView {
            topic,
            name: topics.name(topic)?.to_owned(),
            partitions: partitions.collect(),
        })
    };
    assignment.topics().filter_map(of_topic).collect()
}
