//! A member's next step towards its target assignment.

use object_format::TopicPartition;

use super::Assignment;
use super::member::{Member, MemberState};

/// The member after its next step; as it is if it cannot go on.
///
/// `is_held` tells whether a partition is assigned to, or yet to be revoked by, some member.
/// `owned` is what the member says it owns, if it does.
pub(super) fn reconcile(
    member: &Member,
    target_epoch: i32,
    is_held: impl Fn(TopicPartition) -> bool,
    owned: Option<&Assignment>,
) -> Member {
    let still_owns = |revoking: &Assignment| match owned {
        Some(owned) => owned.iter().any(|p| revoking.contains(p)),
        None => true,
    };
    let epoch = match member.state {
        MemberState::Stable if member.epoch == target_epoch => return member.clone(),
        MemberState::UnrevokedPartitions if still_owns(&member.revoking) => return member.clone(),
        // It has given up all that it had to: it is of the next epoch, and maybe of a later one.
        MemberState::UnrevokedPartitions => member.epoch + 1,
        MemberState::Stable | MemberState::UnreleasedPartitions => member.epoch,
    };
    let kept = member.assigned.intersection(&member.target);
    let revoking = member.assigned.difference(&kept);
    let missing = member.target.difference(&kept);
    let free: Assignment = missing.iter().filter(|p| !is_held(*p)).collect();
    let is_waiting = free.len() < missing.len();

    let mut next = member.clone();
    next.assigned = kept;
    if !revoking.is_empty() && still_owns(&revoking) {
        next.state = MemberState::UnrevokedPartitions;
        next.epoch = epoch;
        next.revoking = revoking;
    } else {
        next.state = match is_waiting {
            true => MemberState::UnreleasedPartitions,
            false => MemberState::Stable,
        };
        next.epoch = target_epoch;
        next.revoking = Assignment::default();
        next.assigned.extend(free.iter());
    }
    if next != *member {
        next.previous_epoch = member.epoch;
    }
    next
}
