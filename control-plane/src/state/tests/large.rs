//! A state of 100,000 partitions: what it takes, and that nothing of it moves but what an entry names.

use super::*;

const PARTITIONS: u32 = 100_000;
const RUNS: u32 = 1_000;

/// An idempotent batch in each of these partitions, from one object.
fn commit(agent: AgentEpoch, sequence: u64, partitions: std::ops::Range<u32>) -> CommitObject {
    let run = |partition| CommitRun {
        partition: tp(partition),
        position: u64::from(partition) * 100,
        batches: vec![batch(1, Some((1_000, 0, 0)))],
    };
    CommitObject {
        object: ObjectId {
            writer: agent,
            sequence,
        },
        bytes: 200_000,
        runs: partitions.map(run).collect(),
    }
}

/// 100,000 partitions, each with a batch, in objects of 1,000 runs.
fn large() -> (Driver, AgentEpoch, u64) {
    let mut driver = Driver::new();
    let agent = driver.register("a");
    driver.submit(agent, topic("t", PARTITIONS)).unwrap();
    let first = driver.state.agent(agent).unwrap().object_next;
    let mut next = first;
    for from in (0..PARTITIONS).step_by(RUNS as usize) {
        let outcomes = driver.submit(agent, commit(agent, next, from..from + RUNS));
        assert_eq!(outcomes.unwrap().len() as u32, RUNS);
        next += 1;
    }
    (driver, agent, next)
}

/// Where a partition is in memory: of a state that was copied, all would be elsewhere.
fn places(state: &State) -> Vec<*const Partition> {
    state
        .partitions()
        .map(|(_, p)| std::ptr::from_ref(p))
        .collect()
}

#[test]
fn a_large_state_is_one_checkpoint_and_goes_on_from_it_alike() {
    let (mut driver, agent, next) = large();
    assert_eq!(driver.state.partitions().count() as u32, PARTITIONS);
    let bytes = driver.state.to_bytes();
    let each = bytes.len() / PARTITIONS as usize;
    assert!(
        each < 100,
        "{each} bytes of a checkpoint for each partition"
    );
    let mut again = State::from_bytes(&bytes).unwrap();
    assert!(again == driver.state, "something is lost in a checkpoint");

    let entry = driver.entry(agent, commit(agent, next, 0..RUNS));
    let here = driver.apply(&entry);
    let there = again.apply(Position(driver.at), &entry.encode(1)).unwrap();
    assert_eq!(here, there);
    assert_eq!(driver.state.digest(), again.digest());
    assert!(again == driver.state, "the copy went another way");
}

#[test]
fn a_copy_shares_what_is_not_changed_and_stays_as_it_was() {
    let (mut driver, agent, _) = large();
    let copy = driver.state.clone();
    let bytes = driver.state.to_bytes();
    assert!(places(&copy) == places(&driver.state), "it was copied");
    let partition = tp(77);
    let before_offset = 1;
    driver
        .submit(
            agent,
            DeleteRecords {
                partition,
                before_offset,
            },
        )
        .unwrap();
    let (old, new) = (places(&copy), places(&driver.state));
    let moved = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    assert_eq!(moved, 1, "more was copied than was changed");
    assert_eq!(copy.partition(partition).unwrap().log_start_offset, 0);
    let changed = driver.state.partition(partition).unwrap();
    assert_eq!(changed.log_start_offset, 1);
    assert!(copy.to_bytes() == bytes, "the copy has changed");
}

#[test]
fn an_entry_touches_what_it_names_and_copies_nothing_else() {
    let (mut driver, agent, next) = large();
    let before = places(&driver.state);
    let named = 5_000..5_010;
    let entry = driver.entry(agent, commit(agent, next, named.clone()));
    let applied = driver.apply(&entry);
    // The producer repeats itself: nothing is appended, and nothing has news for whoever waits.
    assert_eq!(applied.grown, []);
    let fresh: Vec<CommitRun> = named
        .clone()
        .map(|partition| CommitRun {
            partition: tp(partition),
            position: 0,
            batches: vec![batch(7, None)],
        })
        .collect();
    let entry = driver.entry(
        agent,
        CommitObject {
            object: ObjectId {
                writer: agent,
                sequence: next + 1,
            },
            bytes: 10_000,
            runs: fresh,
        },
    );
    let applied = driver.apply(&entry);
    assert_eq!(applied.grown, named.clone().map(tp).collect::<Vec<_>>());
    for (key, partition) in driver.state.partitions() {
        let grown = if named.contains(&key.partition) { 7 } else { 0 };
        assert_eq!(partition.high_watermark, 1 + grown);
    }
    assert!(before == places(&driver.state), "partitions were moved");
}
