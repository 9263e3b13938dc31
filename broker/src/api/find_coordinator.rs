//! FindCoordinator (API key 10), versions 0 to 6: KIP-98, KIP-699 (batched), KIP-890, KIP-932.
//!
//! A group's coordinator is whoever holds its lease. A group without one is offered to the agent that rendezvous hashing
//! names, which takes the lease when it is asked to do something for the group. Transactional ids have no coordinator:
//! any agent serves them, and the one that looks after an id is told. A share-partition's is its leader: only brokers
//! of Kafka ask for it, about state that is part of the metadata here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use object_format::{TopicId, TopicPartition};
use uuid::Uuid;

use super::{Answer, Api, Call, Handler};
use crate::group::{held_by, rendezvous};
use crate::topology::{Node, View};
use crate::transactions::transaction_node;

pub(super) const API: Api = Api {
    key: ApiKey::FindCoordinator,
    versions: 0..=6,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// The first version that knows share-partitions.
const SHARE_SINCE: i16 = 6;

async fn handle(call: Call) -> Answer {
    let body: FindCoordinatorRequest = call.request.decode()?;
    let version = call.request.version();
    let _ = call.broker.replica().barrier().await;
    let key_type = match body.key_type {
        SHARE if version < SHARE_SINCE => -1,
        key_type => key_type,
    };
    let nodes = call.broker.nodes();
    let keys = match version {
        4.. => body.coordinator_keys.as_slice(),
        _ => std::slice::from_ref(&body.key),
    };
    let mut coordinators: Vec<Coordinator> = call.look(|state, view| {
        let found = keys.iter();
        found
            .map(|key| find(state, &nodes, view, key_type, key))
            .collect()
    });
    let found = match coordinators.pop() {
        Some(found) if version < 4 => found,
        last => {
            coordinators.extend(last);
            let response = FindCoordinatorResponse::default().with_coordinators(coordinators);
            return call.request.respond(&response);
        }
    };
    let response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    call.request.respond(&response)
}

/// Whoever is free to be chosen is one of the client's zone; who coordinates already may be any of `nodes`.
fn find(state: &State, nodes: &[Node], view: &View, key_type: i8, key: &StrBytes) -> Coordinator {
    let answer = Coordinator::default().with_key(key.clone());
    let refused = |error: ResponseError, why: &'static str| {
        answer
            .clone()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(why)))
            .with_node_id(BrokerId(-1))
            .with_port(-1)
    };
    let node = match key_type {
        GROUP => held_by(state, nodes, key).or_else(|| rendezvous(view.candidates(), key)),
        TRANSACTION if key.is_empty() => {
            return refused(
                ResponseError::InvalidRequest,
                "the transactional id is empty",
            );
        }
        TRANSACTION => transaction_node(view.candidates(), key),
        SHARE => match share_partition(key) {
            Some((group, partition)) => share_node(state, nodes, view, group, partition),
            None => {
                let why = "the key of a share-partition is groupId:topicId:partition";
                return refused(ResponseError::InvalidRequest, why);
            }
        },
        _ => {
            let why = "no such type of coordinator in this version";
            return refused(ResponseError::InvalidRequest, why);
        }
    };
    match node {
        Some(node) => answer
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host.clone()))
            .with_port(i32::from(node.port)),
        None => refused(
            ResponseError::CoordinatorNotAvailable,
            "no agent serves clients",
        ),
    }
}

/// The agent that leads a share-partition, or may.
fn share_node<'a>(
    state: &State,
    nodes: &'a [Node],
    view: &View,
    group: &str,
    partition: TopicPartition,
) -> Option<&'a Node> {
    let lease = state.share_leader(group, partition);
    let agent = lease.and_then(|lease| state.agent(lease.leader));
    let leader = agent.map_or_else(|| view.leader(partition), |agent| agent.node_id);
    nodes.iter().find(|node| node.id == leader)
}

/// Group and partition out of `groupId:topicId:partition`, the topic id being base64 as Kafka writes it.
fn share_partition(key: &str) -> Option<(&str, TopicPartition)> {
    let mut parts = key.rsplitn(3, ':');
    let (partition, topic, group) = (parts.next()?, parts.next()?, parts.next()?);
    let topic: [u8; 16] = URL_SAFE_NO_PAD.decode(topic).ok()?.try_into().ok()?;
    let partition = TopicPartition {
        topic: TopicId(Uuid::from_bytes(topic)),
        partition: u32::try_from(partition.parse::<i32>().ok()?).ok()?,
    };
    (!group.trim().is_empty()).then_some((group, partition))
}

#[cfg(test)]
mod tests {
    use super::super::testing::state_with;
    use super::*;
    use crate::topology;

    #[test]
    fn a_group_without_a_name_has_a_coordinator_too() {
        let state = state_with(&[]);
        let nodes = topology::nodes(&state);
        let view = View::new(&state, &nodes, None);
        let of = |key_type, key: &'static str| {
            let key = StrBytes::from_static_str(key);
            find(&state, &nodes, &view, key_type, &key).error_code
        };
        // Consumers that are no members may commit under it, as in Kafka.
        assert_eq!([of(GROUP, ""), of(GROUP, "g")], [0, 0]);
        let refused = ResponseError::InvalidRequest.code();
        assert_eq!([of(TRANSACTION, ""), of(TRANSACTION, "t")], [refused, 0]);
    }

    #[test]
    fn keys_of_share_partitions_are_group_topic_and_partition() {
        let topic = "AAAAAAAAAAAAAAAAAAAAAQ";
        let expected = TopicPartition {
            topic: TopicId(Uuid::from_u128(1)),
            partition: 7,
        };
        for group in ["g", "with:colon"] {
            let key = format!("{group}:{topic}:7");
            assert_eq!(share_partition(&key), Some((group, expected)));
        }
        for bad in [
            String::new(),
            format!(":{topic}:7"),
            format!("g:{topic}"),
            format!("g:{topic}:-1"),
            format!("g:{topic}:x"),
            "g:short:0".to_owned(),
        ] {
            assert_eq!(share_partition(&bad), None, "{bad}");
        }
    }
}
