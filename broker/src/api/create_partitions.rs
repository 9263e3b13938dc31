//! CreatePartitions (API key 37), versions 0 to 3: KIP-195, KIP-599. Of a manual assignment only the number counts.

use std::collections::HashMap;

use control_plane::state::{CreatePartitions, PARTITIONS_MAX, State, TopicRejection};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, TopicName,
};

use super::admin::{PARTITIONS_PER_REQUEST_MAX, Rejection, catch_up, check_replicas, within};
use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;

pub(super) const API: Api = Api {
    key: ApiKey::CreatePartitions,
    versions: 0..=3,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: CreatePartitionsRequest = call.request.decode()?;
    let done = match within(body.timeout_ms, grow(&call.broker, &body)).await {
        Ok(Ok(done)) => done,
        Ok(Err(rejection)) | Err(rejection) => {
            let all = body.topics.iter();
            all.map(|topic| (topic.name.clone(), Err(rejection.clone())))
                .collect()
        }
    };
    let results = done.into_iter().map(|(name, done)| {
        let result = CreatePartitionsTopicResult::default().with_name(name);
        match done {
            Ok(()) => result.with_error_message(None),
            Err(rejection) => result
                .with_error_code(rejection.code())
                .with_error_message(rejection.told()),
        }
    });
    let response = CreatePartitionsResponse::default().with_results(results.collect());
    call.request.respond(&response)
}

type Done = Vec<(TopicName, Result<(), Rejection>)>;

async fn grow(broker: &Broker, body: &CreatePartitionsRequest) -> Result<Done, Rejection> {
    catch_up(broker).await?;
    let planned = broker.replica().read(|state| plan_all(state, &body.topics));
    let mut done = Vec::with_capacity(planned.len());
    for (name, planned) in planned {
        let result = match planned {
            Ok(command) if !body.validate_only => submit(broker, &name, command).await,
            Ok(_) => Ok(()),
            Err(rejection) => Err(rejection),
        };
        done.push((name, result));
    }
    Ok(done)
}

async fn submit(
    broker: &Broker,
    name: &TopicName,
    command: CreatePartitions,
) -> Result<(), Rejection> {
    let total = i64::from(command.total);
    match broker.session().submit(command).await? {
        Ok(()) => Ok(()),
        Err(TopicRejection::BadPartitionCount(there_are)) => {
            Err(not_an_increase(name, there_are, total))
        }
        Err(TopicRejection::Unknown) => Err(unknown()),
        Err(rejection) => Err(rejection.into()),
    }
}

fn plan_all(
    state: &State,
    topics: &[CreatePartitionsTopic],
) -> Vec<(TopicName, Result<CreatePartitions, Rejection>)> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in topics {
        *times.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut added = 0;
    let mut planned = Vec::with_capacity(topics.len());
    for topic in topics {
        let plan = match times.remove(topic.name.as_str()) {
            Some(1) => plan(state, topic),
            Some(_) => Err(Rejection::invalid_request("Duplicate topic name.")),
            None => continue,
        };
        let plan = plan.map(|(command, more)| {
            added += more as usize;
            command
        });
        planned.push((topic.name.clone(), plan));
    }
    if added > PARTITIONS_PER_REQUEST_MAX {
        for (_, plan) in planned.iter_mut().filter(|(_, plan)| plan.is_ok()) {
            *plan = Err(Rejection::too_many_partitions());
        }
    }
    planned
}

fn unknown() -> Rejection {
    let message = "This server does not host this topic-partition.";
    Rejection::new(ResponseError::UnknownTopicOrPartition, message)
}

fn not_an_increase(name: &str, there_are: u32, total: i64) -> Rejection {
    let message = if i64::from(there_are) == total {
        format!("Topic already has {there_are} partition(s).")
    } else {
        format!(
            "The topic {name} currently has {there_are} partition(s); {total} would not be an increase."
        )
    };
    Rejection::new(ResponseError::InvalidPartitions, message)
}

