//! TxnOffsetCommit (API key 28), versions 0 to 5: KIP-98, KIP-447 (members), KIP-890 (from version 5 on the group becomes
//! part of the transaction by this). The offsets show when the transaction commits.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, OffsetCommitRequest, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::offset_commit::{RETENTION_OF_BROKERS, names_unknown, sort};
use super::transactions::producer;
use super::{Answer, Api, Call, Handler};
use crate::group::machine::GroupError;
use crate::group::{Committer, InTransaction};

pub(super) const API: Api = Api {
    key: ApiKey::TxnOffsetCommit,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// From this version on the group becomes part of the transaction (KIP-890).
const JOINS_SINCE: i16 = 5;

/// From this version on a client knows TRANSACTION_ABORTABLE (KIP-890).
const KNOWS_ABORTABLE_SINCE: i16 = 4;

/// From this version on the request names the member.
const NAMES_MEMBER_SINCE: i16 = 3;

async fn handle(call: Call) -> Answer {
    let body: TxnOffsetCommitRequest = call.request.decode()?;
    let version = call.request.version();
    let plain = plain(&body);
    let (replica, groups) = (call.broker.replica(), call.broker.groups());
    if replica.read(|s| names_unknown(s, &plain)) {
        // It may have been created through another agent a moment ago.
        let _ = groups.catch_up().await;
    }
    let metadata_max = groups.options().offset_metadata_bytes_max;
    let (offsets, refusals) = replica.read(|s| sort(s, &plain, metadata_max));
    let who = Committer {
        member_id: body.member_id.to_string(),
        instance_id: body.group_instance_id.as_ref().map(ToString::to_string),
        generation: match version >= NAMES_MEMBER_SINCE {
            true => body.generation_id,
            false => -1,
        },
        knows_member_epochs: true,
        transaction: Some(InTransaction {
            id: body.transactional_id.to_string(),
            producer: producer(body.producer_id.0, body.producer_epoch),
            joins: version >= JOINS_SINCE,
        }),
    };
    let committed = match () {
        () if body.transactional_id.is_empty() => Err(GroupError::InvalidRequest),
        () if offsets.is_empty() => Ok(()),
        () => {
            let absent = GroupError::IllegalGeneration;
            groups.commit(&body.group_id, who, offsets, absent).await
        }
    };
    let error_code = committed.map_or_else(|error| code(error, version), |()| 0);
    let response = respond(&plain, &refusals, error_code);
    Ok(call.request.respond(&response)?.with_error_code(error_code))
}

fn code(error: GroupError, version: i16) -> i16 {
    match error {
        GroupError::InvalidTxnState if version >= KNOWS_ABORTABLE_SINCE => {
            ResponseError::TransactionAbortable.code()
        }
        error => error.code(),
    }
}

/// What it would be outside of a transaction.
fn plain(body: &TxnOffsetCommitRequest) -> OffsetCommitRequest {
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_committed_metadata(partition.committed_metadata.clone())
        });
        OffsetCommitRequestTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_retention_time_ms(RETENTION_OF_BROKERS)
        .with_topics(topics.collect())
}

fn respond(
    plain: &OffsetCommitRequest,
    refusals: &[Option<ResponseError>],
    error_code: i16,
) -> TxnOffsetCommitResponse {
    let mut refusals = refusals.iter();
    let topics = plain.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let refusal = refusals.next().copied().flatten();
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(refusal.map_or(error_code, |error| error.code()))
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
