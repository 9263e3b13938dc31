//! What groups count and log.

use super::machine::{Note, RemovalCause};
use crate::metric_definitions as names;

/// This many groups are in memory.
pub(super) fn groups(count: usize) {
    metrics::gauge!(names::GROUPS.name).set(count as f64);
}

/// Something happened in a group.
pub(super) fn note(group: &str, note: &Note) {
    match note {
        Note::RebalanceStarted { generation, reason } => {
            metrics::counter!(names::GROUP_REBALANCES.name).increment(1);
            tracing::info!(group, generation, reason, "a group rebalances");
        }
        Note::Stabilized {
            generation,
            members,
        } => tracing::info!(group, generation, members, "a group has its assignment"),
        Note::MemberRemoved { member_id, cause } => {
            metrics::counter!(names::GROUP_MEMBERS_REMOVED.name, "cause" => label(*cause))
                .increment(1);
            tracing::info!(group, member_id, ?cause, "a member is gone from its group");
        }
    }
}

fn label(cause: RemovalCause) -> &'static str {
    match cause {
        RemovalCause::Left => "left",
        RemovalCause::SessionExpired => "session_expired",
        RemovalCause::DidNotRejoin => "did_not_rejoin",
        RemovalCause::DidNotSync => "did_not_sync",
        RemovalCause::DidNotRevoke => "did_not_revoke",
        RemovalCause::OverCapacity => "over_capacity",
    }
}
