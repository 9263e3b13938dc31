//! Persisted bytes: what was written once is read for ever, and written again just so.
//!
//! The batches come from Kafka's own classes (golden/KafkaBatches.java); the objects are ours, one
//! set per format version.

use bytes::Bytes;
use object_format::batch::{
    self, BatchBuilder, BatchError, BatchHeader, Codec, TimestampType, control_batch, records,
    validate, verify_crc, with_log_append_time,
};
use object_format::object::{self, ObjectBuilder, ObjectHeader, SealedObject};
use object_format::{AgentEpoch, ObjectId, TopicId, TopicPartition, path};
use uuid::Uuid;

const BASE: i64 = 1_700_000_000_000;
const PRODUCER: i64 = 4_000_000_000;

fn golden_path(name: &str) -> String {
    format!("{}/tests/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"))
}

fn golden(name: &str) -> Bytes {
    std::fs::read(golden_path(name))
        .expect("the golden file is in the repository")
        .into()
}

/// What KafkaBatches.java appends.
fn as_kafka_writes_it() -> BatchBuilder {
    let headers: [(&[u8], Option<&[u8]>); 3] = [
        (b"trace", Some(b"one")),
        (b"trace", Some(b"two")),
        (b"", None),
    ];
    BatchBuilder::new()
        .producer(PRODUCER, 7, i32::MAX - 1)
        .record(BASE, Some(b"key"), Some(b"value"))
        .record(BASE + 5_000_000_000, None, Some(b"no key"))
        .record(BASE - 1, Some(b"tombstone"), None)
        .record_with(BASE, Some(b""), Some(b""), &headers)
        .record(BASE + 64, Some(b"large"), Some(&[0xab; 1000]))
}

#[test]
fn a_batch_is_built_as_kafka_builds_it() {
    assert_eq!(as_kafka_writes_it().build(), golden("batch-plain"));
}

#[test]
fn a_batch_of_kafka_is_read() {
    let batch = golden("batch-plain");
    let header = validate(&batch).unwrap();
    assert_eq!(header.max_timestamp, BASE + 5_000_000_000);
    assert_eq!(header.last_sequence(), 2);
    let records: Vec<_> = records(&batch, &header)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(records.len(), 5);
    assert_eq!(records[0].key.as_deref(), Some(&b"key"[..]));
    assert_eq!(records[1].key, None);
    assert_eq!(records[1].timestamp(&header), BASE + 5_000_000_000);
    assert_eq!(records[2].value, None);
    assert_eq!(records[2].timestamp(&header), BASE - 1);
    let headers: Vec<_> = records[3].headers.clone().collect();
    let expected = [("trace", Some("one")), ("trace", Some("two")), ("", None)];
    assert_eq!(
        headers,
        expected.map(|(name, value)| (name.into(), value.map(Bytes::from)))
    );
    assert_eq!(records[4].value.as_ref().map(Bytes::len), Some(1000));
}

#[test]
fn a_compressed_batch_of_kafka_is_taken() {
    let header = validate(&golden("batch-gzip-transactional")).unwrap();
    assert_eq!(header.codec(), Some(Codec::Gzip));
    assert!(header.is_transactional());
    assert_eq!((header.record_count, header.producer_id), (5, PRODUCER));
}

#[test]
fn log_append_time_is_set_as_kafka_sets_it() {
    let ours = with_log_append_time(&golden("batch-plain"), BASE + 123).unwrap();
    assert_eq!(ours, golden("batch-log-append-time"));
    let header = verify_crc(&ours).unwrap();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(
        (header.min_timestamp(), header.max_timestamp),
        (BASE + 123, BASE + 123)
    );
    let mut timestamps = records(&ours, &header)
        .unwrap()
        .map(|r| r.unwrap().timestamp(&header));
    assert!(timestamps.all(|timestamp| timestamp == BASE + 123));
    assert_eq!(
        validate(&ours),
        Err(BatchError::BrokerTimestamps(header.attributes))
    );
}

