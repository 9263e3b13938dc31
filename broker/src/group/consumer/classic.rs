//! Members that go on with the classic protocol: JoinGroup tells what ConsumerGroupHeartbeat tells,
//! SyncGroup fetches the assignment, Heartbeat says when to join again.

use super::embedded::{self, Subscription};
use super::group::{ConsumerGroup, TimerKey};
use super::heartbeat::successor;
use super::member::{ClassicSelf, Member, MemberState};
use crate::group::machine::{
    GroupError, HeartbeatRequest, JoinRefused, JoinRequest, Joined, LeaveRequest, LeavingMember,
    LeftMember, RemovalCause, SyncRequest, Synced, Ticket,
};
use crate::group::output::Answer;

impl ConsumerGroup {
    pub(super) fn classic_join(&mut self, ticket: Ticket, request: JoinRequest) {
        let asked_as = request.member_id.clone();
        let answer = self.try_join(request).map_err(|(error, member_id)| {
            let member_id = member_id.unwrap_or(asked_as);
            JoinRefused { error, member_id }
        });
        self.respond(ticket, Answer::Join(answer));
    }

    /// The error comes with the member id to answer with, if it is not the request's.
    fn try_join(&mut self, request: JoinRequest) -> Result<Joined, (GroupError, Option<String>)> {
        let is_unknown = request.member_id.is_empty();
        let id = match is_unknown {
            true => request.candidate_member_id.clone(),
            false => request.member_id.clone(),
        };
        let subscription = self.check_join(&request, &id).map_err(|e| (e, None))?;
        if is_unknown && request.requires_known_member_id && request.instance_id.is_none() {
            return Err((GroupError::MemberIdRequired, Some(id)));
        }
        let found = self.find_joining(&request, &id).map_err(|e| (e, None))?;
        let (former, replaced) = found;
        let mut member = former.clone().unwrap_or_else(|| Member::new(&id));
        let owned = embedded::assignment_of(&subscription.owned, &self.topics);
        let (sync_timeout, protocol_name) = (
            request.rebalance_timeout,
            request.protocols.first().map(|p| p.name.clone()),
        );
        tell(&mut member, request, subscription);
        let is_anew = member.subscribes_differently(former.as_ref());
        if let Some(replaced) = &replaced {
            self.roster.remove(replaced);
            self.cancel_timers(replaced);
        }
        self.start_session(&member);
        self.timers.cancel(&TimerKey::Join(id.clone()));
        self.timers.cancel(&TimerKey::Rebalance(id.clone()));
        self.schedule(TimerKey::Sync(id.clone()), sync_timeout);
        self.roster.put(member);
        self.advance(&id, is_anew, Some(&owned));
        if replaced.is_some() {
            self.is_outgrown = self.is_to_downgrade();
        }
        Ok(Joined {
            generation: self.roster.get(&id).map_or(0, |m| m.epoch),
            member_id: id,
            protocol_type: Some(embedded::CONSUMER.to_owned()),
            protocol_name,
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    fn check_join(&self, request: &JoinRequest, id: &str) -> Result<Subscription, GroupError> {
        let limits = &self.classic_limits;
        if !(limits.session_timeout_min..=limits.session_timeout_max)
            .contains(&request.session_timeout)
        {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let member = self.roster.get(id);
        let protocols = request.protocols.iter();
        let says: usize = protocols.map(|p| p.name.len() + p.metadata.len()).sum();
        let others = self.roster.said_bytes() - member.map_or(0, Member::said_bytes);
        let is_crowded = others + says > self.limits.members_bytes_max;
        if is_crowded || (member.is_none() && self.roster.len() >= self.limits.members_max) {
            return Err(GroupError::GroupMaxSizeReached);
        }
        let inconsistent = GroupError::InconsistentGroupProtocol;
        if request.protocol_type != embedded::CONSUMER || !self.supports(request, id) {
            return Err(inconsistent);
        }
        let first = request.protocols.first().ok_or(inconsistent)?;
        embedded::subscription(&first.metadata).ok_or(inconsistent)
    }

    /// Whether one of the protocols is supported by every other member of the classic protocol.
    fn supports(&self, request: &JoinRequest, id: &str) -> bool {
        let others = || self.roster.iter().filter(|m| m.id != id);
        let by_all = |name: &str| {
            let mut classic = others().filter_map(|m| m.classic.as_ref());
            classic.all(|c| c.protocols.iter().any(|p| p.name == name))
        };
        request.protocols.iter().any(|p| by_all(&p.name))
    }

    /// The member that joins, as it was, and the id of the static member whose place it takes.
    fn find_joining(
        &self,
        request: &JoinRequest,
        id: &str,
    ) -> Result<(Option<Member>, Option<String>), GroupError> {
        let Some(instance_id) = request.instance_id.as_deref() else {
            return Ok((self.roster.get(id).cloned(), None));
        };
        if !request.member_id.is_empty() {
            let member = self.member(id, Some(instance_id))?;
            return Ok((Some(member.clone()), None));
        }
        Ok(match self.roster.of_instance(instance_id) {
            Some(found) => (Some(successor(found, id)), Some(found.id.clone())),
            None => (None, None),
        })
    }

    pub(super) fn classic_sync(&mut self, ticket: Ticket, request: &SyncRequest) {
        let answer = self.try_sync(request);
        self.respond(ticket, Answer::Sync(answer));
    }

    fn try_sync(&mut self, request: &SyncRequest) -> Result<Synced, GroupError> {
        let instance_id = request.instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id, request.generation)?;
        let protocol = member.classic.as_ref().and_then(|c| c.protocols.first());
        let differs =
            |said: &Option<String>, own: Option<&str>| said.is_some() && said.as_deref() != own;
        if differs(&request.protocol_type, Some(embedded::CONSUMER))
            || differs(&request.protocol_name, protocol.map(|p| p.name.as_str()))
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let version = protocol.map_or(0, |p| embedded::version(&p.metadata));
        let member = member.clone();
        // One that is to give up partitions has joined already; it joins again when it has.
        let is_behind = self.head.epoch > member.epoch;
        if is_behind && member.state != MemberState::UnrevokedPartitions {
            self.expect_join(&member);
            return Err(GroupError::RebalanceInProgress);
        }
        self.timers.cancel(&TimerKey::Sync(member.id.clone()));
        self.start_session(&member);
        Ok(Synced {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: embedded::write_assignment(version, &member.assigned, &self.topics),
        })
    }

    pub(super) fn classic_heartbeat(&mut self, ticket: Ticket, request: &HeartbeatRequest) {
        let answer = self.try_heartbeat(request);
        self.respond(ticket, Answer::Heartbeat(answer));
    }

    fn try_heartbeat(&mut self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        let instance_id = request.instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id, request.generation)?;
        let member = member.clone();
        self.start_session(&member);
        let is_to_join = member.epoch < self.head.epoch
            || match member.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.is_waiting(&member),
            };
        if is_to_join {
            self.expect_join(&member);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether others still hold partitions that the member is to have.
    fn is_waiting(&self, member: &Member) -> bool {
        let missing = member.target.difference(&member.assigned);
        missing.iter().any(|p| self.roster.is_held(p))
    }

    fn expect_join(&mut self, member: &Member) {
        let key = TimerKey::Join(member.id.clone());
        if !self.timers.is_set(&key) {
            self.schedule(key, member.rebalance_timeout);
        }
    }

    fn classic_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<&Member, GroupError> {
        let member = self.member(id, instance_id)?;
        if member.classic.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        match member.epoch == generation {
            true => Ok(member),
            false => Err(GroupError::IllegalGeneration),
        }
    }

    pub(super) fn classic_leave(&mut self, ticket: Ticket, request: LeaveRequest) {
        let mut left = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let error = self.try_leave(&leaving).err();
            left.push(LeftMember {
                member_id: leaving.member_id,
                instance_id: leaving.instance_id,
                error,
            });
        }
        if left.iter().any(|l| l.error.is_none()) {
            self.after_removal("members have left".to_owned());
            self.is_outgrown = self.is_to_downgrade();
        }
        self.respond(ticket, Answer::Leave(Ok(left)));
    }

    fn try_leave(&mut self, leaving: &LeavingMember) -> Result<(), GroupError> {
        let instance_id = leaving.instance_id.as_deref();
        // Whoever administers the group names a static member by its instance id alone.
        let member = match instance_id.filter(|_| leaving.member_id.is_empty()) {
            Some(instance_id) => self.roster.of_instance(instance_id),
            None => Some(self.member(&leaving.member_id, instance_id)?),
        };
        // Of either protocol: one of the consumer protocol says itself by a heartbeat that it leaves, so this is by hand.
        let id = member.ok_or(GroupError::UnknownMemberId)?.id.clone();
        self.remove(&id, RemovalCause::Left);
        Ok(())
    }
}

/// Notes what a member says of itself.
fn tell(member: &mut Member, request: JoinRequest, subscription: Subscription) {
    if request.instance_id.is_some() {
        member.instance_id = request.instance_id;
    }
    if subscription.rack_id.is_some() {
        member.rack_id = subscription.rack_id;
    }
    member.rebalance_timeout = request.rebalance_timeout;
    member.topics = subscription.topics.into_iter().collect();
    member.regex = None;
    member.client_id = request.client_id;
    member.client_host = request.client_host;
    member.classic = Some(ClassicSelf {
        session_timeout: request.session_timeout,
        protocols: request.protocols,
    });
}
