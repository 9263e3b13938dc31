//! AddPartitionsToTxn (API key 24), versions 0 to 5: KIP-98, KIP-588, KIP-890. Clients name one transaction (until version
//! 3), brokers of Kafka several (from 4 on), or ask whether partitions are part of one.

use std::collections::BTreeSet;

use control_plane::state::{AddToTransaction, State, TransactionalId};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};
use object_format::TopicPartition;

use super::admin::{catch_up, check_named_partitions};
use super::transactions::{COMMAND_PARTITIONS_MAX, code, producer, submit};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::AddPartitionsToTxn,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// From here on a request names several transactions.
const BATCHED_SINCE: i16 = 4;

async fn handle(call: Call) -> Answer {
    let body: AddPartitionsToTxnRequest = call.request.decode()?;
    let version = call.request.version();
    if version < BATCHED_SINCE {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(body.v3_and_below_transactional_id)
            .with_producer_id(body.v3_and_below_producer_id)
            .with_producer_epoch(body.v3_and_below_producer_epoch)
            .with_topics(body.v3_and_below_topics);
        let results = add(&call, &transaction).await;
        let response =
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results);
        return call.request.respond(&response);
    }
    let mut results = Vec::with_capacity(body.transactions.len());
    for transaction in &body.transactions {
        let result = AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(add(&call, transaction).await);
        results.push(result);
    }
    let response = AddPartitionsToTxnResponse::default().with_results_by_transaction(results);
    call.request.respond(&response)
}

/// Adds all partitions to a transaction, or none.
async fn add(
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let version = call.request.version();
    let topics = &transaction.topics;
    if let Err(error) = check(call, transaction).await {
        return results(topics, |_, _| code(error, version, 2));
    }
    let resolve = |state: &State, topic: &AddPartitionsToTxnTopic, index: i32| {
        let (id, known) = state.topic_named(&topic.name)?;
        let partition = u32::try_from(index)
            .ok()
            .filter(|&i| i < known.partitions)?;
        Some(TopicPartition {
            topic: id,
            partition,
        })
    };
    let of = |topic: &AddPartitionsToTxnTopic, index| {
        call.broker
            .replica()
            .read(|state| resolve(state, topic, index))
    };
    let named = || {
        topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(move |&i| (t, i)))
    };
    if named().any(|(topic, index)| of(topic, index).is_none())
        && catch_up(&call.broker).await.is_err()
    {
        return results(topics, |_, _| ResponseError::CoordinatorNotAvailable.code());
    }
    let partitions: Vec<_> = named()
        .filter_map(|(topic, index)| of(topic, index))
        .collect();
    if partitions.len() < named().count() {
        return results(topics, |topic, index| match of(topic, index) {
            None => ResponseError::UnknownTopicOrPartition.code(),
            Some(_) => ResponseError::OperationNotAttempted.code(),
        });
    }
    if transaction.verify_only {
        let verified = call.broker.replica().read(|state| {
            let known = state.transactional_id(&transaction.transactional_id);
            verify(known, transaction, &partitions)
        });
        return results(topics, |topic, index| match &verified {
            Err(error) => error.code(),
            Ok(added) if of(topic, index).is_some_and(|of| added.contains(&of)) => 0,
            Ok(_) => ResponseError::TransactionAbortable.code(),
        });
    }
    for partitions in partitions.chunks(COMMAND_PARTITIONS_MAX) {
        let command = AddToTransaction {
            id: transaction.transactional_id.to_string(),
            producer: producer(transaction.producer_id.0, transaction.producer_epoch),
            partitions: partitions.to_vec(),
            group: None,
        };
        if let Err(error) = submit(&call.broker, command).await {
            return results(topics, |_, _| code(error, version, 2));
        }
    }
    results(topics, |_, _| 0)
}

async fn check(
    call: &Call,
    transaction: &AddPartitionsToTxnTransaction,
) -> Result<(), ResponseError> {
    if transaction.transactional_id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let named = transaction
        .topics
        .iter()
        .map(|topic| topic.partitions.len());
    check_named_partitions(named).map_err(|_| ResponseError::InvalidRequest)?;
    if transaction.verify_only {
        let current = catch_up(&call.broker).await;
        return current.map_err(|_| ResponseError::CoordinatorNotAvailable);
    }
    Ok(())
}

/// Which of the partitions are part of the producer's transaction.
fn verify(
    known: Option<&TransactionalId>,
    asked: &AddPartitionsToTxnTransaction,
    partitions: &[TopicPartition],
) -> Result<BTreeSet<TopicPartition>, ResponseError> {
    let known = known
        .filter(|known| known.producer.id == asked.producer_id.0)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    if known.producer.epoch != asked.producer_epoch {
        return Err(ResponseError::ProducerFenced);
    }
    let ongoing = known.ongoing.as_ref();
    let is_added = |of: &&TopicPartition| ongoing.is_some_and(|o| o.partitions.contains(of));
    Ok(partitions.iter().filter(is_added).copied().collect())
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&AddPartitionsToTxnTopic, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|&index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(code(topic, index))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    };
    topics.iter().map(of_topic).collect()
}
