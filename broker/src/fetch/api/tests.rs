use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use super::super::fixture::{Agent, agent, batch, tp};
use super::*;

fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.into()))
}

fn request(topic: TopicId, partitions: i32) -> FetchRequest {
    let partition = |partition| {
        FetchPartition::default()
            .with_partition(partition)
            .with_partition_max_bytes(1 << 20)
            .with_current_leader_epoch(-1)
    };
    let topic = FetchTopic::default()
        .with_topic(name("t"))
        .with_topic_id(topic.0)
        .with_partitions((0..partitions).map(partition).collect());
    FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_epoch(0)
        .with_topics(vec![topic])
}

async fn written() -> (Agent, TopicId) {
    let (agent, topic) = agent(2).await;
    agent
        .write(&[
            (tp(topic, 0), batch(3, 1_000)),
            (tp(topic, 1), batch(2, 1_000)),
        ])
        .await;
    (agent, topic)
}

/// The response, whose memory goes back at once.
async fn fetched(agent: &Agent, version: i16, request: FetchRequest) -> FetchResponse {
    let client = Client::default();
    handle_fetch(&agent.fetcher, client, version, request, None)
        .await
        .0
}

#[tokio::test(start_paused = true)]
async fn every_version_names_topics_its_way() {
    for version in 4..=18 {
        let (agent, topic) = written().await;
        let mut request = request(topic, 2);
        if version < FETCH_BY_ID {
            request.topics[0].topic_id = Uuid::nil();
        } else {
            request.topics[0].topic = TopicName::default();
        }
        let response = fetched(&agent, version, request).await;
        assert_eq!(
            (response.error_code, response.topics.len()),
            (0, 1),
            "version {version}"
        );
        let answered = &response.topics[0];
        if version < FETCH_BY_ID {
            assert_eq!((&*answered.name, answered.id), ("t", Uuid::nil()));
        } else {
            assert_eq!((&*answered.name, answered.id), ("", topic.0));
        }
        let ends: Vec<_> = answered
            .partitions
            .iter()
            .map(|p| p.high_watermark)
            .collect();
        assert_eq!(ends, [3, 2]);
        let bytes: usize = answered.partitions[0].records.iter().map(|r| r.len()).sum();
        assert_eq!(bytes, batch(3, 1_000).len());
        assert_eq!(answered.partitions[0].aborted_transactions, None);
        assert_eq!(response.session_id > 0, version >= FETCH_WITH_SESSIONS);
    }
}

#[tokio::test(start_paused = true)]
async fn readers_of_committed_records_get_a_list_of_aborted_transactions() {
    let (agent, topic) = written().await;
    let request = request(topic, 1).with_isolation_level(READ_COMMITTED);
    let response = fetched(&agent, 13, request).await;
    assert_eq!(
        response.topics[0].partitions[0].aborted_transactions,
        Some(vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_topics_have_the_error_of_the_way_they_are_named() {
    let (agent, _) = written().await;
    for (version, code) in [(12, 3), (13, 100)] {
        let mut request = request(TopicId::default(), 1);
        request.topics[0].topic = name("u");
        let response = fetched(&agent, version, request).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, code);
        assert_eq!(
            (partition.high_watermark, partition.log_start_offset),
            (-1, -1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_forgets_what_it_is_told_to() {
    let (agent, topic) = written().await;
    let first = fetched(&agent, 18, request(topic, 2)).await;
    let forgotten = ForgottenTopic::default()
        .with_topic_id(topic.0)
        .with_partitions(vec![0]);
    let next = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_id(first.session_id)
        .with_session_epoch(1)
        .with_forgotten_topics_data(vec![forgotten]);
    let response = fetched(&agent, 18, next.clone()).await;
    let numbers: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|p| p.partition)
        .collect();
    assert_eq!(numbers, [1]);
    let again = fetched(&agent, 18, next).await;
    assert_eq!(
        (again.error_code, again.session_id, again.topics.len()),
        (71, 0, 0)
    );
    let older = FetchRequest::default()
        .with_session_id(first.session_id)
        .with_session_epoch(2);
    assert_eq!(fetched(&agent, 12, older).await.error_code, 106);
}

#[tokio::test(start_paused = true)]
async fn offsets_are_listed_in_the_order_of_the_request() {
    let (agent, _) = written().await;
    let partition = |index, timestamp| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(timestamp)
            .with_current_leader_epoch(-1)
    };
    let topic = |topic: &str, partitions| {
        ListOffsetsTopic::default()
            .with_name(name(topic))
            .with_partitions(partitions)
    };
    let request = ListOffsetsRequest::default().with_topics(vec![
        topic("none", vec![partition(0, -1)]),
        topic(
            "t",
            vec![
                partition(1, -1),
                partition(0, 1_002),
                partition(1, -1),
                partition(9, -2),
            ],
        ),
    ]);
    let fetcher = agent.fetcher.clone();
    let handle = async move { handle_list_offsets(&fetcher, 6, request).await };
    let response = tokio::spawn(handle).await.unwrap();
    let listed: Vec<_> = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|p| (p.partition_index, p.error_code, p.offset, p.timestamp))
        .collect();
    let expected = [
        (0, 3, -1, -1),
        (1, 0, 2, -1),
        (0, 0, 2, 1_002),
        (1, 42, -1, -1),
        (9, 3, -1, -1),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn special_timestamps_are_known_from_their_version_on() {
    for (timestamp, first) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (0, 1), (99, 1)] {
        for version in 1..=10 {
            assert_eq!(
                is_known_in(version, timestamp),
                version >= first,
                "{timestamp} {version}"
            );
        }
    }
    assert!(!is_known_in(10, -6));
}
