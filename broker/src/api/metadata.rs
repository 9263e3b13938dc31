//! Metadata (API key 3), versions 0 to 13: KIP-4, KIP-430, KIP-516, KIP-1102.
//!
//! A topic that this agent does not know is looked for in the log before it is said not to exist, so that what was just
//! created through another agent is found.

use std::collections::BTreeMap;

use control_plane::state::{CreateTopic, State, Topic, TopicRejection};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};

use super::transactions::outcome;
use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;
use crate::topology::View;

pub(super) const API: Api = Api {
    key: ApiKey::Metadata,
    versions: 0..=13,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Operations are not authorized, so none are listed (KIP-430).
const NO_OPERATIONS: i32 = i32::MIN;

async fn handle(call: Call) -> Answer {
    let body: MetadataRequest = call.request.decode()?;
    let version = call.request.version();
    let everything = match &body.topics {
        None => true,
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let wanted = body.topics.unwrap_or_default();
    // Before version 4 clients cannot say that nothing is to be created.
    let may_create = version < 4 || body.allow_auto_topic_creation;
    if !wanted.is_empty() {
        look_twice(&call.broker, &wanted, may_create).await;
    }
    let response = call.look(|state, view| {
        let topics = if everything {
            state
                .topics()
                .map(|(id, topic)| describe(id, topic, view))
                .collect()
        } else {
            wanted
                .iter()
                .map(|topic| find(state, topic, view))
                .collect()
        };
        let brokers = view.brokers.iter().map(|node| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node.id))
                .with_host(StrBytes::from_string(node.host.clone()))
                .with_port(i32::from(node.port))
                .with_rack(node.zone.clone().map(StrBytes::from_string))
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_controller_id(BrokerId(view.controller()))
            .with_topics(topics)
    });
    let cluster_id = StrBytes::from_string(call.broker.cluster_id().to_owned());
    call.request
        .respond(&response.with_cluster_id(Some(cluster_id)))
}

/// Makes sure that what is not known here is not known to the log either, and creates it where that is wanted.
async fn look_twice(broker: &Broker, wanted: &[MetadataRequestTopic], may_create: bool) {
    let unknown = |state: &State| -> Vec<MetadataRequestTopic> {
        let is_unknown = |t: &&MetadataRequestTopic| lookup(state, t).is_err();
        wanted.iter().filter(is_unknown).cloned().collect()
    };
    if broker.replica().read(unknown).is_empty() {
        return;
    }
    if broker.replica().barrier().await.is_err()
        || !may_create
        || !broker.config().auto_create_topics
    {
        return;
    }
    for topic in broker.replica().read(unknown) {
        let Some(name) = topic.name.filter(|_| topic.topic_id.is_nil()) else {
            continue;
        };
        let create = CreateTopic {
            name: name.to_string(),
            id: TopicId(broker.rng().uuid()),
            partitions: broker.config().partitions_default,
            configs: BTreeMap::new(),
        };
        match outcome(broker.session(), create).await {
            Ok(Ok(()) | Err(TopicRejection::NameTaken)) => {}
            Ok(Err(rejection)) => tracing::debug!(%rejection, "did not create a topic"),
            Err(error) => tracing::debug!(?error, "did not create a topic"),
        }
    }
}

fn lookup<'a>(
    state: &'a State,
    wanted: &MetadataRequestTopic,
) -> Result<(TopicId, &'a Topic), ResponseError> {
    if !wanted.topic_id.is_nil() {
        let id = TopicId(wanted.topic_id);
        let topic = state.topic(id).ok_or(ResponseError::UnknownTopicId)?;
        return Ok((id, topic));
    }
    let name = wanted
        .name
        .as_ref()
        .ok_or(ResponseError::InvalidTopicException)?;
    state.topic_named(name).ok_or_else(|| {
        if control_plane::state::is_legal_topic_name(name) {
            ResponseError::UnknownTopicOrPartition
        } else {
            ResponseError::InvalidTopicException
        }
    })
}

fn find(state: &State, wanted: &MetadataRequestTopic, view: &View) -> MetadataResponseTopic {
    match lookup(state, wanted) {
        Ok((id, topic)) => describe(id, topic, view),
        Err(error) => MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(wanted.name.clone())
            .with_topic_id(wanted.topic_id)
            .with_topic_authorized_operations(NO_OPERATIONS),
    }
}

fn describe(id: TopicId, topic: &Topic, view: &View) -> MetadataResponseTopic {
    let partition = |index: u32| {
        let replicas = view.replicas(TopicPartition {
            topic: id,
            partition: index,
        });
        let replicas: Vec<BrokerId> = replicas.into_iter().map(BrokerId).collect();
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(replicas[0])
            .with_leader_epoch(0)
            .with_isr_nodes(replicas.clone())
            .with_replica_nodes(replicas)
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(id.0)
        .with_partitions((0..topic.partitions).map(partition).collect())
        .with_topic_authorized_operations(NO_OPERATIONS)
}
