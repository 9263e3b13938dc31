//! What Apache Kafka 4.1.1 says to the same requests.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::protocol::Encodable;

use super::super::testing::state_with;
use super::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

fn assigned(partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().map(|&id| BrokerId(id)).collect())
    };
    topic("m", -1, -1).with_assignments(partitions.iter().map(assignment).collect())
}

fn with_config(name: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig::default()
        .with_name(text(name))
        .with_value(value.map(text));
    topic("n", 1, 1).with_configs(vec![config])
}

fn planned(state: &State, topics: &[CreatableTopic]) -> Vec<(String, Result<Plan, Rejection>)> {
    let planned = plan_all(state, topics, 5).into_iter();
    planned
        .map(|(name, plan)| (name.to_string(), plan))
        .collect()
}

#[test]
fn counts_are_taken_defaulted_or_refused_with_kafkas_words() {
    use ResponseError as E;
    let state = state_with(&[]);
    for (topic, partitions) in [
        (topic("t", 3, 1), 3),
        (topic("t", -1, -1), 5),
        (topic("t", 2, 99), 2),
        (assigned(&[(0, &[1])]), 1),
        (assigned(&[(1, &[7, 8]), (0, &[1])]), 2),
    ] {
        let plan = planned(&state, &[topic])[0].1.clone().unwrap();
        assert_eq!(plan.partitions, partitions);
    }
    let below_one = "Number of partitions was set to an invalid non-positive value.";
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    let holes = "partitions should be a consecutive 0-based integer sequence";
    let many = "Excessively large number of partitions per request.";
    for (topic, error, message) in [
        (topic("t", 0, 1), E::InvalidPartitions, below_one),
        (topic("t", -2, 1), E::InvalidPartitions, below_one),
        (topic("t", 1, 0), E::InvalidReplicationFactor, factor),
        (topic("t", 0, -2), E::InvalidReplicationFactor, factor),
        (topic("t", 20_000, 1), E::PolicyViolation, many),
        (
            assigned(&[(0, &[1]), (2, &[1])]),
            E::InvalidReplicaAssignment,
            holes,
        ),
        (assigned(&[(-1, &[1])]), E::InvalidReplicaAssignment, holes),
        (
            assigned(&[(0, &[1]), (0, &[1])]),
            E::InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            assigned(&[(0, &[])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned(&[(0, &[1, 1])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned(&[(0, &[1])]).with_num_partitions(1),
            E::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned(&[(0, &[1])]).with_replication_factor(1),
            E::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
    ] {
        assert_eq!(
            planned(&state, &[topic])[0].1,
            Err(Rejection::new(error, message))
        );
    }
}

#[test]
fn names_must_be_free_and_collide_with_none() {
    use ResponseError as E;
    let state = state_with(&[("a.b", 3), ("plain", 1)]);
    for (topic, error, message) in [
        (
            topic("a.b", 0, 0),
            E::TopicAlreadyExists,
            "Topic 'a.b' already exists.",
        ),
        (
            topic("plain", 1, 1),
            E::TopicAlreadyExists,
            "Topic 'plain' already exists.",
        ),
        (
            topic("a_b", 1, 1),
            E::InvalidTopicException,
            "Topic 'a_b' collides with existing topic: a.b",
        ),
        (
            topic(".", 1, 1),
            E::InvalidTopicException,
            "Topic name is invalid: '.' is not allowed",
        ),
        (
            topic("__cluster_metadata", 1, 1),
            E::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
    ] {
        assert_eq!(
            planned(&state, &[topic])[0].1,
            Err(Rejection::new(error, message))
        );
    }
    assert!(planned(&state, &[topic("a-b", 1, 1)])[0].1.is_ok());
}

#[test]
fn a_topic_named_twice_is_answered_once_and_not_created() {
    let topics = [topic("t", 1, 1), topic("u", 1, 1), topic("t", 2, 1)];
    let planned = planned(&state_with(&[]), &topics);
    let names: Vec<&str> = planned.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["t", "u"]);
    assert_eq!(
        planned[0].1,
        Err(Rejection::invalid_request("Duplicate topic name."))
    );
    assert!(planned[1].1.is_ok());
}

#[test]
fn configs_are_checked_and_kept_in_their_usual_form() {
    let state = state_with(&[]);
    let plan = planned(&state, &[with_config("retention.ms", Some(" 5 "))])[0]
        .1
        .clone()
        .unwrap();
    assert_eq!(
        plan.configs,
        BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())])
    );
    for (topic, message) in [
        (
            with_config("foo", Some("1")),
            "Unknown topic config name: foo",
        ),
        (
            with_config("retention.ms", None),
            "Null value not supported for topic configs: retention.ms",
        ),
        (
            with_config("retention.ms", Some("x")),
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
    ] {
        let refused = planned(&state, &[topic.with_num_partitions(0)])[0]
            .1
            .clone();
        assert_eq!(
            refused,
            Err(Rejection::new(ResponseError::InvalidConfig, message))
        );
    }
}

#[test]
fn refusals_can_be_told_in_every_version() {
    let rejection = Rejection::invalid_request("no");
    let results = vec![refused(TopicName(text("t")), &rejection)];
    let response = CreateTopicsResponse::default().with_topics(results);
    for version in API.versions {
        response
            .encode(&mut bytes::BytesMut::new(), version)
            .unwrap();
    }
}
