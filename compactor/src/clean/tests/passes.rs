//! Any log through any number of passes: a consumer of what is left ends up with what one of the
//! whole log has, and nothing that is left has changed.

use proptest::prelude::*;

use super::world::{BATCH_MAX, Log, Step, World, any_step, read};
use super::*;

/// Cleans from the log's start to at most the batch that begins at or before `end`.
fn pass(world: &mut World, end: i64, keys_max: usize) {
    let aborted = AbortedRanges::new(world.aborted.iter().copied());
    let mut map = KeyMap::new(30 * keys_max + 24 * 5, world.now_ms as u64);
    let mut keep_last = world.dirty - 1;
    for (base, batch) in world.log.range(world.dirty..end) {
        match note_keys(batch, *base, &aborted, &mut map) {
            Ok(()) => keep_last = base + i64::from(opened(batch).0.last_offset_delta),
            Err(NoteError::Full(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let rules = Rules {
        map: &map,
        aborted: &aborted,
        now_ms: world.now_ms,
        delete_retention_ms: RETENTION,
        keep_last,
    };
    let mut after = Log::new();
    for (base, batch) in world.log.range(..=keep_last) {
        match clean(batch, *base, &rules).unwrap() {
            Cleaned::Same => {
                after.insert(*base, batch.clone());
            }
            Cleaned::Rewritten(batch) => {
                assert_eq!(opened(&batch).0.base_offset, *base);
                after.insert(*base, batch);
            }
            Cleaned::Gone => world.aborted.retain(|(.., marker)| marker != base),
        }
    }
    world.log.retain(|base, _| *base > keep_last);
    world.log.append(&mut after);
    world.dirty = keep_last + 1;
}

fn check(world: &World, whole: &Log, all: &World) {
    for end in [world.dirty, world.last_stable()] {
        assert_eq!(world.table(&world.log, end), all.table(whole, end));
    }
    let mut left = std::collections::BTreeMap::new();
    let mut next = 0;
    for (base, batch) in &world.log {
        assert!(next <= *base, "batches overlap");
        let header = opened(batch).0;
        next = base + header.offset_count();
        if !header.is_control() {
            left.extend(read(batch, *base));
        }
    }
    assert_eq!(next, world.next_offset, "the end of the log went");
    if let Some((base, batch)) = world.log.range(..world.dirty).next_back() {
        let last = base + opened(batch).0.offset_count();
        assert_eq!(last, world.dirty, "the last offset that was cleaned went");
    }
    for (offset, record) in &left {
        assert_eq!(Some(record), world.written.get(offset));
        let dead = world.dead.contains(offset) && *offset < world.dirty;
        assert!(!dead, "the aborted record {offset} stayed");
    }
    for (offset, record) in world.written.range(..world.dirty) {
        if left.contains_key(offset) || world.dead.contains(offset) || record.key.is_none() {
            continue;
        }
        let later = world.written.range(offset + 1..world.dirty);
        let replaced = later
            .filter(|(later, _)| !world.dead.contains(later))
            .any(|(_, later)| later.key == record.key);
        let expired = record.value.is_none()
            && (world.met.get(offset)).is_some_and(|met| met + RETENTION <= world.now_ms);
        assert!(replaced || expired, "the committed record {offset} went");
    }
}

/// Notes when tombstones were first met, by those that a pass has just passed.
fn meet(world: &mut World) {
    for offset in world
        .written
        .range(..world.dirty)
        .map(|(offset, _)| *offset)
    {
        world.met.entry(offset).or_insert(world.now_ms);
    }
}

fn run(steps: &[Step]) -> World {
    let mut world = World::default();
    world.now_ms = NOW;
    // The same log without any pass: what its consumer has is what all must have.
    let mut all = World::default();
    for step in steps {
        all.now_ms = world.now_ms;
        match step {
            Step::Write {
                producer,
                codec,
                records,
                append_time,
            } => {
                world.write(*producer, *codec, records, *append_time);
                all.write(*producer, *codec, records, *append_time);
            }
            Step::End { producer, commit } => {
                world.end(*producer, *commit);
                all.end(*producer, *commit);
            }
            Step::Pass {
                pause,
                part,
                keys_max,
            } => {
                world.now_ms += pause;
                let stable = world.last_stable();
                let end = world.dirty + (stable - world.dirty) * i64::from(*part) / 255;
                pass(&mut world, end, *keys_max);
                meet(&mut world);
            }
        }
        check(&world, &all.log, &all);
    }
    world
}

proptest! {
    #[test]
    fn a_consumer_has_what_it_would_have_of_the_whole_log(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        run(&steps);
    }

    #[test]
    fn in_the_end_each_key_is_there_once_and_nothing_else(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut world = run(&steps);
        (1..4).for_each(|producer| world.end(producer, true));
        while world.dirty < world.next_offset {
            let end = world.next_offset;
            pass(&mut world, end, BATCH_MAX);
        }
        world.now_ms += RETENTION;
        let table = world.table(&world.log, world.next_offset);
        let end = world.next_offset;
        pass(&mut world, end, BATCH_MAX);
        let mut left = vec![];
        for (base, batch) in &world.log {
            let is_last = base + opened(batch).0.offset_count() == world.next_offset;
            match opened(batch).0.is_control() {
                true => prop_assert!(is_last, "a marker stayed"),
                false => left.extend(read(batch, *base)),
            }
            let is_empty = opened(batch).1.is_empty();
            prop_assert!(is_last || !is_empty, "an empty batch stayed");
        }
        left.sort_by(|a, b| a.1.key.cmp(&b.1.key));
        let expected: Vec<_> = table.into_values().collect();
        prop_assert_eq!(left, expected);
    }
}