/// The command, and how many partitions it adds.
fn plan(
    state: &State,
    topic: &CreatePartitionsTopic,
) -> Result<(CreatePartitions, u32), Rejection> {
    let (id, found) = state.topic_named(&topic.name).ok_or_else(unknown)?;
    let there_are = found.partitions;
    let total = u32::try_from(topic.count).unwrap_or(0);
    if total <= there_are {
        return Err(not_an_increase(
            &topic.name,
            there_are,
            i64::from(topic.count),
        ));
    }
    if total > PARTITIONS_MAX {
        let message = format!("A topic may have at most {PARTITIONS_MAX} partitions.");
        return Err(Rejection::new(ResponseError::InvalidPartitions, message));
    }
    let more = total - there_are;
    if let Some(assignments) = &topic.assignments {
        if assignments.len() != more as usize {
            let message = format!(
                "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(Rejection::new(
                ResponseError::InvalidReplicaAssignment,
                message,
            ));
        }
        for assignment in assignments {
            check_replicas(&assignment.broker_ids)?;
        }
    }
    Ok((CreatePartitions { id, total }, more))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
    use kafka_protocol::protocol::StrBytes;

    use super::super::testing::state_with;
    use super::*;

    fn to(name: &'static str, count: i32) -> CreatePartitionsTopic {
        CreatePartitionsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(name)))
            .with_count(count)
            .with_assignments(None)
    }

    fn assigned(topic: CreatePartitionsTopic, brokers: &[&[i32]]) -> CreatePartitionsTopic {
        let assignment = |ids: &&[i32]| {
            let ids = ids.iter().map(|&id| BrokerId(id)).collect();
            CreatePartitionsAssignment::default().with_broker_ids(ids)
        };
        topic.with_assignments(Some(brokers.iter().map(assignment).collect()))
    }

    #[test]
    fn counts_only_grow_and_refusals_have_kafkas_words() {
        use ResponseError as E;
        let state = state_with(&[("a.b", 3)]);
        for (topic, error, message) in [
            (
                to("a.b", 3),
                E::InvalidPartitions,
                "Topic already has 3 partition(s).",
            ),
            (
                to("a.b", 2),
                E::InvalidPartitions,
                "The topic a.b currently has 3 partition(s); 2 would not be an increase.",
            ),
            (
                to("a.b", -1),
                E::InvalidPartitions,
                "The topic a.b currently has 3 partition(s); -1 would not be an increase.",
            ),
            (
                to("zzz", 3),
                E::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
            (
                to("a.b", 20_000),
                E::PolicyViolation,
                "Excessively large number of partitions per request.",
            ),
            (
                assigned(to("a.b", 5), &[&[1]]),
                E::InvalidReplicaAssignment,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
            ),
            (
                assigned(to("a.b", 5), &[&[1], &[]]),
                E::InvalidReplicaAssignment,
                "The manual partition assignment includes an empty replica list.",
            ),
            (
                assigned(to("a.b", 4), &[&[1, 1]]),
                E::InvalidReplicaAssignment,
                "The manual partition assignment includes the broker 1 more than once.",
            ),
        ] {
            let planned = plan_all(&state, &[topic]);
            assert_eq!(planned[0].1, Err(Rejection::new(error, message)));
        }
        let (id, _) = state.topic_named("a.b").unwrap();
        for topic in [to("a.b", 5), assigned(to("a.b", 5), &[&[9], &[7, 8]])] {
            assert_eq!(
                plan_all(&state, &[topic])[0].1,
                Ok(CreatePartitions { id, total: 5 })
            );
        }
        let twice = plan_all(&state, &[to("a.b", 4), to("a.b", 5)]);
        assert_eq!(twice.len(), 1);
        assert_eq!(
            twice[0].1,
            Err(Rejection::invalid_request("Duplicate topic name."))
        );
    }
}
