//! Moves of the log, and the metadata version that knows of them.

use super::*;
use crate::state::moves::MOVES_SINCE;

/// A cluster that was founded by a process of this version.
fn founded_at(version: u16) -> (Driver, AgentEpoch) {
    let mut driver = Driver::new();
    let registration = RegisterAgent {
        version_max: version,
        ..registration("a", 1)
    };
    let entry = Entry {
        writer: AgentEpoch::default(),
        sequence: 1,
        time_ms: 1_000_000,
        commands: vec![registration.into()],
    };
    driver.at += 1;
    let at = Position(driver.at);
    driver.state.apply(at, &entry.encode(version)).unwrap();
    let (agent, _) = driver.state.agents().next().unwrap();
    (driver, agent)
}

fn move_log(fence: bool) -> MoveLog {
    MoveLog {
        to: "the moon".into(),
        fence,
    }
}

#[test]
fn a_move_ends_every_registration_and_what_comes_after_it_has_no_effect() {
    let (mut driver, agent) = founded_at(2);
    driver.submit(agent, topic("t", 1)).unwrap();
    let other = driver.register_at("b", 2);
    driver.commit(agent, vec![batch(3, None)]);
    let before = driver.state.clone();
    assert_eq!(driver.submit(agent, move_log(true)), Ok(1));
    let state = &driver.state;
    assert_eq!((state.moves(), state.moved_to()), (1, "the moon"));
    assert_eq!(state.agents().count(), 0);
    let departed: Vec<_> = state.departed().map(|(epoch, _)| epoch).collect();
    assert_eq!(departed, [agent, other], "their orphans are to be found");
    assert_eq!(state.topics, before.topics);
    assert_eq!(state.partitions, before.partitions);
    for writer in [agent, other] {
        let late = driver.entry(writer, topic("late", 1));
        assert_eq!(driver.apply(&late).verdict, Verdict::Fenced);
    }
    assert!(driver.state.topic_named("late").is_none());
}

#[test]
fn a_log_in_use_is_closed_only_by_who_says_so() {
    let (mut driver, agent) = founded_at(2);
    driver.register_at("b", 2);
    let refused = driver.submit(agent, move_log(false));
    assert_eq!(refused, Err(MoveRejection::InUse(vec!["b".into()])));
    assert_eq!(driver.state.moves(), 0);
    assert_eq!(driver.state.agents().count(), 2);
    assert_eq!(driver.submit(agent, move_log(true)), Ok(1));
}

#[test]
fn a_cluster_begins_at_the_version_of_its_first_process() {
    for version in [1, 2] {
        let (driver, _) = founded_at(version);
        assert_eq!(driver.state.metadata_version(), version);
        assert_eq!(driver.state.version_to_join(2), version);
    }
    assert_eq!(State::new().version_to_join(2), 2);
    let (mut driver, _) = founded_at(1);
    let late = driver.entry(AgentEpoch::default(), registration("b", 9));
    driver.at += 1;
    let at = Position(driver.at);
    driver.state.apply(at, &late.encode(2)).unwrap();
    assert_eq!(driver.state.metadata_version(), 1, "the first alone");
}

#[test]
fn moves_are_part_of_the_version_that_knows_them() {
    let (mut driver, agent) = founded_at(1);
    let refused = driver.submit(agent, move_log(true));
    assert_eq!(refused, Err(MoveRejection::Version(1)));
    let old = driver.state.to_bytes();
    assert_eq!(old, postcard::to_stdvec(&driver.state).unwrap());
    assert_eq!(State::from_bytes(&old).unwrap(), driver.state);

    let (mut driver, agent) = founded_at(MOVES_SINCE);
    driver.submit(agent, move_log(true)).unwrap();
    let bytes = driver.state.to_bytes();
    assert_eq!(State::from_bytes(&bytes).unwrap(), driver.state);
    let cut = postcard::to_stdvec(&driver.state).unwrap();
    assert!(State::from_bytes(&cut).is_err(), "a damaged one is told");
}

#[test]
fn a_version_is_raised_once_everybody_knows_it() {
    let (mut driver, agent) = founded_at(1);
    let newer = driver.register_at("b", 2);
    let raise = RaiseMetadataVersion { to: 2 };
    let refused = driver.submit(newer, raise.clone());
    let older = VersionRejection::NotKnownByAll {
        agent: "a".into(),
        version_max: 1,
    };
    assert_eq!(refused, Err(older));
    driver.submit(agent, DeregisterAgent {});
    assert_eq!(driver.submit(newer, raise.clone()), Ok(2));
    assert_eq!(
        driver.submit(newer, raise),
        Err(VersionRejection::NotHigher(2))
    );
    let late = driver.submit(AgentEpoch::default(), registration("a", 77));
    assert_eq!(late, Err(AgentRejection::TooOld(2)));
}

impl Driver {
    fn register_at(&mut self, name: &str, version_max: u16) -> AgentEpoch {
        let registration = RegisterAgent {
            version_max,
            ..registration(name, u128::from(self.at) + 100)
        };
        self.submit(AgentEpoch(0), registration).unwrap().epoch
    }
}
