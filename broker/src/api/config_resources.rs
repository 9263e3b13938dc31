//! What the config APIs are about: topics, and brokers, all of them or this one. How their configs are changed.

use control_plane::state::{AlterConfigs, ConfigResource, State};
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use object_format::TopicId;

use super::admin::{Rejection, catch_up, check_topic_name, within};
use crate::broker::Broker;
use crate::config::alteration::{Configs, Edit, difference};
use crate::config::in_force::{BrokerLayers, normalize_dynamic};
use crate::config::value::ConfigError;
use crate::config::{normalize_topic, topic_key};

/// How long a change may take; these requests have no timeout of their own.
const TIMEOUT_MS: i32 = 30_000;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const OTHERS: [(i8, &str); 3] = [(8, "BROKER_LOGGER"), (16, "CLIENT_METRICS"), (32, "GROUP")];

/// Something that has configs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resource {
    /// A topic, by a name that is legal.
    Topic(String),
    /// All brokers.
    AllBrokers,
    /// One broker, by what should be its id.
    Broker(String),
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
            other => Err(match OTHERS.iter().find(|(code, _)| *code == other) {
                Some((_, name)) => {
                    Rejection::invalid_request(format!("Unsupported resource type: {name}"))
                }
                None => Rejection::invalid_request(format!("Unknown resource type {other}")),
            }),
        }
    }
}

/// Makes sure that `name` is this broker's id: nobody else knows its settings.
pub(super) fn check_broker_id(name: &str, node_id: i32) -> Result<(), Rejection> {
    let Ok(id) = name.parse::<i32>() else {
        let message = format!("Broker id must be an integer, but it is: {name}");
        return Err(Rejection::invalid_request(message));
    };
    if id == node_id {
        return Ok(());
    }
    let message =
        format!("Unexpected broker id, expected {node_id} or empty string, but received {id}");
    Err(Rejection::invalid_request(message))
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
    let settings = &broker.config().resolved;
    let layers = BrokerLayers {
        dynamic: state.broker_configs(),
        settings,
    };
    match resource {
        Resource::Topic(name) => {
            let known = state.topic_named(&name);
            let none = Configs::new();
            let current = known.map_or(&none, |(_, topic)| &topic.configs);
            let changes = plan_topic(current, &layers, alteration)?;
            // As in Kafka, what is wrong with the configs is told even if there is no such topic.
            let (id, _) = known.ok_or_else(|| Rejection::unknown_topic(&name))?;
            Ok(of_topic(id, changes))
        }
        Resource::AllBrokers => {
            let in_force = |name: &str| {
                let entries = layers.of_broker(broker.session().node_id()).into_iter();
                let value = entries
                    .filter(|entry| entry.name == name)
                    .find_map(|e| e.value);
                value.unwrap_or_default()
            };
            let current = state.broker_configs();
            let next = normalize_dynamic(&alteration.edit.next(current, in_force)?)?;
            let changes = difference(current, &next);
            Ok(AlterConfigs {
                resource: ConfigResource::Brokers,
                changes,
            })
        }
        Resource::Broker(name) => {
            check_broker_id(&name, broker.session().node_id())?;
            Err(Rejection::new(
                ResponseError::InvalidRequest,
                "Configs of a single broker cannot be changed at run time; \
                 change those of all brokers (the empty broker id)",
            ))
        }
    }
}

type Changes = Vec<(String, Option<String>)>;

fn plan_topic(
    current: &Configs,
    layers: &BrokerLayers<'_>,
    alteration: &Alteration,
) -> Result<Changes, ConfigError> {
    let in_force = |name: &str| match topic_key(name) {
        Some(key) => layers.topic_value(key, current),
        None => String::new(),
    };
    let next = normalize_topic(&alteration.edit.next(current, in_force)?)?;
    Ok(difference(current, &next))
}

fn of_topic(id: TopicId, changes: Changes) -> AlterConfigs {
    AlterConfigs {
        resource: ConfigResource::Topic(id),
        changes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_apart_or_refused() {
        assert_eq!(Resource::parse(2, "t"), Ok(Resource::Topic("t".to_owned())));
        assert_eq!(Resource::parse(4, ""), Ok(Resource::AllBrokers));
        assert_eq!(
            Resource::parse(4, "7"),
            Ok(Resource::Broker("7".to_owned()))
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
                32,
                "g",
                ResponseError::InvalidRequest,
                "Unsupported resource type: GROUP",
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
        assert_eq!(check_broker_id("7", 7), Ok(()));
        for (name, message) in [
            (
                "9",
                "Unexpected broker id, expected 7 or empty string, but received 9",
            ),
            ("x", "Broker id must be an integer, but it is: x"),
        ] {
            assert_eq!(
                check_broker_id(name, 7),
                Err(Rejection::invalid_request(message))
            );
        }
    }
}
