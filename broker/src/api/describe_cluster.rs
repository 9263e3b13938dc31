//! DescribeCluster (API key 60), versions 0 to 2: KIP-700, KIP-919, KIP-1073.

use std::collections::BTreeSet;

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::topology::Node;

pub(super) const API: Api = Api {
    key: ApiKey::DescribeCluster,
    versions: 0..=2,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Clients ask brokers, not controllers (KIP-919).
const BROKERS: i8 = 1;

async fn handle(call: Call) -> Answer {
    let body: DescribeClusterRequest = call.request.decode()?;
    if call.request.version() >= 1 && body.endpoint_type != BROKERS {
        let error_code = match body.endpoint_type {
            2 => ResponseError::MismatchedEndpointType.code(),
            _ => ResponseError::UnsupportedEndpointType.code(),
        };
        let response = DescribeClusterResponse::default().with_error_code(error_code);
        return call.request.respond(&response);
    }
    let (mut brokers, controller) = call.look(|_, view| {
        let brokers = view.brokers.iter().map(|node| describe(node, false));
        (brokers.collect::<Vec<_>>(), view.controller())
    });
    if body.include_fenced_brokers {
        let shown: BTreeSet<BrokerId> = brokers.iter().map(|broker| broker.broker_id).collect();
        let nodes = call.broker.nodes();
        let fenced = nodes.iter().filter(|node| node.draining);
        let fenced = fenced.filter(|node| !shown.contains(&BrokerId(node.id)));
        brokers.extend(fenced.map(|node| describe(node, true)));
    }
    let response = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(call.broker.cluster_id().to_owned()))
        .with_controller_id(BrokerId(controller))
        .with_endpoint_type(BROKERS)
        .with_brokers(brokers);
    call.request.respond(&response)
}

/// A broker that clients are steered away from is told as fenced, to who asks for those (KIP-1073).
fn describe(node: &Node, is_fenced: bool) -> DescribeClusterBroker {
    DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node.id))
        .with_host(StrBytes::from_string(node.host.clone()))
        .with_port(i32::from(node.port))
        .with_rack(node.zone.clone().map(StrBytes::from_string))
        .with_is_fenced(is_fenced)
}
