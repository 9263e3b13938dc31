//! ShareGroupHeartbeat: a member joins, stays, or leaves.

use std::time::Duration;

use super::group::ShareGroup;
use super::message::{JOIN_EPOCH, LEAVE_EPOCH, ShareHeartbeat};
use super::saved::Member;
use crate::group::consumer::{Assignment, HeartbeatAnswer, Refusal};
use crate::group::machine::{GroupError, RemovalCause, Ticket};
use crate::group::output::{Answer, Output};

impl ShareGroup {
    /// Takes in a heartbeat that was [checked](ShareHeartbeat::check).
    pub(in crate::group) fn heartbeat(
        &mut self,
        now: Duration,
        ticket: Ticket,
        request: ShareHeartbeat,
    ) -> Vec<Output> {
        self.set_now(now);
        let answer = match request.epoch {
            LEAVE_EPOCH => self.leave(&request),
            _ => self.beat(request),
        };
        self.flush();
        self.respond(ticket, Answer::MemberHeartbeat(answer));
        std::mem::take(&mut self.outputs)
    }

    fn beat(&mut self, request: ShareHeartbeat) -> Result<HeartbeatAnswer, Refusal> {
        let former = self.speaker(&request)?;
        self.check_room(&request)?;
        let id = request.member_id.clone();
        let is_new = former.is_none();
        let subscribed_before = former.as_ref().map(|m| m.topics.clone());
        let assigned_before = former.as_ref().map(|m| m.assigned.clone());
        let mut member = former.clone().unwrap_or_else(|| Member {
            id: id.clone(),
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topics: Default::default(),
            epoch: 0,
            previous_epoch: 0,
            assigned: Assignment::default(),
            target: Assignment::default(),
        });
        tell(&mut member, &request);
        let subscribes_anew = subscribed_before.as_ref() != Some(&member.topics);
        self.start_session(&id);
        if former.as_ref() != Some(&member) {
            self.put(member);
        }
        if subscribes_anew || self.is_to_look() {
            let has_changed = self.look_at_topics();
            if is_new || subscribes_anew || has_changed {
                self.retarget(format!("member {id} or its topics have changed"));
            }
        }
        let epoch = self.head.epoch;
        let interval = self.limits.heartbeat_interval;
        let member = self
            .members
            .get_mut(&id)
            .ok_or(GroupError::UnknownMemberId)?;
        if member.epoch != epoch || member.assigned != member.target {
            member.previous_epoch = member.epoch;
            member.epoch = epoch;
            member.assigned = member.target.clone();
            self.unsaved.members.insert(id.clone());
        }
        let is_news = assigned_before.as_ref() != Some(&member.assigned);
        let tells_all = request.epoch == JOIN_EPOCH || request.topics.is_some();
        Ok(HeartbeatAnswer {
            member_id: id,
            epoch,
            interval,
            assignment: (is_news || tells_all).then(|| member.assigned.clone()),
        })
    }

    /// The member that speaks, as it was; none if it is new.
    fn speaker(&self, request: &ShareHeartbeat) -> Result<Option<Member>, Refusal> {
        let (id, said) = (&request.member_id, request.epoch);
        let Some(member) = self.members.get(id) else {
            return match said {
                JOIN_EPOCH => Ok(None),
                _ => Err(unknown(id)),
            };
        };
        // Who joins again has lost what it was told.
        if said == JOIN_EPOCH || said == member.epoch || said == member.previous_epoch {
            return Ok(Some(member.clone()));
        }
        let than = if said > member.epoch {
            "greater"
        } else {
            "smaller"
        };
        let message = format!(
            "The share group member has a {than} member epoch ({said}) than the one known by the \
             group coordinator ({}). The member must abandon all its partitions and rejoin.",
            member.epoch
        );
        Err(Refusal::new(GroupError::FencedMemberEpoch, message))
    }

    fn check_room(&self, request: &ShareHeartbeat) -> Result<(), Refusal> {
        let member = self.members.get(&request.member_id);
        let others = self.said_bytes - member.map_or(0, Member::said_bytes);
        let is_crowded = others + request.says_bytes() > self.limits.members_bytes_max;
        let is_full = member.is_none() && self.members.len() >= self.limits.members_max;
        if !is_full && !is_crowded {
            return Ok(());
        }
        let most = self.limits.members_max;
        let message =
            format!("The share group has reached its maximum capacity of {most} members.");
        Err(Refusal::new(GroupError::GroupMaxSizeReached, message))
    }

    fn leave(&mut self, request: &ShareHeartbeat) -> Result<HeartbeatAnswer, Refusal> {
        let id = &request.member_id;
        if !self.members.contains_key(id) {
            return Err(unknown(id));
        }
        self.remove(id, RemovalCause::Left);
        Ok(HeartbeatAnswer {
            member_id: id.clone(),
            epoch: LEAVE_EPOCH,
            interval: Duration::ZERO,
            assignment: None,
        })
    }
}

/// Notes what a member says of itself.
fn tell(member: &mut Member, request: &ShareHeartbeat) {
    if request.rack_id.is_some() {
        member.rack_id.clone_from(&request.rack_id);
    }
    if let Some(topics) = &request.topics {
        member.topics = topics.iter().cloned().collect();
    }
    member.client_id.clone_from(&request.client_id);
    member.client_host.clone_from(&request.client_host);
}

fn unknown(id: &str) -> Refusal {
    let message = format!("Member {id} is not a member of the group.");
    Refusal::new(GroupError::UnknownMemberId, message)
}
