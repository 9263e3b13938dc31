//! DeleteGroups (API key 42), versions 0 to 2: KIP-229.

use futures::FutureExt;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Answer, Api, Call, Handler};
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::DeleteGroups,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DeleteGroupsRequest = call.request.decode()?;
    let groups = call.broker.groups();
    let found = groups.look_for(&body.groups_names).await;
    let mut results = Vec::new();
    for group in body.groups_names {
        let deleted = match found {
            Ok(()) => groups.delete(&group).await,
            Err(error) => Err(error),
        };
        let result = DeletableGroupResult::default()
            .with_group_id(group)
            .with_error_code(deleted.map_or_else(GroupError::code, |()| 0));
        results.push(result);
    }
    call.request
        .respond(&DeleteGroupsResponse::default().with_results(results))
}
