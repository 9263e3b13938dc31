//! What the config APIs are about: topics, groups, and brokers, all of them or this one. How their configs are changed.

use control_plane::state::{AlterConfigs, ConfigResource, Configs, State};
use kafka_protocol::protocol::StrBytes;

use super::admin::{Rejection, catch_up, check_topic_name, layers, within};
use crate::broker::Broker;
use crate::config::alteration::{Edit, Whose, difference};
use crate::config::group_table::normalize_group;
use crate::config::in_force::{BrokerLayers, normalize_dynamic};
use crate::config::value::ConfigError;
use crate::config::{normalize_topic, topic_key};

/// How long a change may take; these requests have no timeout of their own.
const TIMEOUT_MS: i32 = 30_000;

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const GROUP: i8 = 32;
/// Kinds that have no configs here: this process's log is set up when it starts, and clients' telemetry is not taken.
pub(super) const OTHERS: [(i8, &str); 2] = [(8, "BROKER_LOGGER"), (16, "CLIENT_METRICS")];

/// Something that has configs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resource {
    /// A topic, by a name that is legal.
    Topic(String),
    /// All brokers.
    AllBrokers,
    /// One broker, by what should be its id.
    Broker(String),
    /// A group, whether it exists or not.
    Group(String),
}

/// A resource and what is to be done to its configs.
#[derive(Clone, Debug)]
pub(super) struct Alteration {
    pub resource_type: i8,
    pub resource_name: StrBytes,
    pub edit: Edit,
}

impl Resource {
    pub fn parse(resource_type: i8, name: &str) -> Result<Self, Rejection> {
        match resource_type {
            TOPIC => {
                check_topic_name(name)?;
                Ok(Self::Topic(name.to_owned()))
            }
            BROKER if name.is_empty() => Ok(Self::AllBrokers),
            BROKER => Ok(Self::Broker(name.to_owned())),
            GROUP => Ok(Self::Group(name.to_owned())),
            other => Err(match OTHERS.iter().find(|(code, _)| *code == other) {
                Some((_, name)) => {
                    Rejection::invalid_request(format!("Unsupported resource type: {name}"))
                }
                None => Rejection::invalid_request(format!("Unknown resource type {other}")),
            }),
        }
    }
}

/// Makes sure that `name` is this broker's id: nobody else knows its settings. `what` and `or` are Kafka's words, which
/// are not the same everywhere.
fn check_broker_id(name: &str, node_id: i32, what: &str, or: &str) -> Result<(), Rejection> {
    let message = match name.parse::<i32>() {
        Ok(id) if id == node_id => return Ok(()),
        Ok(id) => format!("Unexpected broker id, expected {node_id}{or}, but received {id}"),
        Err(_) => format!("{what} id must be an integer, but it is: {name}"),
    };
    Err(Rejection::invalid_request(message))
}

/// Makes sure that a broker that is described is this one.
pub(super) fn check_described_broker(name: &str, node_id: i32) -> Result<(), Rejection> {
    check_broker_id(name, node_id, "Broker", " or empty string")
}

/// Makes changes of configs, each resource by itself and all or nothing; or only checks them.
pub(super) async fn alter(
    broker: &Broker,
    alterations: &[Alteration],
    validate_only: bool,
) -> Vec<Result<(), Rejection>> {
    match within(TIMEOUT_MS, alter_all(broker, alterations, validate_only)).await {
        Ok(Ok(done)) => done,
        Ok(Err(rejection)) | Err(rejection) => vec![Err(rejection); alterations.len()],
    }
}

async fn alter_all(
    broker: &Broker,
    alterations: &[Alteration],
    validate_only: bool,
) -> Result<Vec<Result<(), Rejection>>, Rejection> {
    catch_up(broker).await?;
    let mut done = Vec::with_capacity(alterations.len());
    for alteration in alterations {
        let same = |other: &&Alteration| {
            let name = &alteration.resource_name;
            other.resource_type == alteration.resource_type && other.resource_name == *name
        };
        let planned = if alterations.iter().filter(same).count() > 1 {
            Err(Rejection::invalid_request(
                "Each resource must appear at most once.",
            ))
        } else {
            broker
                .replica()
                .read(|state| plan(state, broker, alteration))
        };
        done.push(match planned {
            Ok(command) if validate_only || command.changes.is_empty() => Ok(()),
            Ok(command) => match broker.session().submit(command).await {
                Ok(outcome) => outcome.map_err(Rejection::from),
                Err(error) => Err(error.into()),
            },
            Err(rejection) => Err(rejection),
        });
    }
    Ok(done)
}

