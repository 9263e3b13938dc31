//! A store that throttles, hangs, refuses the credentials or drops connections for a while: clients are told in time,
//! memory stays bounded, the log says it once, and everything recovers by itself. What was acknowledged is there.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeTopicPartitionsRequest, FetchRequest,
    FindCoordinatorRequest, GroupId, InitProducerIdRequest, JoinGroupRequest, MetadataRequest,
    OffsetFetchRequest, ProduceRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tests::cluster::{admin_get, agents, until};
use tests::load::{Producer, Tally, assert_kept};
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::{Batch, Raw, fetch_request, produce_request, topic_name};
use tests::s3::{Effect, Rule};
use tokio::time::timeout;

const TOPIC: &str = "orders";
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const REQUEST_TIMED_OUT: i16 = 7;
const KAFKA_STORAGE_ERROR: i16 = 56;
const MIB: usize = 1 << 20;

/// Memory for requests, as it is set.
const QUEUED_BYTES: usize = 32 * MIB;
/// What clients could push if nothing held them back.
const PUSHED_BYTES_MAX: usize = 512 * MIB;
/// What may have left the clients: requests held, and what Linux buffers for four connections at the most.
const TAKEN_BYTES_MAX: usize = QUEUED_BYTES + 4 * 40 * MIB;
/// A client that waits so long to write is held back.
const STALLED_AFTER: Duration = Duration::from_millis(400);
/// Of the process while it is pushed: an idle one and what it may hold, with the room an allocator takes.
const RESIDENT_KIB_MAX: u64 = 128 << 10;
/// Clients give up on a request after half a minute; this is well before.
const ANSWERED_WITHIN: Duration = Duration::from_secs(22);
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// How soon all is well after the store is.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);

fn launch(place: &Place) -> Launch {
    place
        .dev()
        .arg("--store-request-timeout-ms", "1s")
        .arg("--queued-max-request-bytes", "32MiB")
        .arg("--cache-bytes", "8MiB")
        .allow(" WARN ")
}

/// Four clients write until the broker takes no more; gives how many bytes that were.
async fn push(bootstrap: &str) -> usize {
    let value = vec![b'x'; 900 << 10];
    let batch = Batch::of_values([value]).encode();
    let request = produce_request(TOPIC, 1, -1, batch.clone()).with_timeout_ms(500);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Raw::connect(bootstrap).await.unwrap());
    }
    let mut pushed = 0;
    while !clients.is_empty() && pushed < PUSHED_BYTES_MAX {
        let mut taking = Vec::new();
        for mut client in clients {
            let sent = timeout(STALLED_AFTER, client.send_request(9, &request)).await;
            if sent.is_ok_and(|sent| sent.is_ok()) {
                pushed += batch.len();
                taking.push(client);
            }
        }
        clients = taking;
    }
    pushed
}

/// WARN lines by what they are about, without time and error.
fn warnings(process: &Process) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in process.log() {
        let Some((_, said)) = line.split_once(" WARN ") else {
            continue;
        };
        let what = said.split(" error=").next().unwrap_or_default();
        *counts.entry(what.replace("again: ", "")).or_default() += 1;
    }
    counts
}

