//! I4: for each producer and partition sequence order is offset order, and a retry within the last
//! five batches is answered with its first offset and stored once. The same tests pass against
//! Apache Kafka (`TEST_BROKER`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use kafka_protocol::messages::InitProducerIdRequest;
use tests::broker::Broker;
use tests::raw::{Batch, Raw};

const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;

async fn producer_id(raw: &mut Raw) -> (i64, i16) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let response = raw.call(4, &request).await.unwrap();
    assert_eq!(response.error_code, 0);
    (response.producer_id.0, response.producer_epoch)
}

struct Producer {
    raw: Raw,
    topic: String,
    id: i64,
    epoch: i16,
}

impl Producer {
    async fn new(broker: &Broker, topic: &str) -> Self {
        let mut raw = broker.connect().await.unwrap();
        let (id, epoch) = producer_id(&mut raw).await;
        Self {
            raw,
            topic: topic.to_owned(),
            id,
            epoch,
        }
    }

    /// Sends two records. Returns error and base offset.
    async fn send(&mut self, sequence: i32) -> (i16, i64) {
        let batch = Batch::of_values([format!("{sequence}"), format!("{}", sequence + 1)]);
        let batch = batch.by_producer(self.id, self.epoch, sequence).encode();
        let produced = self.raw.produce(&self.topic, 0, batch).await.unwrap();
        (produced.error_code, produced.base_offset)
    }

    async fn end(&mut self) -> i64 {
        self.raw.list_offset(&self.topic, 0, -1).await.unwrap().1
    }
}

#[tokio::test]
async fn producer_ids_are_unique() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(producer_id(&mut broker.connect().await.unwrap()).await.0);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test]
async fn a_retry_within_five_batches_gets_its_first_offset_and_is_stored_once() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut producer = Producer::new(&broker, &topic).await;
    for n in 0..7 {
        assert_eq!(producer.send(2 * n).await, (0, i64::from(2 * n)));
    }
    for n in 2..7 {
        assert_eq!(
            producer.send(2 * n).await,
            (0, i64::from(2 * n)),
            "retry of batch {n}"
        );
    }
    assert_eq!(producer.end().await, 14);
}

#[tokio::test]
async fn a_gap_in_the_sequence_is_refused() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut producer = Producer::new(&broker, &topic).await;
    assert_eq!(producer.send(0).await, (0, 0));
    assert_eq!(producer.send(4).await.0, OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(
        producer.send(2).await,
        (0, 2),
        "the one that was missing is accepted"
    );
    assert_eq!(producer.end().await, 4);
}

#[tokio::test]
async fn an_older_epoch_is_fenced() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut producer = Producer::new(&broker, &topic).await;
    producer.epoch = 5;
    assert_eq!(producer.send(0).await, (0, 0));
    producer.epoch = 4;
    assert_eq!(producer.send(2).await.0, INVALID_PRODUCER_EPOCH);
    producer.epoch = 6;
    assert_eq!(
        producer.send(0).await,
        (0, 2),
        "a newer epoch begins again at 0"
    );
}

#[tokio::test]
async fn pipelined_batches_keep_their_order() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(1).await.unwrap();
    let mut producer = Producer::new(&broker, &topic).await;
    let mut sent = Vec::new();
    for n in 0..50 {
        let batch = Batch::of_values([format!("{n}")]).by_producer(producer.id, producer.epoch, n);
        let request = tests::raw::produce_request(&topic, 0, -1, batch.encode());
        sent.push((n, producer.raw.send_request(9, &request).await.unwrap()));
    }
    for (n, id) in sent {
        let response = producer
            .raw
            .read_response::<kafka_protocol::messages::ProduceRequest>(9, id)
            .await
            .unwrap();
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, i64::from(n))
        );
    }
    let (_, _, records) = producer.raw.fetch(&topic, 0, 0).await.unwrap();
    let values: Vec<_> = Batch::decode_all(records)
        .into_iter()
        .flat_map(|(_, records)| records)
        .collect();
    let expected: Vec<_> = (0..50)
        .map(|n| (None, Some(format!("{n}").into())))
        .collect();
    assert_eq!(values, expected);
}
