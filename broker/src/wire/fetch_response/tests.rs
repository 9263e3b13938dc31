//! The encoder against the crate's decoder, in every version.

use kafka_protocol::messages::fetch_response as reference;
use kafka_protocol::messages::{BrokerId, ProducerId, ResponseHeader, TopicName};
use kafka_protocol::protocol::Decodable;

use super::*;

fn partition(partition: i32, records: &[usize]) -> FetchedPartition {
    let slice = |size: &usize| Bytes::from(vec![*size as u8; *size]);
    FetchedPartition {
        partition,
        high_watermark: 1_000 + i64::from(partition),
        last_stable_offset: 900,
        log_start_offset: 10,
        records: records.iter().map(slice).collect(),
        ..FetchedPartition::default()
    }
}

fn sample() -> FetchResponse {
    let mut committed = partition(2, &[10, 300, 0, 256, 257, 70_000]);
    let aborted = |producer_id| AbortedTransaction {
        producer_id,
        first_offset: 77,
    };
    committed.aborted_transactions = Some(vec![aborted(1), aborted(2)]);
    committed.preferred_read_replica = 6;
    let moved = FetchedPartition {
        partition: 3,
        error_code: 6,
        current_leader: Some((8, 9)),
        aborted_transactions: Some(vec![]),
        ..FetchedPartition::default()
    };
    let topic = |name: &'static str, id, partitions| FetchedTopic {
        name: StrBytes::from_static_str(name),
        id: Uuid::from_u128(id),
        partitions,
    };
    let endpoint = |node_id, rack: Option<&'static str>| NodeEndpoint {
        node_id,
        host: StrBytes::from_static_str("broker.example"),
        port: 9092,
        rack: rack.map(StrBytes::from_static_str),
    };
    FetchResponse {
        throttle_ms: 5,
        error_code: 70,
        session_id: 123,
        topics: vec![
            topic(
                "orders",
                1,
                vec![partition(0, &[1_000]), partition(1, &[]), committed],
            ),
            topic("none", 2, vec![]),
            topic("payments", 3, vec![moved]),
        ],
        node_endpoints: vec![endpoint(8, Some("zone-a")), endpoint(6, None)],
    }
}

/// The crate's own struct of what `version` can say of `response`.
fn expected(response: &FetchResponse, version: i16) -> reference::FetchResponse {
    let from = |first: i16| version >= first;
    let topics = response.topics.iter().map(|topic| {
        let mut out = reference::FetchableTopicResponse::default().with_partitions(
            topic
                .partitions
                .iter()
                .map(|p| expected_of(p, version))
                .collect(),
        );
        if from(13) {
            out.topic_id = topic.id;
        } else {
            out.topic = TopicName(topic.name.clone());
        }
        out
    });
    let mut out = reference::FetchResponse::default()
        .with_throttle_time_ms(response.throttle_ms)
        .with_responses(topics.collect());
    if from(7) {
        out = out
            .with_error_code(response.error_code)
            .with_session_id(response.session_id);
    }
    if from(16) {
        let endpoints = response.node_endpoints.iter().map(|endpoint| {
            reference::NodeEndpoint::default()
                .with_node_id(BrokerId(endpoint.node_id))
                .with_host(endpoint.host.clone())
                .with_port(endpoint.port)
                .with_rack(endpoint.rack.clone())
        });
        out.node_endpoints = endpoints.collect();
    }
    out
}

fn expected_of(partition: &FetchedPartition, version: i16) -> reference::PartitionData {
    let aborted = |transaction: &AbortedTransaction| {
        reference::AbortedTransaction::default()
            .with_producer_id(ProducerId(transaction.producer_id))
            .with_first_offset(transaction.first_offset)
    };
    let aborted = |all: &Vec<AbortedTransaction>| all.iter().map(aborted).collect();
    let mut out = reference::PartitionData::default()
        .with_partition_index(partition.partition)
        .with_error_code(partition.error_code)
        .with_high_watermark(partition.high_watermark)
        .with_last_stable_offset(partition.last_stable_offset)
        .with_aborted_transactions(partition.aborted_transactions.as_ref().map(aborted))
        .with_records(Some(Bytes::from(partition.records.concat())));
    if version >= 5 {
        out.log_start_offset = partition.log_start_offset;
    }
    if version >= 11 {
        out.preferred_read_replica = BrokerId(partition.preferred_read_replica);
    }
    if let (Some((leader, epoch)), true) = (partition.current_leader, version >= 12) {
        out.current_leader = reference::LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(leader))
            .with_leader_epoch(epoch);
    }
    out
}

#[test]
fn the_decoder_of_every_version_reads_what_was_meant() {
    for version in 4..=18 {
        for response in [sample(), FetchResponse::default()] {
            let encoded = encode_fetch_response(version, 42, response.clone()).unwrap();
            assert_eq!(encoded.error_code(), response.error_code);
            let frame = Bytes::from(
                encoded
                    .into_chunks()
                    .into_iter()
                    .collect::<Vec<_>>()
                    .concat(),
            );
            let mut rest = frame.clone();
            assert_eq!(bytes::Buf::get_i32(&mut rest) as usize, frame.len() - 4);
            let header = ApiKey::Fetch.response_header_version(version);
            let header = ResponseHeader::decode(&mut rest, header).unwrap();
            assert_eq!(header, ResponseHeader::default().with_correlation_id(42));
            let decoded = reference::FetchResponse::decode(&mut rest, version).unwrap();
            assert!(
                rest.is_empty(),
                "version {version}: {} bytes are left",
                rest.len()
            );
            assert_eq!(decoded, expected(&response, version), "version {version}");
        }
    }
}

#[test]
fn large_records_are_not_copied() {
    let records = Bytes::from(vec![1; 1 << 20]);
    let there = records.as_ptr();
    let partition = FetchedPartition {
        records: vec![records],
        ..FetchedPartition::default()
    };
    let topic = FetchedTopic {
        partitions: vec![partition],
        ..FetchedTopic::default()
    };
    let response = FetchResponse {
        topics: vec![topic],
        ..FetchResponse::default()
    };
    let encoded = encode_fetch_response(13, 1, response).unwrap();
    assert!(
        encoded
            .into_chunks()
            .iter()
            .any(|chunk| chunk.as_ptr() == there)
    );
}

#[test]
fn a_version_that_kafka_does_not_have_is_refused() {
    for version in [3, 19] {
        let refused = encode_fetch_response(version, 1, FetchResponse::default());
        assert!(matches!(refused, Err(WireError::Encode { .. })));
    }
}
