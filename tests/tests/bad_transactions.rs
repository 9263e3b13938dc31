//! What a transactional producer is told that does what it may not. The same tests pass against Apache Kafka
//! (`TEST_BROKER`).

#![cfg(test)]

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest,
    GroupId, InitProducerIdRequest, ListOffsetsRequest, OffsetFetchRequest, TransactionalId,
    TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;
use tests::broker::Broker;
use tests::raw::{Batch, Raw, fetch_request, produce_request, topic_name};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_REQUEST: i16 = 42;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const OPERATION_NOT_ATTEMPTED: i16 = 55;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR, while Apache Kafka makes its internal topics.
const NOT_YET: [i16; 3] = [14, 15, 16];

type Identity = (i64, i16);

/// A producer that says what it likes.
struct Client {
    raw: Raw,
    id: String,
    topic: String,
}

impl Client {
    async fn new(broker: &Broker, name: &str) -> Self {
        let topic = broker.topic(2).await.unwrap();
        let mut client = Self {
            raw: broker.connect().await.unwrap(),
            id: format!("{name}-{topic}"),
            topic,
        };
        for key_type in [0, 1] {
            client.find_coordinator(key_type).await;
        }
        client
    }

    async fn find_coordinator(&mut self, key_type: i8) {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(self.id.clone()))
            .with_key_type(key_type);
        while NOT_YET.contains(&self.raw.call(3, &request).await.unwrap().error_code) {}
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }

    async fn try_init(
        &mut self,
        version: i16,
        id: &str,
        timeout_ms: i32,
        expected: Identity,
    ) -> Result<Identity, i16> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(StrBytes::from_string(id.to_owned()))))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(expected.0.into())
            .with_producer_epoch(expected.1);
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            match response.error_code {
                0 => return Ok((response.producer_id.0, response.producer_epoch)),
                CONCURRENT_TRANSACTIONS => {}
                code if NOT_YET.contains(&code) => {}
                code => return Err(code),
            }
        }
    }

    async fn init(&mut self) -> Identity {
        let id = self.id.clone();
        self.try_init(4, &id, 60_000, (-1, -1)).await.unwrap()
    }

    async fn add(&mut self, version: i16, who: Identity, partitions: &[i32]) -> Vec<i16> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partitions(partitions.to_vec());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(who.0.into())
            .with_v3_and_below_producer_epoch(who.1)
            .with_v3_and_below_topics(vec![topic]);
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            let results = &response.results_by_topic_v3_and_below[0].results_by_partition;
            let mut codes: Vec<_> = results
                .iter()
                .map(|r| (r.partition_index, r.partition_error_code))
                .collect();
            codes.sort_unstable();
            if codes
                .iter()
                .all(|(_, code)| *code != CONCURRENT_TRANSACTIONS)
            {
                return codes.into_iter().map(|(_, code)| code).collect();
            }
        }
    }

    /// What a broker asks, or tells, about partitions of topic 0 of several transactions at once.
    async fn add_batched(
        &mut self,
        version: i16,
        verify_only: bool,
        asked: &[(Identity, &[i32])],
    ) -> Vec<Vec<i16>> {
        let transaction = |(who, partitions): &(Identity, &[i32])| {
            let topic = AddPartitionsToTxnTopic::default()
                .with_name(topic_name(&self.topic))
                .with_partitions(partitions.to_vec());
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(who.0.into())
                .with_producer_epoch(who.1)
                .with_verify_only(verify_only)
                .with_topics(vec![topic])
        };
        let request = AddPartitionsToTxnRequest::default()
            .with_transactions(asked.iter().map(transaction).collect());
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            let codes: Vec<Vec<i16>> = response
                .results_by_transaction
                .iter()
                .map(|told| {
                    let results = &told.topic_results[0].results_by_partition;
                    let mut codes: Vec<_> = results
                        .iter()
                        .map(|r| (r.partition_index, r.partition_error_code))
                        .collect();
                    codes.sort_unstable();
                    codes.into_iter().map(|(_, code)| code).collect()
                })
                .collect();
            if !codes.concat().contains(&CONCURRENT_TRANSACTIONS) {
                return codes;
            }
        }
    }

    /// Writes a marker to a partition, as the operators' tools do.
    async fn write_marker(&mut self, who: Identity, commit: bool, partition: i32) -> i16 {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partition_indexes(vec![partition]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(who.0.into())
            .with_producer_epoch(who.1)
            .with_transaction_result(commit)
            .with_topics(vec![topic]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let response = self.raw.call(1, &request).await.unwrap();
        response.markers[0].topics[0].partitions[0].error_code
    }

    /// The end of partition 0 for readers of this isolation level.
    async fn end_offset(&mut self, isolation_level: i8) -> i64 {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(isolation_level)
            .with_topics(vec![topic]);
        let response = self.raw.call(4, &request).await.unwrap();
        response.topics[0].partitions[0].offset
    }

    /// What the group has committed for partition 0, and the error.
    async fn committed(&mut self, require_stable: bool) -> (i64, i16) {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())))
            .with_topics(Some(vec![topic]))
            .with_require_stable(require_stable);
        let response = self.raw.call(7, &request).await.unwrap();
        let partition = &response.topics[0].partitions[0];
        (partition.committed_offset, partition.error_code)
    }

    /// The last stable offset of partition 0, and how many aborted transactions a reader of what is committed passes over.
    async fn fetch_committed(&mut self) -> (i64, usize) {
        let request = fetch_request(&self.topic, 0, 0).with_isolation_level(1);
        let response = self.raw.call(11, &request).await.unwrap();
        let partition = &response.responses[0].partitions[0];
        let aborted = partition.aborted_transactions.as_ref();
        (partition.last_stable_offset, aborted.map_or(0, Vec::len))
    }

    async fn produce(
        &mut self,
        version: i16,
        who: Identity,
        sequence: i32,
        transactional: bool,
        named: bool,
    ) -> i16 {
        let mut batch = Batch::of_values(["x"]).by_producer(who.0, who.1, sequence);
        batch.attributes |= if transactional { 1 << 4 } else { 0 };
        let id = named.then(|| self.transactional_id());
        let request = produce_request(&self.topic, 0, -1, batch.encode()).with_transactional_id(id);
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            match response.responses[0].partition_responses[0].error_code {
                CONCURRENT_TRANSACTIONS => {}
                code => return code,
            }
        }
    }

    async fn end(&mut self, version: i16, who: Identity, commit: bool) -> Result<Identity, i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(who.0.into())
            .with_producer_epoch(who.1)
            .with_committed(commit);
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            match response.error_code {
                0 => return Ok((response.producer_id.0, response.producer_epoch)),
                CONCURRENT_TRANSACTIONS => {}
                code if NOT_YET.contains(&code) => {}
                code => return Err(code),
            }
        }
    }

    async fn add_offsets(&mut self, version: i16, who: Identity) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(who.0.into())
            .with_producer_epoch(who.1)
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())));
        loop {
            match self.raw.call(version, &request).await.unwrap().error_code {
                CONCURRENT_TRANSACTIONS => {}
                code => return code,
            }
        }
    }

    async fn commit_offset(&mut self, version: i16, who: Identity, generation: i32) -> i16 {
        self.commit_offset_of(version, who, generation, 0).await
    }

    async fn commit_offset_of(
        &mut self,
        version: i16,
        who: Identity,
        generation: i32,
        partition: i32,
    ) -> i16 {
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partitions(vec![
                TxnOffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(5)
                    .with_committed_leader_epoch(-1),
            ]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(GroupId(StrBytes::from_string(self.id.clone())))
            .with_producer_id(who.0.into())
            .with_producer_epoch(who.1)
            .with_generation_id(generation)
            .with_member_id(StrBytes::from_static_str(if generation < 0 {
                ""
            } else {
                "m"
            }))
            .with_topics(vec![topic]);
        loop {
            let response = self.raw.call(version, &request).await.unwrap();
            match response.topics[0].partitions[0].error_code {
                CONCURRENT_TRANSACTIONS => {}
                code if NOT_YET.contains(&code) => {}
                code => return code,
            }
        }
    }
}

