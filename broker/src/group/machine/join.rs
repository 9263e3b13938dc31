//! JoinGroup (versions 0 to 9; KIP-345, KIP-394, KIP-800, KIP-814).

use std::collections::BTreeSet;

use bytes::Bytes;

use super::group::{ClassicGroup, Phase};
use super::member::{Member, Protocol, protocols_bytes};
use super::message::client_reason;
use super::saved::{PendingSave, Replacement};
use super::timers::TimerKey;
use super::{Effect, GroupError, JoinRequest, RemovalCause, Ticket};

impl ClassicGroup {
    pub(super) fn join(&mut self, ticket: Ticket, mut request: JoinRequest) {
        drop_repeated_names(&mut request.protocols);
        if let Err(error) = self.check_join(&request) {
            return self.refuse_join(ticket, error, &request.member_id);
        }
        if !self.has_room_for(&request.member_id) || !self.has_bytes_for(&request) {
            self.turn_away(ticket, &request.member_id);
        } else if !self.supports(&request) {
            let error = GroupError::InconsistentGroupProtocol;
            self.refuse_join(ticket, error, &request.member_id);
        } else if request.member_id.is_empty() {
            self.join_new(ticket, request);
        } else {
            self.join_known(ticket, request);
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let allowed = self.limits.session_timeout_min..=self.limits.session_timeout_max;
        if !allowed.contains(&request.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        match self.phase {
            Phase::Dead(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the group may grow by this member. While members join, those that have joined are
    /// counted, so that a group above its maximum sheds the last to rejoin.
    fn has_room_for(&self, id: &str) -> bool {
        let member = self.roster.get(id);
        match self.phase {
            Phase::Empty | Phase::Dead(_) => true,
            Phase::PreparingRebalance { .. } => {
                member.is_some_and(|m| m.awaiting_join.is_some())
                    || self.roster.joined_len() < self.limits.members_max
            }
            Phase::CompletingRebalance { .. } | Phase::Stable => {
                member.is_some() || self.roster.len() < self.limits.members_max
            }
        }
    }

    /// Whether what the member says of itself fits beside what the others say.
    fn has_bytes_for(&self, request: &JoinRequest) -> bool {
        let instance_id = request.instance_id.as_deref();
        let static_id = instance_id.and_then(|id| self.roster.static_member_id(id));
        let member = self.roster.get(static_id.unwrap_or(&request.member_id));
        let others = self.roster.said_bytes() - member.map_or(0, Member::said_bytes);
        let client = request.client_id.len() + request.client_host.len();
        let own = instance_id.map_or(0, str::len) + client + protocols_bytes(&request.protocols);
        others + own <= self.limits.members_bytes_max
    }

    fn turn_away(&mut self, ticket: Ticket, id: &str) {
        self.remove_pending_member(id);
        if self.roster.get(id).is_some() {
            self.remove_member(id, RemovalCause::OverCapacity);
        }
        self.refuse_join(ticket, GroupError::GroupMaxSizeReached, "");
        self.maybe_complete_join();
    }

    fn supports(&self, request: &JoinRequest) -> bool {
        if self.phase == Phase::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(request.protocol_type.as_str())
            && self.roster.supports_any(&request.protocols)
    }

    /// A join without a member id.
    fn join_new(&mut self, ticket: Ticket, request: JoinRequest) {
        let id = request.candidate_member_id.clone();
        if id.is_empty() || self.roster.get(&id).is_some() || self.roster.is_pending_join(&id) {
            // The shell made an id that is not new. Ask the client to try again with another.
            return self.refuse_join(ticket, GroupError::CoordinatorNotAvailable, "");
        }
        if let Some(instance_id) = request.instance_id.as_deref() {
            match self.roster.static_member_id(instance_id).map(str::to_owned) {
                Some(old_id) => self.replace_static_member(ticket, request, &old_id),
                None => self.add_member(ticket, request, id),
            }
        } else if !request.requires_known_member_id {
            self.add_member(ticket, request, id);
        } else if self.roster.pending_join_len() >= self.limits.pending_members_max {
            self.refuse_join(ticket, GroupError::CoordinatorLoadInProgress, "");
        } else {
            self.schedule(TimerKey::Session(id.clone()), request.session_timeout);
            self.refuse_join(ticket, GroupError::MemberIdRequired, &id);
            self.roster.add_pending_join(id);
        }
    }

    /// A join with a member id: of a pending member, or of one that joins again.
    fn join_known(&mut self, ticket: Ticket, request: JoinRequest) {
        let id = request.member_id.clone();
        if self.roster.is_pending_join(&id) && request.instance_id.is_none() {
            return self.add_member(ticket, request, id);
        }
        if let Err(error) = self.roster.validate(&id, request.instance_id.as_deref()) {
            return self.refuse_join(ticket, error, &id);
        }
        let changed = self
            .roster
            .get(&id)
            .is_some_and(|m| m.protocols != request.protocols);
        match self.phase {
            Phase::PreparingRebalance { .. } => self.rejoin(ticket, request, "rejoins"),
            Phase::CompletingRebalance { .. } if changed => {
                self.rejoin(ticket, request, "changes its metadata");
            }
            Phase::Stable if changed => self.rejoin(ticket, request, "changes its metadata"),
            // The leader may know of changes that no metadata shows, such as new partitions.
            Phase::Stable if self.roster.is_leader(&id) => {
                self.rejoin(ticket, request, "leads and rejoins");
            }
            // It may have missed the response to its last join.
            Phase::CompletingRebalance { .. } | Phase::Stable => self.answer_join(ticket, &id),
            Phase::Empty | Phase::Dead(_) => {
                self.refuse_join(ticket, GroupError::UnknownMemberId, &id);
            }
        }
    }

    fn rejoin(&mut self, ticket: Ticket, request: JoinRequest, what: &str) {
        let id = request.member_id.clone();
        let reason = describe_reason(&id, what, &request);
        self.update_member(ticket, request, &id);
        self.rebalance_or_complete_join(reason);
    }

    fn update_member(&mut self, ticket: Ticket, request: JoinRequest, id: &str) {
        self.roster.update(
            id,
            request.protocols,
            request.session_timeout,
            request.rebalance_timeout,
        );
        if let Some(superseded) = self.roster.park_join(id, ticket) {
            self.refuse_join(superseded, GroupError::RebalanceInProgress, id);
        }
    }

    fn add_member(&mut self, ticket: Ticket, request: JoinRequest, id: String) {
        let reason = describe_reason(&id, "is new", &request);
        if let Phase::PreparingRebalance {
            initial: Some(initial),
        } = &mut self.phase
        {
            initial.member_added = true;
        }
        if self.roster.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        self.schedule(
            TimerKey::Session(id.clone()),
            self.limits.new_member_join_timeout,
        );
        self.roster.add(Member {
            id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(ticket),
            awaiting_sync: None,
            is_new: true,
        });
        self.rebalance_or_complete_join(reason);
    }

    /// A static member has come back without its member id, usually after a restart. It takes the
    /// place of its former self, which is fenced; if nothing else changes there is no rebalance.
    fn replace_static_member(&mut self, ticket: Ticket, request: JoinRequest, old_id: &str) {
        let Some(old) = self.roster.get(old_id).cloned() else {
            return;
        };
        let new_id = request.candidate_member_id.clone();
        let old_leader = self.roster.leader().unwrap_or_default().to_owned();
        let skips_assignment = request.supports_skipping_assignment;
        let reason = describe_reason(&new_id, "replaces a static member", &request);

        self.refuse_parked_join(old_id, GroupError::FencedInstanceId, old_id);
        self.answer_parked_sync(old_id, Err(GroupError::FencedInstanceId));
        self.timers.cancel(&TimerKey::Session(old_id.to_owned()));
        self.roster.rename(old_id, &new_id);
        self.roster.set_not_new(&new_id);
        self.update_member(ticket, request, &new_id);
        self.reset_session(&new_id);

        match self.phase {
            Phase::Stable if self.roster.select_protocol() == self.protocol_name => {
                let replacement = Replacement {
                    ticket,
                    old,
                    new_id,
                    old_leader,
                    skips_assignment,
                };
                let pending = PendingSave::StaticReplaced(Box::new(replacement));
                self.save(pending, |m| m.assignment.clone());
            }
            // The leader may already have been told of the old member id, and would assign to it.
            Phase::Stable | Phase::CompletingRebalance { .. } => {
                self.prepare_rebalance(reason);
            }
            Phase::PreparingRebalance { .. } => {
                self.maybe_complete_join();
            }
            Phase::Empty | Phase::Dead(_) => {}
        }
    }

    /// Answers the join of a static member whose replacement is durable.
    pub(super) fn answer_replacement(&mut self, replacement: &Replacement) {
        let Replacement {
            ticket,
            new_id,
            old_leader,
            skips_assignment,
            ..
        } = replacement;
        let mut joined = self.current_generation(new_id);
        if !skips_assignment {
            // Before KIP-814 the only way to keep a returning leader from computing an assignment
            // was to tell it that its former self leads.
            joined.leader = old_leader.clone();
        } else if self.roster.is_leader(new_id) {
            joined.skip_assignment = true;
            joined.members = self.joined_members();
        }
        self.emit(Effect::RespondJoin(*ticket, Ok(joined)));
    }
}

/// Keeps the first protocol of each name.
fn drop_repeated_names(protocols: &mut Vec<Protocol>) {
    let mut seen = BTreeSet::new();
    protocols.retain(|p| seen.insert(p.name.clone()));
}

fn describe_reason(id: &str, what: &str, request: &JoinRequest) -> String {
    let reason = client_reason(request.reason.as_deref());
    format!("member {id} {what}; client reason: {reason}")
}
