use std::collections::BTreeSet;

use control_plane::state::{
    AddToTransaction, DeregisterAgent, EndTransaction, EndedBy, ForgetTransactionalIds, Heartbeat,
    InitTransactionalId, Producer, State, TransactionEnd,
};

use super::expiry::idle;
use super::timeouts::overdue;
use super::transaction_node;
use crate::api::testing::{command_at, register, state_with};
use crate::topology;

const BEGUN_MS: i64 = 100_000;

fn id(number: i32) -> String {
    format!("id-{number}")
}

fn init(state: &mut State, id: &str) -> Producer {
    let init = InitTransactionalId {
        id: id.to_owned(),
        timeout_ms: 5_000,
        expected: None,
    };
    command_at(state, BEGUN_MS, init).unwrap()
}

/// Two agents, and twenty transactional ids, those with even numbers in a transaction.
fn busy() -> State {
    let mut state = state_with(&[("t", 1)]);
    register(&mut state, "b");
    for number in 0..20 {
        let producer = init(&mut state, &id(number));
        if number % 2 == 0 {
            let begin = AddToTransaction {
                id: id(number),
                producer,
                partitions: vec![],
                group: Some("g".into()),
            };
            command_at(&mut state, BEGUN_MS, begin).unwrap();
        }
    }
    state
}

fn pass(state: &mut State, to_ms: i64) {
    command_at(state, to_ms, Heartbeat { draining: false });
}

fn nodes(state: &State) -> Vec<i32> {
    topology::nodes(state).iter().map(|node| node.id).collect()
}

#[test]
fn an_agent_that_drains_looks_after_nothing_while_there_are_others() {
    let places = |state: &State| -> BTreeSet<Option<i32>> {
        let nodes = topology::nodes(state);
        let place = |number| transaction_node(nodes.iter(), &id(number)).map(|node| node.id);
        (0..20).map(place).collect()
    };
    let mut state = busy();
    assert_eq!(places(&state).len(), 2);
    command_at(&mut state, BEGUN_MS, Heartbeat { draining: true });
    let nodes = topology::nodes(&state);
    let steady = nodes.iter().find(|node| !node.draining).map(|n| n.id);
    assert_eq!(places(&state), BTreeSet::from([steady]));
    let mut alone = state_with(&[]);
    command_at(&mut alone, BEGUN_MS, Heartbeat { draining: true });
    assert!(places(&alone).iter().all(Option::is_some));
}

#[test]
fn each_overdue_transaction_is_aborted_by_one_agent() {
    let mut state = busy();
    let ids = |state: &State| -> Vec<Vec<String>> {
        let by_node = nodes(state).into_iter().map(|node| overdue(state, node));
        by_node
            .map(|due| due.into_iter().map(|end| end.id).collect())
            .collect()
    };
    pass(&mut state, BEGUN_MS + 5_000);
    assert_eq!(ids(&state).concat(), [""; 0], "its timeout is not over");
    pass(&mut state, BEGUN_MS + 5_001);
    let due = ids(&state);
    assert!(
        due.len() == 2 && due.iter().all(|ids| !ids.is_empty()),
        "{due:?}"
    );
    let mut all = due.concat();
    all.sort_by_key(|id| id.len());
    assert_eq!(all.len(), 10);
    assert!((0..20).step_by(2).all(|number| all.contains(&id(number))));
    // When the other agent has gone, the one that is left has them all.
    command_at(&mut state, BEGUN_MS + 5_002, DeregisterAgent {});
    assert_eq!(ids(&state).iter().map(Vec::len).collect::<Vec<_>>(), [10]);
    for end in overdue(&state, nodes(&state)[0]) {
        assert_eq!(end.end, TransactionEnd::Abort);
        assert!(command_at(&mut state, BEGUN_MS + 5_003, end).is_ok());
    }
    assert_eq!(ids(&state).concat(), [""; 0]);
}

#[test]
fn each_idle_transactional_id_is_forgotten_by_one_agent() {
    let mut state = busy();
    let seen = |state: &State| -> Vec<(String, i64)> {
        let by_node = nodes(state)
            .into_iter()
            .map(|node| idle(state, node, 60_000));
        by_node.flatten().collect()
    };
    pass(&mut state, BEGUN_MS + 59_999);
    assert_eq!(seen(&state), []);
    pass(&mut state, BEGUN_MS + 60_000);
    let found = seen(&state);
    assert_eq!(found.len(), 10, "those in a transaction stay");
    assert!(
        (1..20)
            .step_by(2)
            .all(|n| found.iter().any(|(known, _)| *known == id(n)))
    );
    // One that is used before the command comes stays.
    init(&mut state, &id(1));
    let forgotten = command_at(
        &mut state,
        BEGUN_MS + 60_001,
        ForgetTransactionalIds { seen: found },
    );
    assert_eq!(forgotten, 9);
    assert!(state.transactional_id(&id(1)).is_some());
}

#[test]
fn a_transaction_that_ended_meanwhile_is_not_aborted() {
    let mut state = busy();
    pass(&mut state, BEGUN_MS + 5_001);
    let due: Vec<EndTransaction> = nodes(&state)
        .into_iter()
        .flat_map(|node| overdue(&state, node))
        .collect();
    let commit = EndTransaction {
        end: TransactionEnd::Commit,
        by: EndedBy::Producer,
        ..due[0].clone()
    };
    command_at(&mut state, BEGUN_MS + 5_002, commit).unwrap();
    assert!(command_at(&mut state, BEGUN_MS + 5_003, due[0].clone()).is_err());
}
