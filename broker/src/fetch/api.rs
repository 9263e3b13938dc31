//! Fetch (versions 4 to 18) and ListOffsets (1 to 10): requests taken apart, outcomes put into
//! responses. KIP-227 sessions, KIP-320 leader epochs, KIP-516 topic ids, KIP-734 max timestamp.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use object_format::TopicId;
use uuid::Uuid;

use super::fair::FairPermit;
use super::list_offsets::{EARLIEST_LOCAL, FoundOffset, LATEST_TIERED, MAX_TIMESTAMP, OffsetQuery};
use super::outcome::{FetchOutcome, PartitionOutcome};
use super::plan::{Isolation, PartitionFetch, TopicRef};
use super::pool::Client;
use super::session::SessionRequest;
use super::{FetchError, FetchParts, Fetcher, Nearer};
use crate::wire::fetch_response::{
    AbortedTransaction, FetchResponse, FetchedPartition, FetchedTopic,
};

/// From this version on, topics are named by id.
const FETCH_BY_ID: i16 = 13;

/// First version with fetch sessions.
const FETCH_WITH_SESSIONS: i16 = 7;

const READ_COMMITTED: i8 = 1;

/// The memory that the records of a response take, to be kept until it has been written.
pub type Memory = Option<Arc<FairPermit>>;

/// Answers a Fetch; `nearer` says where its client would rather read, if not here.
pub async fn handle_fetch(
    fetcher: &Fetcher,
    client: Client,
    version: i16,
    request: FetchRequest,
    nearer: Option<Nearer>,
) -> (FetchResponse, Memory) {
    let mut parts = parts_of(client, version, &request);
    parts.nearer = nearer;
    // It may wait for long, and its names point into the frame.
    drop(request);
    let mut outcome = fetcher.fetch(parts).await;
    let memory = outcome.memory.take();
    (response_of(outcome), memory)
}

/// Takes a Fetch request apart; nothing of it points into the frame.
fn parts_of(client: Client, version: i16, request: &FetchRequest) -> FetchParts {
    let uses_ids = version >= FETCH_BY_ID;
    let partitions = request.topics.iter().flat_map(|topic| {
        let name = topic_ref(uses_ids, &topic.topic, topic.topic_id);
        topic
            .partitions
            .iter()
            .map(move |partition| PartitionFetch {
                topic: name.clone(),
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                bytes_max: bytes(partition.partition_max_bytes),
                current_leader_epoch: partition.current_leader_epoch,
            })
    });
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let name = topic_ref(uses_ids, &topic.topic, topic.topic_id);
        topic
            .partitions
            .iter()
            .map(move |&partition| (name.clone(), partition))
    });
    let (session_id, epoch) = if version >= FETCH_WITH_SESSIONS {
        (request.session_id, request.session_epoch)
    } else {
        (super::session::NO_SESSION, super::session::FINAL_EPOCH)
    };
    FetchParts {
        client,
        session: SessionRequest {
            session_id,
            epoch,
            uses_ids,
            partitions: partitions.collect(),
            forgotten: forgotten.collect(),
        },
        wait_max: Duration::from_millis(bytes(request.max_wait_ms)),
        bytes_min: bytes(request.min_bytes),
        bytes_max: bytes(request.max_bytes),
        isolation: isolation_of(request.isolation_level),
        nearer: None,
    }
}

fn topic_ref(uses_ids: bool, name: &TopicName, id: Uuid) -> TopicRef {
    if uses_ids {
        TopicRef::Id(TopicId(id))
    } else {
        TopicRef::Name(Arc::from(&*name.0))
    }
}

fn isolation_of(level: i8) -> Isolation {
    match level {
        READ_COMMITTED => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    }
}

