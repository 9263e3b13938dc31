//! Record batches that lie: each is refused with Kafka's error and stored nowhere, the connection
//! stays, and what is right in the same request is accepted. The same tests pass against Apache
//! Kafka (`TEST_BROKER`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::PartitionProduceData;
use tests::broker::Broker;
use tests::raw::{self, Batch};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_REQUIRED_ACKS: i16 = 21;
const UNSUPPORTED_FOR_MESSAGE_FORMAT: i16 = 43;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn good() -> Batch {
    Batch::of_values(["a", "b", "c"])
}

/// Name, bytes, and the errors that say so (Kafka's first).
fn lies() -> Vec<(&'static str, Bytes, &'static [i16])> {
    let bad = &[CORRUPT_MESSAGE, INVALID_RECORD][..];
    let invalid = &[INVALID_RECORD][..];
    let old = &[
        INVALID_RECORD,
        UNSUPPORTED_FOR_MESSAGE_FORMAT,
        CORRUPT_MESSAGE,
    ][..];
    let control = Batch {
        attributes: 0x20,
        ..good()
    };
    let two: BytesMut = [good().encode(), good().encode()]
        .concat()
        .as_slice()
        .into();
    vec![
        (
            "a wrong CRC",
            Batch {
                crc: Some(1),
                ..good()
            }
            .encode(),
            &[CORRUPT_MESSAGE],
        ),
        (
            "more records announced",
            Batch {
                count: Some(9),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "fewer records announced",
            Batch {
                count: Some(1),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a negative count",
            Batch {
                count: Some(-3),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "2^31 - 1 records announced",
            Batch {
                count: Some(i32::MAX),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a wrong last offset",
            Batch {
                last_offset_delta: Some(7),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a negative last offset",
            Batch {
                last_offset_delta: Some(-2),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a negative length",
            Batch {
                length: Some(-5),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a length below the header's",
            Batch {
                length: Some(20),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "a length beyond the data",
            Batch {
                length: Some(5000),
                ..good()
            }
            .encode(),
            bad,
        ),
        (
            "message format 1",
            Batch { magic: 1, ..good() }.encode(),
            old,
        ),
        (
            "message format 9",
            Batch { magic: 9, ..good() }.encode(),
            old,
        ),
        ("a control batch from a client", control.encode(), invalid),
        ("two batches", two.freeze(), invalid),
        ("no batch", Bytes::new(), invalid),
        ("half a batch", good().encode().slice(..40), bad),
    ]
}

#[tokio::test]
async fn lying_batches_are_refused_by_name_and_not_stored() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let mut wrong = Vec::new();
    for (what, bytes, errors) in lies() {
        let produced = raw.produce(&topic, 0, bytes).await;
        let produced = produced.unwrap_or_else(|error| panic!("{what}: {error}"));
        if !errors.contains(&produced.error_code) {
            wrong.push(format!(
                "{what}: error {} instead of {errors:?}",
                produced.error_code
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        raw.list_offset(&topic, 0, -1).await.unwrap(),
        (0, 0),
        "nothing was stored"
    );
    let produced = raw.produce(&topic, 0, good().encode()).await.unwrap();
    assert_eq!(
        (produced.error_code, produced.base_offset),
        (0, 0),
        "the connection still serves"
    );
}

#[tokio::test]
async fn every_partition_of_a_request_is_judged_by_itself() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(3).await.unwrap();
    let mut request = raw::produce_request(&topic, 0, -1, good().encode());
    let partition = |index, records| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(records))
    };
    request.topic_data[0].partition_data.extend([
        partition(
            1,
            Batch {
                crc: Some(1),
                ..good()
            }
            .encode(),
        ),
        partition(2, good().encode()),
        partition(77, good().encode()),
    ]);
    let mut raw = broker.connect().await.unwrap();
    let response = raw.call(9, &request).await.unwrap();
    let mut codes: Vec<_> = response.responses[0]
        .partition_responses
        .iter()
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    codes.sort();
    let expected = [
        (0, 0),
        (1, CORRUPT_MESSAGE),
        (2, 0),
        (77, UNKNOWN_TOPIC_OR_PARTITION),
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn acks_are_0_1_or_all() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let response = raw
        .call(9, &raw::produce_request(&topic, 0, 5, good().encode()))
        .await
        .unwrap();
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, INVALID_REQUIRED_ACKS);
}

#[tokio::test]
async fn a_batch_above_the_limit_is_refused_and_one_below_is_not() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let large = Batch::of_values([vec![1; 1_100_000]]).encode();
    assert_eq!(
        raw.produce(&topic, 0, large).await.unwrap().error_code,
        MESSAGE_TOO_LARGE
    );
    let below = Batch::of_values([vec![1; 1_000_000]]).encode();
    assert_eq!(raw.produce(&topic, 0, below).await.unwrap().error_code, 0);
}

#[tokio::test]
async fn acks_0_gets_no_answer_but_is_stored() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    raw.send_request(9, &raw::produce_request(&topic, 0, 0, good().encode()))
        .await
        .unwrap();
    // The next answer on this connection is that of the next request.
    let produced = raw.produce(&topic, 0, good().encode()).await.unwrap();
    assert_eq!((produced.error_code, produced.base_offset), (0, 3));
    let (_, _, records) = raw.fetch(&topic, 0, 0).await.unwrap();
    let batches = Batch::decode_all(records);
    assert_eq!(batches[0].0, 0);
    assert_eq!(batches[0].1, good().records);
}

#[tokio::test]
async fn acks_0_and_a_refusal_close_the_connection() {
    let broker = Broker::start(&["closing a connection"]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let lying = Batch {
        crc: Some(1),
        ..good()
    };
    let mut raw = broker.connect().await.unwrap();
    raw.send_request(9, &raw::produce_request(&topic, 0, 0, lying.encode()))
        .await
        .unwrap();
    assert!(raw.is_closed_by_peer().await);
}

#[tokio::test]
async fn zstd_is_for_versions_that_know_it() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    // An empty frame: a batch that is refused for its version is not looked into.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];
    let batch = Batch {
        attributes: 4,
        payload: Some(Bytes::copy_from_slice(&frame)),
        ..good()
    };
    let request = raw::produce_request(&topic, 0, -1, batch.encode());
    let mut raw = broker.connect().await.unwrap();
    let response = raw.call(6, &request).await.unwrap();
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, UNSUPPORTED_COMPRESSION_TYPE);
}

#[tokio::test]
async fn a_topic_id_of_zeros_is_unknown() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let request = raw::produce_request(&topic, 0, -1, good().encode());
    let mut raw = broker.connect().await.unwrap();
    // From version 13 on there are ids and no names in a request.
    let response = raw.call(13, &request).await.unwrap();
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, UNKNOWN_TOPIC_ID);
}
