//! Random sequences of what clients, topics and agents may do: a partition is never in two places,
//! epochs never decrease, and everything settles once everybody is heard of.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Action {
    Join {
        id: u8,
        is_static: bool,
        topics: u8,
        range: bool,
    },
    Beat(u8),
    /// A heartbeat whose answer is lost.
    LoseAnswer(u8),
    Leave {
        id: u8,
        for_a_while: bool,
    },
    Topics {
        t: u32,
        u: u32,
    },
    Pass(u64),
    TakeOver,
}

fn action() -> impl Strategy<Value = Action> {
    let id = 0_u8..5;
    prop_oneof![
        3 => (id.clone(), any::<bool>(), 1_u8..8, any::<bool>()).prop_map(
            |(id, is_static, topics, range)| Action::Join { id, is_static, topics, range }
        ),
        10 => id.clone().prop_map(Action::Beat),
        3 => id.clone().prop_map(Action::LoseAnswer),
        1 => (id, any::<bool>()).prop_map(|(id, for_a_while)| Action::Leave { id, for_a_while }),
        1 => (0_u32..6, 0_u32..6).prop_map(|(t, u)| Action::Topics { t, u }),
        1 => (0_u64..50).prop_map(Action::Pass),
        1 => Just(Action::TakeOver),
    ]
}

struct World {
    driver: Driver,
    clients: BTreeMap<u8, Client>,
    /// What each subscribes to by name.
    topics: BTreeMap<u8, Vec<String>>,
    joined: u32,
    group_epoch: i32,
}

impl World {
    fn act(&mut self, action: &Action) {
        match *action {
            Action::Join {
                id,
                is_static,
                topics,
                range,
            } => {
                self.join(id, is_static, topics, range);
            }
            Action::Beat(id) => self.beat(id, true),
            Action::LoseAnswer(id) => self.beat(id, false),
            Action::Leave { id, for_a_while } => self.leave(id, for_a_while),
            Action::Topics { t, u } => {
                let epoch = self.driver.topics.epoch + 1;
                let exists = [("t", t), ("u", u)];
                let exists: Vec<_> = exists.into_iter().filter(|(_, n)| *n > 0).collect();
                self.driver.topics = topics_of(epoch, &exists);
            }
            Action::Pass(seconds) => self.driver.pass(Duration::from_secs(seconds)),
            Action::TakeOver => self.driver.take_over(),
        }
        self.check();
    }

    fn join(&mut self, id: u8, is_static: bool, mask: u8, range: bool) {
        if self.clients.contains_key(&id) {
            return;
        }
        self.joined += 1;
        let topics = ["t", "u"].into_iter().enumerate();
        let chosen = topics.filter(|(i, _)| mask & (1 << i) != 0);
        let request = ConsumerHeartbeat {
            instance_id: is_static.then(|| format!("i{id}")),
            topics: Some(chosen.map(|(_, t)| t.to_owned()).collect()),
            regex: (mask & 4 != 0).then(|| "u|x".to_owned()),
            assignor: range.then(|| "range".to_owned()),
            ..joins(&format!("m{id}-{}", self.joined))
        };
        let topics = request.topics.clone().unwrap_or_default();
        let (member, instance_id) = (request.member_id.clone(), request.instance_id.clone());
        if let Ok(answer) = self.driver.send(request) {
            let client = Client {
                id: member,
                instance_id,
                epoch: answer.epoch,
                owned: answer.assignment.unwrap(),
            };
            self.clients.insert(id, client);
            self.topics.insert(id, topics);
        }
    }

    fn beat(&mut self, id: u8, answer_arrives: bool) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match self.driver.send(client.heartbeat()) {
            Ok(answer) => {
                assert!(answer.epoch >= client.epoch, "a member's epoch decreases");
                if answer_arrives {
                    client.epoch = answer.epoch;
                    if let Some(assignment) = answer.assignment {
                        client.owned = assignment;
                    }
                } else {
                    // As real clients do, it tells everything after an answer that did not come.
                    let again = ConsumerHeartbeat {
                        rebalance_timeout: Some(REBALANCE),
                        topics: self.topics.get(&id).cloned(),
                        ..client.heartbeat()
                    };
                    match self.driver.send(again) {
                        Ok(answer) => {
                            client.epoch = answer.epoch;
                            client.owned = answer.assignment.unwrap();
                        }
                        Err(_) => drop(self.clients.remove(&id)),
                    }
                }
            }
            // Fenced, it drops everything.
            Err(_) => drop(self.clients.remove(&id)),
        }
    }

    fn leave(&mut self, id: u8, for_a_while: bool) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        let stays = for_a_while && client.instance_id.is_some();
        let leave = ConsumerHeartbeat {
            epoch: if stays { -2 } else { -1 },
            ..client.heartbeat()
        };
        let _ = self.driver.send(leave);
    }

    fn check(&mut self) {
        let view = self.driver.group.describe();
        assert!(view.epoch >= self.group_epoch && view.target_epoch <= view.epoch);
        self.group_epoch = view.epoch;
        let mut held = std::collections::BTreeSet::new();
        let mut targets = std::collections::BTreeSet::new();
        for member in &view.members {
            let member = &member.member;
            for partition in member.assigned.iter().chain(member.revoking.iter()) {
                assert!(held.insert(partition), "{partition:?} is held twice");
            }
            for partition in member.target.iter() {
                assert!(targets.insert(partition), "{partition:?} is given to two");
            }
            assert!(member.epoch <= view.epoch);
        }
        assert_eq!(*self.driver.group.roster.held(), held);
        // What clients believe they own is theirs alone, unless they have been silent for too long.
        let mut owned = std::collections::BTreeSet::new();
        for client in self.clients.values() {
            let is_member = view.members.iter().any(|m| m.member.id == client.id);
            for partition in client.owned.iter().filter(|_| is_member) {
                assert!(owned.insert(partition), "{partition:?} is owned twice");
            }
        }
    }

    fn settle(&mut self) {
        // Whoever is only away, or was forgotten by its client, is gone after its session.
        for _ in 0..4 {
            self.driver.pass(SESSION / 3);
            for id in 0..5 {
                self.beat(id, true);
            }
        }
        for _ in 0..20 {
            for id in 0..5 {
                self.beat(id, true);
            }
        }
        self.check();
        let view = self.driver.group.describe();
        let state = view.state.to_string();
        let expected = if self.clients.is_empty() {
            "Empty"
        } else {
            "Stable"
        };
        assert_eq!(
            (view.members.len(), state.as_str()),
            (self.clients.len(), expected)
        );
        for member in &view.members {
            let client = self
                .clients
                .values()
                .find(|c| c.id == member.member.id)
                .unwrap();
            assert_eq!(client.owned, member.member.target);
        }
    }
}

fn topics_of(epoch: u64, of: &[(&str, u32)]) -> Arc<Topics> {
    super::topics(epoch, of)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens(actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World {
            driver: Driver::new(),
            clients: BTreeMap::new(),
            topics: BTreeMap::new(),
            joined: 0,
            group_epoch: 0,
        };
        for action in &actions {
            world.act(action);
        }
        world.settle();
    }
}
