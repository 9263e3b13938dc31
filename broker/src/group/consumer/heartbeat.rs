//! ConsumerGroupHeartbeat (versions 0 and 1; KIP-848).

use super::group::{ConsumerGroup, TimerKey};
use super::member::Member;
use super::message::{JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};

use super::{
    Assignment, AssignorName, ConsumerHeartbeat, ConsumerLimits, HeartbeatAnswer, Refusal,
};
use crate::group::machine::{GroupError, RemovalCause, Ticket};
use crate::group::output::{Answer, Output};
use crate::re2;

impl ConsumerHeartbeat {
    /// What is wrong with the request by itself.
    pub(crate) fn check(&self, limits: &ConsumerLimits) -> Result<(), Refusal> {
        let invalid = |what: &str| Err(Refusal::new(GroupError::InvalidRequest, what));
        let is_empty = |s: &Option<String>| s.as_ref().is_some_and(String::is_empty);
        if is_empty(&self.instance_id) {
            return invalid("InstanceId can't be empty.");
        }
        if is_empty(&self.rack_id) {
            return invalid("RackId can't be empty.");
        }
        match self.epoch {
            JOIN_EPOCH => {
                if self.rebalance_timeout.is_none() {
                    return invalid("RebalanceTimeoutMs must be provided in first request.");
                }
                if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                    return invalid("TopicPartitions must be empty when (re-)joining.");
                }
                if self.topics.is_none() && self.regex.is_none() {
                    return invalid(
                        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null \
                         when (re-)joining.",
                    );
                }
            }
            1.. | LEAVE_EPOCH | STATIC_LEAVE_EPOCH => {
                if self.member_id.is_empty() {
                    return invalid("MemberId can't be empty.");
                }
                if self.epoch == STATIC_LEAVE_EPOCH && self.instance_id.is_none() {
                    return invalid("InstanceId can't be null.");
                }
            }
            _ => return invalid("MemberEpoch is invalid."),
        }
        let named = self.assignor.as_deref();
        let is_served = |name: &str| {
            AssignorName::from_name(name).is_some_and(|a| limits.assignors.contains(&a))
        };
        if let Some(name) = named.filter(|name| !is_served(name)) {
            let served: Vec<&str> = limits.assignors.iter().map(|a| a.as_str()).collect();
            let served = served.join(", ");
            let message =
                format!("ServerAssignor {name} is not supported. Supported assignors: {served}.");
            return Err(Refusal::new(GroupError::UnsupportedAssignor, message));
        }
        if let Some(expression) = self.regex.as_deref()
            && let Err(why) = re2::compile(expression)
        {
            let message = format!(
                "SubscribedTopicRegex `{expression}` is not a valid regular expression: {why}."
            );
            return Err(Refusal::new(GroupError::InvalidRegularExpression, message));
        }
        Ok(())
    }

    /// Whether it tells everything, as a member does that has missed answers.
    fn is_full(&self) -> bool {
        let tells_all =
            self.rebalance_timeout.is_some() && self.topics.is_some() && self.owned.is_some();
        self.epoch == JOIN_EPOCH || tells_all
    }

    /// How many bytes the member says of itself.
    pub(crate) fn says_bytes(&self) -> usize {
        let topics = self.topics.iter().flatten().map(String::len).sum::<usize>();
        let regex = self.regex.as_ref().map_or(0, String::len);
        topics + regex + self.client_id.len() + self.client_host.len() + self.member_id.len()
    }
}

impl ConsumerGroup {
    /// Takes in a heartbeat.
    pub(in crate::group) fn heartbeat(
        &mut self,
        now: std::time::Duration,
        ticket: Ticket,
        request: ConsumerHeartbeat,
    ) -> Vec<Output> {
        self.now = now;
        let answer = request
            .check(&self.limits)
            .and_then(|()| match request.epoch {
                LEAVE_EPOCH | STATIC_LEAVE_EPOCH => self.leave(&request),
                _ => self.beat(request),
            });
        self.respond(ticket, Answer::MemberHeartbeat(answer));
        std::mem::take(&mut self.outputs)
    }

    fn beat(&mut self, request: ConsumerHeartbeat) -> Result<HeartbeatAnswer, Refusal> {
        self.check_room(&request)?;
        let (former, replaced) = match &request.instance_id {
            None => (self.dynamic_member(&request)?, None),
            Some(instance_id) => self.static_member(&request, instance_id)?,
        };
        let id = request.member_id.clone();
        let is_full = request.is_full();
        let assigned_before = former.as_ref().map(|m| m.assigned.clone());
        let mut member = former.clone().unwrap_or_else(|| Member::new(&id));
        tell(&mut member, &request);
        let is_anew = member.subscribes_differently(former.as_ref());
        if let Some(replaced) = replaced {
            self.roster.remove(&replaced);
            self.cancel_timers(&replaced);
        }
        self.start_session(&member);
        self.timers.cancel(&TimerKey::Join(id.clone()));
        self.timers.cancel(&TimerKey::Sync(id.clone()));
        self.roster.put(member);
        self.advance(&id, is_anew, request.owned.as_ref());

        let member = self.roster.get(&id).ok_or(GroupError::UnknownMemberId)?;
        let is_news = assigned_before.as_ref() != Some(&member.assigned);
        Ok(HeartbeatAnswer {
            member_id: id,
            epoch: member.epoch,
            interval: self.limits.heartbeat_interval,
            assignment: (is_full || is_news).then(|| member.assigned.clone()),
        })
    }

