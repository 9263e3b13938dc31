//! Which short runs of one partition become a longer one.

use control_plane::state::{Extent, Partition, State};
use object_format::TopicPartition;

use super::{FAN_IN, Limits, Stretch};

/// Most runs that are merged at once.
const RUNS_MAX: usize = 1024;

/// A run that is to be merged only with ones not longer than a bound is tried with bounds that grow by this factor.
const CLASS_FACTOR: u64 = 4;

/// The shortest bound.
const CLASS_MIN: u64 = 1 << 10;

/// The oldest runs side by side that are worth merging: at least [`FAN_IN`] of them, all short, which together are
/// several times as long as the longest, so that every byte is in a run several times as long afterwards.
pub fn merge(
    state: &State,
    of: TopicPartition,
    partition: &Partition,
    limits: &Limits,
) -> Option<Stretch> {
    let short = |extent: &Extent| {
        let object = state.object(extent.object);
        let ready = object.is_some_and(|object| !limits.is_fresh(object));
        ready && extent.bytes < limits.short_bytes() && !state.is_damaged(extent.object)
    };
    let mut group: Vec<(i64, Extent)> = Vec::new();
    for (&base, extent) in &partition.extents {
        if short(extent) {
            group.push((base, *extent));
            continue;
        }
        if let Some(found) = within(&group, limits) {
            return Stretch::of(of, partition, found);
        }
        group.clear();
    }
    within(&group, limits).and_then(|found| Stretch::of(of, partition, found))
}

/// The runs to merge among these, which lie side by side.
fn within<'a>(group: &'a [(i64, Extent)], limits: &Limits) -> Option<&'a [(i64, Extent)]> {
    if group.len() < FAN_IN {
        return None;
    }
    let mut bound = CLASS_MIN;
    loop {
        let small = |(_, extent): &(i64, Extent)| extent.bytes <= bound;
        let mut candidates = group
            .chunk_by(|a, b| small(a) == small(b))
            .filter(|c| small(&c[0]));
        if let Some(found) = candidates.find_map(|c| worth_it(c, limits)) {
            return Some(found);
        }
        if bound >= limits.short_bytes() {
            return None;
        }
        bound *= CLASS_FACTOR;
    }
}

/// The longest beginning of these runs that fits into an object, if merging it makes it long enough.
fn worth_it<'a>(runs: &'a [(i64, Extent)], limits: &Limits) -> Option<&'a [(i64, Extent)]> {
    let mut total = 0;
    let fits = |(_, extent): &&(i64, Extent)| {
        total += extent.bytes;
        total <= limits.object_bytes
    };
    let count = runs.iter().take(RUNS_MAX).take_while(fits).count();
    let runs = &runs[..count];
    let bytes = |(_, extent): &(i64, Extent)| extent.bytes;
    let longest = runs.iter().map(bytes).max()?;
    let total: u64 = runs.iter().map(bytes).sum();
    (count >= FAN_IN && total >= longest * (FAN_IN as u64 / 2)).then_some(runs)
}
