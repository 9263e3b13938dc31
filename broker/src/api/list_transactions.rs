//! ListTransactions (API key 66), versions 0 to 2: KIP-664, KIP-994 (duration), KIP-1152 (expression). Clients ask every
//! agent, so each tells of the transactional ids that it looks after.

use control_plane::state::{State, TransactionalId as Known};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ApiKey, ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use super::{Answer, Api, Call, Handler};
use crate::transactions::transaction_node;
use crate::{re2, topology};

pub(super) const API: Api = Api {
    key: ApiKey::ListTransactions,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// The states of Kafka. What is between the decision and the markers there does not exist here, but may be asked for.
const STATES: &[&str] = &[
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

async fn handle(call: Call) -> Answer {
    let body: ListTransactionsRequest = call.request.decode()?;
    let response = match call.broker.replica().barrier().await {
        Err(_) => Err(ResponseError::CoordinatorLoadInProgress),
        Ok(()) => {
            let own = call.broker.session().node_id();
            call.broker.replica().read(|state| list(state, own, &body))
        }
    };
    let failed =
        |error: ResponseError| ListTransactionsResponse::default().with_error_code(error.code());
    call.request.respond(&response.unwrap_or_else(failed))
}

fn list(
    state: &State,
    own: i32,
    body: &ListTransactionsRequest,
) -> Result<ListTransactionsResponse, ResponseError> {
    let pattern = compile(body.transactional_id_pattern.as_deref())?;
    let nodes = topology::nodes(state);
    let is_here = |id: &str| transaction_node(nodes.iter(), id).is_some_and(|node| node.id == own);
    let matches = |id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
    let now_ms = state.log_time_ms();
    let listed = state
        .transactional_ids()
        .filter(|(id, known)| passes(known, body, now_ms) && matches(id) && is_here(id))
        .map(|(id, known)| {
            TransactionState::default()
                .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
                .with_producer_id(ProducerId(known.producer.id))
                .with_transaction_state(StrBytes::from_static_str(known.state_name()))
        });
    let unknown = body.state_filters.iter();
    let unknown = unknown.filter(|name| !STATES.contains(&name.as_str()));
    Ok(ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown.cloned().collect())
        .with_transaction_states(listed.collect()))
}

/// An expression that a whole transactional id must match; none or an empty one for all.
fn compile(pattern: Option<&str>) -> Result<Option<Regex>, ResponseError> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
        return Ok(None);
    };
    let refused = |_| ResponseError::InvalidRegularExpression;
    re2::compile(pattern).map(Some).map_err(refused)
}

/// Whether a transactional id passes the filters, but for the expression.
fn passes(known: &Known, body: &ListTransactionsRequest, now_ms: i64) -> bool {
    let (states, producers) = (&body.state_filters, &body.producer_id_filters);
    let state = known.state_name();
    let lasts = |filter_ms: i64| {
        let ongoing = known.ongoing.as_ref();
        ongoing.is_some_and(|o| now_ms.saturating_sub(o.started_ms) > filter_ms)
    };
    (states.is_empty() || states.iter().any(|name| name.as_str() == state))
        && (producers.is_empty() || producers.iter().any(|id| id.0 == known.producer.id))
        && (body.duration_filter < 0 || lasts(body.duration_filter))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, command_at, state_with};
    use super::*;
    use control_plane::state::{AddToTransaction, Heartbeat, InitTransactionalId};

    fn ids(state: &State, body: &ListTransactionsRequest) -> Vec<String> {
        let nodes = topology::nodes(state);
        let listed = list(state, nodes[0].id, body).unwrap();
        let id = |t: &TransactionState| t.transactional_id.to_string();
        listed.transaction_states.iter().map(id).collect()
    }

    #[test]
    fn filters_are_those_of_kafka() {
        let mut state = state_with(&[("t", 1)]);
        let mut init = |id: &str| {
            let init = InitTransactionalId {
                id: id.into(),
                timeout_ms: 1000,
                expected: None,
            };
            command(&mut state, init).unwrap()
        };
        let (a, b) = (init("app-1"), init("app-2"));
        let begin = AddToTransaction {
            id: "app-2".into(),
            producer: b,
            partitions: vec![],
            group: Some("g".into()),
        };
        command(&mut state, begin).unwrap();
        let all = ListTransactionsRequest::default().with_duration_filter(-1);
        assert_eq!(ids(&state, &all), ["app-1", "app-2"]);
        let text = StrBytes::from_static_str;
        let by_state = |name| all.clone().with_state_filters(vec![text(name)]);
        assert_eq!(ids(&state, &by_state("Ongoing")), ["app-2"]);
        assert!(ids(&state, &by_state("PrepareCommit")).is_empty());
        let unknown = list(&state, 0, &by_state("Nonsense")).unwrap();
        assert_eq!(unknown.unknown_state_filters, [text("Nonsense")]);
        assert!(ids(&state, &by_state("Nonsense")).is_empty());
        let by_producer = all.clone().with_producer_id_filters(vec![ProducerId(a.id)]);
        assert_eq!(ids(&state, &by_producer), ["app-1"]);
        let long = all.clone().with_duration_filter(0);
        assert!(ids(&state, &long).is_empty(), "begun just now");
        command_at(&mut state, 1_000, Heartbeat { draining: false });
        let lasting = |ms| ids(&state, &all.clone().with_duration_filter(ms));
        assert_eq!(lasting(999), ["app-2"]);
        assert!(lasting(1_000).is_empty(), "not longer than that");
        let every = STATES.iter().map(|name| text(name)).collect();
        let every = list(&state, 0, &all.clone().with_state_filters(every)).unwrap();
        assert!(every.unknown_state_filters.is_empty());
        for name in [
            "PrepareAbort",
            "CompleteCommit",
            "Dead",
            "PrepareEpochFence",
        ] {
            assert!(STATES.contains(&name), "{name}");
        }
        let by_pattern = |pattern| {
            all.clone()
                .with_transactional_id_pattern(Some(text(pattern)))
        };
        assert_eq!(ids(&state, &by_pattern("app-[13]")), ["app-1"]);
        assert_eq!(ids(&state, &by_pattern("app-1|x")), ["app-1"]);
        assert!(ids(&state, &by_pattern("x|-2")).is_empty());
        assert_eq!(ids(&state, &by_pattern("")).len(), 2, "no expression");
        assert!(
            ids(&state, &by_pattern("app")).is_empty(),
            "all of it must match"
        );
        let refused = list(&state, 0, &by_pattern("(")).unwrap_err();
        assert_eq!(refused, ResponseError::InvalidRegularExpression);
        let elsewhere = list(&state, 99, &all).unwrap();
        assert!(
            elsewhere.transaction_states.is_empty(),
            "another agent tells of them"
        );
    }
}
