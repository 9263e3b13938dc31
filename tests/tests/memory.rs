//! An agent's memory against the bound that it publishes (`millrace_memory_bound_bytes`): many times as much is written
//! and read as it may hold, by clients that do not wait and clients that do not read.

#![cfg(test)]

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use tests::cluster::{admin_get, until};
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::{Batch, Raw, fetch_request, produce_request};
use tests::s3::{Latency, Op};
use tokio::net::TcpSocket;

const TOPIC: &str = "much";
const PARTITIONS: i32 = 8;
const BATCH_BYTES: usize = 900 << 10;
/// Batches of each partition that are written before the reading, 316 MiB, and beside it, 422 MiB.
const OLDER: i64 = 45;
const NEWER: i64 = 60;
const OLDER_BYTES: f64 = OLDER as f64 * PARTITIONS as f64 * BATCH_BYTES as f64;
/// Clients that read nothing of what they ask for, of older and of newer records each.
const IDLE_READERS: i32 = 36;
/// As much as there may be in one response.
const FETCH_BYTES: i32 = 16 << 20;
/// The bound is to be of some use.
const BOUND_MAX: u64 = 330 << 20;
const WITHIN: Duration = Duration::from_secs(120);

/// An agent with little memory. A client that takes nothing for one and a half seconds is given up.
fn launch(place: &Place) -> Launch {
    let settings = [
        ("--cache-bytes", "16MiB"),
        ("--queued-max-request-bytes", "16MiB"),
        ("--socket-request-max-bytes", "4MiB"),
        ("--object-bytes-max", "4MiB"),
        ("--fetch-memory-bytes", "24MiB"),
        ("--fetch-catch-up-memory-bytes", "24MiB"),
        ("--connections-write-stall-ms", "1500ms"),
    ];
    let set = |launch: Launch, (flag, value): &(&str, &str)| launch.arg(flag, value);
    let launch = settings.iter().fold(place.broker("a"), set);
    // Of the clients that read nothing.
    launch.allow("closing a connection")
}

/// A value on a page of metrics, of all labels that hold `label` together.
async fn metric(admin: &str, name: &str, label: &str) -> Option<f64> {
    let (_, page) = admin_get(admin, "/metrics").await.ok()?;
    let lines = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        let value: f64 = value.parse().ok()?;
        (is_it && labels.contains(label)).then_some(value)
    });
    lines.reduce(|sum, value| sum + value)
}

/// Asserts that the process never had more memory than it says it takes at most.
async fn assert_within_bound(process: &Process) {
    let admin = process.admin.as_ref().unwrap();
    let bound = metric(admin, "millrace_memory_bound_bytes", "").await;
    let bound = bound.expect("the bound is published") as u64;
    let (peak_kib, _) = process.resident_kib().unwrap();
    println!("{} MiB of {} MiB", peak_kib >> 10, bound >> 20);
    assert!(bound < BOUND_MAX, "a bound of {bound} bytes");
    assert!(
        peak_kib << 10 < bound,
        "{peak_kib} KiB, more than {bound} bytes"
    );
    let told = |line: &String| line.contains("memory is bounded by");
    assert!(
        process.log().iter().any(told),
        "the log says what bounds it"
    );
}

fn value(partition: i32, number: i64) -> Vec<u8> {
    let mut value = format!("{partition}:{number}:").into_bytes();
    value.resize(BATCH_BYTES, b'.');
    value
}

/// Writes batches to a partition without waiting for one before the next, and asserts that all are stored.
async fn write(bootstrap: &str, partition: i32, numbers: Range<i64>) {
    let mut raw = Raw::connect(bootstrap).await.unwrap();
    let mut sent = vec![];
    for number in numbers.clone() {
        let batch = Batch::of_values([value(partition, number)]).encode();
        let request = produce_request(TOPIC, partition, -1, batch).with_timeout_ms(120_000);
        sent.push(raw.send_request(9, &request).await.unwrap());
    }
    for (number, id) in numbers.zip(sent) {
        let answer = raw.read_response::<ProduceRequest>(9, id).await.unwrap();
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, number));
    }
}

async fn write_all(bootstrap: &str, numbers: Range<i64>) {
    join_all((0..PARTITIONS).map(|partition| write(bootstrap, partition, numbers.clone()))).await;
}

fn greedy(partition: i32, offset: i64) -> FetchRequest {
    let mut request = fetch_request(TOPIC, partition, offset).with_max_bytes(FETCH_BYTES);
    request.topics[0].partitions[0].partition_max_bytes = FETCH_BYTES;
    request
}

