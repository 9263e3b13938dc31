//! The assignor `uniform`: balance first, then as few moves as possible.
//!
//! With equal subscriptions, the numbers of partitions of two members differ by one at most. With
//! different ones, no partition could go to a subscriber that has two fewer than its owner.

use std::collections::{BTreeMap, BTreeSet};

use object_format::{TopicId, TopicPartition};

use super::Spec;
use crate::group::consumer::Assignment;

/// Bounds the search for a better balance when subscriptions differ; each pass looks at every
/// partition once.
const PASSES_MAX: usize = 64;

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Assignment> {
    let Some(first) = spec.members.first() else {
        return Vec::new();
    };
    let kept = keep(spec);
    match spec.members.iter().all(|m| m.topics == first.topics) {
        true => assign_alike(spec, kept),
        false => assign_unlike(spec, kept),
    }
}

/// What each member may go on having: partitions that exist, of topics it subscribes to, that no
/// member before it has.
fn keep(spec: &Spec<'_>) -> Vec<Assignment> {
    let mut taken = BTreeSet::new();
    let mut keep = |member: &super::MemberSpec<'_>| {
        let exists = |p: &TopicPartition| {
            let count = spec.partitions.get(&p.topic);
            count.is_some_and(|&count| p.partition < count) && member.topics.contains(&p.topic)
        };
        let current = member.current.iter().filter(exists);
        current.filter(|p| taken.insert(*p)).collect()
    };
    spec.members.iter().map(&mut keep).collect()
}

/// Partitions of topics that somebody subscribes to and that nobody has.
fn unassigned(spec: &Spec<'_>, kept: &[Assignment]) -> Vec<TopicPartition> {
    let taken: BTreeSet<TopicPartition> = kept.iter().flat_map(Assignment::iter).collect();
    let all = spec.partitions.iter().flat_map(|(&topic, &count)| {
        (0..count).map(move |partition| TopicPartition { topic, partition })
    });
    all.filter(|p| !taken.contains(p)).collect()
}

fn assign_alike(spec: &Spec<'_>, kept: Vec<Assignment>) -> Vec<Assignment> {
    let mut free = unassigned(spec, &kept);
    let total = free.len() + kept.iter().map(Assignment::len).sum::<usize>();
    let (quota, mut extra) = (total / kept.len(), total % kept.len());
    // Who has more than the quota keeps one of them as long as there are such places.
    let mut quotas = vec![quota; kept.len()];
    let above = (0..kept.len()).filter(|&i| kept[i].len() > quota);
    let others = (0..kept.len()).filter(|&i| kept[i].len() <= quota);
    for i in above.chain(others) {
        if extra > 0 {
            quotas[i] += 1;
            extra -= 1;
        }
    }
    let mut assigned = Vec::with_capacity(kept.len());
    for (of_member, quota) in kept.into_iter().zip(&quotas) {
        let (staying, leaving): (Vec<_>, Vec<_>) =
            of_member.iter().enumerate().partition(|(i, _)| i < quota);
        free.extend(leaving.into_iter().map(|(_, p)| p));
        let staying: Assignment = staying.into_iter().map(|(_, p)| p).collect();
        assigned.push(staying);
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for (of_member, quota) in assigned.iter_mut().zip(quotas) {
        let missing = quota - of_member.len();
        of_member.extend(free.by_ref().take(missing));
    }
    assigned
}

fn assign_unlike(spec: &Spec<'_>, kept: Vec<Assignment>) -> Vec<Assignment> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (i, member) in spec.members.iter().enumerate() {
        for &topic in member.topics.iter() {
            subscribers.entry(topic).or_default().push(i);
        }
    }
    let mut owners: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    let mut loads = vec![0_usize; kept.len()];
    for (i, of_member) in kept.iter().enumerate() {
        loads[i] = of_member.len();
        owners.extend(of_member.iter().map(|p| (p, i)));
    }
    let idlest = |loads: &[usize], topic: TopicId| {
        let subscribers = subscribers.get(&topic).into_iter().flatten().copied();
        subscribers.min_by_key(|&i| (loads[i], i))
    };
    // Topics with few subscribers first: the others have more choice left.
    let mut free = unassigned(spec, &kept);
    free.sort_by_key(|p| (subscribers.get(&p.topic).map_or(0, Vec::len), *p));
    for partition in free {
        if let Some(i) = idlest(&loads, partition.topic) {
            owners.insert(partition, i);
            loads[i] += 1;
        }
    }
    for _ in 0..PASSES_MAX {
        let mut has_moved = false;
        for (partition, owner) in &mut owners {
            match idlest(&loads, partition.topic) {
                Some(i) if loads[i] + 1 < loads[*owner] => {
                    loads[*owner] -= 1;
                    loads[i] += 1;
                    *owner = i;
                    has_moved = true;
                }
                _ => {}
            }
        }
        if !has_moved {
            break;
        }
    }
    let mut assigned = vec![Assignment::default(); kept.len()];
    for (partition, owner) in owners {
        assigned[owner].insert(partition);
    }
    assigned
}