async fn assert_survives(effect: Effect) {
    let place = Place::s3().await.unwrap();
    let mut process = launch(&place).start().await.unwrap();
    let bootstrap = process.bootstrap.clone();
    let mut raw = Raw::connect(&bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 2).await.unwrap(), 0);
    let tally = Tally::default();
    let mut plain = Producer::plain("plain", TOPIC, 0, &tally);
    let mut idempotent = Producer::idempotent("idempotent", TOPIC, 0, &tally, &bootstrap)
        .await
        .unwrap();
    for producer in [&mut plain, &mut idempotent] {
        producer.connect(&bootstrap).await.unwrap();
        producer.run(6).await.unwrap();
        producer.settle().await.unwrap();
    }
    let end = i64::try_from(plain.acknowledged_records() + idempotent.acknowledged_records());
    let mut consumer = Raw::connect(&bootstrap).await.unwrap();
    let request = fetch_request(TOPIC, 0, end.unwrap()).with_max_wait_ms(120_000);
    let waiting = consumer.send_request(11, &request).await.unwrap();

    let lines_before = process.log().len();
    place.faults().reset_counts();
    place.faults().add(Rule::always(&[], effect));
    idempotent.send().await.unwrap();
    let batch = Batch::of_values(["in the outage"]).encode();
    let request = produce_request(TOPIC, 1, -1, batch).with_timeout_ms(1_000);
    let answer = raw.call(9, &request).await.unwrap();
    let code = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(code, REQUEST_TIMED_OUT);
    assert_eq!(agents(&bootstrap).await.unwrap().len(), 1);

    let pushed = push(&bootstrap).await;
    assert!(pushed < TAKEN_BYTES_MAX, "{pushed} bytes were taken");
    let admin = process.admin.clone().unwrap();
    assert_eq!(admin_get(&admin, "/healthz").await.unwrap().0, 200);
    let failed: u64 = place.faults().counts().0.values().map(|c| c.failed).sum();
    assert!(!warnings(&process).is_empty(), "the log says what is wrong");
    let lines = process.log().len() - lines_before;
    assert!(lines <= 10, "{lines} lines of {failed} failures");

    place.faults().clear();
    // The batch sent into the outage is acknowledged now, unless its time was over.
    let recovered = async {
        idempotent.connect(&bootstrap).await.unwrap();
        idempotent.run(5).await.unwrap();
        idempotent.settle().await.unwrap();
        plain.run(5).await.unwrap();
        plain.settle().await.unwrap();
    };
    let recovered = timeout(RECOVERED_WITHIN, recovered).await;
    assert!(recovered.is_ok(), "not within {RECOVERED_WITHIN:?}");
    let woken = consumer.read_response::<FetchRequest>(11, waiting).await;
    let woken = woken.unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(woken.error_code, 0);
    assert!(!Batch::decode_all(woken.records.unwrap()).is_empty());
    assert_kept(&bootstrap, TOPIC, &[plain, idempotent]).await;

    let is_over = |line: &String| line.contains("over: cannot upload objects");
    until("its end is logged", RECOVERED_WITHIN, || async {
        process.log().iter().any(is_over)
    })
    .await;
    let (peak_kib, _) = process.resident_kib().unwrap();
    assert!(peak_kib < RESIDENT_KIB_MAX, "{peak_kib} KiB at the most");
    for (what, count) in warnings(&process) {
        assert!(count <= 2, "{count} times, of {failed} failures: {what}");
    }
    assert!(process.wait(Duration::ZERO).await.is_none(), "still up");
}

#[tokio::test]
async fn a_store_that_throttles() {
    assert_survives(Effect::SlowDown).await;
}

#[tokio::test]
async fn a_store_that_hangs() {
    assert_survives(Effect::Hang).await;
}

#[tokio::test]
async fn a_store_that_refuses_the_credentials() {
    assert_survives(Effect::AccessDenied).await;
}

#[tokio::test]
async fn a_store_that_drops_connections() {
    assert_survives(Effect::Drop).await;
}

#[tokio::test]
async fn consumers_are_told_of_records_that_cannot_be_read_and_get_them_later() {
    let place = Place::s3().await.unwrap();
    let mut process = launch(&place).start().await.unwrap();
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let batch = Batch::of_values(["kept"]).encode();
    assert_eq!(raw.produce(TOPIC, 0, batch).await.unwrap().error_code, 0);
    process.stop(RECOVERED_WITHIN).await;

    // A new one has nothing in its cache.
    let process = launch(&place).start().await.unwrap();
    for effect in [Effect::AccessDenied, Effect::SlowDown, Effect::Drop] {
        place.faults().add(Rule::always(&[], effect));
        let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
        let (error, _, records) = raw.fetch(TOPIC, 0, 0).await.unwrap();
        assert_eq!((error, records.len()), (KAFKA_STORAGE_ERROR, 0));
        place.faults().clear();
    }
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    let (error, high_watermark, records) = raw.fetch(TOPIC, 0, 0).await.unwrap();
    assert_eq!((error, high_watermark), (0, 1));
    assert_eq!(Batch::decode_all(records)[0].1[0].1, Some("kept".into()));
}

