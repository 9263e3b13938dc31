//! CreateTopics (API key 19), versions 2 to 7: KIP-4, KIP-464 (defaults), KIP-516 (ids), KIP-525 (configs in the response).
//!
//! The bucket does the replicating: every replication factor is accepted and 1 is reported; of a manual assignment only
//! the number of partitions counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use control_plane::state::{CreateTopic, State};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use object_format::TopicId;
use uuid::Uuid;

use super::admin::{
    PARTITIONS_PER_REQUEST_MAX, Rejection, catch_up, check_replicas, check_topic_name, layers,
    within,
};
use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;
use crate::config::normalize_topic;
use crate::config::value::ConfigError;

pub(super) const API: Api = Api {
    key: ApiKey::CreateTopics,
    versions: 2..=7,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Kafka's own metadata is a topic of this name; there is none here, and nobody else's should look like it.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// What a topic will be.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    partitions: u32,
    configs: BTreeMap<String, String>,
}

type Planned = (TopicName, Result<Plan, Rejection>);

async fn handle(call: Call) -> Answer {
    let body: CreateTopicsRequest = call.request.decode()?;
    let with_configs = call.request.version() >= 5;
    let work = create(&call.broker, &body, with_configs);
    let topics = match within(body.timeout_ms, work).await {
        Ok(Ok(topics)) => topics,
        Ok(Err(rejection)) | Err(rejection) => {
            let names: BTreeSet<&TopicName> = body.topics.iter().map(|topic| &topic.name).collect();
            names
                .into_iter()
                .map(|name| refused(name.clone(), &rejection))
                .collect()
        }
    };
    call.request
        .respond(&CreateTopicsResponse::default().with_topics(topics))
}

async fn create(
    broker: &Broker,
    body: &CreateTopicsRequest,
    with_configs: bool,
) -> Result<Vec<CreatableTopicResult>, Rejection> {
    catch_up(broker).await?;
    let partitions_default = broker.config().partitions_default;
    let planned = broker
        .replica()
        .read(|state| plan_all(state, &body.topics, partitions_default));
    let mut begun = Vec::with_capacity(planned.len());
    for (name, plan) in planned {
        let plan = match plan {
            Ok(plan) => plan,
            Err(rejection) => {
                begun.push((name, Err(rejection)));
                continue;
            }
        };
        if body.validate_only {
            begun.push((name, Ok((plan, Uuid::nil(), None))));
            continue;
        }
        let id = broker.rng().uuid();
        let command = CreateTopic {
            name: name.to_string(),
            id: TopicId(id),
            partitions: plan.partitions,
            configs: plan.configs.clone(),
        };
        let outcome = broker
            .session()
            .enqueue(command)
            .await
            .map_err(Rejection::from);
        begun.push((name, outcome.map(|outcome| (plan, id, Some(outcome)))));
    }
    let mut results = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let done = match begun {
            Ok((plan, id, None)) => Ok((plan, id)),
            Ok((plan, id, Some(outcome))) => match outcome.await {
                Ok(created) => created.map(|()| (plan, id)).map_err(Rejection::from),
                Err(error) => Err(error.into()),
            },
            Err(rejection) => Err(rejection),
        };
        results.push(match done {
            Ok((plan, id)) => created(broker, name, id, &plan, with_configs),
            Err(rejection) => refused(name, &rejection),
        });
    }
    Ok(results)
}

fn refused(name: TopicName, rejection: &Rejection) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(rejection.code())
        .with_error_message(rejection.told())
}

fn created(
    broker: &Broker,
    name: TopicName,
    id: Uuid,
    plan: &Plan,
    with_configs: bool,
) -> CreatableTopicResult {
    let result = CreatableTopicResult::default()
        .with_name(name)
        .with_topic_id(id);
    if !with_configs {
        return result;
    }
    let entries = broker
        .replica()
        .read(|state| layers(broker, state).of_topic(&plan.configs));
    let configs = entries.into_iter().map(|entry| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(entry.name))
            .with_value(entry.value.map(StrBytes::from_string))
            .with_read_only(entry.is_read_only)
            .with_config_source(entry.source as i8)
            .with_is_sensitive(entry.is_secret)
    });
    result
        .with_num_partitions(i32::try_from(plan.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}

/// Judges every topic of a request once, in the request's order.
fn plan_all(state: &State, topics: &[CreatableTopic], partitions_default: u32) -> Vec<Planned> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in topics {
        *times.entry(topic.name.as_str()).or_default() += 1;
    }
    let collisions = Collisions::new(state, topics);
    let mut planned = Vec::with_capacity(topics.len());
    for topic in topics {
        match times.remove(topic.name.as_str()) {
            Some(1) => {
                let plan = plan(state, &collisions, topic, partitions_default);
                planned.push((topic.name.clone(), plan));
            }
            Some(_) => {
                let twice = Rejection::invalid_request("Duplicate topic name.");
                planned.push((topic.name.clone(), Err(twice)));
            }
            None => {}
        }
    }
    let partitions = planned
        .iter()
        .filter_map(|(_, plan)| Some(plan.as_ref().ok()?.partitions));
    if partitions.map(|count| count as usize).sum::<usize>() > PARTITIONS_PER_REQUEST_MAX {
        for (_, plan) in planned.iter_mut().filter(|(_, plan)| plan.is_ok()) {
            *plan = Err(Rejection::too_many_partitions());
        }
    }
    planned
}

