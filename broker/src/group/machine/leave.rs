//! LeaveGroup (versions 0 to 5; KIP-345, KIP-800), which also removes static members by their
//! instance id.

use super::group::{ClassicGroup, Phase};
use super::message::client_reason;
use super::saved::PendingSave;
use super::{
    Effect, GroupError, LeaveRequest, LeavingMember, LeftMember, RemovalCause, SaveId, Ticket,
};

impl ClassicGroup {
    pub(super) fn leave(&mut self, ticket: Ticket, request: LeaveRequest) {
        if let Phase::Dead(error) = self.phase {
            return self.emit(Effect::RespondLeave(ticket, Err(error)));
        }
        let mut left = Vec::with_capacity(request.members.len());
        let mut reason = None;
        for leaving in request.members {
            let error = self.remove_leaving(&leaving).err();
            if error.is_none() && reason.is_none() {
                reason = Some(describe_reason(&leaving));
            }
            left.push(LeftMember {
                member_id: leaving.member_id,
                instance_id: leaving.instance_id,
                error,
            });
        }
        let save = reason.and_then(|reason| self.rebalance_after_leave(reason));
        // If this has emptied the group, the answer waits until that is saved.
        match save.and_then(|id| self.saves.get_mut(&id)) {
            Some(PendingSave::Emptied { leaves }) => leaves.push((ticket, left)),
            _ => self.emit(Effect::RespondLeave(ticket, Ok(left))),
        }
    }

    fn rebalance_after_leave(&mut self, reason: String) -> Option<SaveId> {
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance { .. } => self.prepare_rebalance(reason),
            _ => self.maybe_complete_join(),
        }
    }

    fn remove_leaving(&mut self, leaving: &LeavingMember) -> Result<(), GroupError> {
        let instance_id = leaving.instance_id.as_deref();
        let id = if leaving.member_id.is_empty() {
            let found = instance_id.and_then(|id| self.roster.static_member_id(id));
            found.ok_or(GroupError::UnknownMemberId)?.to_owned()
        } else if self.remove_pending_member(&leaving.member_id) {
            return Ok(());
        } else {
            self.roster.validate(&leaving.member_id, instance_id)?;
            leaving.member_id.clone()
        };
        self.remove_member(&id, RemovalCause::Left);
        Ok(())
    }
}

/// Why the first of those who leave does so.
fn describe_reason(leaving: &LeavingMember) -> String {
    let id = &leaving.member_id;
    let instance = leaving.instance_id.as_deref().unwrap_or("none");
    let reason = client_reason(leaving.reason.as_deref());
    format!("member {id} (instance {instance}) leaves; client reason: {reason}")
}