#[tokio::test]
async fn an_initialization_must_make_sense() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "init").await;
    let id = client.id.clone();
    for timeout_ms in [0, -1, 900_001, i32::MAX] {
        let refused = client.try_init(4, &id, timeout_ms, (-1, -1)).await;
        assert_eq!(refused, Err(INVALID_TRANSACTION_TIMEOUT), "{timeout_ms}");
    }
    let longest = client.try_init(4, &id, 900_000, (-1, -1)).await;
    assert!(longest.is_ok(), "the longest timeout: {longest:?}");
    let refused = client.try_init(4, "", 1000, (-1, -1)).await;
    assert_eq!(refused, Err(INVALID_REQUEST));
    for half in [(5, -1), (-1, 5)] {
        let refused = client.try_init(4, &id, 1000, half).await;
        assert_eq!(refused, Err(INVALID_REQUEST), "{half:?}");
    }
    let nobody = InitProducerIdRequest::default()
        .with_transactional_id(Some(client.transactional_id()))
        .with_transaction_timeout_ms(0);
    let refused = client.raw.call(4, &nobody).await.unwrap();
    assert_eq!((refused.producer_id.0, refused.producer_epoch), (-1, -1));
    let plain = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(1_234_567.into())
        .with_producer_epoch(5);
    let given = client.raw.call(4, &plain).await.unwrap();
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    assert_ne!(
        given.producer_id.0, 1_234_567,
        "a new one, without a transactional id"
    );
    let first = client.init().await;
    let second = client.init().await;
    assert_eq!(second, (first.0, first.1 + 1));
    assert_eq!(
        client.try_init(4, &id, 1000, first).await,
        Err(PRODUCER_FENCED)
    );
    assert_eq!(
        client.try_init(3, &id, 1000, first).await,
        Err(INVALID_PRODUCER_EPOCH)
    );
    let foreign = (second.0 + 1000, 0);
    assert_eq!(
        client.try_init(4, &id, 1000, foreign).await,
        Err(PRODUCER_FENCED)
    );
    let third = client.try_init(4, &id, 1000, second).await.unwrap();
    assert_eq!(third, (second.0, second.1 + 1));
    assert_eq!(
        client.try_init(4, &id, 1000, second).await,
        Ok(third),
        "asked again"
    );
}

