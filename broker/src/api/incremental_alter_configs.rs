//! IncrementalAlterConfigs (API key 44), versions 0 to 1: KIP-339. Sets, resets, and adds words to or takes them from
//! single configs of topics and groups, and of one broker or all of them at run time.

use futures::FutureExt;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::admin::told;
use super::config_resources::{Alteration, alter};
use super::{Answer, Api, Call, Handler};
use crate::config::alteration::{Change, Edit};

pub(super) const API: Api = Api {
    key: ApiKey::IncrementalAlterConfigs,
    versions: 0..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: IncrementalAlterConfigsRequest = call.request.decode()?;
    let alterations: Vec<Alteration> = body.resources.into_iter().map(alteration).collect();
    let done = alter(&call.broker, &alterations, body.validate_only).await;
    let responses = alterations.into_iter().zip(done).map(|(alteration, done)| {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(alteration.resource_type)
            .with_resource_name(alteration.resource_name);
        let (code, message) = told(&done);
        response.with_error_code(code).with_error_message(message)
    });
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
    call.request.respond(&response)
}

fn alteration(resource: AlterConfigsResource) -> Alteration {
    let read = |config: AlterableConfig| Change {
        name: config.name.to_string(),
        operation: config.config_operation,
        value: config.value.map(|value| value.to_string()),
    };
    let changes = resource.configs.into_iter().map(read).collect();
    Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        edit: Edit::Change(changes),
    }
}
