//! Many of something in one agent: partitions in an object, in a fetch and in the metadata, connections. What is asserted
//! is what comes back, how many requests it took and what memory, never how long it took.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::describe_topic_partitions_response::Cursor;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, FetchRequest, FetchResponse, ListOffsetsRequest,
    MetadataRequest, ProduceRequest,
};
use tests::broker::Broker;
use tests::cluster::until;
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Batch, Raw, fetch_request, topic_name};
use tests::s3::Op;
use tokio::task::JoinSet;

const TOPIC: &str = "many";
const PARTITIONS: i32 = 1_000;
const DATA: &str = "cluster/data/";

/// The record that `round` writes to a partition.
fn value(partition: i32, round: i32) -> Bytes {
    Bytes::from(format!("{partition}-{round}"))
}

/// One request with a batch of one record for each partition.
fn produce_to_all(round: i32) -> ProduceRequest {
    let partition = |index| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(Batch::of_values([value(index, round)]).encode()))
    };
    let topic = TopicProduceData::default()
        .with_name(topic_name(TOPIC))
        .with_partition_data((0..PARTITIONS).map(partition).collect());
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// Writes a record to each partition; asserts that each is at the offset `round`.
async fn write_round(raw: &mut Raw, round: i32) {
    let response = raw.call(9, &produce_to_all(round)).await.unwrap();
    let answers = &response.responses[0].partition_responses;
    assert_eq!(answers.len() as i32, PARTITIONS);
    for answer in answers {
        let what = (answer.error_code, answer.base_offset);
        assert_eq!(what, (0, i64::from(round)), "partition {}", answer.index);
    }
}

/// A fetch session over all partitions, one batch of each at a time.
struct Session {
    id: i32,
    epoch: i32,
    bytes_max: i32,
    /// Partitions whose offset the broker has not been told yet.
    changed: BTreeMap<i32, i64>,
}

impl Session {
    fn over_all(bytes_max: i32) -> Self {
        Self {
            id: 0,
            epoch: 0,
            bytes_max,
            changed: (0..PARTITIONS).map(|partition| (partition, 0)).collect(),
        }
    }

    fn request(&mut self) -> FetchRequest {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let partitions = changed.map(|(partition, offset)| {
            FetchPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(offset)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(100)
        });
        let topic = FetchTopic::default()
            .with_topic(topic_name(TOPIC))
            .with_partitions(partitions.collect());
        let topics = match topic.partitions.is_empty() {
            true => vec![],
            false => vec![topic],
        };
        FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(self.bytes_max)
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
            .with_topics(topics)
    }

    /// Takes the next response: the partitions and values in it. All there is of a partition is asked for next.
    fn take(&mut self, response: FetchResponse) -> Vec<(i32, Bytes)> {
        assert_eq!(response.error_code, 0);
        assert_ne!(response.session_id, 0, "there is room for a session");
        (self.id, self.epoch) = (response.session_id, self.epoch + 1);
        let mut taken = vec![];
        let topics = response.responses.into_iter();
        for partition in topics.flat_map(|topic| topic.partitions) {
            assert_eq!(partition.error_code, 0);
            let index = partition.partition_index;
            for (base, records) in Batch::decode_all(partition.records.unwrap_or_default()) {
                assert_eq!(records.len(), 1);
                self.changed.insert(index, base + 1);
                taken.extend(
                    records
                        .into_iter()
                        .filter_map(|record| Some((index, record.1?))),
                );
            }
        }
        taken
    }
}

/// Reads `rounds` records of each partition in small pieces. Whatever is in front, no partition gives a second record
/// before each has given its first; and each gives what was written, in order.
async fn read_all_fairly(raw: &mut Raw, rounds: i32) {
    let mut session = Session::over_all(10_000);
    let mut read = vec![0; PARTITIONS as usize];
    while read.iter().any(|&count| count < rounds) {
        let response = raw.call(11, &session.request()).await.unwrap();
        let taken = session.take(response);
        assert!(!taken.is_empty(), "nothing came and not all is read");
        assert!(taken.len() < 200, "{} records in 10,000 bytes", taken.len());
        for (partition, found) in taken {
            let count = &mut read[partition as usize];
            assert_eq!(found, value(partition, *count));
            *count += 1;
        }
        let (least, most) = (read.iter().min().unwrap(), read.iter().max().unwrap());
        assert!(most - least <= 1, "one gave {most}, another {least}");
    }
}

/// An agent that seals objects by time alone once it has sealed one.
async fn start_gathering(place: &Place) -> Process {
    let launch = place.broker("writer").arg("--put-budget-per-second", "0");
    launch.arg("--linger-ms", "1000").start().await.unwrap()
}