#[tokio::test]
async fn an_end_needs_a_beginning_and_its_own_producer() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "end").await;
    let unknown = client.end(3, (7, 0), true).await;
    assert_eq!(
        unknown,
        Err(INVALID_PRODUCER_ID_MAPPING),
        "nobody has this id"
    );
    let who = client.init().await;
    for commit in [true, false] {
        assert_eq!(client.end(3, who, commit).await, Err(INVALID_TXN_STATE));
    }
    assert_eq!(client.end(5, who, true).await, Err(INVALID_TXN_STATE));
    let foreign = (who.0 + 1000, who.1);
    assert_eq!(
        client.end(3, foreign, true).await,
        Err(INVALID_PRODUCER_ID_MAPPING)
    );
    for epoch in [who.1 + 1, who.1 - 1] {
        assert_eq!(
            client.end(3, (who.0, epoch), true).await,
            Err(PRODUCER_FENCED)
        );
        assert_eq!(
            client.end(2, (who.0, epoch), true).await,
            Err(PRODUCER_FENCED)
        );
        assert_eq!(
            client.end(1, (who.0, epoch), true).await,
            Err(INVALID_PRODUCER_EPOCH)
        );
    }
    // An abort before anything was written is part of the newer protocol, and raises the epoch.
    let raised = client.end(5, who, false).await.unwrap();
    assert_eq!(raised, (who.0, who.1 + 1));
    assert_eq!(client.end(5, who, false).await, Ok(raised), "asked again");
    assert_eq!(client.end(5, who, true).await, Err(INVALID_TXN_STATE));
}

