//! Deletes objects that nothing names any more, and what departed agents uploaded and never committed.
//!
//! An object may go once the metadata has not named it for the grace period, which is longer than any read (I3). A
//! departed agent's orphans need no listing: they are the sequences it skipped, and the few after its last commit.

use std::collections::BTreeSet;
use std::time::Duration;

use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireLease, ForgetObjects, State, UPLOADS_MAX};
use futures::{StreamExt, stream};
use object_format::{AgentEpoch, ObjectId, path};
use object_store::path::Path;
use runtime::Store;

use crate::metric_definitions as names;

const LEASE: &str = "garbage";

/// Objects deleted in one pass; the rest waits for the next.
const OBJECTS_MAX: usize = 10_000;

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
    #[error("cannot delete objects: {0}")]
    Store(object_store::Error),
}

/// What may be deleted now.
#[derive(Debug, Default, PartialEq)]
struct Due {
    /// With their sizes.
    garbage: Vec<(ObjectId, u64)>,
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
    let mut due = session.replica().read(|state| due(state, grace_ms));
    let garbage = due.garbage.iter().map(|(id, _)| id);
    let objects = garbage.chain(&due.orphans).copied();
    let (deleted, failure) = delete(store, objects.collect()).await;
    let is_deleted = |id: &ObjectId| deleted.contains(id);
    let left: BTreeSet<AgentEpoch> = due
        .orphans
        .iter()
        .filter(|id| !is_deleted(id))
        .map(|id| id.writer)
        .collect();
    due.garbage.retain(|(id, _)| is_deleted(id));
    let reclaimed = due.garbage.iter().map(|(_, bytes)| bytes).sum();
    metrics::counter!(names::RECLAIMED_BYTES.name).increment(reclaimed);
    let orphans = due.orphans.iter().filter(|id| is_deleted(id)).count();
    metrics::counter!(names::ORPHAN_KEYS_DELETED.name).increment(orphans as u64);
    due.departed.retain(|writer| !left.contains(writer));
    let collected = Collected {
        objects: deleted.len(),
        departed: due.departed.len(),
    };
    if collected != Collected::default() {
        let forget = ForgetObjects {
            objects: due.garbage.into_iter().map(|(id, _)| id).collect(),
            departed: due.departed,
        };
        session.submit(forget).await?;
    }
    failure.map_or(Ok(collected), Err)
}

/// Deletes objects; what fails is tried again for as long as something else does not. Gives those that are gone, and the
/// last failure if not all are.
async fn delete(store: &Store, objects: Vec<ObjectId>) -> (BTreeSet<ObjectId>, Option<Error>) {
    let mut gone = BTreeSet::new();
    loop {
        let before = gone.len();
        let left = objects.iter().filter(|id| !gone.contains(*id)).copied();
        let failure = delete_once(store, left.collect(), &mut gone).await;
        if failure.is_none() || gone.len() == before {
            metrics::counter!(names::GARBAGE_OBJECTS.name).increment(gone.len() as u64);
            return (gone, failure);
        }
    }
}

/// Deletes objects, many in a request where the store can; notes those that are gone. Gives a failure if there was one.
async fn delete_once(
    store: &Store,
    objects: Vec<ObjectId>,
    gone: &mut BTreeSet<ObjectId>,
) -> Option<Error> {
    let keys = objects.into_iter().map(|id| Ok(Path::from(path::data(id))));
    let mut deletions = store.delete_stream(stream::iter(keys).boxed());
    let mut failure = None;
    while let Some(deletion) = deletions.next().await {
        match deletion {
            Ok(key) => gone.extend(path::parse_data(key.as_ref())),
            // Somebody was here before. What the store calls it may have something before its key.
            Err(object_store::Error::NotFound { path: key, .. }) => {
                let at = key.rfind("data/").unwrap_or_default();
                gone.extend(path::parse_data(&key[at..]));
            }
            Err(error) => failure = Some(Error::Store(error)),
        }
    }
    failure
}

/// Pure: what the state lets go of at its own time.
fn due(state: &State, grace_ms: i64) -> Due {
    let now_ms = state.log_time_ms();
    let is_due = |since_ms: i64| now_ms.saturating_sub(since_ms) >= grace_ms;
    let mut due = Due::default();
    let garbage = state.garbage().filter(|(_, g)| is_due(g.since_ms));
    let garbage = garbage.map(|(id, g)| (id, g.bytes));
    due.garbage = garbage.take(OBJECTS_MAX).collect();
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