#[tokio::test]
async fn a_thousand_partitions_are_one_object_and_one_session_reads_them_all() {
    const ROUNDS: i32 = 3;
    let place = Place::s3().await.unwrap();
    let server = place.server.as_ref().unwrap();
    let mut agent = start_gathering(&place).await;
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    assert_eq!(raw.create_topic("first", 1).await.unwrap(), 0);
    let first = Batch::of_values(["takes the token"]).encode();
    assert_eq!(raw.produce("first", 0, first).await.unwrap().error_code, 0);
    for round in 0..ROUNDS {
        let before = server.objects.keys(DATA).len();
        write_round(&mut raw, round).await;
        let objects = server.objects.keys(DATA).len() - before;
        assert_eq!(objects, 1, "1,000 partitions in {objects} objects");
    }
    read_all_fairly(&mut raw, ROUNDS).await;
    agent.stop(Duration::from_secs(30)).await;

    // Nothing is in memory: one GET brings an object, however many partitions are read from it.
    let agent = place.broker("reader").start().await.unwrap();
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    let gets = || server.faults.counts().of(Op::Get);
    let before = gets();
    read_all_fairly(&mut raw, ROUNDS).await;
    let after = gets();
    // Beside data, the log is looked into for what others append, which is answered 404.
    let answered = (after.requests - after.failed) - (before.requests - before.failed);
    assert!(answered <= 6, "{answered} GETs for three objects");
}

#[tokio::test]
async fn a_fetch_over_a_thousand_partitions_waits_and_tells_only_what_is_new() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    write_round(&mut raw, 0).await;
    let mut session = Session::over_all(10 << 20);
    let mut reader = broker.connect().await.unwrap();
    let first = reader.call(11, &session.request()).await.unwrap();
    assert_eq!(session.take(first).len() as i32, PARTITIONS);
    let nothing = reader.call(11, &session.request()).await.unwrap();
    assert!(session.take(nothing).is_empty());
    for written in [0, PARTITIONS / 2, PARTITIONS - 1] {
        let request = session.request().with_max_wait_ms(30_000);
        let waiting = reader.send_request(11, &request).await.unwrap();
        let batch = Batch::of_values([value(written, 1)]).encode();
        let produced = raw.produce(TOPIC, written, batch).await.unwrap();
        assert_eq!((produced.error_code, produced.base_offset), (0, 1));
        let response = reader.read_response::<FetchRequest>(11, waiting);
        let response = response.await.unwrap();
        let told: usize = response.responses.iter().map(|t| t.partitions.len()).sum();
        assert_eq!(told, 1, "999 partitions have no news");
        assert_eq!(session.take(response), [(written, value(written, 1))]);
    }
}

const LARGE_TOPICS: i32 = 10;
const LARGE_PARTITIONS: i32 = 10_000;

/// That an agent tells of each of 100,000 partitions once, in one piece and page by page.
async fn assert_tells_of_all(raw: &mut Raw) {
    let everything = MetadataRequest::default().with_topics(None);
    let metadata = raw.call(12, &everything).await.unwrap();
    assert_eq!(metadata.topics.len() as i32, LARGE_TOPICS);
    for topic in &metadata.topics {
        let indices = topic.partitions.iter().map(|p| p.partition_index);
        assert!(indices.eq(0..LARGE_PARTITIONS));
        assert!(topic.partitions.iter().all(|p| p.leader_id.0 >= 0));
    }
    let mut cursor: Option<Cursor> = None;
    let mut told: BTreeMap<String, i32> = BTreeMap::new();
    for _ in 0..LARGE_TOPICS * LARGE_PARTITIONS / 2_000 {
        let request = DescribeTopicPartitionsRequest::default()
            .with_response_partition_limit(2_000)
            .with_cursor(cursor.take().map(|c| {
                kafka_protocol::messages::describe_topic_partitions_request::Cursor::default()
                    .with_topic_name(c.topic_name)
                    .with_partition_index(c.partition_index)
            }));
        let page = raw.call(0, &request).await.unwrap();
        for topic in page.topics {
            let next = told.entry(topic.name.unwrap().to_string()).or_default();
            for partition in topic.partitions {
                assert_eq!(partition.partition_index, *next);
                *next += 1;
            }
        }
        cursor = page.next_cursor;
    }
    assert!(cursor.is_none(), "the pages go on");
    assert_eq!(told.len() as i32, LARGE_TOPICS);
    assert!(told.values().all(|&count| count == LARGE_PARTITIONS));
}

