//! What no client of Kafka would send: it costs its sender the connection, and nobody else
//! anything. The same tests pass against Apache Kafka (`TEST_BROKER`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use kafka_protocol::protocol::Decodable;
use tests::broker::Broker;
use tests::raw::{self, Raw};
use tokio::task::JoinSet;

const METADATA: i16 = 3;
const UNSUPPORTED_VERSION: i16 = 35;
/// What the log may say of clients such as these.
const ALLOWED: &[&str] = &["closing a connection", "not a Kafka request", "WARN"];

#[tokio::test]
async fn nonsense_closes_the_connection() {
    let broker = Broker::start(ALLOWED).await.unwrap();
    let mut hostile_count = raw::header(METADATA, 1, 7);
    hostile_count.put_i32(i32::MAX);
    let mut hostile_string = raw::header(METADATA, 1, 7);
    hostile_string.put_i32(1);
    hostile_string.put_i16(i16::MAX);
    let nonsense: [(&str, BytesMut); 10] = [
        (
            "2 GiB announced",
            BytesMut::from(&[0x7f, 0xff, 0xff, 0xff][..]),
        ),
        (
            "a negative length",
            BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]),
        ),
        (
            "HTTP",
            BytesMut::from("GET / HTTP/1.1\r\nHost: kafka\r\n\r\n"),
        ),
        (
            "TLS",
            BytesMut::from(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..]),
        ),
        ("an empty frame", framed(&[])),
        ("half a header", framed(&[0, 3, 0])),
        ("an unknown API key", framed(&raw::header(9999, 0, 7))),
        ("an unknown version", framed(&raw::header(METADATA, 999, 7))),
        ("an array of 2^31 - 1", framed(&hostile_count)),
        ("a string longer than the frame", framed(&hostile_string)),
    ];
    for (what, bytes) in nonsense {
        let mut raw = broker.connect().await.unwrap();
        raw.send(&bytes).await.unwrap();
        assert!(raw.is_closed_by_peer().await, "{what}: still connected");
    }
    broker.assert_serves().await;
}

#[tokio::test]
async fn half_frames_are_waited_for_and_forgotten() {
    let broker = Broker::start(ALLOWED).await.unwrap();
    let request = raw::encode_request(1, 1, &MetadataRequest::default()).unwrap();
    for cut in [1, 3, 4, 5, 10] {
        let mut raw = broker.connect().await.unwrap();
        raw.send(&framed(&request)[..cut]).await.unwrap();
    }
    let mut slow = broker.connect().await.unwrap();
    for byte in framed(&request) {
        slow.send(&[byte]).await.unwrap();
    }
    assert!(slow.read_response::<MetadataRequest>(1, 1).await.is_ok());
    broker.assert_serves().await;
}

/// Kafka lets bytes follow a request, and librdkafka 2.16 sends such: a null array of topics in
/// Metadata 13 takes four bytes instead of one.
#[tokio::test]
async fn bytes_behind_a_request_are_ignored() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut body = raw::header(METADATA, 12, 7);
    body.put_slice(&[0, 0, 0, 0, 1, 0, 0]);
    let mut raw = broker.connect().await.unwrap();
    raw.send_frame(&body).await.unwrap();
    let response = raw.read_response::<MetadataRequest>(12, 7).await.unwrap();
    assert!(!response.brokers.is_empty());
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let mut request = raw::header(18, 99, 7);
    request.put_slice(&[0, 2, b'a', 2, b'b', 0]);
    raw.send_frame(&request).await.unwrap();
    let mut frame = raw.read_frame().await.unwrap().unwrap();
    assert_eq!(frame.split_to(4), &7i32.to_be_bytes()[..]);
    let response = ApiVersionsResponse::decode(&mut frame, 0).unwrap();
    assert_eq!(response.error_code, UNSUPPORTED_VERSION);
    let own = response
        .api_keys
        .iter()
        .find(|key| key.api_key == 18)
        .unwrap();
    assert!(own.max_version >= 3);
    let again = raw.call(0, &ApiVersionsRequest::default()).await.unwrap();
    assert_eq!(
        again.error_code, 0,
        "the client tries again on the same connection"
    );
}

#[tokio::test]
async fn requests_in_flight_are_answered_in_order() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..200 {
        sent.push(
            raw.send_request(1, &MetadataRequest::default())
                .await
                .unwrap(),
        );
    }
    for id in sent {
        raw.read_response::<MetadataRequest>(1, id).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody_and_takes_bounded_memory() {
    let broker = Broker::start(ALLOWED).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut producer = broker.connect().await.unwrap();
    for _ in 0..16 {
        let batch = raw::Batch::of_values([vec![7; 900_000]]).encode();
        assert_eq!(
            producer.produce(&topic, 0, batch).await.unwrap().error_code,
            0
        );
    }
    let before = broker
        .process
        .as_ref()
        .and_then(|process| process.resident_kib());
    let mut never_reading = Vec::new();
    for _ in 0..20 {
        let mut raw = broker.connect().await.unwrap();
        // 50 fetches of 8 MiB each: 8 GiB in all, if they were all held.
        let fetches = async {
            for _ in 0..50 {
                raw.send_request(11, &raw::fetch_request(&topic, 0, 0))
                    .await
                    .unwrap();
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), fetches).await;
        never_reading.push(raw);
    }
    broker.assert_serves().await;
    let after = broker
        .process
        .as_ref()
        .and_then(|process| process.resident_kib());
    if let (Some((_, before)), Some((peak, _))) = (before, after) {
        let grown = peak.saturating_sub(before) / 1024;
        assert!(grown < 1024, "20 clients that do not read cost {grown} MiB");
    }
}

#[tokio::test]
async fn two_thousand_idle_connections_are_no_burden() {
    runtime::descriptors::raise_limit();
    let broker = Broker::start(&[]).await.unwrap();
    let mut connecting = JoinSet::new();
    for _ in 0..2000 {
        let bootstrap = broker.bootstrap.clone();
        connecting.spawn(async move { Raw::connect(&bootstrap).await.unwrap() });
    }
    let mut idle = connecting.join_all().await;
    broker.assert_serves().await;
    for raw in idle.iter_mut().step_by(100) {
        assert!(
            raw.call(1, &MetadataRequest::default()).await.is_ok(),
            "it is still served"
        );
    }
    if let Some((_, resident)) = broker
        .process
        .as_ref()
        .and_then(|process| process.resident_kib())
    {
        assert!(
            resident < 200 * 1024,
            "{resident} KiB resident with 2,000 idle connections"
        );
    }
}

fn framed(body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put_slice(body);
    frame
}
