//! Registration of Produce (API key 0), versions 3 to 13; see [`crate::produce`].

use kafka_protocol::messages::ApiKey;

use super::{Api, Call, Handler};
use crate::net::Pending;
use crate::produce;
use crate::wire::WireError;

pub(super) const API: Api = Api {
    key: ApiKey::Produce,
    versions: 3..=13,
    handler: Handler::AtOnce(handle),
};

fn handle(call: Call) -> Result<Pending, WireError> {
    let broker = &call.broker;
    produce::handle(
        broker.pipeline(),
        broker.session(),
        &broker.config().topic_defaults,
        broker.clock().wall_ms(),
        call.request,
        &call.permit,
    )
}