#[test]
fn the_end_of_a_transaction_is_marked_as_kafka_marks_it() {
    for (commit, name) in [(false, "batch-abort"), (true, "batch-commit")] {
        let ours = control_batch(42, PRODUCER, 7, commit, BASE);
        assert_eq!(ours, golden(name));
        assert_eq!(
            validate(&ours),
            Err(BatchError::Control),
            "not from a client"
        );
        assert!(verify_crc(&ours).unwrap().is_control());
    }
}

#[test]
fn the_old_message_format_is_named() {
    assert_eq!(
        validate(&golden("batch-magic-1")),
        Err(BatchError::OldMagic(1))
    );
}

fn partition_7_of(topic: u8) -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_bytes([topic; 16])),
        partition: 7,
    }
}

/// The object in v1-two-runs.bin: three batches of two partitions, one long, one compressed.
fn two_runs() -> SealedObject<&'static str> {
    let long = BatchBuilder::new()
        .record(BASE + 1, None, Some(&[b'x'; 5_000]))
        .build();
    let pushes = [
        (0xee, golden("batch-plain"), "plain"),
        (0x11, long, "long"),
        (0xee, golden("batch-gzip-transactional"), "gzip"),
    ];
    let mut builder = ObjectBuilder::new();
    for (topic, batch, tag) in pushes {
        let header = validate(&batch).expect("Kafka's batches are good");
        builder.push(partition_7_of(topic), batch, &header, tag);
    }
    builder.seal(
        ObjectId {
            writer: AgentEpoch(3),
            sequence: 1 << 40,
        },
        BASE,
    )
}

fn empty() -> SealedObject {
    ObjectBuilder::new().seal(
        ObjectId {
            writer: AgentEpoch(1),
            sequence: 0,
        },
        BASE,
    )
}

#[test]
fn version_1_is_written_as_ever() {
    assert_eq!(two_runs().to_bytes(), golden("v1-two-runs"));
    assert_eq!(empty().to_bytes(), golden("v1-empty"));
}

#[test]
fn version_1_is_read_for_ever() {
    let bytes = golden("v1-two-runs");
    let parsed = object::verify_object(&bytes).unwrap();
    let id = ObjectId {
        writer: AgentEpoch(3),
        sequence: 1 << 40,
    };
    assert_eq!(
        parsed.header,
        ObjectHeader {
            id,
            created_ms: BASE
        }
    );
    assert_eq!(path::data(id), "data/dd/0000000003-1099511627776");
    let [long, both] = parsed.index.runs[..] else {
        panic!("{parsed:?}")
    };
    assert_eq!(long.topic_partition, partition_7_of(0x11));
    assert_eq!(
        (long.position, long.batch_count, long.record_count),
        (40, 1, 1)
    );
    assert_eq!(
        (long.min_timestamp, long.max_timestamp),
        (BASE + 1, BASE + 1)
    );
    assert_eq!(both.topic_partition, partition_7_of(0xee));
    assert_eq!(
        (both.position, both.batch_count, both.record_count),
        (40 + long.length, 2, 10)
    );
    assert_eq!(
        (both.min_timestamp, both.max_timestamp),
        (BASE, BASE + 5_000_000_000)
    );
    let batches: Result<Vec<_>, _> = batch::split(parsed.run(&bytes, &both).unwrap()).collect();
    let kafkas = [golden("batch-plain"), golden("batch-gzip-transactional")];
    assert_eq!(batches.unwrap(), kafkas);
    assert!(BatchHeader::parse(&kafkas[1]).unwrap().is_transactional());

    assert_eq!(
        object::verify_object(&golden("v1-empty"))
            .unwrap()
            .index
            .runs,
        []
    );
}

/// For a new format version; the files of an old one are never written again.
#[test]
#[ignore = "writes the golden files of the present version anew"]
fn write_golden_objects() {
    std::fs::write(golden_path("v1-two-runs"), two_runs().to_bytes()).unwrap();
    std::fs::write(golden_path("v1-empty"), empty().to_bytes()).unwrap();
}
