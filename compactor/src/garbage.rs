//! Deletes objects that nothing names any more, and what departed agents uploaded and never committed.
//!
//! An object may go once the metadata has not named it for the grace period, which is longer than any read (I3). A
//! departed agent's orphans need no listing: they are the sequences it skipped, and the few after its last commit.

use std::time::Duration;

use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireLease, ForgetObjects, State, UPLOADS_MAX};
use futures::{StreamExt, stream};
use object_format::{AgentEpoch, ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use runtime::Store;

use crate::metric_definitions as names;

const LEASE: &str = "garbage";

/// Objects deleted in one pass; the rest waits for the next.
const OBJECTS_MAX: usize = 10_000;

/// Deletions at once.
const PARALLEL: usize = 8;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Collected {
    /// Objects deleted, or found to be gone.
    pub objects: usize,
    /// Departed agents whose orphans are all gone now.
    pub departed: usize,
}

/// Why a pass did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The metadata log.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The bucket.
    #[error("cannot delete {key}: {error}")]
    Store {
        /// The object.
        key: String,
        /// Why.
        error: object_store::Error,
    },
}

/// What may be deleted now.
#[derive(Debug, Default, PartialEq)]
struct Due {
    garbage: Vec<ObjectId>,
    orphans: Vec<ObjectId>,
    departed: Vec<AgentEpoch>,
}

pub(crate) async fn collect(
    session: &Session,
    store: &Store,
    grace: Duration,
) -> Result<Collected, Error> {
    let lease = AcquireLease {
        name: LEASE.to_owned(),
    };
    if session.submit(lease).await?.is_err() {
        return Ok(Collected::default());
    }
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let (due, waiting) = session
        .replica()
        .read(|state| (due(state, grace_ms), state.garbage().count()));
    metrics::gauge!(names::GARBAGE_WAITING.name).set(waiting as f64);
    let objects = due.garbage.iter().chain(&due.orphans);
    let mut deletions = stream::iter(objects.copied().collect::<Vec<_>>())
        .map(|id| delete(store, id))
        .buffer_unordered(PARALLEL);
    let mut collected = Collected::default();
    while let Some(deleted) = deletions.next().await {
        deleted?;
        collected.objects += 1;
        metrics::counter!(names::GARBAGE_OBJECTS.name).increment(1);
    }
    collected.departed = due.departed.len();
    if collected != Collected::default() {
        let forget = ForgetObjects {
            objects: due.garbage,
            departed: due.departed,
        };
        session.submit(forget).await?;
    }
    Ok(collected)
}

async fn delete(store: &Store, id: ObjectId) -> Result<(), Error> {
    let key = path::data(id);
    match store.delete(&Path::from(key.clone())).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(Error::Store { key, error }),
    }
}

/// Pure: what the state lets go of at its own time.
fn due(state: &State, grace_ms: i64) -> Due {
    let now_ms = state.log_time_ms();
    let is_due = |since_ms: i64| now_ms.saturating_sub(since_ms) >= grace_ms;
    let mut due = Due::default();
    let garbage = state.garbage().filter(|(_, since)| is_due(*since));
    due.garbage = garbage.map(|(id, _)| id).take(OBJECTS_MAX).collect();
    for (writer, departed) in state.departed().filter(|(_, d)| is_due(d.since_ms)) {
        if due.garbage.len() + due.orphans.len() >= OBJECTS_MAX {
            break;
        }
        let next = departed.object_next;
        let missing = departed.objects_missing.iter().copied();
        let sequences = missing.chain(next..next.saturating_add(UPLOADS_MAX));
        due.orphans
            .extend(sequences.map(|sequence| ObjectId { writer, sequence }));
        due.departed.push(writer);
    }
    due
}

#[cfg(test)]
mod tests;
