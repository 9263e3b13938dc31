//! The assignor `range`.

use std::collections::BTreeMap;

use object_format::{TopicId, TopicPartition};

use super::{MemberSpec, Spec};
use crate::group::consumer::Assignment;

/// What is left of a topic.
struct Rest {
    next: u32,
    end: u32,
    members: u32,
}

impl Rest {
    /// The share of the next member: the first of them get one more if it does not come out even.
    fn take(&mut self) -> std::ops::Range<u32> {
        let share = (self.end - self.next).div_ceil(self.members.max(1));
        let range = self.next..self.next + share;
        self.next = range.end;
        self.members = self.members.saturating_sub(1);
        range
    }
}

/// Static members come first, by their instance ids, so that they keep their place.
fn place<'a>(member: &MemberSpec<'a>) -> (bool, &'a str) {
    match member.instance_id {
        Some(instance_id) => (false, instance_id),
        None => (true, member.id),
    }
}

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Assignment> {
    let mut topics: BTreeMap<TopicId, Rest> = BTreeMap::new();
    for topic in spec.members.iter().flat_map(|m| m.topics.iter()) {
        let end = spec.partitions.get(topic).copied().unwrap_or(0);
        let fresh = Rest {
            next: 0,
            end,
            members: 0,
        };
        topics.entry(*topic).or_insert(fresh).members += 1;
    }
    let mut order: Vec<usize> = (0..spec.members.len()).collect();
    order.sort_by_key(|&i| place(&spec.members[i]));
    let mut assigned = vec![Assignment::default(); spec.members.len()];
    for i in order {
        for &topic in spec.members[i].topics.iter() {
            let range = topics.get_mut(&topic).map(Rest::take).unwrap_or_default();
            assigned[i].extend(range.map(|partition| TopicPartition { topic, partition }));
        }
    }
    assigned
}
