//! AlterConfigs (API key 33), versions 0 to 2: KIP-133. Replaces everything that a topic or a group sets, or what
//! is set for one broker or all of them at run time.

use futures::FutureExt;
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};

use super::admin::told;
use super::config_resources::{Alteration, alter};
use super::{Answer, Api, Call, Handler};
use crate::config::alteration::Edit;

pub(super) const API: Api = Api {
    key: ApiKey::AlterConfigs,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: AlterConfigsRequest = call.request.decode()?;
    let alterations: Vec<Alteration> = body.resources.into_iter().map(alteration).collect();
    let done = alter(&call.broker, &alterations, body.validate_only).await;
    let responses = alterations.into_iter().zip(done).map(|(alteration, done)| {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(alteration.resource_type)
            .with_resource_name(alteration.resource_name);
        let (code, message) = told(&done);
        response.with_error_code(code).with_error_message(message)
    });
    let response = AlterConfigsResponse::default().with_responses(responses.collect());
    call.request.respond(&response)
}

fn alteration(resource: AlterConfigsResource) -> Alteration {
    let text = |config: AlterableConfig| {
        (
            config.name.to_string(),
            config.value.map(|value| value.to_string()),
        )
    };
    let configs = resource.configs.into_iter().map(text).collect();
    Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        edit: Edit::Replace(configs),
    }
}
