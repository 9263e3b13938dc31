//! The simple assignor of share groups (KIP-932): pure.
//!
//! Partitions are spread evenly over the members that subscribe to them. With fewer members than
//! partitions each partition has one member, with more several share one. What a member has it keeps as
//! far as that allows.

use std::collections::{BTreeMap, BTreeSet};

use object_format::{TopicId, TopicPartition};

use crate::group::consumer::Assignment;

/// A member as the assignor sees it.
#[derive(Clone, Debug)]
pub(super) struct MemberSpec<'a> {
    /// Topics it subscribes to and that exist.
    pub topics: BTreeSet<TopicId>,
    /// What it has.
    pub current: &'a Assignment,
}

/// Assigns to each member, in their order. `partitions` are the numbers of partitions of the topics.
pub(super) fn assign(
    members: &[MemberSpec<'_>],
    partitions: &BTreeMap<TopicId, u32>,
) -> Vec<Assignment> {
    let mut work = Work::new(members, partitions);
    work.keep(members);
    work.cover_partitions();
    work.cover_members();
    work.assigned
}

struct Work {
    assigned: Vec<Assignment>,
    /// How many partitions each member has.
    loads: Vec<usize>,
    /// Who subscribes to each topic.
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    topics: Vec<BTreeSet<TopicId>>,
    /// How many members each partition has.
    shared: BTreeMap<TopicPartition, usize>,
}

impl Work {
    fn new(members: &[MemberSpec<'_>], partitions: &BTreeMap<TopicId, u32>) -> Self {
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        for (i, member) in members.iter().enumerate() {
            for &topic in &member.topics {
                subscribers.entry(topic).or_default().push(i);
            }
        }
        let subscribed = partitions
            .iter()
            .filter(|(topic, _)| subscribers.contains_key(topic));
        let shared = subscribed.flat_map(|(&topic, &count)| {
            (0..count).map(move |partition| (TopicPartition { topic, partition }, 0))
        });
        Self {
            assigned: vec![Assignment::default(); members.len()],
            loads: vec![0; members.len()],
            shared: shared.collect(),
            topics: members.iter().map(|m| m.topics.clone()).collect(),
            subscribers,
        }
    }

    fn give(&mut self, member: usize, partition: TopicPartition) {
        self.assigned[member].insert(partition);
        self.loads[member] += 1;
        *self.shared.entry(partition).or_default() += 1;
    }

    /// Lets each member keep what it has, up to its even share.
    fn keep(&mut self, members: &[MemberSpec<'_>]) {
        let (m, p) = (members.len(), self.shared.len());
        if m == 0 || p == 0 {
            return;
        }
        // So many each, and one more for so many of them.
        let (per_member, mut members_more) = match m > p {
            true => (1, 0),
            false => (p / m, p % m),
        };
        let (per_partition, mut partitions_more) = match m > p {
            true => (m / p, m % p),
            false => (1, 0),
        };
        for (i, member) in members.iter().enumerate() {
            for partition in member.current.iter() {
                let is_subscribed = member.topics.contains(&partition.topic);
                let Some(&sharing) = self.shared.get(&partition).filter(|_| is_subscribed) else {
                    continue;
                };
                let load = self.loads[i];
                let needs_more = (load == per_member, sharing == per_partition);
                let has_room = load <= per_member
                    && sharing <= per_partition
                    && (!needs_more.0 || members_more > 0)
                    && (!needs_more.1 || partitions_more > 0);
                if has_room {
                    members_more -= usize::from(needs_more.0);
                    partitions_more -= usize::from(needs_more.1);
                    self.give(i, partition);
                }
            }
        }
    }

    /// Gives each partition that nobody has to the subscriber with the fewest.
    fn cover_partitions(&mut self) {
        let free: Vec<TopicPartition> = self
            .shared
            .iter()
            .filter(|(_, n)| **n == 0)
            .map(|(p, _)| *p)
            .collect();
        for partition in free {
            let subscribers = self.subscribers.get(&partition.topic);
            let least = subscribers.and_then(|s| s.iter().min_by_key(|i| self.loads[**i]));
            if let Some(&member) = least {
                self.give(member, partition);
            }
        }
    }

    /// Gives each member that has nothing the partition that the fewest share.
    fn cover_members(&mut self) {
        for member in 0..self.assigned.len() {
            if self.loads[member] > 0 {
                continue;
            }
            let of_topic = |topic: &TopicId| {
                let partition = |partition| TopicPartition {
                    topic: *topic,
                    partition,
                };
                self.shared.range(partition(0)..=partition(u32::MAX))
            };
            let candidates = self.topics[member].iter().flat_map(of_topic);
            let least = candidates
                .min_by_key(|(_, sharing)| **sharing)
                .map(|(p, _)| *p);
            if let Some(partition) = least {
                self.give(member, partition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn topic(i: usize) -> TopicId {
        TopicId(Uuid::from_u128(i as u128))
    }

    /// Assigns topics of so many partitions to members with these topics, and these assignments.
    fn assign_all(
        topics: &[u32],
        members: &[Vec<usize>],
        current: &[Assignment],
    ) -> Vec<Assignment> {
        let partitions = topics
            .iter()
            .enumerate()
            .map(|(i, &n)| (topic(i), n))
            .collect();
        let members: Vec<MemberSpec<'_>> = members
            .iter()
            .zip(current)
            .map(|(topics, current)| MemberSpec {
                topics: topics.iter().map(|&i| topic(i)).collect(),
                current,
            })
            .collect();
        assign(&members, &partitions)
    }

    fn loads(assigned: &[Assignment]) -> Vec<usize> {
        assigned.iter().map(Assignment::len).collect()
    }

    #[test]
    fn partitions_are_spread_and_shared_when_there_are_few() {
        let none = vec![Assignment::default(); 5];
        let alike = vec![vec![0]; 5];
        assert_eq!(loads(&assign_all(&[7], &alike[..3], &none)), [3, 2, 2]);
        let shared = assign_all(&[2], &alike, &none);
        assert_eq!(loads(&shared), [1; 5]);
        let first = shared.iter().filter(|a| a.iter().any(|p| p.partition == 0));
        assert_eq!(first.count(), 3);
        assert_eq!(loads(&assign_all(&[], &alike, &none)), [0; 5]);
    }

    #[test]
    fn members_keep_what_they_have() {
        let alike = vec![vec![0]; 3];
        let none = vec![Assignment::default(); 3];
        let two = assign_all(&[7], &alike[..2], &none);
        let current = [two[0].clone(), two[1].clone(), Assignment::default()];
        let three = assign_all(&[7], &alike, &current);
        assert_eq!(loads(&three), [3, 2, 2]);
        assert!(three[0].is_subset_of(&two[0]) && three[1].is_subset_of(&two[1]));
        assert_eq!(assign_all(&[7], &alike, &three), three);
    }

    proptest! {
        #[test]
        fn everything_is_covered_evenly_and_stays(
            topics in prop::collection::vec(0..9u32, 1..4),
            members in prop::collection::vec(prop::collection::vec(0..3usize, 1..3), 1..9),
            alike in any::<bool>(),
            leaves in 0..9usize,
        ) {
            let all: Vec<usize> = (0..topics.len()).collect();
            let members: Vec<Vec<usize>> = members
                .into_iter()
                .map(|m| match alike {
                    true => all.clone(),
                    false => m.into_iter().filter(|t| *t < topics.len()).collect(),
                })
                .collect();
            let none = vec![Assignment::default(); members.len()];
            let mut assigned = assign_all(&topics, &members, &none);
            let mut members = members;
            for _ in 0..2 {
                let total: usize = topics.iter().map(|n| *n as usize).sum();
                for (member, assigned) in members.iter().zip(&assigned) {
                    let could: u32 = member.iter().map(|&t| topics[t]).sum();
                    prop_assert_eq!(assigned.is_empty(), could == 0);
                    let own = assigned.iter().all(|p| member.iter().any(|&t| topic(t) == p.topic));
                    prop_assert!(own);
                }
                for (t, &count) in topics.iter().enumerate() {
                    for partition in 0..count {
                        let partition = TopicPartition { topic: topic(t), partition };
                        let has = assigned.iter().filter(|a| a.contains(partition)).count();
                        let wanted = members.iter().any(|m| m.contains(&t));
                        prop_assert_eq!(has > 0, wanted);
                        if alike && total > 0 {
                            prop_assert!(has <= members.len().div_ceil(total).max(1));
                        }
                    }
                }
                if alike && total >= members.len() {
                    let loads = loads(&assigned);
                    let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
                    prop_assert!(spread <= 1, "{:?}", loads);
                }
                // Somebody leaves.
                if leaves < members.len() && members.len() > 1 {
                    members.remove(leaves);
                    assigned.remove(leaves);
                }
                assigned = assign_all(&topics, &members, &assigned);
            }
        }
    }
}
