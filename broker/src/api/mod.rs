//! The Kafka APIs: one file each, with its versions and its registration. ApiVersions says what is registered here.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod admin;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_share_group_offsets;
mod api_versions;
mod config_resources;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod sync_group;
#[cfg(test)]
pub(crate) mod testing;
mod transactions;
mod txn_offset_commit;
mod update_features;
mod write_txn_markers;

use std::ops::RangeInclusive;
use std::sync::Arc;

use control_plane::state::State;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;

use crate::broker::Broker;
use crate::net::{ConnectionContext, Pending, Reply, RequestPermit, Service};
use crate::topology::{self, Node, View};
use crate::wire::{Request, ResponseBytes, WireError};

/// A request with all it came with.
pub(crate) struct Call {
    /// Who answers it.
    pub broker: Arc<Broker>,
    /// Where it came from.
    pub connection: Arc<ConnectionContext>,
    /// What it says.
    pub request: Request,
    /// The memory it takes.
    pub permit: RequestPermit,
}

impl Call {
    /// Looks at the metadata and at the cluster as this client is shown it.
    pub fn look<R>(&self, look: impl FnOnce(&State, &View) -> R) -> R {
        let doubtful = self.broker.session().doubtful();
        self.broker.replica().read(|state| {
            let nodes = topology::nodes_but(state, &doubtful);
            let zone = self.zone(&nodes);
            look(state, &View::new(state, &nodes, zone.as_deref()))
        })
    }

    /// The zone the client is in, as far as it is known.
    fn zone(&self, nodes: &[Node]) -> Option<String> {
        let is_zone = |zone: &str| nodes.iter().any(|node| node.zone.as_deref() == Some(zone));
        let client_id = self.request.client_id();
        let named = client_id.and_then(|id| topology::zone_in_client_id(id, is_zone));
        named
            .or_else(|| self.connection.rack().map(|rack| rack.to_string()))
            .or_else(|| {
                let blocks = self.broker.zone_blocks();
                let zone = blocks.zone_of(self.connection.peer().ip());
                zone.map(str::to_owned)
            })
    }
}

type Answer = Result<ResponseBytes, WireError>;

/// How an API is served.
pub(crate) enum Handler {
    /// Begun when the connection's earlier requests are answered, as Kafka does.
    InTurn(fn(Call) -> BoxFuture<'static, Answer>),
    /// Taken at once, in the order of the connection.
    AtOnce(fn(Call) -> Result<Pending, WireError>),
}

/// An API that is served.
pub(crate) struct Api {
    pub key: ApiKey,
    /// Those that are served; within what the kafka-protocol crate knows.
    pub versions: RangeInclusive<i16>,
    pub handler: Handler,
}

/// Everything that is served.
pub(crate) const APIS: &[Api] = &[
    produce::API,
    fetch::API,
    list_offsets::API,
    metadata::API,
    find_coordinator::API,
    api_versions::API,
    init_producer_id::API,
    offset_for_leader_epoch::API,
    describe_cluster::API,
    describe_topic_partitions::API,
    offset_commit::API,
    offset_fetch::API,
    join_group::API,
    heartbeat::API,
    leave_group::API,
    sync_group::API,
    describe_groups::API,
    list_groups::API,
    delete_groups::API,
    offset_delete::API,
    consumer_group_heartbeat::API,
    consumer_group_describe::API,
    create_topics::API,
    delete_topics::API,
    create_partitions::API,
    describe_configs::API,
    alter_configs::API,
    incremental_alter_configs::API,
    delete_records::API,
    alter_partition_reassignments::API,
    describe_log_dirs::API,
    describe_producers::API,
    elect_leaders::API,
    list_config_resources::API,
    list_partition_reassignments::API,
    update_features::API,
    add_partitions_to_txn::API,
    add_offsets_to_txn::API,
    end_txn::API,
    txn_offset_commit::API,
    describe_transactions::API,
    list_transactions::API,
    write_txn_markers::API,
    share_group_heartbeat::API,
    share_group_describe::API,
    share_fetch::API,
    share_acknowledge::API,
    describe_share_group_offsets::API,
    alter_share_group_offsets::API,
    delete_share_group_offsets::API,
];

/// The network's view of a broker.
#[derive(Debug)]
pub(crate) struct Dispatch(pub Arc<Broker>);

impl Service for Dispatch {
    fn call(
        &self,
        connection: &Arc<ConnectionContext>,
        request: Request,
        permit: &RequestPermit,
    ) -> Pending {
        let version = request.version();
        let api = APIS.iter().find(|api| api.key == request.api_key());
        let Some(api) =
            api.filter(|api| api.versions.contains(&version) || api.key == ApiKey::ApiVersions)
        else {
            return Pending::close(request.unsupported().to_string());
        };
        if let Some(failure) = self.0.replica().failure() {
            return Pending::close(failure.to_string());
        }
        let call = Call {
            broker: self.0.clone(),
            connection: connection.clone(),
            request,
            permit: permit.clone(),
        };
        match api.handler {
            Handler::AtOnce(handle) => {
                handle(call).unwrap_or_else(|error| Pending::close(error.to_string()))
            }
            Handler::InTurn(handle) => Pending::sequential(async move {
                match handle(call).await {
                    Ok(response) => Reply::Response(response),
                    Err(error) => Reply::Close(error.to_string()),
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api_name;

    #[test]
    fn the_page_on_compatibility_lists_what_is_served() {
        let page = include_str!("../../../docs/KAFKA-COMPAT.md");
        let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| API ");
        let listed: Vec<String> = page
            .lines()
            .filter(is_row)
            .map(|row| {
                row.split('|')
                    .skip(1)
                    .take(3)
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let mut served: Vec<(i16, String)> = APIS
            .iter()
            .map(|api| {
                let (key, first, last) = (api.key as i16, api.versions.start(), api.versions.end());
                (key, format!("{} {key} {first}-{last}", api_name(api.key)))
            })
            .collect();
        served.sort();
        let served: Vec<String> = served.into_iter().map(|(_, row)| row).collect();
        assert_eq!(listed, served);
    }
}