/// A number that makes no sense below 0.
fn bytes(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn code(error: Option<FetchError>) -> i16 {
    error.map_or(0, FetchError::code)
}

fn response_of(outcome: FetchOutcome) -> FetchResponse {
    let mut topics: Vec<FetchedTopic> = vec![];
    let mut last: Option<TopicRef> = None;
    for partition in outcome.partitions {
        if last.as_ref() != Some(&partition.topic) {
            topics.push(fetched_topic(&partition.topic));
            last = Some(partition.topic.clone());
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(fetched_partition(partition));
        }
    }
    FetchResponse {
        error_code: code(outcome.error),
        session_id: outcome.session_id,
        topics,
        ..FetchResponse::default()
    }
}

fn fetched_topic(topic: &TopicRef) -> FetchedTopic {
    match topic {
        TopicRef::Id(id) => FetchedTopic {
            id: id.0,
            ..FetchedTopic::default()
        },
        TopicRef::Name(name) => FetchedTopic {
            name: StrBytes::from_string(name.to_string()),
            ..FetchedTopic::default()
        },
    }
}

fn fetched_partition(outcome: PartitionOutcome) -> FetchedPartition {
    let aborted = |transactions: Vec<super::outcome::AbortedTransaction>| {
        let one = |transaction: super::outcome::AbortedTransaction| AbortedTransaction {
            producer_id: transaction.producer_id,
            first_offset: transaction.first_offset,
        };
        transactions.into_iter().map(one).collect()
    };
    FetchedPartition {
        partition: outcome.partition,
        error_code: code(outcome.error),
        high_watermark: outcome.high_watermark,
        last_stable_offset: outcome.last_stable_offset,
        log_start_offset: outcome.log_start_offset,
        aborted_transactions: outcome.aborted_transactions.map(aborted),
        records: outcome.records.chunks,
        preferred_read_replica: outcome.preferred.unwrap_or(-1),
        ..FetchedPartition::default()
    }
}

/// Answers a ListOffsets.
pub async fn handle_list_offsets(
    fetcher: &Fetcher,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let isolation = isolation_of(request.isolation_level);
    let mut seen = HashSet::new();
    let mut queries = vec![];
    let mut refused = vec![];
    for topic in &request.topics {
        let name: Arc<str> = Arc::from(&*topic.name.0);
        for partition in &topic.partitions {
            let first = seen.insert((name.clone(), partition.partition_index));
            let known = is_known_in(version, partition.timestamp);
            refused.push(match (first, known) {
                (false, _) => Some(FetchError::InvalidRequest),
                (true, false) => Some(FetchError::UnsupportedVersion),
                (true, true) => None,
            });
            if first && known {
                queries.push(OffsetQuery {
                    topic: TopicRef::Name(name.clone()),
                    partition: partition.partition_index,
                    timestamp: partition.timestamp,
                    current_leader_epoch: partition.current_leader_epoch,
                });
            }
        }
    }
    let mut answers = fetcher.list_offsets(queries, isolation).await.into_iter();
    let mut refused = refused.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let answer = match refused.next().flatten() {
                Some(error) => Err(error),
                None => answers.next().unwrap_or(Err(FetchError::InvalidRequest)),
            };
            listed(version, partition.partition_index, answer)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Whether this version of ListOffsets knows this special timestamp, if it is one.
fn is_known_in(version: i16, timestamp: i64) -> bool {
    match timestamp {
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        timestamp => timestamp > MAX_TIMESTAMP,
    }
}

fn listed(
    version: i16,
    partition: i32,
    answer: Result<FoundOffset, FetchError>,
) -> ListOffsetsPartitionResponse {
    let found = answer.unwrap_or(FoundOffset::NONE);
    let response = ListOffsetsPartitionResponse::default()
        .with_partition_index(partition)
        .with_error_code(code(answer.err()))
        .with_timestamp(found.timestamp)
        .with_offset(found.offset);
    if version >= 4 {
        response.with_leader_epoch(found.leader_epoch)
    } else {
        response
    }
}

#[cfg(test)]
mod tests;
