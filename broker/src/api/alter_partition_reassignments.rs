//! AlterPartitionReassignments (API key 45), versions 0 to 1: KIP-455, KIP-860.
//!
//! Every agent serves every partition and the bucket replicates, so there is nothing that could be moved. Asking for
//! what is there already succeeds; what would be a move is refused, for it would not happen, and tools that wait for it
//! would wait for ever.

use std::collections::BTreeSet;

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, BrokerId,
};
use object_format::TopicPartition;

use super::admin::{Rejection, catch_up, check_named_partitions, check_replicas, told, within};
use super::{Answer, Api, Call, Handler};
use crate::topology::{Node, View};

pub(super) const API: Api = Api {
    key: ApiKey::AlterPartitionReassignments,
    versions: 0..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: AlterPartitionReassignmentsRequest = call.request.decode()?;
    let response = match answer(&call, &body).await {
        Ok(responses) => AlterPartitionReassignmentsResponse::default()
            .with_error_message(None)
            .with_responses(responses),
        Err(rejection) => AlterPartitionReassignmentsResponse::default()
            .with_error_code(rejection.code())
            .with_error_message(rejection.told()),
    };
    let factor_may_change = body.allow_replication_factor_change;
    call.request
        .respond(&response.with_allow_replication_factor_change(factor_may_change))
}

async fn answer(
    call: &Call,
    body: &AlterPartitionReassignmentsRequest,
) -> Result<Vec<ReassignableTopicResponse>, Rejection> {
    check_named_partitions(body.topics.iter().map(|topic| topic.partitions.len()))?;
    within(body.timeout_ms, catch_up(&call.broker)).await??;
    let nodes = call.broker.nodes();
    let responses = call.look(|state, view| {
        let shown = Shown {
            state,
            nodes: &nodes,
            view,
        };
        body.topics
            .iter()
            .map(|topic| shown.judge_all(topic))
            .collect()
    });
    Ok(responses)
}

/// The cluster as the client is shown it.
struct Shown<'a> {
    state: &'a State,
    nodes: &'a [Node],
    view: &'a View,
}

impl<'a> Shown<'a> {
    fn judge_all(&self, topic: &ReassignableTopic) -> ReassignableTopicResponse {
        let responses = topic.partitions.iter().map(|partition| {
            let (code, message) = told(&self.judge(&topic.name, partition));
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_error_message(message)
        });
        ReassignableTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(responses.collect())
    }

    fn judge(&self, name: &str, asked: &ReassignablePartition) -> Result<(), Rejection> {
        let unknown = |message| Rejection::new(ResponseError::UnknownTopicOrPartition, message);
        let index = asked.partition_index;
        let (topic, found) = self
            .state
            .topic_named(name)
            .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let partition = u32::try_from(index)
            .ok()
            .filter(|&partition| partition < found.partitions)
            .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        let Some(replicas) = &asked.replicas else {
            let message = "No partition reassignment is in progress.";
            return Err(Rejection::new(
                ResponseError::NoReassignmentInProgress,
                message,
            ));
        };
        self.check_brokers(replicas)?;
        let there = self.view.replicas(TopicPartition { topic, partition });
        if replicas.iter().map(|id| id.0).eq(there.iter().copied()) {
            return Ok(());
        }
        let message = format!(
            "Partitions are not assigned to brokers here: every broker serves every partition, and the bucket \
             replicates. {name}-{index} is shown on {there:?}, for locality only."
        );
        Err(Rejection::new(
            ResponseError::InvalidReplicaAssignment,
            message,
        ))
    }

    fn check_brokers(&self, replicas: &[BrokerId]) -> Result<(), Rejection> {
        check_replicas(replicas)?;
        let known: BTreeSet<i32> = self.nodes.iter().map(|node| node.id).collect();
        match replicas.iter().find(|id| !known.contains(&id.0)) {
            None => Ok(()),
            Some(BrokerId(id)) => Err(Rejection::new(
                ResponseError::InvalidReplicaAssignment,
                format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::state_with;
    use super::*;
    use crate::topology;

    #[test]
    fn only_what_is_there_already_can_be_asked_for() {
        use ResponseError as E;
        let state = state_with(&[("t", 1)]);
        let nodes = topology::nodes(&state);
        let view = View::new(&state, &nodes, None);
        let shown = Shown {
            state: &state,
            nodes: &nodes,
            view: &view,
        };
        let node = shown.nodes[0].id;
        let judged = |topic: &str, index, replicas: Option<&[i32]>| {
            let replicas = replicas.map(|ids| ids.iter().map(|&id| BrokerId(id)).collect());
            let asked = ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(replicas);
            let judged = shown.judge(topic, &asked);
            judged.map_err(|rejection| (rejection.error, rejection.message))
        };
        assert_eq!(judged("t", 0, Some(&[node])), Ok(()));
        let assignment = E::InvalidReplicaAssignment;
        for (topic, index, replicas, error, message) in [
            (
                "zzz",
                0,
                Some(vec![node]),
                E::UnknownTopicOrPartition,
                "Unable to find a topic named zzz.",
            ),
            (
                "t",
                1,
                Some(vec![node]),
                E::UnknownTopicOrPartition,
                "Unable to find partition t:1.",
            ),
            (
                "t",
                -1,
                None,
                E::UnknownTopicOrPartition,
                "Unable to find partition t:-1.",
            ),
            (
                "t",
                0,
                None,
                E::NoReassignmentInProgress,
                "No partition reassignment is in progress.",
            ),
            (
                "t",
                0,
                Some(vec![]),
                assignment,
                "The manual partition assignment includes an empty replica list.",
            ),
            (
                "t",
                0,
                Some(vec![99]),
                assignment,
                "The manual partition assignment includes broker 99, but no such broker is registered.",
            ),
        ] {
            let expected = Err((error, message.to_owned()));
            assert_eq!(judged(topic, index, replicas.as_deref()), expected);
        }
    }

    #[test]
    fn a_move_to_another_agent_is_refused_and_says_why() {
        let mut state = state_with(&[("t", 1)]);
        super::super::testing::register(&mut state, "b");
        let nodes = topology::nodes(&state);
        let view = View::new(&state, &nodes, None);
        let shown = Shown {
            state: &state,
            nodes: &nodes,
            view: &view,
        };
        let (id, _) = state.topic_named("t").unwrap();
        let there = shown.view.leader(TopicPartition {
            topic: id,
            partition: 0,
        });
        let other = shown.nodes.iter().find(|node| node.id != there).unwrap().id;
        for replicas in [vec![other], vec![there, other]] {
            let replicas = replicas.into_iter().map(BrokerId).collect();
            let asked = ReassignablePartition::default().with_replicas(Some(replicas));
            let refused = shown.judge("t", &asked).unwrap_err();
            assert_eq!(refused.error, ResponseError::InvalidReplicaAssignment);
            assert!(
                refused
                    .message
                    .contains("every broker serves every partition")
            );
        }
    }
}