fn plan(
    state: &State,
    collisions: &Collisions,
    topic: &CreatableTopic,
    partitions_default: u32,
) -> Result<Plan, Rejection> {
    let name = topic.name.as_str();
    if name == CLUSTER_METADATA {
        let message = "Creation of internal topic __cluster_metadata is prohibited.";
        return Err(Rejection::invalid_request(message));
    }
    check_topic_name(name)?;
    if state.topic_named(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err(Rejection::new(ResponseError::TopicAlreadyExists, message));
    }
    collisions.check(name)?;
    let configs = configs(topic)?;
    let partitions = partitions(topic, partitions_default)?;
    Ok(Plan {
        partitions,
        configs,
    })
}

/// Kafka derives metric names from topics', in which '.' becomes '_': two topics that differ in nothing else collide.
struct Collisions(HashMap<String, String>);

impl Collisions {
    fn new(state: &State, wanted: &[CreatableTopic]) -> Self {
        if !wanted.iter().any(|topic| may_collide(&topic.name)) {
            return Self(HashMap::new());
        }
        let names = state
            .topics()
            .map(|(_, topic)| &topic.name)
            .filter(|name| may_collide(name));
        Self(
            names
                .map(|name| (name.replace('.', "_"), name.clone()))
                .collect(),
        )
    }

    fn check(&self, name: &str) -> Result<(), Rejection> {
        match self.0.get(&name.replace('.', "_")) {
            Some(existing) => {
                let message = format!("Topic '{name}' collides with existing topic: {existing}");
                Err(Rejection::new(
                    ResponseError::InvalidTopicException,
                    message,
                ))
            }
            None => Ok(()),
        }
    }
}

fn may_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, Rejection> {
    let mut raw = BTreeMap::new();
    let mut null = Vec::new();
    for config in &topic.configs {
        match &config.value {
            Some(value) => {
                raw.insert(config.name.to_string(), value.to_string());
            }
            None => null.push(config.name.as_str()),
        }
    }
    if !null.is_empty() {
        return Err(ConfigError::NullAtCreation(null.join(",")).into());
    }
    Ok(normalize_topic(&raw)?)
}

fn partitions(topic: &CreatableTopic, default: u32) -> Result<u32, Rejection> {
    if !topic.assignments.is_empty() {
        return assigned(topic);
    }
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(Rejection::new(
            ResponseError::InvalidReplicationFactor,
            message,
        ));
    }
    match topic.num_partitions {
        -1 => Ok(default),
        count => u32::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| {
                let message = "Number of partitions was set to an invalid non-positive value.";
                Rejection::new(ResponseError::InvalidPartitions, message)
            }),
    }
}

/// The number of partitions that a manual assignment names.
fn assigned(topic: &CreatableTopic) -> Result<u32, Rejection> {
    let combined = |what: &str| {
        Err(Rejection::invalid_request(format!(
            "A manual partition assignment was specified, but {what} was not set to -1."
        )))
    };
    if topic.replication_factor != -1 {
        return combined("replication factor");
    }
    if topic.num_partitions != -1 {
        return combined("numPartitions");
    }
    let refuse = |message: String| Rejection::new(ResponseError::InvalidReplicaAssignment, message);
    let mut seen = BTreeSet::new();
    for CreatableReplicaAssignment {
        partition_index,
        broker_ids,
        ..
    } in &topic.assignments
    {
        if !seen.insert(*partition_index) {
            return Err(refuse(format!(
                "Found multiple manual partition assignments for partition {partition_index}"
            )));
        }
        check_replicas(broker_ids)?;
    }
    let is_consecutive = seen
        .iter()
        .zip(0..)
        .all(|(index, expected)| *index == expected);
    if !is_consecutive {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(refuse(message.to_owned()));
    }
    u32::try_from(seen.len()).map_err(|_| Rejection::too_many_partitions())
}

#[cfg(test)]
#[path = "create_topics/tests.rs"]
mod tests;