/// Reads a partition from its beginning to an offset; again where it was, if it was given up for being slow.
async fn read_back(bootstrap: &str, partition: i32, end: i64) {
    let name = format!("backfill-{partition}");
    let mut raw = Raw::connect_as(bootstrap, &name).await.unwrap();
    let mut next = 0;
    while next < end {
        let Ok(response) = raw.call(11, &greedy(partition, next)).await else {
            raw = Raw::connect_as(bootstrap, &name).await.unwrap();
            continue;
        };
        let mut answer = response.responses.into_iter().flat_map(|t| t.partitions);
        let records = answer.next().and_then(|p| p.records).unwrap_or_default();
        for (base, records) in Batch::decode_all(records) {
            assert_eq!(base, next, "an offset is missing");
            assert_eq!(records[0].1.as_deref(), Some(&value(partition, next)[..]));
            next += 1;
        }
    }
}

/// Asks for as much as it can get and reads nothing of it, with hardly any room on the way.
async fn ask_and_not_read(bootstrap: &str, name: &str, request: &FetchRequest) -> Raw {
    let address: SocketAddr = bootstrap.parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut raw = Raw::over(stream, name);
    raw.send_request(11, request).await.unwrap();
    raw
}

/// Clients that ask for older and for newer records, which they wait for, and read nothing.
async fn idle_readers(bootstrap: &str) -> Vec<Raw> {
    let mut idle = vec![];
    for reader in 0..IDLE_READERS {
        let older = greedy(reader % PARTITIONS, i64::from(reader));
        let newer = greedy(reader % PARTITIONS, OLDER)
            .with_min_bytes(6 << 20)
            .with_max_wait_ms(60_000);
        for (what, request) in [("older", older), ("newer", newer)] {
            let name = format!("{what}-{reader}");
            idle.push(ask_and_not_read(bootstrap, &name, &request).await);
        }
    }
    idle
}

/// Rewrites what has been written, so that whoever reads it is behind.
async fn compact(place: &Place) {
    let compactor = place.compactor("c");
    let compactor = compactor.arg("--compaction-age-max-ms", "0");
    // Also objects of one partition alone have runs that are too short.
    let compactor = compactor.arg("--compaction-run-bytes", "64MiB");
    let compactor = compactor.arg("--compaction-interval-ms", "50ms");
    let mut compactor = compactor.start().await.unwrap();
    let admin = compactor.admin.clone().unwrap();
    until("all is rewritten", WITHIN, || async {
        let read = metric(&admin, "millrace_compaction_read_bytes_total", "").await;
        read.is_some_and(|bytes| bytes > 0.9 * OLDER_BYTES)
    })
    .await;
    compactor.terminate();
    assert!(compactor.wait(WITHIN).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_under_its_bound_whatever_clients_do() {
    let place = Place::s3().await.unwrap();
    let process = launch(&place).start().await.unwrap();
    let bootstrap = process.bootstrap.clone();
    let mut raw = Raw::connect(&bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    write_all(&bootstrap, 0..OLDER).await;
    compact(&place).await;

    // Whoever writes is faster than the bucket.
    let slow = Latency::Fixed(Duration::from_secs(1));
    place.faults().set_latency(Op::Put, slow);
    let end = OLDER + NEWER;
    let back = join_all((0..2).map(|partition| read_back(&bootstrap, partition, end)));
    let written = write_all(&bootstrap, OLDER..end);
    let (idle, (), _) = tokio::join!(idle_readers(&bootstrap), written, back);
    drop(idle);

    assert_within_bound(&process).await;
    let admin = process.admin.as_ref().unwrap();
    let behind = metric(admin, "millrace_fetch_blocks_total", "catch_up").await;
    assert!(behind.unwrap_or_default() > 50.0, "blocks: {behind:?}");
}

/// Of each request a little is stored and the rest refused: what is kept of it is only what is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_kept_with_what_is_stored() {
    let place = Place::s3().await.unwrap();
    let process = launch(&place).start().await.unwrap();
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let stored = Batch::of_values([vec![b's'; 4_000]]).encode();
    let refused = Batch::of_values([vec![b'r'; BATCH_BYTES]]).encode();
    let data = |partition: i32, records: &Bytes| {
        PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(records.clone()))
    };
    let mut request = produce_request(TOPIC, 0, -1, stored.clone());
    request.topic_data[0].partition_data = vec![data(0, &stored), data(77, &refused)];
    let mut offset = 0;
    for _ in 0..30 {
        let mut sent = vec![];
        for _ in 0..20 {
            sent.push(raw.send_request(9, &request).await.unwrap());
        }
        for id in sent {
            let answer = raw.read_response::<ProduceRequest>(9, id).await.unwrap();
            let answers = &answer.responses[0].partition_responses;
            let codes = (answers[0].error_code, answers[1].error_code);
            assert_eq!((codes, answers[0].base_offset), ((0, 3), offset));
            offset += 1;
        }
    }
    assert_within_bound(&process).await;
}
