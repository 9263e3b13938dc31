//! ListConfigResources (API key 74), versions 0 to 1: KIP-714, KIP-1142. What has configs that can be described: topics,
//! brokers, and groups for which something is set. Version 0 asks for client metrics, which are not taken here.

use std::collections::BTreeSet;

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ApiKey, ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use super::config_resources::{BROKER, GROUP, OTHERS, TOPIC};
use super::{Answer, Api, Call, Handler};
use crate::topology;

pub(super) const API: Api = Api {
    key: ApiKey::ListConfigResources,
    versions: 0..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: ListConfigResourcesRequest = call.request.decode()?;
    // As DescribeConfigs: one that fails leaves what this agent knows.
    let _ = call.broker.replica().barrier().await;
    let listed = match call.request.version() {
        0 => Ok(vec![]),
        _ => call
            .broker
            .replica()
            .read(|state| list(state, &body.resource_types)),
    };
    let response = match listed {
        Ok(resources) => ListConfigResourcesResponse::default().with_config_resources(resources),
        Err(error) => ListConfigResourcesResponse::default().with_error_code(error.code()),
    };
    call.request.respond(&response)
}

/// Those of these types; no type at all means every type.
fn list(state: &State, types: &[i8]) -> Result<Vec<ConfigResource>, ResponseError> {
    let is_known =
        |t: &i8| [TOPIC, BROKER, GROUP].contains(t) || OTHERS.iter().any(|(o, _)| o == t);
    if !types.iter().all(is_known) {
        return Err(ResponseError::UnsupportedVersion);
    }
    let types: BTreeSet<i8> = match types {
        [] => [TOPIC, BROKER, GROUP].into(),
        some => some.iter().copied().collect(),
    };
    let mut listed = Vec::new();
    for of in types {
        let names: Vec<String> = match of {
            TOPIC => state
                .topics()
                .map(|(_, topic)| topic.name.clone())
                .collect(),
            BROKER => {
                let nodes = topology::nodes(state).into_iter();
                nodes.map(|node| node.id.to_string()).collect()
            }
            GROUP => state.configured_groups().map(str::to_owned).collect(),
            _ => vec![],
        };
        listed.extend(names.into_iter().map(|name| {
            ConfigResource::default()
                .with_resource_name(StrBytes::from_string(name))
                .with_resource_type(of)
        }));
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use control_plane::state::AlterConfigs;

    use super::super::testing::{command, state_with};
    use super::*;

    #[test]
    fn what_has_configs_is_listed_by_type() {
        let mut state = state_with(&[("t", 1), ("s", 1)]);
        let set = |value: Option<&str>| AlterConfigs {
            resource: control_plane::state::ConfigResource::Group("g".to_owned()),
            changes: vec![(
                "consumer.session.timeout.ms".to_owned(),
                value.map(str::to_owned),
            )],
        };
        command(&mut state, set(Some("50000"))).unwrap();
        let node = topology::nodes(&state)[0].id.to_string();
        let names = |state: &State, types: &[i8]| -> Vec<String> {
            let listed = list(state, types).unwrap().into_iter();
            listed
                .map(|l| format!("{} {}", l.resource_type, l.resource_name))
                .collect()
        };
        assert_eq!(names(&state, &[TOPIC, TOPIC]), ["2 s", "2 t"]);
        assert_eq!(names(&state, &[BROKER]), [format!("4 {node}")]);
        assert_eq!(names(&state, &[GROUP]), ["32 g"]);
        assert_eq!(names(&state, &[8, 16]), Vec::<String>::new());
        assert_eq!(names(&state, &[]).len(), 4);
        assert_eq!(
            list(&state, &[TOPIC, 3]),
            Err(ResponseError::UnsupportedVersion)
        );

        command(&mut state, set(None)).unwrap();
        assert_eq!(names(&state, &[GROUP]), Vec::<String>::new());
    }
}
