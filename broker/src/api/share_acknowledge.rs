//! ShareAcknowledge (API key 79), version 1: KIP-932; see [`crate::share`].

use futures::FutureExt;
use kafka_protocol::messages::share_acknowledge_response::{
    PartitionData, ShareAcknowledgeTopicResponse,
};
use kafka_protocol::messages::{ApiKey, ShareAcknowledgeRequest, ShareAcknowledgeResponse};

use super::share_fetch::{owner_of, partition_of};
use super::{Answer, Api, Call, Handler};
use crate::share::{AcknowledgeParts, Acknowledgements, PartitionAcknowledged, ShareError};

pub(super) const API: Api = Api {
    key: ApiKey::ShareAcknowledge,
    versions: 1..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: ShareAcknowledgeRequest = call.request.decode()?;
    let outcome = match owner_of(body.group_id.as_ref(), body.member_id.as_ref()) {
        Ok(owner) => {
            let parts = AcknowledgeParts {
                owner,
                epoch: body.share_session_epoch,
                acknowledgements: acknowledgements_of(&body),
            };
            call.broker.shares().acknowledge(parts).await
        }
        Err(error) => Err(error),
    };
    let response = match outcome {
        Ok(said) => response_of(said),
        Err(error) => ShareAcknowledgeResponse::default().with_error_code(error.code()),
    };
    call.request.respond(&response)
}

fn acknowledgements_of(body: &ShareAcknowledgeRequest) -> Vec<Acknowledgements> {
    let topics = body.topics.iter();
    let said = topics.flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let key = partition_of(topic.topic_id, partition.partition_index);
            let batches = partition.acknowledgement_batches.iter();
            let batches =
                batches.map(|b| (b.first_offset, b.last_offset, b.acknowledge_types.clone()));
            (key, batches.collect())
        })
    });
    said.collect()
}

fn response_of(mut said: Vec<PartitionAcknowledged>) -> ShareAcknowledgeResponse {
    said.sort_by_key(|(partition, _)| *partition);
    let mut topics: Vec<ShareAcknowledgeTopicResponse> = vec![];
    for (key, said) in said {
        let id = key.topic.0;
        if topics.last().is_none_or(|topic| topic.topic_id != id) {
            topics.push(ShareAcknowledgeTopicResponse::default().with_topic_id(id));
        }
        let partition = PartitionData::default()
            .with_partition_index(i32::try_from(key.partition).unwrap_or(-1))
            .with_error_code(said.err().map_or(0, ShareError::code));
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition);
        }
    }
    ShareAcknowledgeResponse::default().with_responses(topics)
}
