//! WriteTxnMarkers (API key 27), version 1: KIP-98. Brokers of Kafka send it to each other; here it is for operators, who
//! end a transaction that hangs in a partition with it (KIP-664, `kafka-transactions.sh abort`).

use std::collections::{BTreeMap, BTreeSet};

use control_plane::state::{MarkerRejection, TransactionEnd, WriteMarkers};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ApiKey, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use object_format::TopicPartition;

use super::admin::{catch_up, check_named_partitions};
use super::transactions::{COMMAND_PARTITIONS_MAX, outcome, producer};
use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::WriteTxnMarkers,
    versions: 1..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: WriteTxnMarkersRequest = call.request.decode()?;
    let mut results = Vec::with_capacity(body.markers.len());
    for marker in &body.markers {
        let topics = write(&call, marker).await;
        let result = WritableTxnMarkerResult::default().with_producer_id(marker.producer_id);
        results.push(result.with_topics(topics));
    }
    call.request
        .respond(&WriteTxnMarkersResponse::default().with_markers(results))
}

/// Writes a marker to each of its partitions that exists.
async fn write(call: &Call, marker: &WritableTxnMarker) -> Vec<WritableTxnMarkerTopicResult> {
    let topics = &marker.topics;
    let all = |error: ResponseError| results(topics, |_, _| error.code());
    let counts = topics.iter().map(|topic| topic.partition_indexes.len());
    if check_named_partitions(counts).is_err() {
        return all(ResponseError::InvalidRequest);
    }
    if catch_up(&call.broker).await.is_err() {
        return all(ResponseError::NotLeaderOrFollower);
    }
    let find = |topic: &WritableTxnMarkerTopic, index: i32| {
        call.broker.replica().read(|state| {
            let (topic, known) = state.topic_named(&topic.name)?;
            let partition = u32::try_from(index)
                .ok()
                .filter(|&i| i < known.partitions)?;
            Some(TopicPartition { topic, partition })
        })
    };
    let named = topics.iter();
    let named = named.flat_map(|t| t.partition_indexes.iter().map(move |&i| (t, i)));
    let partitions: BTreeSet<_> = named
        .filter_map(|(topic, index)| find(topic, index))
        .collect();
    let partitions = Vec::from_iter(partitions);
    let mut outcomes = BTreeMap::new();
    for partitions in partitions.chunks(COMMAND_PARTITIONS_MAX) {
        let command = WriteMarkers {
            producer: producer(marker.producer_id.0, marker.producer_epoch),
            end: match marker.transaction_result {
                true => TransactionEnd::Commit,
                false => TransactionEnd::Abort,
            },
            partitions: partitions.to_vec(),
        };
        match outcome(call.broker.session(), command).await {
            Ok(written) => outcomes.extend(partitions.iter().copied().zip(written)),
            Err(_) => return all(ResponseError::NotLeaderOrFollower),
        }
    }
    let of = |of: TopicPartition| outcomes.get(&of).copied();
    results(topics, |topic, index| {
        match find(topic, index).and_then(of) {
            Some(Ok(())) => 0,
            Some(Err(MarkerRejection::Fenced)) => ResponseError::InvalidProducerEpoch.code(),
            Some(Err(MarkerRejection::UnknownPartition)) | None => {
                ResponseError::UnknownTopicOrPartition.code()
            }
        }
    })
}

fn results(
    topics: &[WritableTxnMarkerTopic],
    code: impl Fn(&WritableTxnMarkerTopic, i32) -> i16,
) -> Vec<WritableTxnMarkerTopicResult> {
    let of_topic = |topic: &WritableTxnMarkerTopic| {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(code(topic, index))
        });
        WritableTxnMarkerTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    };
    topics.iter().map(of_topic).collect()
}