/// The ends of the first 1,000 partitions of a topic.
async fn ends(raw: &mut Raw, topic: &str) -> Vec<i64> {
    let partition = |index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_current_leader_epoch(-1)
            .with_timestamp(-1)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic]);
    let response = raw.call(5, &request).await.unwrap();
    let answers = response.topics[0].partitions.iter();
    answers
        .map(|answer| {
            assert_eq!(answer.error_code, 0);
            answer.offset
        })
        .collect()
}

#[tokio::test]
async fn an_agent_with_a_hundred_thousand_partitions_starts_again_from_its_checkpoint() {
    let place = Place::folder().unwrap();
    let launch = place.dev().arg("--metadata-checkpoint-entries", "1");
    let mut agent = launch.start().await.unwrap();
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    for n in 0..LARGE_TOPICS {
        let name = format!("large-{n}");
        let created = raw.create_topic(&name, LARGE_PARTITIONS).await.unwrap();
        assert_eq!(created, 0);
    }
    let batch = Batch::of_values(["only one"]).encode();
    let produced = raw.produce("large-7", 500, batch).await.unwrap();
    assert_eq!((produced.error_code, produced.base_offset), (0, 0));
    assert_tells_of_all(&mut raw).await;
    let checkpoints = place.path().join("meta/checkpoint");
    until("a checkpoint", Duration::from_secs(30), || async {
        let positions = std::fs::read_dir(&checkpoints).into_iter().flatten();
        positions
            .flatten()
            .any(|position| position.path().join("manifest").exists())
    })
    .await;
    agent.kill().await;

    let agent = launch.start().await.unwrap();
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    assert_tells_of_all(&mut raw).await;
    let written = ends(&mut raw, "large-7").await;
    let expected = (0..PARTITIONS).map(|index| i64::from(index == 500));
    assert!(written.into_iter().eq(expected));
    let (error, _, records) = raw.fetch("large-7", 500, 0).await.unwrap();
    assert_eq!((error, Batch::decode_all(records).len()), (0, 1));
    if let Some((_, resident)) = agent.resident_kib() {
        let mib = resident / 1024;
        assert!(
            mib < 400,
            "{mib} MiB resident with 100,000 empty partitions"
        );
    }
}

#[tokio::test]
async fn one_commit_wakes_thousands_of_connections() {
    const CONNECTIONS: usize = 4_000;
    runtime::descriptors::raise_limit();
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut connecting = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (bootstrap, topic) = (broker.bootstrap.clone(), topic.clone());
        connecting.spawn(async move {
            let mut raw = Raw::connect(&bootstrap).await.unwrap();
            let request = fetch_request(&topic, 0, 0).with_max_wait_ms(60_000);
            let id = raw.send_request(11, &request).await.unwrap();
            (raw, id)
        });
    }
    let waiting = connecting.join_all().await;
    let batch = Batch::of_values(["to all"]).encode();
    let mut producer = broker.connect().await.unwrap();
    let produced = producer.produce(&topic, 0, batch).await.unwrap();
    assert_eq!(produced.error_code, 0);
    for (mut raw, id) in waiting {
        let response = raw.read_response::<FetchRequest>(11, id).await.unwrap();
        let records = response.responses[0].partitions[0].records.clone();
        assert_eq!(Batch::decode_all(records.unwrap_or_default()).len(), 1);
    }
    let resident = broker.process.as_ref().and_then(Process::resident_kib);
    if let Some((peak, _)) = resident {
        let mib = peak / 1024;
        assert!(mib < 300, "{mib} MiB for 4,000 connections that fetch");
    }
}

#[tokio::test]
async fn connections_never_take_the_descriptors_that_uploads_need() {
    let place = Place::folder().unwrap();
    let launch = place.dev().descriptors(400);
    let launch = launch
        .allow(
            "max.connections is 10000, but this process may have only 400 files open: it takes 200",
        )
        .allow("there are as many as max.connections allows");
    let agent = launch.start().await.unwrap();
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let mut crowd = vec![];
    for _ in 0..500 {
        crowd.push(Raw::connect(&agent.bootstrap).await.unwrap());
    }
    let last = crowd.last_mut().unwrap();
    assert!(last.is_closed_by_peer().await, "500 fit where 200 should");
    for _ in 0..20 {
        let batch = Batch::of_values(["alive"]).encode();
        let produced = raw.produce(TOPIC, 0, batch).await.unwrap();
        assert_eq!(produced.error_code, 0);
    }
    let (error, end, _) = raw.fetch(TOPIC, 0, 0).await.unwrap();
    assert_eq!((error, end), (0, 20));
}