#[tokio::test]
async fn only_what_exists_is_added_and_by_its_own_producer() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "add").await;
    let who = client.init().await;
    let refused = [OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION];
    assert_eq!(client.add(3, who, &[0, 9]).await, refused);
    assert_eq!(
        client.end(3, who, true).await,
        Err(INVALID_TXN_STATE),
        "nothing was added"
    );
    let foreign = (who.0 + 1000, who.1);
    assert_eq!(
        client.add(3, foreign, &[0]).await,
        [INVALID_PRODUCER_ID_MAPPING]
    );
    assert_eq!(
        client.add(3, (who.0, who.1 + 1), &[0]).await,
        [PRODUCER_FENCED]
    );
    assert_eq!(
        client.add(1, (who.0, who.1 + 1), &[0]).await,
        [INVALID_PRODUCER_EPOCH]
    );
    assert_eq!(
        client.add_offsets(3, foreign).await,
        INVALID_PRODUCER_ID_MAPPING
    );
    assert_eq!(
        client.add_offsets(3, (who.0, who.1 + 1)).await,
        PRODUCER_FENCED
    );
    assert_eq!(
        client.add_offsets(1, (who.0, who.1 + 1)).await,
        INVALID_PRODUCER_EPOCH
    );
    assert_eq!(
        client.add(2, (who.0, who.1 + 1), &[0]).await,
        [PRODUCER_FENCED]
    );
    assert_eq!(
        client.add_offsets(2, (who.0, who.1 + 1)).await,
        PRODUCER_FENCED
    );
    assert_eq!(client.add(3, who, &[0, 1]).await, [0, 0]);
    assert_eq!(client.end(4, who, true).await.map(|_| ()), Ok(()));
    // Only the newer protocol raises the epoch.
    assert_eq!(client.add(3, who, &[0]).await, [0]);
    assert_eq!(client.end(3, who, true).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_batch_needs_its_transaction() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "produce").await;
    client.init().await;
    let who = client.init().await;
    let nameless = client.produce(9, who, 0, true, false).await;
    assert_eq!(nameless, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_eq!(
        client.produce(9, who, 0, true, true).await,
        INVALID_TXN_STATE
    );
    assert_eq!(
        client.produce(10, who, 0, true, true).await,
        INVALID_TXN_STATE
    );
    assert_eq!(
        client.produce(11, who, 0, true, true).await,
        TRANSACTION_ABORTABLE
    );
    assert_eq!(client.produce(12, who, 0, true, true).await, 0);
    let mut plain = Client::new(&broker, "plain").await;
    let idempotent = plain.init().await;
    assert_eq!(plain.produce(12, idempotent, 0, false, true).await, 0);
    assert_eq!(plain.fetch_committed().await, (1, 0), "it joins nothing");
    assert_eq!(
        client.produce(12, who, 1, false, false).await,
        INVALID_TXN_STATE,
        "a plain one"
    );
    assert_eq!(
        client.produce(12, (who.0, who.1 - 1), 1, true, true).await,
        INVALID_PRODUCER_EPOCH
    );
    let raised = client.end(5, who, true).await.unwrap();
    assert_eq!(client.produce(12, raised, 0, true, true).await, 0);
    let late = client.produce(12, who, 1, true, true).await;
    assert_eq!(late, INVALID_PRODUCER_EPOCH, "after the end");
    assert_eq!(
        client.end(5, raised, false).await.map(|who| who.0),
        Ok(who.0)
    );
}