fn plan(
    state: &State,
    broker: &Broker,
    alteration: &Alteration,
) -> Result<AlterConfigs, Rejection> {
    if alteration.resource_type == TOPIC && alteration.resource_name.is_empty() {
        return Err(Rejection::invalid_request(
            "Default topic resources are not allowed.",
        ));
    }
    let resource = Resource::parse(alteration.resource_type, &alteration.resource_name)?;
    let layers = layers(broker, state);
    let edit = &alteration.edit;
    let (resource, changes) = match resource {
        Resource::Topic(name) => {
            let known = state.topic_named(&name);
            let none = Configs::new();
            let current = known.map_or(&none, |(_, topic)| &topic.configs);
            let changes = plan_topic(current, &layers, edit)?;
            // As in Kafka, what is wrong with the configs is told even if there is no such topic.
            let (id, _) = known.ok_or_else(|| Rejection::unknown_topic(&name))?;
            (ConfigResource::Topic(id), changes)
        }
        Resource::AllBrokers => {
            let changes = plan_brokers(layers.dynamic.all, &layers, edit)?;
            (ConfigResource::Brokers, changes)
        }
        Resource::Broker(name) => {
            check_broker_id(&name, broker.session().node_id(), "Node", "")?;
            let changes = plan_brokers(layers.dynamic.own, &layers, edit)?;
            let agent = state.agent(broker.session().epoch());
            let id = agent.map(|agent| agent.registration.agent_id.clone());
            (ConfigResource::Agent(id.unwrap_or_default()), changes)
        }
        Resource::Group(name) if name.is_empty() => {
            return Err(Rejection::invalid_request(
                "Default group resources are not allowed.",
            ));
        }
        Resource::Group(name) => {
            let current = state.group_configs(&name);
            let next = edit.next(Whose::Group, current, |_| String::new())?;
            let next = normalize_group(&next, layers.settings)?;
            (ConfigResource::Group(name), difference(current, &next))
        }
    };
    Ok(AlterConfigs { resource, changes })
}

type Changes = Vec<(String, Option<String>)>;

fn plan_topic(
    current: &Configs,
    layers: &BrokerLayers<'_>,
    edit: &Edit,
) -> Result<Changes, ConfigError> {
    let in_force = |name: &str| match topic_key(name) {
        Some(key) => layers.topic_value(key, current),
        None => String::new(),
    };
    let next = normalize_topic(&edit.next(Whose::Topic, current, in_force)?)?;
    Ok(difference(current, &next))
}

fn plan_brokers(
    current: &Configs,
    layers: &BrokerLayers<'_>,
    edit: &Edit,
) -> Result<Changes, ConfigError> {
    let in_force = |name: &str| layers.setting_value(name);
    let next = normalize_dynamic(&edit.next(Whose::Brokers, current, in_force)?)?;
    Ok(difference(current, &next))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::error::ResponseError;

    use super::*;

    #[test]
    fn resources_are_told_apart_or_refused() {
        assert_eq!(Resource::parse(2, "t"), Ok(Resource::Topic("t".to_owned())));
        assert_eq!(Resource::parse(4, ""), Ok(Resource::AllBrokers));
        assert_eq!(
            Resource::parse(4, "7"),
            Ok(Resource::Broker("7".to_owned()))
        );
        assert_eq!(
            Resource::parse(32, "g"),
            Ok(Resource::Group("g".to_owned()))
        );
        for (code, name, error, message) in [
            (
                2,
                "",
                ResponseError::InvalidTopicException,
                "Topic name is invalid: the empty string is not allowed",
            ),
            (
                8,
                "1",
                ResponseError::InvalidRequest,
                "Unsupported resource type: BROKER_LOGGER",
            ),
            (
                16,
                "m",
                ResponseError::InvalidRequest,
                "Unsupported resource type: CLIENT_METRICS",
            ),
            (
                0,
                "x",
                ResponseError::InvalidRequest,
                "Unknown resource type 0",
            ),
        ] {
            assert_eq!(
                Resource::parse(code, name),
                Err(Rejection::new(error, message))
            );
        }
    }

    #[test]
    fn brokers_answer_for_themselves_only() {
        assert_eq!(check_described_broker("7", 7), Ok(()));
        assert_eq!(
            check_broker_id("9", 7, "Node", ""),
            Err(Rejection::invalid_request(
                "Unexpected broker id, expected 7, but received 9"
            ))
        );
        for (name, message) in [
            (
                "9",
                "Unexpected broker id, expected 7 or empty string, but received 9",
            ),
            ("x", "Broker id must be an integer, but it is: x"),
        ] {
            assert_eq!(
                check_described_broker(name, 7),
                Err(Rejection::invalid_request(message))
            );
        }
    }
}
