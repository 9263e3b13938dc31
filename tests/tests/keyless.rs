//! Records without a key on a compacted topic: refused in every codec, by name and in Kafka's words,
//! and stored nowhere. The same tests pass against Apache Kafka (`TEST_BROKER`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use object_format::batch::{BatchBuilder, Codec, compressed};
use tests::broker::Broker;

const INVALID_RECORD: i16 = 87;

/// A batch with keys, but for these of its records.
fn batch(codec: Codec, count: i32, keyless: &[i32]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for index in 0..count {
        let key = (!keyless.contains(&index)).then_some(&b"key"[..]);
        builder.push(1_700_000_000_000, key, Some(b"value"), &[]);
    }
    builder.build_with(codec, |plain| compressed(plain, codec).unwrap())
}

#[tokio::test]
async fn keyless_records_are_refused_by_name_in_every_codec() {
    let broker = Broker::start(&[]).await.unwrap();
    let compacted = &[("cleanup.policy", "compact,delete")];
    let topic = broker.topic_with(1, compacted).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    let reason =
        format!("Compacted topic cannot accept message without key in topic partition {topic}-0");
    for codec in Codec::ALL {
        let refused = batch(codec, 9, &[1, 4, 5, 8]);
        let produced = raw.produce(&topic, 0, refused).await.unwrap();
        assert_eq!(produced.error_code, INVALID_RECORD, "{codec:?}");
        assert_eq!(produced.base_offset, -1);
        let errors: Vec<_> = produced
            .record_errors
            .iter()
            .map(|error| {
                let message = error.batch_index_error_message.as_deref();
                (error.batch_index, message.unwrap().to_owned())
            })
            .collect();
        assert_eq!(errors, [1, 4, 5, 8].map(|index| (index, reason.clone())));
        let named =
            [1, 4, 5].map(|index| format!("RecordError(batchIndex={index}, message='{reason}')"));
        let message = format!(
            "One or more records have been rejected due to 4 record errors in total, \
             and only showing the first three errors at most: [{}]",
            named.join(", ")
        );
        assert_eq!(produced.error_message.as_deref(), Some(&message[..]));
        let taken = batch(codec, 2, &[]);
        let produced = raw.produce(&topic, 0, taken).await.unwrap();
        assert_eq!(produced.error_code, 0, "{codec:?}");
    }
    let (_, end) = raw.list_offset(&topic, 0, -1).await.unwrap();
    assert_eq!(end, 10, "what was refused was stored");
}

#[tokio::test]
async fn other_topics_take_them() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    for codec in Codec::ALL {
        let produced = raw.produce(&topic, 0, batch(codec, 3, &[0, 2])).await;
        assert_eq!(produced.unwrap().error_code, 0, "{codec:?}");
    }
}

#[tokio::test]
async fn compressed_records_that_are_fewer_or_more_than_announced_are_refused() {
    let broker = Broker::start(&[]).await.unwrap();
    let compacted = &[("cleanup.policy", "compact")];
    let topic = broker.topic_with(1, compacted).await.unwrap();
    let mut raw = broker.connect().await.unwrap();
    for (announced, there) in [(2, 3), (3, 2), (i32::MAX, 1)] {
        let mut lying = batch(Codec::Zstd, there, &[]).to_vec();
        lying[23..27].copy_from_slice(&(announced - 1).to_be_bytes());
        lying[57..61].copy_from_slice(&announced.to_be_bytes());
        let crc = crc32c::crc32c(&lying[21..]);
        lying[17..21].copy_from_slice(&crc.to_be_bytes());
        let produced = raw.produce(&topic, 0, lying.into()).await.unwrap();
        assert_eq!(
            produced.error_code, INVALID_RECORD,
            "{there} of {announced}"
        );
    }
    assert_eq!(raw.list_offset(&topic, 0, -1).await.unwrap(), (0, 0));
}
