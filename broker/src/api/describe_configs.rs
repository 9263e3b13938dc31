//! DescribeConfigs (API key 32), versions 1 to 4: KIP-133, KIP-226 (synonyms), KIP-569 (types and documentation). Of
//! topics, of this broker, of what is set for all brokers at run time, and of groups.

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::admin::{Rejection, layers};
use super::config_resources::{Resource, check_described_broker};
use super::{Answer, Api, Call, Handler};
use crate::config::in_force::{BrokerLayers, InForce};

pub(super) const API: Api = Api {
    key: ApiKey::DescribeConfigs,
    versions: 1..=4,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DescribeConfigsRequest = call.request.decode()?;
    // A barrier that fails leaves what this agent knows, which is what Kafka's brokers answer from as well.
    let _ = call.broker.replica().barrier().await;
    let node_id = call.broker.session().node_id();
    let results = body.resources.iter().map(|resource| {
        let told = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match call
            .broker
            .replica()
            .read(|state| describe(state, &layers(&call.broker, state), node_id, resource))
        {
            Ok(entries) => {
                let entries = entries
                    .into_iter()
                    .filter(|entry| is_wanted(resource, entry));
                told.with_error_message(None)
                    .with_configs(entries.map(|entry| encode(entry, &body)).collect())
            }
            Err(rejection) => told
                .with_error_code(rejection.code())
                .with_error_message(rejection.told()),
        }
    });
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    call.request.respond(&response)
}

fn describe(
    state: &State,
    layers: &BrokerLayers<'_>,
    node_id: i32,
    resource: &DescribeConfigsResource,
) -> Result<Vec<InForce>, Rejection> {
    match Resource::parse(resource.resource_type, &resource.resource_name)? {
        Resource::Topic(name) => {
            let found = state.topic_named(&name);
            let (_, topic) = found.ok_or_else(|| Rejection::unknown_topic(&name))?;
            Ok(layers.of_topic(&topic.configs))
        }
        Resource::AllBrokers => Ok(layers.of_all_brokers()),
        Resource::Broker(name) => {
            check_described_broker(&name, node_id)?;
            Ok(layers.of_broker(node_id))
        }
        Resource::Group(name) if name.is_empty() => {
            Err(Rejection::invalid_request("Group name must not be empty"))
        }
        Resource::Group(name) => Ok(layers.of_group(state.group_configs(&name))),
    }
}

/// As in Kafka, no names at all means all of them.
fn is_wanted(resource: &DescribeConfigsResource, entry: &InForce) -> bool {
    match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|key| key.as_str() == entry.name),
        _ => true,
    }
}

fn encode(entry: InForce, asked: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.is_read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.is_secret)
        .with_config_type(entry.kind.code())
        .with_documentation(
            asked
                .include_documentation
                .then(|| StrBytes::from_string(entry.doc)),
        );
    if !asked.include_synonyms {
        return result;
    }
    let synonyms = entry.synonyms.into_iter().map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(synonym.name))
            .with_value(synonym.value.map(StrBytes::from_string))
            .with_source(synonym.source as i8)
    });
    result.with_synonyms(synonyms.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::error::ResponseError;
    use kafka_protocol::protocol::Encodable;
    use runtime::settings::Settings;

    use super::super::testing::state_with;
    use super::*;

    fn ask(
        resource_type: i8,
        name: &'static str,
        keys: &[&'static str],
    ) -> DescribeConfigsResource {
        let keys = keys
            .iter()
            .map(|key| StrBytes::from_static_str(key))
            .collect();
        DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(StrBytes::from_static_str(name))
            .with_configuration_keys(Some(keys))
    }

    fn described(resource: &DescribeConfigsResource) -> Result<Vec<InForce>, ResponseError> {
        let settings = Settings::resolve(&crate::config::settings(), None, [], vec![]).unwrap();
        let state = state_with(&[("t", 1)]);
        let agent = state.agents().next().unwrap().0;
        let layers = BrokerLayers::new(&state, agent, &settings);
        let entries = describe(&state, &layers, 7, resource);
        let entries = entries.map_err(|rejection| rejection.error)?.into_iter();
        Ok(entries.filter(|entry| is_wanted(resource, entry)).collect())
    }

    #[test]
    fn topics_and_this_broker_are_described_and_nobody_else() {
        let only = described(&ask(2, "t", &["retention.ms", "nonsense"])).unwrap();
        assert_eq!(only.len(), 1);
        assert_eq!(only[0].value.as_deref(), Some("604800000"));
        assert_eq!(described(&ask(2, "t", &[])).unwrap().len(), 33);
        assert!(described(&ask(4, "7", &[])).unwrap().len() > 40);
        assert_eq!(described(&ask(4, "", &[])), Ok(vec![]));
        assert_eq!(described(&ask(32, "g", &[])).unwrap().len(), 7);
        assert_eq!(
            described(&ask(32, "", &[])),
            Err(ResponseError::InvalidRequest)
        );
        assert_eq!(
            described(&ask(2, "zzz", &[])),
            Err(ResponseError::UnknownTopicOrPartition)
        );
        assert_eq!(
            described(&ask(2, "a b", &[])),
            Err(ResponseError::InvalidTopicException)
        );
        assert_eq!(
            described(&ask(4, "8", &[])),
            Err(ResponseError::InvalidRequest)
        );
    }

    #[test]
    fn synonyms_and_documentation_are_told_when_asked_in_every_version() {
        let entry = described(&ask(2, "t", &["retention.ms"]))
            .unwrap()
            .remove(0);
        let asked = DescribeConfigsRequest::default();
        let short = encode(entry.clone(), &asked);
        assert_eq!((short.synonyms.len(), &short.documentation), (0, &None));
        let long = asked
            .with_include_synonyms(true)
            .with_include_documentation(true);
        let long = encode(entry, &long);
        assert_eq!(long.synonyms[0].name.as_str(), "log.retention.ms");
        assert_eq!((long.config_type, long.config_source), (5, 5));
        assert!(long.documentation.is_some());
        let result = DescribeConfigsResult::default().with_configs(vec![short, long]);
        let response = DescribeConfigsResponse::default().with_results(vec![result]);
        for version in API.versions {
            let mut bytes = bytes::BytesMut::new();
            response.encode(&mut bytes, version).unwrap();
        }
    }
}
