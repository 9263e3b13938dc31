//! Metadata to answer from, for tests.

use std::collections::BTreeMap;

use control_plane::log::Position;
use control_plane::state::{
    BatchMeta, BatchOutcome, BatchProducer, CommitObject, CommitRun, CreateTopic, Entry,
    METADATA_VERSION_MAX, RegisterAgent, State, Submit, Verdict, WriteKind,
};
use object_format::{AgentEpoch, ObjectId, TopicId, TopicPartition};
use uuid::Uuid;

/// A state with one agent and these topics, named with their numbers of partitions.
pub(crate) fn state_with(topics: &[(&str, u32)]) -> State {
    let mut state = State::new();
    register(&mut state, "a");
    for (i, (name, partitions)) in topics.iter().enumerate() {
        let create = CreateTopic {
            name: (*name).to_owned(),
            id: TopicId(Uuid::from_u128(100 + i as u128)),
            partitions: *partitions,
            configs: BTreeMap::new(),
        };
        command(&mut state, create).unwrap();
    }
    state
}

/// Adds an agent.
pub(crate) fn register(state: &mut State, agent_id: &str) {
    register_in(state, agent_id, None);
}

/// Adds an agent in a zone.
pub(crate) fn register_in(state: &mut State, agent_id: &str, zone: Option<&str>) {
    let registration = RegisterAgent {
        host: "127.0.0.1".into(),
        port: 9092,
        zone: zone.map(str::to_owned),
        ..RegisterAgent::new(
            Uuid::from_u128(u128::from(state.position().0) + 1),
            agent_id,
        )
    };
    apply(state, AgentEpoch::default(), 0, registration).unwrap();
}

/// Stores a batch of this many bytes in a partition.
pub(super) fn store(state: &mut State, topic: &str, partition: u32, bytes: u32) {
    commit(state, topic, partition, bytes, 1, None);
}

/// Stores the first batch of a producer in a partition.
pub(super) fn produce(
    state: &mut State,
    topic: &str,
    partition: u32,
    producer_id: i64,
    records: u32,
) {
    produce_as(
        state,
        topic,
        partition,
        producer_id,
        records,
        WriteKind::Plain,
    );
}

/// Stores the first batch of a producer in a partition, as part of a transaction or not.
pub(super) fn produce_as(
    state: &mut State,
    topic: &str,
    partition: u32,
    producer_id: i64,
    records: u32,
    kind: WriteKind,
) {
    let producer = BatchProducer {
        id: producer_id,
        epoch: 0,
        kind,
        base_sequence: 0,
    };
    commit(state, topic, partition, 100, records, Some(producer));
}

fn commit(
    state: &mut State,
    topic: &str,
    partition: u32,
    bytes: u32,
    records: u32,
    producer: Option<BatchProducer>,
) {
    let (topic, _) = state.topic_named(topic).unwrap();
    let (writer, agent) = state.agents().next().unwrap();
    let object = ObjectId {
        writer,
        sequence: agent.object_next,
    };
    let batch = BatchMeta {
        bytes,
        records,
        max_timestamp: 0,
        producer,
    };
    let run = CommitRun {
        partition: TopicPartition { topic, partition },
        position: 0,
        batches: vec![batch],
    };
    let commit = CommitObject {
        object,
        bytes: u64::from(bytes),
        runs: vec![run],
    };
    let outcome = command(state, commit).unwrap();
    assert!(matches!(outcome[0].batches[0], BatchOutcome::Accepted(_)));
}

/// Applies a command of the first agent.
pub(super) fn command<C: Submit>(state: &mut State, command: C) -> C::Outcome {
    command_at(state, 0, command)
}

/// Applies a command of the first agent at this time.
pub(crate) fn command_at<C: Submit>(state: &mut State, time_ms: i64, command: C) -> C::Outcome {
    let writer = state.agents().next().unwrap().0;
    apply(state, writer, time_ms, command)
}

/// Applies a command of this agent.
pub(crate) fn command_as<C: Submit>(
    state: &mut State,
    writer: AgentEpoch,
    command: C,
) -> C::Outcome {
    apply(state, writer, 0, command)
}

fn apply<C: Submit>(state: &mut State, writer: AgentEpoch, time_ms: i64, command: C) -> C::Outcome {
    let at = Position(state.position().0 + 1);
    let entry = Entry {
        writer,
        sequence: at.0,
        time_ms,
        commands: vec![command.into()],
    };
    match state
        .apply(at, &entry.encode(METADATA_VERSION_MAX))
        .unwrap()
        .verdict
    {
        Verdict::Done(mut outcomes) => C::outcome(outcomes.pop().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}
