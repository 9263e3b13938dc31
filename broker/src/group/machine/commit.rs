//! Whether a client may commit offsets, and whether the group may be deleted.

use std::time::Duration;

use super::GroupError;
use super::group::{ClassicGroup, Phase};

/// Who commits, as told by OffsetCommit and TxnOffsetCommit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitIdentity<'a> {
    /// Empty for a consumer that is not a member.
    pub member_id: &'a str,
    /// The instance id, if static.
    pub instance_id: Option<&'a str>,
    /// Negative for a consumer that is not a member.
    pub generation: i32,
    /// The client knows member epochs (KIP-848): OffsetCommit of version 9 and up.
    pub knows_member_epochs: bool,
    /// TxnOffsetCommit, whose older versions do not name the member.
    pub transactional: bool,
}

impl ClassicGroup {
    /// Whether offsets may be committed. A commit by a member counts as a heartbeat.
    ///
    /// For a group that does not exist, ask a new machine: a negative generation is accepted and
    /// makes a simple group. Kafka answers any other with GROUP_ID_NOT_FOUND (version 9 and up) or
    /// ILLEGAL_GENERATION, which only the caller can know.
    pub fn check_commit(
        &mut self,
        now: Duration,
        who: &CommitIdentity<'_>,
    ) -> Result<(), GroupError> {
        if let Phase::Dead(error) = self.phase {
            return Err(error);
        }
        if who.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if who.generation >= 0 || !who.member_id.is_empty() || who.instance_id.is_some() {
            self.roster.validate(who.member_id, who.instance_id)?;
            if who.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !who.transactional {
            return Err(GroupError::UnknownMemberId);
        }
        if who.transactional {
            return Ok(());
        }
        if matches!(self.phase, Phase::CompletingRebalance { .. }) {
            // The member knows this generation but not its assignment yet.
            return Err(GroupError::RebalanceInProgress);
        }
        self.now = now;
        self.reset_session(who.member_id);
        Ok(())
    }

    /// Whether the group may be deleted. If so, step it with
    /// [`Event::Deleted`](super::Event::Deleted) before anything else is let in.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        match self.phase {
            Phase::Empty => Ok(()),
            Phase::Dead(_) => Err(GroupError::GroupIdNotFound),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }
}
