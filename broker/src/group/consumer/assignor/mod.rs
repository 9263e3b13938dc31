//! Server-side assignors: pure functions from subscriptions to a target assignment.

mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use object_format::TopicId;

use super::Assignment;

/// The assignors there are, named as in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssignorName {
    /// Every member gets as many partitions as any other; as few as possible change hands.
    Uniform,
    /// The partitions of each topic are cut into ranges, so that topics of equal size are assigned
    /// alike.
    Range,
}

impl AssignorName {
    /// As on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AssignorName::Uniform => "uniform",
            AssignorName::Range => "range",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [AssignorName::Uniform, AssignorName::Range]
            .into_iter()
            .find(|assignor| assignor.as_str() == name)
    }

    /// What each member is to own, in the order of `spec.members`.
    pub(super) fn assign(self, spec: &Spec<'_>) -> Vec<Assignment> {
        match self {
            AssignorName::Uniform => uniform::assign(spec),
            AssignorName::Range => range::assign(spec),
        }
    }
}

/// What an assignor is told.
pub(super) struct Spec<'a> {
    /// In the order of their ids.
    pub members: Vec<MemberSpec<'a>>,
    /// The number of partitions of each topic that anybody subscribes to.
    pub partitions: BTreeMap<TopicId, u32>,
}

/// A member as an assignor sees it.
pub(super) struct MemberSpec<'a> {
    pub id: &'a str,
    pub instance_id: Option<&'a str>,
    /// Topics it subscribes to and that exist.
    pub topics: Rc<BTreeSet<TopicId>>,
    /// Its present target.
    pub current: &'a Assignment,
}
