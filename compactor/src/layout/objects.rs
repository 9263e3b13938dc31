//! Which objects are rewritten whole, and what of each partition is in them.

use std::collections::BTreeSet;

use control_plane::state::{Extent, JOB_CLAIMS_MAX, ObjectState, Partition, State};
use object_format::{ObjectId, TopicPartition};

use super::{Limits, Stretch};

/// How much of each object is held in memory at least, while it is read from its beginning to its end.
const WINDOW_MIN: u64 = 1 << 20;

/// Objects to be rewritten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// Which.
    pub objects: BTreeSet<ObjectId>,
    /// What is of use in them.
    pub bytes: u64,
}

/// Objects and bytes that wait to be rewritten, and the log's time of the oldest.
pub fn fresh_backlog(state: &State, limits: &Limits) -> (usize, u64, Option<i64>) {
    let fresh = state
        .objects()
        .filter(|(_, object)| limits.is_fresh(object));
    fresh.fold(
        (0, 0, None),
        |(count, bytes, oldest): (_, _, Option<i64>), (_, object)| {
            let oldest = oldest.map_or(object.committed_ms, |o| o.min(object.committed_ms));
            (count + 1, bytes + object.live_bytes, Some(oldest))
        },
    )
}

/// The oldest small objects, if there are enough of them or they have waited for long, and those that are mostly
/// unused. With `at_once` few are enough.
pub fn choose(state: &State, limits: &Limits, at_once: bool) -> Option<Chosen> {
    let claimed: BTreeSet<ObjectId> = state
        .live_jobs()
        .flat_map(|(_, job)| job.objects.iter().copied())
        .collect();
    let is_free = |id: &ObjectId| !claimed.contains(id) && !state.is_damaged(*id);
    let mut candidates: Vec<(i64, ObjectId, ObjectState)> = state
        .objects()
        .filter(|(id, object)| (limits.is_fresh(object) || limits.is_sparse(object)) && is_free(id))
        .map(|(id, object)| (object.committed_ms, id, *object))
        .collect();
    candidates.sort_unstable_by_key(|(committed_ms, id, _)| (*committed_ms, *id));
    is_due(state, limits, &candidates, at_once).then(|| take(limits, &candidates))
}

fn is_due(
    state: &State,
    limits: &Limits,
    candidates: &[(i64, ObjectId, ObjectState)],
    at_once: bool,
) -> bool {
    let fresh = candidates
        .iter()
        .filter(|(_, _, object)| limits.is_fresh(object));
    let (count, bytes) = fresh.fold((0, 0), |(n, sum), (_, _, o)| (n + 1, sum + o.live_bytes));
    let sparse = candidates
        .iter()
        .any(|(_, _, object)| limits.is_sparse(object));
    let useful = count >= 2 || sparse;
    let age_max = i64::try_from(limits.age_max.as_millis()).unwrap_or(i64::MAX);
    let oldest = candidates
        .first()
        .map_or(i64::MAX, |(committed_ms, _, _)| *committed_ms);
    let aged = state.log_time_ms().saturating_sub(oldest) >= age_max;
    useful && (at_once || aged || count >= limits.objects_min || bytes >= limits.job_bytes / 2)
}

fn take(limits: &Limits, candidates: &[(i64, ObjectId, ObjectState)]) -> Chosen {
    let mut chosen = Chosen::default();
    let mut held = 0;
    for (_, id, object) in candidates {
        let window = object.bytes.min(WINDOW_MIN);
        let full = chosen.objects.len() == JOB_CLAIMS_MAX
            || chosen.bytes + object.live_bytes > limits.job_bytes
            || held + window > limits.memory_bytes / 2;
        if full && chosen.objects.len() >= 2 {
            break;
        }
        held += window;
        chosen.bytes += object.live_bytes;
        chosen.objects.insert(*id);
    }
    chosen
}

/// What a partition has in the chosen objects.
pub fn gather(of: TopicPartition, partition: &Partition, chosen: &Chosen) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut open: Vec<(i64, Extent)> = Vec::new();
    for (&base, extent) in &partition.extents {
        if chosen.objects.contains(&extent.object) {
            open.push((base, *extent));
        } else {
            stretches.extend(Stretch::of(of, partition, &open));
            open.clear();
        }
    }
    stretches.extend(Stretch::of(of, partition, &open));
    stretches
}
