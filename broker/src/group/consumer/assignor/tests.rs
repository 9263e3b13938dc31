use std::rc::Rc;

use object_format::TopicPartition;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn topic(n: u128) -> TopicId {
    TopicId(Uuid::from_u128(n))
}

/// Members with their instance ids, subscriptions and targets.
#[derive(Clone, Debug, Default)]
struct Group {
    members: BTreeMap<String, (Option<String>, Vec<u128>, Assignment)>,
    partitions: BTreeMap<TopicId, u32>,
}

impl Group {
    fn new(topics: &[u32], members: &[(&str, &[u128])]) -> Self {
        let partitions = topics.iter().enumerate();
        let member = |(id, topics): &(&str, &[u128])| {
            let said = (None, topics.to_vec(), Assignment::default());
            ((*id).to_owned(), said)
        };
        Self {
            members: members.iter().map(member).collect(),
            partitions: partitions.map(|(i, &n)| (topic(i as u128), n)).collect(),
        }
    }

    fn assign(&mut self, assignor: AssignorName) {
        let members = self
            .members
            .iter()
            .map(|(id, (instance, topics, current))| {
                let exists = |t: &TopicId| self.partitions.contains_key(t);
                let topics = topics.iter().map(|&t| topic(t)).filter(exists).collect();
                MemberSpec {
                    id,
                    instance_id: instance.as_deref(),
                    topics: Rc::new(topics),
                    current,
                }
            });
        let mut spec = Spec {
            members: members.collect(),
            partitions: self.partitions.clone(),
        };
        let subscribes = |t: &TopicId| spec.members.iter().any(|m| m.topics.contains(t));
        spec.partitions.retain(|topic, _| subscribes(topic));
        let targets = assignor.assign(&spec);
        for ((_, _, current), target) in self.members.values_mut().zip(targets) {
            *current = target;
        }
    }

