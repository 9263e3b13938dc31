//! ListOffsets (API key 2), versions 1 to 10: KIP-79, KIP-320, KIP-734 (max timestamp), KIP-405, KIP-1005; see
//! [`crate::fetch`].

use futures::FutureExt;
use kafka_protocol::messages::{ApiKey, ListOffsetsRequest};

use super::{Answer, Api, Call, Handler};
use crate::fetch::api::handle_list_offsets;

pub(super) const API: Api = Api {
    key: ApiKey::ListOffsets,
    versions: 1..=10,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: ListOffsetsRequest = call.request.decode()?;
    let version = call.request.version();
    let response = handle_list_offsets(call.broker.fetcher(), version, body).await;
    call.request.respond(&response)
}
