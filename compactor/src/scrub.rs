//! Scrubbing: reads every stored byte and verifies it, the ones that were not verified for longest first.

use std::time::Duration;

use control_plane::state::{AcquireLease, ReportScrub, State};
use object_format::object::verify_object;
use object_format::{ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::jobs::report_damage;
use crate::metric_definitions as names;
use crate::rewrite::{RewriteError, Tools};

const LEASE: &str = "scrub";

/// Objects verified in one pass; the rest waits for the next.
const OBJECTS_MAX: usize = 1_000;

/// Verified objects are reported so many at a time.
const REPORT: usize = 100;

/// What a pass found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Objects that are what was written.
    pub good: usize,
    /// Objects that are not, or are missing.
    pub damaged: usize,
}

/// One pass over the objects that are due within half of the period; nothing if another process holds the lease.
///
/// # Errors
/// If the log or the store fails; what is left is found again by the next pass.
pub async fn pass(tools: &Tools, period: Duration) -> Result<Scrubbed, RewriteError> {
    let lease = AcquireLease {
        name: LEASE.to_owned(),
    };
    if tools.session.submit(lease).await?.is_err() {
        return Ok(Scrubbed::default());
    }
    let due = tools.session.replica().read(|state| due(state, period / 2));
    let mut scrubbed = Scrubbed::default();
    for objects in due.chunks(REPORT) {
        let mut verified = Vec::new();
        for (id, bytes) in objects {
            tools.pace.admit(*bytes).await;
            match verify(tools, *id).await? {
                Ok(bytes) => {
                    verified.push(*id);
                    metrics::counter!(names::SCRUBBED_BYTES.name).increment(bytes);
                }
                // It may have been collected meanwhile.
                Err(_) if tools.session.replica().read(|s| s.object(*id).is_none()) => {}
                Err(what) => {
                    scrubbed.damaged += 1;
                    report_damage(tools, *id, &what).await?;
                }
            }
        }
        scrubbed.good += verified.len();
        tools
            .session
            .submit(ReportScrub {
                verified,
                damaged: vec![],
            })
            .await?;
    }
    Ok(scrubbed)
}

/// Objects that were not verified for this long, the oldest first, with their sizes.
fn due(state: &State, age: Duration) -> Vec<(ObjectId, u64)> {
    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let is_due = |checked_ms: i64| state.log_time_ms().saturating_sub(checked_ms) >= age_ms;
    let objects = state
        .objects()
        .filter(|(_, object)| is_due(object.checked_ms));
    let mut due: Vec<_> = objects.map(|(id, o)| (o.checked_ms, id, o.bytes)).collect();
    due.sort_unstable();
    due.into_iter()
        .take(OBJECTS_MAX)
        .map(|(_, id, bytes)| (id, bytes))
        .collect()
}

/// Reads an object to its last byte: its size, or what is wrong with it.
async fn verify(tools: &Tools, id: ObjectId) -> Result<Result<u64, String>, RewriteError> {
    let key = path::data(id);
    let path = Path::from(key.clone());
    let get = || async { tools.store.get(&path).await?.bytes().await };
    let read = tools.ask(get).await;
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(object_store::Error::NotFound { .. }) => return Ok(Err("it is missing".to_owned())),
        Err(error) => {
            let what = format!("read {key}");
            return Err(RewriteError::Store { what, error });
        }
    };
    tools.pace.faster();
    let verified = tokio::task::spawn_blocking(move || {
        let object = verify_object(&bytes).map_err(|error| error.to_string())?;
        match object.header.id == id {
            true => Ok(bytes.len() as u64),
            false => Err(format!("it is object {}", object.header.id)),
        }
    });
    Ok(verified
        .await
        .unwrap_or_else(|error| Err(error.to_string())))
}