    /// `a:0/0,0/1 b:1/2`: topic and partition of each.
    fn shown(&self) -> String {
        let member = |(id, (_, _, target)): (&String, &(_, _, Assignment))| {
            let partition = |p: TopicPartition| format!("{}/{}", p.topic.0.as_u128(), p.partition);
            let partitions: Vec<String> = target.iter().map(partition).collect();
            format!("{id}:{}", partitions.join(","))
        };
        self.members
            .iter()
            .map(member)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn loads(&self) -> Vec<usize> {
        self.members.values().map(|(_, _, t)| t.len()).collect()
    }

    /// Every partition of a subscribed topic has one owner, which subscribes to it.
    fn check(&self) {
        let mut owned = BTreeSet::new();
        for (_, topics, target) in self.members.values() {
            for partition in target.iter() {
                assert!(owned.insert(partition), "{partition:?} is owned twice");
                assert!(topics.iter().any(|&t| topic(t) == partition.topic));
                assert!(partition.partition < self.partitions[&partition.topic]);
            }
        }
        let subscribed: BTreeSet<TopicId> = self
            .members
            .values()
            .flat_map(|(_, t, _)| t)
            .map(|&t| topic(t))
            .collect();
        let all = self
            .partitions
            .iter()
            .filter(|(t, _)| subscribed.contains(t));
        assert_eq!(owned.len(), all.map(|(_, &n)| n as usize).sum::<usize>());
    }
}

#[test]
fn range_cuts_every_topic_alike() {
    let mut group = Group::new(&[3, 3], &[("a", &[0, 1]), ("b", &[0, 1])]);
    group.assign(AssignorName::Range);
    assert_eq!(group.shown(), "a:0/0,0/1,1/0,1/1 b:0/2,1/2");
    let mut group = Group::new(&[3, 4], &[("a", &[0]), ("b", &[0, 1]), ("c", &[1])]);
    group.assign(AssignorName::Range);
    assert_eq!(group.shown(), "a:0/0,0/1 b:0/2,1/0,1/1 c:1/2,1/3");
}

#[test]
fn range_gives_static_members_the_same_place_whatever_their_ids() {
    let mut group = Group::new(&[4], &[("x", &[0]), ("y", &[0]), ("a", &[0])]);
    group.members.get_mut("x").unwrap().0 = Some("2".into());
    group.members.get_mut("y").unwrap().0 = Some("1".into());
    group.assign(AssignorName::Range);
    assert_eq!(group.shown(), "a:0/3 x:0/2 y:0/0,0/1");
}

#[test]
fn uniform_moves_only_what_a_new_member_is_to_get() {
    let mut group = Group::new(&[3, 3], &[("a", &[0, 1]), ("b", &[0, 1])]);
    group.assign(AssignorName::Uniform);
    assert_eq!(group.shown(), "a:0/0,0/1,0/2 b:1/0,1/1,1/2");
    let c = (None, vec![0, 1], Assignment::default());
    group.members.insert("c".into(), c);
    group.assign(AssignorName::Uniform);
    assert_eq!(group.shown(), "a:0/0,0/1 b:1/0,1/1 c:0/2,1/2");
    group.members.remove("a");
    group.assign(AssignorName::Uniform);
    assert_eq!(group.shown(), "b:0/0,1/0,1/1 c:0/1,0/2,1/2");
}

#[test]
fn uniform_lets_whoever_has_one_more_keep_it() {
    let mut group = Group::new(&[3], &[("a", &[0]), ("b", &[0])]);
    let all = (1..3).map(|partition| TopicPartition {
        topic: topic(0),
        partition,
    });
    group.members.get_mut("b").unwrap().2 = all.collect();
    group.assign(AssignorName::Uniform);
    assert_eq!(group.shown(), "a:0/0 b:0/1,0/2");
}

#[test]
fn uniform_balances_unlike_subscriptions() {
    let mut group = Group::new(&[4, 4], &[("a", &[0, 1]), ("b", &[0]), ("c", &[1])]);
    group.assign(AssignorName::Uniform);
    group.check();
    let loads = group.loads();
    assert!(
        loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1,
        "{loads:?}"
    );
}

fn groups() -> impl Strategy<Value = Group> {
    let member = prop::collection::btree_set(0_u128..4, 0..4);
    let members = prop::collection::btree_map("[a-h]", member, 1..8);
    let topics = prop::collection::vec(1_u32..9, 1..5);
    (topics, members, any::<bool>()).prop_map(|(topics, members, alike)| {
        let mut group = Group::new(&topics, &[]);
        let first: Vec<u128> = members.values().next().unwrap().iter().copied().collect();
        let exists = |t: &u128| *t < topics.len() as u128;
        for (id, own) in members {
            let own = if alike {
                first.clone()
            } else {
                own.into_iter().collect()
            };
            let own = own.into_iter().filter(exists).collect();
            group.members.insert(id, (None, own, Assignment::default()));
        }
        group
    })
}

proptest! {
    #[test]
    fn everything_subscribed_is_owned_once(mut group in groups(), leaves in any::<prop::sample::Index>()) {
        for assignor in [AssignorName::Uniform, AssignorName::Range, AssignorName::Uniform] {
            group.assign(assignor);
            group.check();
        }
        // Nothing moves when nothing has changed.
        let before = group.shown();
        group.assign(AssignorName::Uniform);
        prop_assert_eq!(group.shown(), before);
        if group.members.len() > 1 {
            let id = group.members.keys().nth(leaves.index(group.members.len())).cloned().unwrap();
            group.members.remove(&id);
            group.assign(AssignorName::Uniform);
            group.check();
        }
    }

    #[test]
    fn uniform_is_balanced(mut group in groups()) {
        group.assign(AssignorName::Uniform);
        let loads = group.loads();
        for (i, (_, _, target)) in group.members.values().enumerate() {
            for partition in target.iter() {
                for (j, (_, topics, _)) in group.members.values().enumerate() {
                    let takes = topics.iter().any(|&t| topic(t) == partition.topic);
                    prop_assert!(!takes || loads[j] + 1 >= loads[i], "{:?}", loads);
                }
            }
        }
    }
}