#[tokio::test]
async fn records_of_a_topic_that_is_deleted_while_they_wait_are_refused_and_others_kept() {
    const DELETED: &str = "deleted";
    let place = Place::s3().await.unwrap();
    let process = place.dev().start().await.unwrap();
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    for name in [DELETED, TOPIC] {
        assert_eq!(raw.create_topic(name, 1).await.unwrap(), 0);
    }
    place.faults().configure("put-delay-ms=700").unwrap();
    let mut waiting = Vec::new();
    for name in [DELETED, TOPIC] {
        let batch = Batch::of_values([name]).encode();
        let request = produce_request(name, 0, -1, batch);
        waiting.push(raw.send_request(9, &request).await.unwrap());
    }
    let mut other = Raw::connect(&process.bootstrap).await.unwrap();
    let topic = DeleteTopicState::default().with_name(Some(topic_name(DELETED)));
    let delete = DeleteTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let deleted = other.call(6, &delete).await.unwrap();
    assert_eq!(deleted.responses[0].error_code, 0);
    let mut codes = Vec::new();
    for id in waiting {
        let answer = raw.read_response::<ProduceRequest>(9, id).await.unwrap();
        codes.push(answer.responses[0].partition_responses[0].error_code);
    }
    assert_eq!(codes, [UNKNOWN_TOPIC_OR_PARTITION, 0]);
    place.faults().clear();
    // Nothing of them is in the next topic of that name.
    assert_eq!(raw.create_topic(DELETED, 1).await.unwrap(), 0);
    let (error, high_watermark, records) = raw.fetch(DELETED, 0, 0).await.unwrap();
    assert_eq!((error, high_watermark, records.len()), (0, 0, 0));
    assert_eq!(raw.fetch(TOPIC, 0, 0).await.unwrap().1, 1);
}

/// The answer to a request on a connection of its own, which comes in time.
async fn answered<R: Request>(bootstrap: &str, version: i16, request: R) -> R::Response {
    let mut raw = Raw::connect(bootstrap).await.unwrap();
    let answer = timeout(ANSWERED_WITHIN, raw.call(version, &request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("API {} is not answered", R::KEY));
    answer.unwrap()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

#[tokio::test]
async fn a_store_that_hangs_leaves_no_request_unanswered() {
    let place = Place::s3().await.unwrap();
    let process = place.dev().allow(" WARN ").start().await.unwrap();
    let bootstrap = &process.bootstrap;
    let mut raw = Raw::connect(bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    place.faults().add(Rule::always(&[], Effect::Hang));

    let unknown = MetadataRequestTopic::default().with_name(Some(topic_name("unknown")));
    let metadata = MetadataRequest::default()
        .with_topics(Some(vec![unknown]))
        .with_allow_auto_topic_creation(true);
    let producer = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
        .with_transaction_timeout_ms(1_000);
    let transactional = producer
        .clone()
        .with_transactional_id(Some(TransactionalId(text("t"))));
    let coordinator = FindCoordinatorRequest::default().with_key(text("g"));
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g")));
    let offsets = OffsetFetchRequest::default().with_groups(vec![group.with_topics(None)]);
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let topic = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(TOPIC))
        .with_configuration_keys(None);
    let configs = DescribeConfigsRequest::default().with_resources(vec![topic]);
    let topic = TopicRequest::default().with_name(topic_name(TOPIC));
    let partitions = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic])
        .with_response_partition_limit(10);

    let (metadata, producer, transactional, coordinator, offsets, joined, configs, partitions) = tokio::join!(
        answered(bootstrap, 9, metadata),
        answered(bootstrap, 4, producer),
        answered(bootstrap, 4, transactional),
        answered(bootstrap, 3, coordinator),
        answered(bootstrap, 8, offsets),
        answered(bootstrap, 3, join),
        answered(bootstrap, 4, configs),
        answered(bootstrap, 0, partitions),
    );
    assert_ne!(metadata.topics[0].error_code, 0);
    assert_eq!(producer.error_code, COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(transactional.error_code, COORDINATOR_NOT_AVAILABLE);
    assert_ne!(offsets.groups[0].error_code, 0);
    assert_ne!(joined.error_code, 0);
    // What this agent knows is what Kafka's brokers would tell, too.
    assert_eq!(coordinator.error_code, 0);
    assert_eq!(configs.results[0].error_code, 0);
    assert_eq!(partitions.topics[0].partitions.len(), 1);
}
