//! Plays random events to a group and checks it after each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::group::machine::timers::{self, TimerKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Join,
    Sync,
    Heartbeat,
    Leave,
}

/// See the header of `random`.
pub(super) struct Driver {
    group: ClassicGroup,
    now: Duration,
    tickets: u64,
    /// Requests without an answer, with the generation they were made for.
    open: BTreeMap<Ticket, (Kind, i32)>,
    saves: Vec<(SaveId, SavedGroup)>,
    /// The last group that is durable.
    durable: Option<(SaveId, SavedGroup)>,
    /// What is durable of each generation: the assignment of each member.
    assignments: BTreeMap<i32, BTreeMap<String, Bytes>>,
    /// Who was told to lead in each generation.
    leaders: BTreeMap<i32, String>,
    /// The member ids seen in responses, newest last, each with its instance id.
    ids: Vec<(String, Option<String>)>,
    generation: i32,
}

const MEMBERS_MAX: usize = 5;
const PENDING_MAX: usize = 3;

fn driver_limits() -> Limits {
    Limits {
        members_max: MEMBERS_MAX,
        pending_members_max: PENDING_MAX,
        ..limits()
    }
}

impl Driver {
    pub(super) fn new() -> Self {
        Driver {
            group: ClassicGroup::new(driver_limits()),
            now: Duration::from_secs(1),
            tickets: 0,
            open: BTreeMap::new(),
            saves: Vec::new(),
            durable: None,
            assignments: BTreeMap::new(),
            leaders: BTreeMap::new(),
            ids: Vec::new(),
            generation: 0,
        }
    }

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Join {
                who,
                how,
                protocols,
            } => self.join(who, how, protocols),
            Op::Sync {
                who,
                behind,
                with_instance,
            } => self.sync(who, behind, with_instance),
            Op::Heartbeat { who, behind } => {
                let (member_id, instance_id) = self.id(who);
                let generation = self.group.generation() - behind;
                let request = HeartbeatRequest {
                    member_id,
                    instance_id,
                    generation,
                };
                let ticket = self.open(Kind::Heartbeat, generation);
                self.step(Event::Heartbeat(ticket, request), Some(ticket));
                assert!(
                    !self.open.contains_key(&ticket),
                    "a heartbeat is answered at once"
                );
            }
            Op::Commit {
                who,
                behind,
                transactional,
            } => {
                let (id, instance) = self.id(who);
                let who = CommitIdentity {
                    knows_member_epochs: true,
                    member_id: &id,
                    instance_id: instance.as_deref(),
                    generation: self.group.generation() - behind,
                    transactional,
                };
                self.group.check_commit(self.now, &who).ok();
                self.check();
            }
            Op::Leave { who, by_instance } => self.leave(who, by_instance),
            Op::Report { which, failure } => self.report(which, failure),
            Op::Pass { ms } => self.pass(Duration::from_millis(ms)),
            Op::Stabilize => self.stabilize(),
            Op::TakeOver => self.take_over(),
            Op::Unload => {
                self.step(Event::Unload, None);
                assert!(self.open.is_empty(), "everyone was sent away");
            }
        }
    }

    fn open(&mut self, kind: Kind, generation: i32) -> Ticket {
        self.tickets += 1;
        self.open.insert(Ticket(self.tickets), (kind, generation));
        Ticket(self.tickets)
    }

    /// One of the last ids seen, the newest for 0; or one never given out.
    fn id(&self, who: usize) -> (String, Option<String>) {
        let newest_first = self.ids.iter().rev();
        newest_first
            .skip(who)
            .map(Clone::clone)
            .next()
            .unwrap_or(("nobody".to_owned(), None))
    }

    fn join(&mut self, who: usize, how: How, protocols: usize) {
        let names: [&[&str]; 4] = [
            &["range"],
            &["range", "sticky"],
            &["sticky", "range"],
            &["x"],
        ];
        let protocols = names[protocols]
            .iter()
            .map(|name| protocol(name, ""))
            .collect();
        let candidate = format!("id-{}", self.tickets + 1);
        let request = match how {
            How::Known => rejoins(&self.id(who).0),
            How::KnownStatic => {
                let (id, instance_id) = self.id(who);
                JoinRequest {
                    instance_id,
                    ..rejoins(&id)
                }
            }
            How::NewTold => JoinRequest {
                requires_known_member_id: true,
                ..joins(&candidate)
            },
            How::New => joins(&candidate),
            How::NewStatic { instance, skips } => JoinRequest {
                supports_skipping_assignment: skips,
                ..joins_static(&format!("instance-{instance}"), &candidate)
            },
        };
        if request.member_id.is_empty() {
            self.ids.push((candidate, request.instance_id.clone()));
        }
        let ticket = self.open(Kind::Join, 0);
        self.step(
            Event::Join(
                ticket,
                JoinRequest {
                    protocols,
                    ..request
                },
            ),
            Some(ticket),
        );
    }

    fn sync(&mut self, who: usize, behind: i32, with_instance: bool) {
        let (id, instance) = self.id(who);
        let generation = self.group.generation() - behind;
        let members = self.group.describe().members;
        let ids: Vec<&str> = members.iter().map(|m| m.member_id.as_str()).collect();
        let request = SyncRequest {
            instance_id: instance.filter(|_| with_instance),
            ..leads(&id, generation, &ids)
        };
        let ticket = self.open(Kind::Sync, generation);
        self.step(Event::Sync(ticket, request), Some(ticket));
    }

    fn leave(&mut self, who: Vec<usize>, by_instance: bool) {
        let leaving = |who: usize| {
            let (id, instance_id) = self.id(who);
            let member_id = if by_instance { String::new() } else { id };
            LeavingMember {
                member_id,
                instance_id,
                reason: None,
            }
        };
        let request = LeaveRequest {
            members: who.into_iter().map(leaving).collect(),
        };
        let ticket = self.open(Kind::Leave, 0);
        self.step(Event::Leave(ticket, request), Some(ticket));
    }

    fn report(&mut self, which: usize, failure: Option<SaveFailure>) {
        if self.saves.is_empty() {
            return;
        }
        let (id, saved) = self.saves.remove(which % self.saves.len());
        match failure {
            Some(failure) => self.step(Event::SaveFailed(id, failure), None),
            None => {
                let of_generation = self.assignments.entry(saved.generation).or_default();
                let of_members = saved.members.iter();
                of_generation
                    .extend(of_members.map(|m| (m.member_id.clone(), m.assignment.clone())));
                if self.durable.as_ref().is_none_or(|(last, _)| *last < id) {
                    self.durable = Some((id, saved));
                }
                self.step(Event::Saved(id), None);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.group.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(Event::Tick, None);
        }
        self.now = end;
    }

    /// Every member does what it should, so that the group becomes stable if it has any.
    fn stabilize(&mut self) {
        for member in self.group.describe().members {
            let known = self.group.roster.get(&member.member_id).cloned();
            let Some(known) = known.filter(|m| m.awaiting_join.is_none()) else {
                continue;
            };
            let rejoin = JoinRequest {
                instance_id: member.instance_id,
                protocols: known.protocols,
                ..rejoins(&member.member_id)
            };
            let ticket = self.open(Kind::Join, 0);
            self.step(Event::Join(ticket, rejoin), Some(ticket));
        }
        if self.group.state() == GroupState::PreparingRebalance {
            self.pass(REBALANCE);
        }
        let members = self.group.describe().members;
        let ids: Vec<&str> = members.iter().map(|m| m.member_id.as_str()).collect();
        let generation = self.group.generation();
        for id in &ids {
            let ticket = self.open(Kind::Sync, generation);
            self.step(
                Event::Sync(ticket, leads(id, generation, &ids)),
                Some(ticket),
            );
        }
        while !self.saves.is_empty() {
            self.report(0, None);
        }
    }

    /// Another agent takes over from what is durable. Whoever waited has lost its connection.
    fn take_over(&mut self) {
        let Some((_, saved)) = self.durable.clone() else {
            return;
        };
        self.open.clear();
        self.saves.clear();
        self.durable = Some((SaveId(0), saved.clone()));
        self.assignments
            .retain(|generation, _| *generation <= saved.generation);
        self.leaders.clear();
        self.generation = saved.generation;
        self.group = ClassicGroup::restore(driver_limits(), saved, self.now);
        self.check();
    }

    /// Steps the machine. `ticket` is that of the event.
    fn step(&mut self, event: Event, ticket: Option<Ticket>) {
        let effects = self.group.step(self.now, event);
        let saves = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Save(..)));
        for effect in effects {
            let ok = match effect {
                Effect::RespondJoin(t, answer) => {
                    self.close(t, Kind::Join);
                    answer
                        .map(|joined| self.check_joined(&joined))
                        .is_ok()
                        .then_some(t)
                }
                Effect::RespondSync(t, answer) => {
                    let generation = self.close(t, Kind::Sync);
                    answer
                        .map(|synced| self.check_synced(generation, &synced))
                        .is_ok()
                        .then_some(t)
                }
                Effect::RespondHeartbeat(t, _) => {
                    self.close(t, Kind::Heartbeat);
                    None
                }
                Effect::RespondLeave(t, answer) => {
                    self.close(t, Kind::Leave);
                    answer.is_ok().then_some(t)
                }
                Effect::Save(id, group) => {
                    self.saves.push((id, group));
                    None
                }
                Effect::Note(_) => None,
            };
            let early = saves && ok.is_some() && ok == ticket;
            assert!(
                !early,
                "what has caused a save was granted before it was durable"
            );
        }
        self.check();
    }

    fn close(&mut self, ticket: Ticket, kind: Kind) -> i32 {
        let open = self.open.remove(&ticket);
        let (of, generation) = open.expect("answered once, and only what was asked");
        assert_eq!(of, kind);
        generation
    }

    fn check_joined(&mut self, joined: &Joined) {
        assert_eq!(joined.generation, self.group.generation());
        assert!(joined.protocol_name.is_some());
        if joined.members.is_empty() {
            return;
        }
        assert_eq!(
            joined.leader, joined.member_id,
            "only the leader sees the members"
        );
        let ids: BTreeSet<&str> = joined
            .members
            .iter()
            .map(|m| m.member_id.as_str())
            .collect();
        assert_eq!(ids.len(), joined.members.len());
        assert!(ids.contains(joined.leader.as_str()));
        if !joined.skip_assignment {
            let id = joined.member_id.clone();
            let leader = self.leaders.entry(joined.generation).or_insert(id);
            assert_eq!(
                *leader, joined.member_id,
                "two were told to lead one generation"
            );
        }
    }

    /// Whoever is given an assignment is given that of the generation it asked for, durable.
    fn check_synced(&self, generation: i32, synced: &Synced) {
        let durable = self
            .assignments
            .get(&generation)
            .expect("the generation is durable");
        assert!(
            durable
                .values()
                .any(|assignment| *assignment == synced.assignment)
        );
        let of = format!("@{generation}");
        let text = std::str::from_utf8(&synced.assignment).expect("text");
        assert!(
            text.ends_with(&of),
            "{text:?} was given out in generation {generation}"
        );
    }

    fn check(&mut self) {
        let group = &self.group;
        assert!(
            group.generation() >= self.generation,
            "the generation went back"
        );
        self.generation = group.generation();
        let members: Vec<_> = group.roster.iter().collect();
        assert_eq!(
            members.iter().any(|m| group.roster.is_leader(&m.id)),
            !members.is_empty()
        );
        let statics: Vec<_> = members
            .iter()
            .filter_map(|m| m.instance_id.as_ref())
            .collect();
        assert_eq!(statics.iter().collect::<BTreeSet<_>>().len(), statics.len());
        let stray = timers::sessions(&group.timers)
            .find(|id| group.roster.get(id).is_none() && !group.roster.is_pending_join(id));
        assert_eq!(stray, None, "a timer of nobody runs");
        let joined = members.iter().filter(|m| m.awaiting_join.is_some()).count();
        assert_eq!(group.roster.joined_len(), joined);
        assert!(joined <= MEMBERS_MAX && group.roster.pending_join_len() <= PENDING_MAX);
        match group.state() {
            GroupState::Dead => assert_eq!(group.next_deadline(), None),
            GroupState::Empty => assert!(members.is_empty()),
            _ => self.check_members(),
        }
        let parked = members.iter().filter(|m| m.awaiting_join.is_some()).count()
            + members.iter().filter(|m| m.awaiting_sync.is_some()).count();
        let waiting = self
            .open
            .values()
            .filter(|(kind, _)| *kind != Kind::Leave)
            .count();
        assert_eq!(parked, waiting, "what is parked is what is unanswered");
    }

    fn check_members(&self) {
        let group = &self.group;
        for member in group.roster.iter() {
            let id = &member.id;
            assert_eq!(
                group.roster.validate(id, member.instance_id.as_deref()),
                Ok(())
            );
            let timed = group.timers.is_set(&TimerKey::Session(id.clone()));
            assert!(
                timed || member.has_satisfied_heartbeat(),
                "{id} would stay for ever"
            );
        }
        if group.state() == GroupState::PreparingRebalance {
            assert!(
                group.timers.is_set(&TimerKey::Join),
                "the join phase would never end"
            );
        } else {
            assert!(group.roster.select_protocol().is_some());
        }
    }

    /// Everyone falls silent, and the log answers all it was asked.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            while !self.saves.is_empty() {
                self.report(0, None);
            }
            self.pass(Duration::from_secs(600));
        }
        assert!(
            self.open.is_empty(),
            "requests were never answered: {:?}",
            self.open
        );
        assert!(self.group.is_idle(), "{:?}", self.group);
        let dead = self.group.state() == GroupState::Dead;
        assert!(dead || self.group.members_len() == 0);
        assert_eq!(self.group.next_deadline(), None);
    }
}
