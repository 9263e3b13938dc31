//! ShareFetch (API key 78), version 1: KIP-932; see [`crate::share`].

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::messages::{ApiKey, GroupId, ShareFetchRequest};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};
use uuid::Uuid;

use super::{Answer, Api, Call, Handler};
use crate::fetch::api::Memory;
use crate::share::{ShareError, ShareFetchOutcome, ShareFetchParts, SharePartitionOutcome};
use crate::wire::share_fetch_response::{
    ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic, encode_share_fetch_response,
};

pub(super) const API: Api = Api {
    key: ApiKey::ShareFetch,
    versions: 1..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: ShareFetchRequest = call.request.decode()?;
    let correlation_id = call.request.correlation_id();
    let connection = (call.connection.id(), call.connection.closed().clone());
    let parts = parts_of(&body, connection);
    // It may wait for long, and nothing of the frame is needed any more.
    drop(body);
    drop(call.request);
    call.permit.release();
    let outcome = match parts {
        Ok(parts) => call.broker.shares().fetch(parts).await,
        Err(error) => Err(error),
    };
    let (response, memory) = response_of(outcome);
    Ok(encode_share_fetch_response(correlation_id, response)?.holding(memory))
}

/// Group and member of a request; both must be there.
pub(super) fn owner_of(
    group: Option<&GroupId>,
    member: Option<&StrBytes>,
) -> Result<(String, String), ShareError> {
    match (group, member) {
        (Some(group), Some(member)) if !group.is_empty() && !member.is_empty() => {
            Ok((group.to_string(), member.to_string()))
        }
        _ => Err(ShareError::InvalidRequest),
    }
}

/// A partition as requests name it; one with a number below 0 is none that exists.
pub(super) fn partition_of(topic: Uuid, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId(topic),
        partition: u32::try_from(partition).unwrap_or(u32::MAX),
    }
}

fn parts_of(
    body: &ShareFetchRequest,
    connection: (u64, tokio_util::sync::CancellationToken),
) -> Result<ShareFetchParts, ShareError> {
    let owner = owner_of(body.group_id.as_ref(), body.member_id.as_ref())?;
    let mut added = vec![];
    let mut acknowledgements = vec![];
    for topic in &body.topics {
        for partition in &topic.partitions {
            let key = partition_of(topic.topic_id, partition.partition_index);
            added.push(key);
            let batches = partition.acknowledgement_batches.iter();
            let batches: Vec<_> = batches
                .map(|b| (b.first_offset, b.last_offset, b.acknowledge_types.clone()))
                .collect();
            if !batches.is_empty() {
                acknowledgements.push((key, batches));
            }
        }
    }
    let forgotten = body.forgotten_topics_data.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|&partition| partition_of(topic.topic_id, partition))
    });
    let number = |number: i32| u32::try_from(number).unwrap_or(0);
    Ok(ShareFetchParts {
        owner,
        epoch: body.share_session_epoch,
        connection,
        wait_max: Duration::from_millis(number(body.max_wait_ms).into()),
        bytes_max: number(body.max_bytes).into(),
        records_max: number(body.max_records),
        batch_size: number(body.batch_size),
        added,
        forgotten: forgotten.collect(),
        acknowledgements,
    })
}

/// The response, and the memory that its records take.
fn response_of(
    outcome: Result<ShareFetchOutcome, ShareError>,
) -> (ShareFetchResponse, Vec<Memory>) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let refused = ShareFetchResponse {
                error_code: error.code(),
                ..ShareFetchResponse::default()
            };
            return (refused, vec![]);
        }
    };
    let mut partitions = outcome.partitions;
    partitions.sort_by_key(|p| p.partition);
    let memory = partitions.iter_mut().map(|p| p.memory.take()).collect();
    let mut topics: Vec<ShareFetchedTopic> = vec![];
    for partition in partitions {
        let id = partition.partition.topic.0;
        if topics.last().is_none_or(|topic| topic.id != id) {
            topics.push(ShareFetchedTopic {
                id,
                partitions: vec![],
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(fetched(partition));
        }
    }
    let response = ShareFetchResponse {
        error_code: 0,
        acquisition_lock_timeout_ms: i32::try_from(outcome.lock.as_millis()).unwrap_or(i32::MAX),
        topics,
    };
    (response, memory)
}

fn fetched(outcome: SharePartitionOutcome) -> ShareFetchedPartition {
    let code = |error: Option<ShareError>| error.map_or(0, ShareError::code);
    let acquired = outcome.acquired.iter();
    let records: Vec<Bytes> = outcome.records;
    ShareFetchedPartition {
        partition: i32::try_from(outcome.partition.partition).unwrap_or(-1),
        error_code: code(outcome.error),
        acknowledge_error_code: code(outcome.acknowledged.and_then(Result::err)),
        records,
        acquired: acquired
            .map(|a| {
                (
                    a.first,
                    a.last,
                    i16::try_from(a.deliveries).unwrap_or(i16::MAX),
                )
            })
            .collect(),
    }
}
