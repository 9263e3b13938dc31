//! The group as others see it: ListGroups, ShareGroupDescribe, deletions.

use super::group::ShareGroup;
use super::saved::Member;
use crate::group::consumer::TopicView;
use crate::group::machine::GroupState;

/// A described share group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareGroupView {
    pub state: GroupState,
    pub epoch: i32,
    pub members: Vec<ShareMemberView>,
}

/// A described member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareMemberView {
    pub member: Member,
    /// Its assigned partitions, by topic.
    pub assigned: Vec<TopicView>,
}

impl ShareGroup {
    /// The state, as Kafka names it.
    pub(in crate::group) fn state(&self) -> GroupState {
        match self.members.is_empty() {
            true => GroupState::Empty,
            false => GroupState::Stable,
        }
    }

    pub(in crate::group) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// How many bytes the members say of themselves together.
    pub(in crate::group) fn members_bytes(&self) -> usize {
        self.said_bytes
    }

    /// Whether members use the topic.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|m| m.topics.contains(topic))
    }

    /// The group as ShareGroupDescribe shows it. Topics that are gone are left out.
    pub(in crate::group) fn describe(&self) -> ShareGroupView {
        let assigned = |member: &Member| {
            let topics = member.assigned.topics().filter_map(|(topic, partitions)| {
                let partitions = partitions.iter();
                Some(TopicView {
                    topic,
                    name: self.topics.name(topic)?.to_owned(),
                    partitions: partitions
                        .map(|p| i32::try_from(*p).unwrap_or(i32::MAX))
                        .collect(),
                })
            });
            topics.collect()
        };
        let members = self.members.values().map(|member| ShareMemberView {
            assigned: assigned(member),
            member: member.clone(),
        });
        ShareGroupView {
            state: self.state(),
            epoch: self.head.epoch,
            members: members.collect(),
        }
    }
}
