//! Fetch (API key 1), versions 4 to 18: KIP-98, KIP-227 (sessions), KIP-320, KIP-516 (topic ids from 13); see
//! [`crate::fetch`].

use futures::FutureExt;
use kafka_protocol::messages::{ApiKey, FetchRequest};

use super::{Answer, Api, Call, Handler};
use crate::fetch::Nearer;
use crate::fetch::api::handle_fetch;
use crate::fetch::pool::Client;
use crate::topology::{Leaders, Node};
use crate::wire::fetch_response::encode_fetch_response;

pub(super) const API: Api = Api {
    key: ApiKey::Fetch,
    versions: 4..=18,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: FetchRequest = call.request.decode()?;
    let (version, correlation_id) = (call.request.version(), call.request.correlation_id());
    let client_id = call.request.client_id().map(|id| &**id);
    let client = Client::new(client_id, call.connection.peer().ip());
    let nearer = nearer(&call, &body.rack_id);
    // It may wait for long, and nothing of the frame is needed any more.
    drop(call.request);
    call.permit.release();
    let fetcher = call.broker.fetcher();
    let (response, memory) = handle_fetch(fetcher, client, version, body, nearer).await;
    Ok(encode_fetch_response(version, correlation_id, response)?.holding(memory))
}

/// Where a client that tells its rack is sent: to the agents of its zone, unless this is one of them or there is none.
fn nearer(call: &Call, rack: &str) -> Option<Nearer> {
    if rack.is_empty() {
        return None;
    }
    call.connection.set_rack(rack);
    let own = call.broker.config().resolved.opt_text("zone");
    if own == Some(rack) {
        return None;
    }
    let nodes = call.broker.nodes();
    let is_there = |node: &Node| !node.draining && node.zone.as_deref() == Some(rack);
    let now = call.broker.clock().monotonic();
    if !nodes.iter().any(is_there) || !call.connection.may_send_away(now) {
        return None;
    }
    let leaders = Leaders::new(&nodes, Some(rack));
    Some(Nearer::new(move |partition| leaders.of(partition)))
}
