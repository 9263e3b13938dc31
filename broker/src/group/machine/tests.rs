//! Tests of the machine: scenarios from Kafka's own suites and KIPs, and random sequences.

mod capacity;
mod commits;
mod joining;
mod leaving;
mod random;
mod rebalancing;
mod saving;
mod static_members;

use std::time::Duration;

use bytes::Bytes;

use super::*;

pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);
pub(super) const DELAY: Duration = Duration::from_secs(3);

/// A group with its clock, and short ways to drive it.
pub(super) struct Fixture {
    pub(super) group: ClassicGroup,
    pub(super) now: Duration,
    next_ticket: u64,
    /// Saves not reported on yet.
    pub(super) saves: Vec<(SaveId, SavedGroup)>,
    /// Everything answered and not looked at yet.
    pub(super) answers: Vec<Effect>,
    pub(super) notes: Vec<Note>,
}

pub(super) fn limits() -> Limits {
    Limits {
        initial_rebalance_delay: DELAY,
        ..Limits::default()
    }
}

/// A join of a new dynamic member that supports `range`.
pub(super) fn joins(candidate: &str) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        candidate_member_id: candidate.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", "topics")],
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    }
}

/// A join of a member that has its id.
pub(super) fn rejoins(id: &str) -> JoinRequest {
    JoinRequest {
        member_id: id.to_owned(),
        ..joins("unused")
    }
}

/// A join of a static member without a member id.
pub(super) fn joins_static(instance: &str, candidate: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.to_owned()),
        ..joins(candidate)
    }
}

pub(super) fn protocol(name: &str, metadata: &str) -> Protocol {
    Protocol {
        name: name.to_owned(),
        metadata: Bytes::copy_from_slice(metadata.as_bytes()),
    }
}

pub(super) fn syncs(id: &str, generation: i32) -> SyncRequest {
    SyncRequest {
        member_id: id.to_owned(),
        instance_id: None,
        generation,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: None,
        assignments: Vec::new(),
    }
}

/// A leader's sync that gives every member the assignment `<id>@<generation>`.
pub(super) fn leads(id: &str, generation: i32, members: &[&str]) -> SyncRequest {
    let assignments = members
        .iter()
        .map(|m| (m.to_string(), assigned(m, generation)))
        .collect();
    SyncRequest {
        assignments,
        ..syncs(id, generation)
    }
}

pub(super) fn assigned(id: &str, generation: i32) -> Bytes {
    Bytes::from(format!("{id}@{generation}"))
}

impl Fixture {
    pub(super) fn new() -> Self {
        Fixture::of(ClassicGroup::new(limits()))
    }