#[tokio::test]
async fn offsets_need_their_transaction() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "offsets").await;
    client.init().await;
    let who = client.init().await;
    assert_eq!(client.commit_offset(3, who, -1).await, INVALID_TXN_STATE);
    assert_eq!(
        client.commit_offset(4, who, -1).await,
        TRANSACTION_ABORTABLE
    );
    assert_eq!(client.commit_offset(5, who, -1).await, 0);
    for version in [3, 5] {
        let generation = client.commit_offset(version, who, 4).await;
        assert_eq!(generation, UNKNOWN_MEMBER_ID, "version {version}");
    }
    let unknown = client.commit_offset_of(5, who, -1, 9).await;
    assert_eq!(unknown, UNKNOWN_TOPIC_OR_PARTITION);
    let stale = (who.0, who.1 - 1);
    assert_eq!(
        client.commit_offset(5, stale, -1).await,
        INVALID_PRODUCER_EPOCH
    );
    let unstable = client.committed(true).await;
    assert_eq!(unstable, (-1, UNSTABLE_OFFSET_COMMIT));
    assert_eq!(client.committed(false).await, (-1, 0));
    let foreign = (who.0 + 1000, who.1);
    assert_eq!(
        client.commit_offset(5, foreign, -1).await,
        INVALID_PRODUCER_ID_MAPPING
    );
    let raised = client.end(5, who, true).await.unwrap();
    // Apache Kafka writes its markers after it has answered.
    let mut committed = client.committed(true).await;
    while committed.1 == UNSTABLE_OFFSET_COMMIT {
        committed = client.committed(true).await;
    }
    assert_eq!(committed, (5, 0));
    assert_eq!(client.add_offsets(3, raised).await, 0);
    assert_eq!(client.commit_offset(3, raised, -1).await, 0);
    assert_eq!(client.end(3, raised, true).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_generation_needs_its_group() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "generation").await;
    let who = client.init().await;
    assert_eq!(client.add_offsets(3, who).await, 0);
    assert_eq!(client.commit_offset(3, who, 4).await, ILLEGAL_GENERATION);
    assert_eq!(client.end(3, who, false).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_transactional_id_is_not_empty() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "nameless").await;
    let who = client.init().await;
    let offset = TxnOffsetCommitRequestPartition::default().with_committed_offset(5);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name(&client.topic))
        .with_partitions(vec![offset]);
    let commit = TxnOffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("nameless")))
        .with_producer_id(who.0.into())
        .with_producer_epoch(who.1)
        .with_topics(vec![topic]);
    let response = client.raw.call(3, &commit).await.unwrap();
    let refused = response.topics[0].partitions[0].error_code;
    assert_eq!(refused, INVALID_REQUEST);
    client.id = String::new();
    assert_eq!(client.add(3, who, &[0]).await, [INVALID_REQUEST]);
    assert_eq!(client.add_offsets(3, who).await, INVALID_REQUEST);
    assert_eq!(client.end(3, who, true).await, Err(INVALID_REQUEST));
}

#[tokio::test]
async fn whether_partitions_are_part_of_a_transaction_can_be_asked() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "verify").await;
    client.init().await;
    let who = client.init().await;
    let verified = client.add_batched(5, true, &[(who, &[0])]).await;
    assert_eq!(verified, [[TRANSACTION_ABORTABLE]], "none is under way");
    let stale = (who.0, who.1 - 1);
    let foreign = (who.0 + 1000, who.1);
    let added = client
        .add_batched(4, false, &[(foreign, &[1]), (who, &[0])])
        .await;
    assert_eq!(added, [[INVALID_PRODUCER_ID_MAPPING], [0]]);
    let verified = client.add_batched(5, true, &[(who, &[0])]).await;
    assert_eq!(verified, [[0]]);
    let verified = client.add_batched(5, true, &[(who, &[1])]).await;
    assert_eq!(verified, [[TRANSACTION_ABORTABLE]], "to ask does not add");
    let verified = client.add_batched(5, true, &[(who, &[0, 1])]).await;
    assert_eq!(verified, [[0, TRANSACTION_ABORTABLE]]);
    let verified = client.add_batched(4, true, &[(who, &[1])]).await;
    assert_eq!(verified, [[TRANSACTION_ABORTABLE]], "in version 4 as well");
    let verified = client
        .add_batched(5, true, &[(stale, &[0]), (foreign, &[0])])
        .await;
    assert_eq!(verified, [[PRODUCER_FENCED], [INVALID_PRODUCER_ID_MAPPING]]);
    assert_eq!(client.end(3, who, false).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_marker_needs_its_partition_and_no_older_producer() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut client = Client::new(&broker, "marker").await;
    client.init().await;
    let who = client.init().await;
    assert_eq!(client.produce(12, who, 0, true, true).await, 0);
    let stale = (who.0, who.1 - 1);
    assert_eq!(
        client.write_marker(stale, false, 0).await,
        INVALID_PRODUCER_EPOCH
    );
    assert_eq!(
        client.write_marker(who, false, 9).await,
        UNKNOWN_TOPIC_OR_PARTITION
    );
    let ends = [client.end_offset(0).await, client.end_offset(1).await];
    assert_eq!(ends, [1, 0], "what is undecided");
    assert_eq!(client.fetch_committed().await, (0, 0));
    assert_eq!(client.write_marker(who, false, 0).await, 0);
    let ends = [client.end_offset(0).await, client.end_offset(1).await];
    assert_eq!(ends, [2, 2], "the record and the marker");
    assert_eq!(client.fetch_committed().await, (2, 1));
}
