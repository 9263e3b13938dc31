//! Which ranges of which objects a job reads, in the order in which it needs them. Pure.

use std::collections::HashMap;
use std::ops::Range;

use object_format::ObjectId;

use crate::layout::{Limits, Part, Stretch};

/// Bytes between two ranges that are read rather than asked for apart.
const GAP_MAX: u64 = 64 << 10;

/// Shortest and longest read, unless there is less to read.
const WINDOW: Range<u64> = 64 << 10..8 << 20;

/// One request to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of which object.
    pub object: ObjectId,
    /// Which bytes.
    pub range: Range<u64>,
}

/// What is to be read for these stretches, in their order. Of each object there is at most one read that was asked for
/// and not yet used up, besides those that are under way, and together they fit into half of the memory.
pub fn plan(stretches: &[Stretch], limits: &Limits) -> Vec<Fetch> {
    let mut needed: HashMap<ObjectId, Vec<Range<u64>>> = HashMap::new();
    for (object, range) in ranges(stretches) {
        needed.entry(object).or_default().push(range);
    }
    let window = window(&needed, limits);
    let fetches: HashMap<ObjectId, Vec<Range<u64>>> = needed
        .iter()
        .map(|(id, ranges)| (*id, coalesce(ranges, window)))
        .collect();
    let mut asked: HashMap<ObjectId, usize> = HashMap::new();
    let mut order = Vec::new();
    for (object, range) in ranges(stretches) {
        let next = asked.entry(object).or_default();
        let fetches = fetches.get(&object).map_or(&[][..], Vec::as_slice);
        while let Some(fetch) = fetches.get(*next).filter(|fetch| fetch.start < range.end) {
            let range = fetch.clone();
            order.push(Fetch { object, range });
            *next += 1;
        }
    }
    order
}

fn ranges(stretches: &[Stretch]) -> impl Iterator<Item = (ObjectId, Range<u64>)> {
    let parts = stretches.iter().flat_map(|stretch| &stretch.parts);
    parts.filter_map(|part| match part {
        Part::Records(_, e) => Some((e.object, e.position..e.position.saturating_add(e.bytes))),
        Part::Marker(..) => None,
    })
}

/// How much of each object is read at once, so that all of them fit.
fn window(needed: &HashMap<ObjectId, Vec<Range<u64>>>, limits: &Limits) -> u64 {
    let total = |ranges: &Vec<Range<u64>>| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
    let sizes: Vec<u64> = needed.values().map(total).collect();
    let held = |window: u64| sizes.iter().map(|size| (*size).min(window)).sum::<u64>();
    let mut window = WINDOW.end;
    while window > WINDOW.start && held(window) > limits.memory_bytes / 2 {
        window /= 2;
    }
    window
}

/// Cuts the ranges of one object, which go forward, into reads.
fn coalesce(ranges: &[Range<u64>], window: u64) -> Vec<Range<u64>> {
    let mut reads: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let mut start = range.start;
        if let Some(last) = reads.last_mut()
            && start >= last.end
            && start - last.end <= GAP_MAX.min(window)
            && last.end - last.start < window
        {
            last.end = range.end.min(last.start + window).max(last.end);
            start = last.end.max(range.start);
        }
        while start < range.end {
            let end = range.end.min(start + window);
            reads.push(start..end);
            start = end;
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_cover_what_is_needed_once_and_in_order(
            lengths in prop::collection::vec((0u64..200_000, 1u64..500_000), 1..50),
            window in 1u64..400_000,
        ) {
            let mut at = 40;
            let ranges: Vec<Range<u64>> = lengths.iter().map(|(gap, length)| {
                let start = at + gap;
                at = start + length;
                start..at
            }).collect();
            let reads = coalesce(&ranges, window);
            for pair in reads.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            for read in &reads {
                prop_assert!(read.start < read.end && read.end - read.start <= window);
            }
            for range in &ranges {
                let covered: u64 = reads.iter()
                    .map(|r| r.end.min(range.end).saturating_sub(r.start.max(range.start)))
                    .sum();
                prop_assert_eq!(covered, range.end - range.start);
            }
        }
    }

    #[test]
    fn what_lies_close_together_is_one_request() {
        assert_eq!(
            coalesce(&[40..100, 100..200, 300..400], 1 << 20),
            vec![40..400]
        );
        assert_eq!(coalesce(&[40..100, 100..200], 100), [40..140, 140..200]);
        assert_eq!(
            coalesce(&[0..10, 200_000..200_010], 1 << 20),
            [0..10, 200_000..200_010]
        );
    }
}
