use std::collections::BTreeMap;

use control_plane::log::Position;
use control_plane::state::{
    BatchMeta, Command, CommitObject, CommitRun, CreateTopic, Entry, Extent, RegisterAgent,
};
use object_format::{AgentEpoch, ObjectId, TopicId};
use uuid::Uuid;

use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;
const NOW: i64 = 1_700_000_000_000;

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_u128(1)),
        partition: 0,
    }
}

/// A partition of a topic with these configs, with a run of 100 bytes for each timestamp.
fn state(configs: &[(&str, &str)], timestamps: &[i64]) -> State {
    let registration = RegisterAgent {
        version_max: 1,
        ..RegisterAgent::new(Uuid::from_u128(9), "a")
    };
    let configs = configs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let create = CreateTopic {
        name: "t".to_owned(),
        id: partition().topic,
        partitions: 1,
        configs: configs.collect::<BTreeMap<_, _>>(),
    };
    let commit = |(n, &max_timestamp): (usize, &i64)| -> Command {
        let batch = BatchMeta {
            bytes: 100,
            records: 10,
            max_timestamp,
            producer: None,
        };
        let run = CommitRun {
            partition: partition(),
            position: 40,
            batches: vec![batch],
        };
        let object = ObjectId {
            writer: AgentEpoch(1),
            sequence: n as u64,
        };
        let runs = vec![run];
        CommitObject {
            object,
            bytes: 200,
            runs,
        }
        .into()
    };
    let mut commands: Vec<(AgentEpoch, Command)> = vec![
        (AgentEpoch::default(), registration.into()),
        (AgentEpoch(1), create.into()),
    ];
    commands.extend(
        timestamps
            .iter()
            .enumerate()
            .map(commit)
            .map(|c| (AgentEpoch(1), c)),
    );
    let mut state = State::new();
    for (n, (writer, command)) in commands.into_iter().enumerate() {
        let entry = Entry {
            writer,
            sequence: n as u64 + 1,
            time_ms: NOW,
            commands: vec![command],
        };
        state
            .apply(Position(n as u64 + 1), &entry.encode(1))
            .unwrap();
    }
    state
}

fn deleted_before(configs: &[(&str, &str)], timestamps: &[i64], wall_ms: i64) -> Option<i64> {
    let state = state(configs, timestamps);
    let (of, defaults) = (partition(), Defaults::default());
    let policy = Policies::new(&defaults).of(&state, of.topic).unwrap();
    let found = state.partition(of).unwrap();
    let delete = to_delete(&state, of, found, &policy, wall_ms);
    delete.map(|delete| delete.before_offset)
}

#[test]
fn runs_older_than_a_week_go() {
    let old = [NOW - 9 * DAY, NOW - 8 * DAY, NOW - 6 * DAY];
    assert_eq!(deleted_before(&[], &old, NOW), Some(20));
    assert_eq!(deleted_before(&[("retention.ms", "-1")], &old, NOW), None);
    assert_eq!(
        deleted_before(&[("cleanup.policy", "compact")], &old, NOW),
        None
    );
    assert_eq!(
        deleted_before(&[("retention.ms", "1")], &old, NOW),
        Some(30)
    );
}

#[test]
fn a_newer_run_keeps_those_after_it() {
    let mixed = [NOW, NOW - 8 * DAY];
    assert_eq!(deleted_before(&[], &mixed, NOW), None);
}

#[test]
fn no_clock_alone_deletes_anything() {
    let fresh = [NOW - DAY];
    assert_eq!(
        deleted_before(&[], &fresh, NOW + 365 * DAY),
        None,
        "one's own is ahead"
    );
    assert_eq!(
        deleted_before(&[], &[NOW - 8 * DAY], NOW - 5 * DAY),
        None,
        "the log's is ahead"
    );
}

#[test]
fn records_without_a_timestamp_are_as_old_as_their_object() {
    assert_eq!(deleted_before(&[], &[-1], NOW), None);
}

#[test]
fn what_is_over_the_size_goes_in_whole_runs() {
    let runs = [NOW; 5];
    let before = |bytes| deleted_before(&[("retention.bytes", bytes)], &runs, NOW);
    assert_eq!(before("500"), None);
    assert_eq!(before("450"), None, "without it there would be too little");
    assert_eq!(before("400"), Some(10));
    assert_eq!(before("150"), Some(30));
    assert_eq!(before("0"), Some(50));
}

#[test]
fn a_run_that_cannot_be_told_is_not_deleted_by_a_number_that_overflows() {
    let ancient = Extent {
        object: ObjectId::default(),
        position: 0,
        bytes: 1,
        offsets: 1,
        max_timestamp: i64::MAX,
        is_stamped: false,
    };
    let mut state = state(&[], &[NOW]);
    let partition = state.partition(partition()).cloned().unwrap();
    let mut partition = partition;
    partition.extents.insert(10, ancient);
    assert_eq!(past_age(&state, &partition, i64::MIN, 0), None);
    state = State::new();
    assert_eq!(past_age(&state, &partition, i64::MAX, u64::MAX), None);
}
