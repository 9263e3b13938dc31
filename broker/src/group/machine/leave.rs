//! LeaveGroup (versions 0 to 5), which also removes static members by their instance id.

use super::group::{ClassicGroup, Phase};
use super::saved::PendingSave;
use super::{Effect, GroupError, LeaveRequest, LeavingMember, LeftMember, RemovalCause, Ticket};

impl ClassicGroup {
    pub(super) fn leave(&mut self, ticket: Ticket, request: LeaveRequest) {
        if let Phase::Dead(error) = self.phase {
            return self.emit(Effect::RespondLeave(ticket, Err(error)));
        }
        let mut left = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let error = self.remove_leaving(&leaving).err();
            let LeavingMember {
                member_id,
                instance_id,
                ..
            } = leaving;
            left.push(LeftMember {
                member_id,
                instance_id,
                error,
            });
        }
        let save = match left.iter().any(|member| member.error.is_none()) {
            true => self.rebalance_after_leave(),
            false => None,
        };
        // If this has emptied the group, the answer waits until that is saved.
        match save.and_then(|id| self.saves.get_mut(&id)) {
            Some(PendingSave::Emptied { leaves }) => leaves.push((ticket, left)),
            _ => self.emit(Effect::RespondLeave(ticket, Ok(left))),
        }
    }

    fn rebalance_after_leave(&mut self) -> Option<super::SaveId> {
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance { .. } => {
                self.prepare_rebalance("members have left".to_owned())
            }
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
