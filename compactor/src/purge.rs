//! Deleted topics go for good when the time within which they can be undeleted is over. What only they named is garbage
//! from then on.
//!
//! Every step is a command that takes away a bounded part, and that has no effect if the topic was undeleted before it in
//! the log. So a pass may stop anywhere, and any number of processes may do the same one.

use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireLease, PurgeTopic, State};
use object_format::TopicId;

use crate::metric_definitions as names;

const LEASE: &str = "purge";

/// One pass. Gives how many topics are gone by it; none if another process holds the lease.
///
/// # Errors
/// If the log fails; what is left is found again by the next pass.
pub async fn pass(session: &Session, wall_ms: i64) -> Result<usize, SubmitError> {
    let read = |state: &State| (due(state, wall_ms), state.deleted_topics().count());
    let (due, kept) = session.replica().read(read);
    metrics::gauge!(names::DELETED_TOPICS.name).set(kept as f64);
    if due.is_empty() {
        return Ok(0);
    }
    let lease = AcquireLease {
        name: LEASE.to_owned(),
    };
    if session.submit(lease).await?.is_err() {
        return Ok(0);
    }
    let mut purged = 0;
    for (id, name) in due {
        if purge(session, id, false).await? {
            tracing::info!(topic = name, %id, "a deleted topic is gone for good");
            metrics::counter!(names::PURGED_TOPICS.name).increment(1);
            purged += 1;
        }
    }
    Ok(purged)
}

/// Takes away a deleted topic step by step. False if it was not there any more, or may still be undeleted.
///
/// # Errors
/// If the log fails; it is gone in part then.
pub async fn purge(session: &Session, id: TopicId, at_once: bool) -> Result<bool, SubmitError> {
    loop {
        match session.submit(PurgeTopic { id, at_once }).await? {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(_) => return Ok(false),
        }
    }
}

/// The deleted topics whose time is over. Both clocks must agree, as with [`crate::retention`].
fn due(state: &State, wall_ms: i64) -> Vec<(TopicId, String)> {
    let now_ms = state.log_time_ms().min(wall_ms);
    let due = state
        .deleted_topics()
        .filter(|(_, deleted)| !deleted.may_be_undeleted(now_ms));
    due.map(|(id, deleted)| (id, deleted.topic.name.clone()))
        .collect()
}
