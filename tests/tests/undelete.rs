//! Deleted topics that come back: to clients a deleted topic is gone at once, as in Kafka, and what there was of it can
//! be had again, byte for byte, until its time is over.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use object_format::batch::{BatchBuilder, BatchHeader, split};
use tests::cluster::{metadata, metric, until};
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::Raw;
use tests::tool;
use uuid::Uuid;

const PARTITIONS: i32 = 3;
const LATEST: i64 = -1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// An agent whose compactor rewrites all the time.
fn eager(place: &Place) -> Launch {
    place
        .dev()
        .arg("--linger-ms", "5")
        .arg("--compaction-interval-ms", "20")
        .arg("--compaction-objects-min", "4")
        .arg("--compaction-run-bytes", "4KiB")
        .arg("--garbage-interval-ms", "1s")
}

/// Runs a tool, on the log that the tests are run on: whether it succeeded, and what it said.
fn millrace(args: &[&str]) -> (bool, String) {
    let on_store = args.contains(&"--store").then(|| tool::on_log(args));
    let on_store: Option<Vec<&str>> = on_store
        .as_ref()
        .map(|args| args.iter().map(String::as_str).collect());
    let args = on_store.as_deref().unwrap_or(args);
    let output = tool::run(args, &[]).unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

fn succeeds(args: &[&str]) -> String {
    let (succeeded, said) = millrace(args);
    assert!(succeeded, "{args:?}: {said}");
    said
}

fn is_refused(args: &[&str], why: &str) {
    let (succeeded, said) = millrace(args);
    assert!(!succeeded && said.contains(why), "{args:?}: {said}");
}

/// A topic's id; none if there is no such topic.
async fn id_of(broker: &Process, topic: &str) -> Option<Uuid> {
    let response = metadata(&broker.bootstrap, Some(topic)).await.unwrap();
    let found = &response.topics[0];
    (found.error_code == 0).then_some(found.topic_id)
}

/// The batches of a topic as they are fetched, by partition and offset.
async fn contents(broker: &Process, topic: &str) -> BTreeMap<(i32, i64), Bytes> {
    let mut raw = Raw::connect(&broker.bootstrap).await.unwrap();
    let mut contents = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut offset = 0;
        loop {
            let (error, end, bytes) = raw.fetch(topic, partition, offset).await.unwrap();
            assert_eq!(error, 0, "{topic}-{partition} at {offset}");
            for batch in split(bytes) {
                let batch = batch.unwrap();
                let header = BatchHeader::parse(&batch).unwrap();
                contents.insert((partition, header.base_offset), batch);
                offset = header.base_offset + header.offset_count();
            }
            if offset >= end {
                break;
            }
        }
    }
    contents
}