    fn check_room(&self, request: &ConsumerHeartbeat) -> Result<(), Refusal> {
        let member = self.roster.get(&request.member_id);
        let others = self.roster.said_bytes() - member.map_or(0, Member::said_bytes);
        let is_crowded = others + request.says_bytes() > self.limits.members_bytes_max;
        let is_full = member.is_none() && self.roster.len() >= self.limits.members_max;
        if !is_full && !is_crowded {
            return Ok(());
        }
        let most = self.limits.members_max;
        let message =
            format!("The consumer group has reached its maximum capacity of {most} members.");
        Err(Refusal::new(GroupError::GroupMaxSizeReached, message))
    }

    /// The member that speaks, as it was; none if it is new.
    fn dynamic_member(&self, request: &ConsumerHeartbeat) -> Result<Option<Member>, Refusal> {
        match self.roster.get(&request.member_id) {
            Some(member) => {
                check_epoch(member, request.epoch, request.owned.as_ref())?;
                Ok(Some(member.clone()))
            }
            None if request.epoch == JOIN_EPOCH => Ok(None),
            None => Err(unknown(&request.member_id)),
        }
    }

    /// The static member that speaks, as it was, and the id of the member whose place it takes.
    fn static_member(
        &self,
        request: &ConsumerHeartbeat,
        instance_id: &str,
    ) -> Result<(Option<Member>, Option<String>), Refusal> {
        let found = self.roster.of_instance(instance_id);
        if request.epoch != JOIN_EPOCH {
            let member = self.check_instance(&request.member_id, instance_id)?;
            check_epoch(member, request.epoch, request.owned.as_ref())?;
            return Ok((Some(member.clone()), None));
        }
        let Some(found) = found else {
            return Ok((self.roster.get(&request.member_id).cloned(), None));
        };
        if !found.is_away() && found.classic.is_none() {
            let message = format!(
                "Static member {} with instance id {instance_id} cannot join the group because \
                 the instance id is owned by {} member.",
                request.member_id, found.id
            );
            return Err(Refusal::new(GroupError::UnreleasedInstanceId, message));
        }
        Ok((
            Some(successor(found, &request.member_id)),
            Some(found.id.clone()),
        ))
    }

    /// The static member of an instance id, if it has this member id.
    fn check_instance(&self, id: &str, instance_id: &str) -> Result<&Member, Refusal> {
        let member = self.roster.of_instance(instance_id).ok_or_else(|| {
            let message = format!("Instance id {instance_id} is unknown.");
            Refusal::new(GroupError::UnknownMemberId, message)
        })?;
        if member.id != id {
            let message = format!(
                "Static member {id} with instance id {instance_id} was fenced by member {}.",
                member.id
            );
            return Err(Refusal::new(GroupError::FencedInstanceId, message));
        }
        Ok(member)
    }

    fn leave(&mut self, request: &ConsumerHeartbeat) -> Result<HeartbeatAnswer, Refusal> {
        let id = &request.member_id;
        let member = match &request.instance_id {
            None => self.roster.get(id).ok_or_else(|| unknown(id))?,
            Some(instance_id) => self.check_instance(id, instance_id)?,
        };
        if request.epoch == STATIC_LEAVE_EPOCH {
            let mut away = member.clone();
            away.epoch = STATIC_LEAVE_EPOCH;
            away.revoking = Assignment::default();
            self.timers.cancel(&TimerKey::Rebalance(id.clone()));
            self.roster.put(away);
        } else {
            self.fence(id, RemovalCause::Left);
        }
        Ok(HeartbeatAnswer {
            member_id: id.clone(),
            epoch: request.epoch,
            interval: std::time::Duration::ZERO,
            assignment: None,
        })
    }
}

/// Notes what a member says of itself.
fn tell(member: &mut Member, request: &ConsumerHeartbeat) {
    let take = |field: &mut Option<String>, said: &Option<String>| {
        if said.is_some() {
            field.clone_from(said);
        }
    };
    take(&mut member.instance_id, &request.instance_id);
    take(&mut member.rack_id, &request.rack_id);
    take(&mut member.assignor, &request.assignor);
    take(&mut member.regex, &request.regex);
    member.regex = member.regex.take().filter(|regex| !regex.is_empty());
    if let Some(timeout) = request.rebalance_timeout {
        member.rebalance_timeout = timeout;
    }
    if let Some(topics) = &request.topics {
        member.topics = topics.iter().cloned().collect();
    }
    member.client_id.clone_from(&request.client_id);
    member.client_host.clone_from(&request.client_host);
    member.classic = None;
}

/// The member that takes the place of a static member, under another id.
pub(super) fn successor(former: &Member, id: &str) -> Member {
    Member {
        id: id.to_owned(),
        epoch: 0,
        previous_epoch: 0,
        ..former.clone()
    }
}

fn unknown(id: &str) -> Refusal {
    let message = format!("Member {id} is not a member of the group.");
    Refusal::new(GroupError::UnknownMemberId, message)
}

/// Whether a member knows its epoch, or at least the one before, whose answer may have been lost.
fn check_epoch(member: &Member, said: i32, owned: Option<&Assignment>) -> Result<(), Refusal> {
    let own = member.epoch;
    let is_greater = said > own;
    let missed_the_answer = said == member.previous_epoch
        && owned.is_some_and(|owned| owned.is_subset_of(&member.assigned));
    if said == own || (!is_greater && missed_the_answer) {
        return Ok(());
    }
    let than = if is_greater { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {than} member epoch ({said}) than the one known by the \
         group coordinator ({own}). The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(GroupError::FencedMemberEpoch, message))
}
