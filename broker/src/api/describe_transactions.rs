//! DescribeTransactions (API key 65), version 0: KIP-664.

use std::collections::BTreeMap;

use control_plane::state::{State, TransactionalId as Known};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::DescribeTransactions,
    versions: 0..=0,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DescribeTransactionsRequest = call.request.decode()?;
    let is_current = call.broker.replica().barrier().await.is_ok();
    let ids = body.transactional_ids;
    let states = call
        .broker
        .replica()
        .read(|state| describe_each(state, ids, is_current));
    let response = DescribeTransactionsResponse::default().with_transaction_states(states);
    call.request.respond(&response)
}

/// Tells of each once, however often it is asked for: an answer is not larger than the state.
fn describe_each(
    state: &State,
    mut ids: Vec<TransactionalId>,
    is_current: bool,
) -> Vec<TransactionState> {
    ids.sort_unstable();
    ids.dedup();
    let ids = ids.into_iter();
    ids.map(|id| describe(state, id, is_current)).collect()
}

fn describe(state: &State, id: TransactionalId, is_current: bool) -> TransactionState {
    let known = match state.transactional_id(&id) {
        _ if !is_current => Err(ResponseError::CoordinatorNotAvailable),
        _ if id.is_empty() => Err(ResponseError::InvalidRequest),
        None => Err(ResponseError::TransactionalIdNotFound),
        Some(known) => Ok(known),
    };
    let told = TransactionState::default().with_transactional_id(id);
    let known = match known {
        Ok(known) => known,
        Err(error) => return told.with_error_code(error.code()),
    };
    let started_ms = known.ongoing.as_ref().map_or(-1, |o| o.started_ms);
    told.with_transaction_state(StrBytes::from_static_str(known.state_name()))
        .with_transaction_timeout_ms(known.timeout_ms)
        .with_transaction_start_time_ms(started_ms)
        .with_producer_id(ProducerId(known.producer.id))
        .with_producer_epoch(known.producer.epoch)
        .with_topics(topics(state, known))
}

/// The partitions of a transaction under way.
fn topics(state: &State, known: &Known) -> Vec<TopicData> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for of in known.ongoing.iter().flat_map(|o| &o.partitions) {
        if let (Some(topic), Ok(index)) = (state.topic(of.topic), i32::try_from(of.partition)) {
            topics.entry(&topic.name).or_default().push(index);
        }
    }
    let told = topics.into_iter().map(|(name, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(name.to_owned())))
            .with_partitions(partitions)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, state_with};
    use super::*;
    use control_plane::state::{AddToTransaction, InitTransactionalId};
    use object_format::TopicPartition;

    fn id(text: &'static str) -> TransactionalId {
        TransactionalId(StrBytes::from_static_str(text))
    }

    #[test]
    fn what_is_under_way_is_told_with_its_partitions() {
        let mut state = state_with(&[("t", 3)]);
        let init = InitTransactionalId {
            id: "a".into(),
            timeout_ms: 1234,
            expected: None,
        };
        let producer = command(&mut state, init).unwrap();
        let empty = describe(&state, id("a"), true);
        assert_eq!(&*empty.transaction_state, "Empty");
        assert_eq!(
            (empty.transaction_start_time_ms, empty.topics.len()),
            (-1, 0)
        );
        let topic = state.topic_named("t").unwrap().0;
        let add = AddToTransaction {
            id: "a".into(),
            producer,
            partitions: [2, 0]
                .map(|partition| TopicPartition { topic, partition })
                .into(),
            group: None,
        };
        command(&mut state, add).unwrap();
        let told = describe(&state, id("a"), true);
        assert_eq!(&*told.transaction_state, "Ongoing");
        assert_eq!(
            (told.transaction_timeout_ms, told.producer_id.0),
            (1234, producer.id)
        );
        assert_eq!(told.transaction_start_time_ms, state.log_time_ms());
        let topics: Vec<_> = told
            .topics
            .iter()
            .map(|t| (t.topic.as_str(), &t.partitions[..]))
            .collect();
        assert_eq!(topics, [("t", &[0, 2][..])]);
        let asked = vec![id("a"), id("b"), id("a")];
        assert_eq!(describe_each(&state, asked, true).len(), 2, "each once");
        let code = |text, is_current| describe(&state, id(text), is_current).error_code;
        assert_eq!(
            code("b", true),
            ResponseError::TransactionalIdNotFound.code()
        );
        assert_eq!(code("", true), ResponseError::InvalidRequest.code());
        assert_eq!(
            code("a", false),
            ResponseError::CoordinatorNotAvailable.code()
        );
    }
}