async fn produce(broker: &Process, topic: &str, batches: i32) {
    let mut raw = Raw::connect(&broker.bootstrap).await.unwrap();
    for n in 0..batches {
        let value = vec![n as u8; 700];
        let batch = BatchBuilder::new()
            .record(1_700_000_000_000, Some(b"key"), Some(&value))
            .record(1_700_000_000_001, None, Some(b"second"))
            .build();
        let answer = raw.produce(topic, n % PARTITIONS, batch).await.unwrap();
        assert_eq!(answer.error_code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_comes_back_beside_the_one_that_took_its_name() {
    let place = Place::folder().unwrap();
    let broker = eager(&place).start().await.unwrap();
    let (bootstrap, store) = (broker.bootstrap.clone(), place.url.clone());
    let topic =
        |args: &[&str]| succeeds(&[&["topic"], args, &["--bootstrap", &bootstrap]].concat());
    let mut raw = Raw::connect(&bootstrap).await.unwrap();
    let forever = [("retention.ms", "-1")];
    for name in ["orders", "others"] {
        let created = raw.create_topic_with(name, PARTITIONS, &forever).await;
        assert_eq!(created.unwrap(), 0);
    }
    produce(&broker, "orders", 40).await;
    produce(&broker, "others", 5).await;
    let id = id_of(&broker, "orders").await.unwrap();
    let before = contents(&broker, "orders").await;
    assert_eq!(before.len(), 40);

    topic(&["delete", "orders"]);
    let (error, _) = raw.list_offset("orders", 0, LATEST).await.unwrap();
    assert_eq!(error, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(id_of(&broker, "orders").await, None);
    assert!(!topic(&["list"]).contains("orders"));

    // Its name is free, and the new topic of that name has nothing to do with it.
    topic(&["create", "orders", "--partitions", "3"]);
    assert_ne!(id_of(&broker, "orders").await, Some(id));
    for partition in 0..PARTITIONS {
        let end = raw.list_offset("orders", partition, LATEST).await.unwrap();
        assert_eq!(end, (0, 0));
    }
    produce(&broker, "orders", 7).await;
    // Compaction goes on with what both have in the same objects.
    let backlog = "millrace_compaction_backlog_objects";
    until("few small objects are left", WITHIN, || async {
        metric(&broker, backlog).await < 4.0
    })
    .await;

    let listed = succeeds(&["topic", "list", "--deleted", "--store", &store]);
    let line = listed.lines().find(|line| line.starts_with("orders "));
    assert!(line.unwrap().contains(&id.to_string()), "{listed}");
    let inspected = succeeds(&["inspect", "topic", &id.to_string(), "--store", &store]);
    assert!(inspected.contains("retention.ms = -1"), "{inspected}");
    let undelete = ["topic", "undelete", "orders", "--store", &store];
    is_refused(&undelete, "use --as");
    succeeds(&[&undelete[..], &["--as", "orders-old"]].concat());
    until("the agent has heard of it", WITHIN, || async {
        id_of(&broker, "orders-old").await == Some(id)
    })
    .await;
    assert_eq!(contents(&broker, "orders-old").await, before);
    assert_eq!(contents(&broker, "orders").await.len(), 7);
    assert_eq!(contents(&broker, "others").await.len(), 5);
    is_refused(&undelete, "no deleted topic \"orders\" is kept");

    // Once more, and for good.
    topic(&["delete", "orders-old"]);
    let purge = ["topic", "purge", "--id", &id.to_string(), "--store", &store];
    assert!(succeeds(&purge).contains("purged orders-old"));
    is_refused(&purge, "there is no deleted topic of this id");
    let by_id = [
        "topic",
        "undelete",
        "--id",
        &id.to_string(),
        "--store",
        &store,
    ];
    is_refused(&by_id, "there is no deleted topic of this id");
    let none = succeeds(&["topic", "list", "--deleted", "--store", &store]);
    assert!(none.contains("no deleted topics"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_over_it_is_gone() {
    let place = Place::folder().unwrap();
    let launch = eager(&place).arg("--topic-undelete-window-ms", "1s");
    let broker = launch.start().await.unwrap();
    let mut raw = Raw::connect(&broker.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic("orders", PARTITIONS).await.unwrap(), 0);
    produce(&broker, "orders", 5).await;
    let delete = [
        "topic",
        "delete",
        "orders",
        "--bootstrap",
        &broker.bootstrap,
    ];
    succeeds(&delete);
    until("it is purged", WITHIN, || async {
        metric(&broker, "millrace_purged_topics_total").await == 1.0
    })
    .await;
    let undelete = ["topic", "undelete", "orders", "--store", &place.url];
    is_refused(&undelete, "no deleted topic \"orders\" is kept");
    until("its objects are garbage", WITHIN, || async {
        metric(&broker, "millrace_garbage_objects").await >= 1.0
            && metric(&broker, "millrace_live_bytes").await == 0.0
    })
    .await;
}

#[test]
fn where_there_is_no_cluster_nothing_is_made_or_changed() {
    let place = Place::folder().unwrap();
    let id = Uuid::from_u128(1).to_string();
    for args in [
        &["topic", "list", "--deleted"][..],
        &["topic", "undelete", "orders"],
        &["topic", "purge", "--id", &id],
    ] {
        let args = [args, &["--store", &place.url]].concat();
        is_refused(&args, "there is no folder");
        assert!(!place.path().exists());
    }
    let memory = ["--store", "memory://", "--metadata", "memory"];
    let undelete = [&["topic", "undelete", "orders"], &memory[..]].concat();
    is_refused(&undelete, "seen by no other process");
    is_refused(&["topic", "list", "--store", "./x"], "--deleted");
}
