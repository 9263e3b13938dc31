//! Heartbeat (versions 0 to 4).

use super::group::{ClassicGroup, Phase};
use super::{Effect, GroupError, HeartbeatRequest, Ticket};

impl ClassicGroup {
    pub(super) fn heartbeat(&mut self, ticket: Ticket, request: &HeartbeatRequest) {
        let answer = self.check_heartbeat(request);
        self.emit(Effect::RespondHeartbeat(ticket, answer));
    }

    fn check_heartbeat(&mut self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        if let Phase::Dead(error) = self.phase {
            return Err(error);
        }
        self.roster
            .validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.reset_session(&request.member_id);
        match self.phase {
            Phase::PreparingRebalance { .. } => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}