    pub(super) fn of(group: ClassicGroup) -> Self {
        Fixture {
            group,
            now: Duration::from_secs(1_000),
            next_ticket: 0,
            saves: Vec::new(),
            answers: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        for effect in self.group.step(self.now, event) {
            match effect {
                Effect::Save(id, group) => self.saves.push((id, group)),
                Effect::Note(note) => self.notes.push(note),
                answer => self.answers.push(answer),
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub(super) fn join(&mut self, request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        self.step(Event::Join(ticket, request));
        ticket
    }

    pub(super) fn sync(&mut self, request: SyncRequest) -> Ticket {
        let ticket = self.ticket();
        self.step(Event::Sync(ticket, request));
        ticket
    }

    pub(super) fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), GroupError> {
        self.heartbeat_as(id, None, generation)
    }

    pub(super) fn heartbeat_as(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        let ticket = self.ticket();
        let request = HeartbeatRequest {
            member_id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            generation,
        };
        self.step(Event::Heartbeat(ticket, request));
        let answer = self.answers.pop();
        match answer {
            Some(Effect::RespondHeartbeat(t, answer)) if t == ticket => answer,
            other => panic!("a heartbeat was not answered at once: {other:?}"),
        }
    }

    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Ticket {
        let ticket = self.ticket();
        let leaving = |(id, instance): &(&str, Option<&str>)| LeavingMember {
            member_id: id.to_string(),
            instance_id: instance.map(str::to_owned),
            reason: None,
        };
        let request = LeaveRequest {
            members: members.iter().map(leaving).collect(),
        };
        self.step(Event::Leave(ticket, request));
        ticket
    }

    /// Lets time pass, firing every timer at its deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.group.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(Event::Tick);
        }
        self.now = end;
    }

    /// Reports the oldest save as durable; returns it.
    pub(super) fn save_done(&mut self) -> SavedGroup {
        let (id, saved) = self.saves.remove(0);
        self.step(Event::Saved(id));
        saved
    }

    pub(super) fn save_fails(&mut self, failure: SaveFailure) {
        let (id, _) = self.saves.remove(0);
        self.step(Event::SaveFailed(id, failure));
    }

    fn take_answer(&mut self, of: Ticket) -> Option<Effect> {
        let found = self.answers.iter().position(|effect| match effect {
            Effect::RespondJoin(t, _) => *t == of,
            Effect::RespondSync(t, _) => *t == of,
            Effect::RespondHeartbeat(t, _) => *t == of,
            Effect::RespondLeave(t, _) => *t == of,
            Effect::Save(..) | Effect::Note(_) => false,
        });
        found.map(|at| self.answers.remove(at))
    }

    pub(super) fn is_parked(&mut self, ticket: Ticket) -> bool {
        match self.take_answer(ticket) {
            None => true,
            Some(answer) => {
                self.answers.push(answer);
                false
            }
        }
    }

    pub(super) fn join_answer(&mut self, ticket: Ticket) -> Result<Joined, JoinRefused> {
        match self.take_answer(ticket) {
            Some(Effect::RespondJoin(_, answer)) => answer,
            other => panic!("no answer to the join: {other:?}"),
        }
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> Joined {
        self.join_answer(ticket).expect("the join was accepted")
    }

    pub(super) fn all_joined<const N: usize>(&mut self, tickets: [Ticket; N]) -> [Joined; N] {
        tickets.map(|ticket| self.joined(ticket))
    }

    pub(super) fn join_error(&mut self, ticket: Ticket) -> GroupError {
        self.join_answer(ticket)
            .expect_err("the join was refused")
            .error
    }

    pub(super) fn sync_answer(&mut self, ticket: Ticket) -> Result<Bytes, GroupError> {
        match self.take_answer(ticket) {
            Some(Effect::RespondSync(_, answer)) => answer.map(|synced| synced.assignment),
            other => panic!("no answer to the sync: {other:?}"),
        }
    }

    pub(super) fn leave_answer(&mut self, ticket: Ticket) -> Result<Vec<LeftMember>, GroupError> {
        match self.take_answer(ticket) {
            Some(Effect::RespondLeave(_, answer)) => answer,
            other => panic!("no answer to the leave: {other:?}"),
        }
    }

    /// The error of each member of a LeaveGroup that was let through.
    pub(super) fn leave_errors(&mut self, ticket: Ticket) -> Vec<Option<GroupError>> {
        let left = self.leave_answer(ticket).expect("the leave was accepted");
        left.into_iter().map(|member| member.error).collect()
    }

    /// A stable group of these members, in its first generation; the first of them leads.
    pub(super) fn stable(members: &[&str]) -> Self {
        Fixture::stable_of(members.iter().map(|id| joins(id)).collect())
    }

    /// A stable group of those who join so, in its first generation; the first of them leads.
    pub(super) fn stable_of(requests: Vec<JoinRequest>) -> Self {
        let mut f = Fixture::new();
        let ids: Vec<String> = requests
            .iter()
            .map(|r| r.candidate_member_id.clone())
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let tickets: Vec<Ticket> = requests.into_iter().map(|r| f.join(r)).collect();
        while f.is_parked(tickets[0]) {
            f.pass(DELAY);
        }
        for ticket in tickets {
            assert_eq!(f.joined(ticket).leader, ids[0]);
        }
        f.complete_sync(&ids, 1);
        f
    }

    /// Everyone syncs, the first of them as the leader; the assignment is saved.
    pub(super) fn complete_sync(&mut self, members: &[&str], generation: i32) {
        let mut tickets = vec![self.sync(leads(members[0], generation, members))];
        tickets.extend(
            members[1..]
                .iter()
                .map(|id| self.sync(syncs(id, generation))),
        );
        self.save_done();
        for (ticket, id) in tickets.into_iter().zip(members) {
            assert_eq!(self.sync_answer(ticket), Ok(assigned(id, generation)));
        }
        assert_eq!(self.group.state(), GroupState::Stable);
        assert_eq!(self.answers, [], "nothing else was answered");
    }
}
