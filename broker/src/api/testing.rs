//! Metadata to answer from, for tests.

use std::collections::BTreeMap;

use control_plane::log::Position;
use control_plane::state::{
    CreateTopic, Entry, METADATA_VERSION_MAX, RegisterAgent, State, Submit, Verdict,
};
use object_format::{AgentEpoch, TopicId};
use uuid::Uuid;

/// A state with one agent and these topics, named with their numbers of partitions.
pub(super) fn state_with(topics: &[(&str, u32)]) -> State {
    let mut state = State::new();
    let registration = RegisterAgent {
        nonce: Uuid::from_u128(1),
        agent_id: "a".into(),
        host: "127.0.0.1".into(),
        port: 9092,
        peer_address: String::new(),
        zone: None,
        version_max: METADATA_VERSION_MAX,
    };
    apply(&mut state, AgentEpoch::default(), registration).unwrap();
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

/// Applies a command of that agent.
pub(super) fn command<C: Submit>(state: &mut State, command: C) -> C::Outcome {
    let writer = state.agents().next().unwrap().0;
    apply(state, writer, command)
}

fn apply<C: Submit>(state: &mut State, writer: AgentEpoch, command: C) -> C::Outcome {
    let at = Position(state.position().0 + 1);
    let entry = Entry {
        writer,
        sequence: at.0,
        time_ms: 0,
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
