//! A broker of one topic that does what a test's script says: it refuses, forgets to answer, hangs
//! up, or answers late. It checks sequence numbers as Kafka does (KIP-98).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, StrBytes, decode_request_header_from_buffer,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::records::split_batches;

pub const TOPIC: &str = "orders";

/// What happens to a Produce or Fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is done.
    Do,
    /// Every partition in it gets this error.
    Refuse(i16),
    /// The connection is closed before anything is stored.
    HangUp,
    /// It is stored, and the connection is closed without an answer.
    DoAndHangUp,
    /// It is done, and neither it nor any later request on this connection is answered.
    Forget,
    /// The answer carries another request's correlation id.
    Confuse,
}

/// What the broker knows.
#[derive(Default)]
pub struct Known {
    /// Actions for the next requests; [`Action::Do`] after them.
    pub script: Vec<Action>,
    /// First sequence numbers stored, by partition.
    pub stored: BTreeMap<i32, Vec<i32>>,
    /// Batches, by partition, with their offsets.
    pub log: BTreeMap<i32, Vec<Bytes>>,
    /// Highest version of ApiVersions it knows.
    pub api_versions_max: i16,
    /// Connections so far.
    pub connections: usize,
    next: BTreeMap<i32, (i32, i64)>,
}

pub struct Scripted {
    pub address: String,
    pub known: Arc<Mutex<Known>>,
}

impl Scripted {
    pub async fn start(script: &[Action]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let script = script.iter().rev().copied().collect();
        let known = Known {
            script,
            api_versions_max: 3,
            ..Known::default()
        };
        let known = Arc::new(Mutex::new(known));
        let (shared, port) = (Arc::clone(&known), listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                shared.lock().connections += 1;
                tokio::spawn(serve(socket, port, Arc::clone(&shared)));
            }
        });
        Self { address, known }
    }
}

async fn serve(mut socket: TcpStream, port: u16, known: Arc<Mutex<Known>>) {
    let mut mute = false;
    while let Ok(length) = socket.read_u32().await {
        let mut frame = BytesMut::zeroed(length as usize);
        socket.read_exact(&mut frame).await.unwrap();
        if mute {
            continue;
        }
        let Some(answer) = answer(frame.freeze(), port, &known) else {
            return;
        };
        mute = answer.is_empty();
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// None closes the connection, an empty answer makes it mute.
fn answer(mut frame: Bytes, port: u16, known: &Mutex<Known>) -> Option<Vec<u8>> {
    let key = i16::from_be_bytes([frame[0], frame[1]]);
    if key == ApiKey::ApiVersions as i16 {
        return Some(api_versions(frame, known));
    }
    let header = decode_request_header_from_buffer(&mut frame).unwrap();
    let (version, correlation) = (header.request_api_version, header.correlation_id);
    match ApiKey::try_from(key).unwrap() {
        ApiKey::Metadata => Some(framed(correlation, version, &metadata(port))),
        ApiKey::InitProducerId => {
            let response = InitProducerIdResponse::default().with_producer_id(77.into());
            Some(framed(
                correlation,
                version,
                &response.with_producer_epoch(0),
            ))
        }
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut frame, version).unwrap();
            let action = known.lock().script.pop().unwrap_or(Action::Do);
            let response = match action {
                Action::HangUp => return None,
                Action::Refuse(code) => produce(request, |_, _| (code, -1)),
                _ => produce(request, |index, batch| known.lock().store(index, batch)),
            };
            let correlation = correlation + i32::from(action == Action::Confuse);
            match action {
                Action::DoAndHangUp => None,
                Action::Forget => Some(Vec::new()),
                _ => Some(framed(correlation, version, &response)),
            }
        }
        ApiKey::Fetch => {
            let request = FetchRequest::decode(&mut frame, version).unwrap();
            let action = known.lock().script.pop().unwrap_or(Action::Do);
            let code = match action {
                Action::HangUp | Action::DoAndHangUp => return None,
                Action::Refuse(code) => code,
                _ => 0,
            };
            Some(framed(
                correlation,
                version,
                &fetch(&request, code, &known.lock()),
            ))
        }
        other => panic!("{other:?} is not in the script"),
    }
}

fn framed<M: Encodable + HeaderVersion>(correlation: i32, version: i16, message: &M) -> Vec<u8> {
    let mut bytes = BytesMut::zeroed(4);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header
        .encode(&mut bytes, M::header_version(version))
        .unwrap();
    message.encode(&mut bytes, version).unwrap();
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}

fn api_versions(mut frame: Bytes, known: &Mutex<Known>) -> Vec<u8> {
    let (version, correlation) = (frame.slice(2..4).get_i16(), frame.slice(4..8).get_i32());
    frame.clear();
    let known_max = known.lock().api_versions_max;
    if version > known_max {
        let unsupported = ApiVersionsResponse::default().with_error_code(35);
        return framed(correlation, 0, &unsupported);
    }
    let ranges = [
        (0, 3, 9),
        (1, 4, 12),
        (3, 1, 9),
        (18, 0, known_max),
        (22, 0, 4),
    ];
    let range = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    let response = ApiVersionsResponse::default().with_api_keys(ranges.map(range).to_vec());
    framed(correlation, version, &response)
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn metadata(port: u16) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(port.into());
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(1.into())
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(name()))
        .with_partitions((0..2).map(partition).collect());
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_topics(vec![topic])
}

fn produce(
    request: ProduceRequest,
    mut store: impl FnMut(i32, Bytes) -> (i16, i64),
) -> ProduceResponse {
    let mut answers = Vec::new();
    for partition in request
        .topic_data
        .into_iter()
        .flat_map(|topic| topic.partition_data)
    {
        let (code, offset) = store(partition.index, partition.records.unwrap());
        answers.push(
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(code)
                .with_base_offset(offset),
        );
    }
    let topic = TopicProduceResponse::default()
        .with_name(name())
        .with_partition_responses(answers);
    ProduceResponse::default().with_responses(vec![topic])
}

fn fetch(request: &FetchRequest, code: i16, known: &Known) -> FetchResponse {
    let partition = |asked: &fetch_request::FetchPartition| {
        let batches = known.log.get(&asked.partition).into_iter().flatten();
        let after = batches.filter(|batch| {
            let view = &split_batches((*batch).clone()).unwrap()[0];
            view.next_offset() > asked.fetch_offset
        });
        let records: Vec<u8> = after.flat_map(|batch| batch.to_vec()).collect();
        PartitionData::default()
            .with_partition_index(asked.partition)
            .with_error_code(code)
            .with_records(Some(if code == 0 {
                records.into()
            } else {
                Bytes::new()
            }))
    };
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    let topic = FetchableTopicResponse::default()
        .with_topic(name())
        .with_partitions(asked.map(partition).collect());
    FetchResponse::default().with_responses(vec![topic])
}

impl Known {
    /// Kafka's answer to a batch: error code and first offset.
    fn store(&mut self, partition: i32, batch: Bytes) -> (i16, i64) {
        let sequence = batch.slice(53..57).get_i32();
        let count = batch.slice(57..61).get_i32();
        let (expected, offset) = self.next.entry(partition).or_default();
        if sequence >= 0 && sequence < *expected {
            return (46, -1);
        }
        if sequence > *expected {
            return (45, -1);
        }
        let base = *offset;
        let mut stamped = batch.to_vec();
        stamped[..8].copy_from_slice(&base.to_be_bytes());
        *expected += count;
        *offset += i64::from(count);
        self.stored.entry(partition).or_default().push(sequence);
        self.log.entry(partition).or_default().push(stamped.into());
        (0, base)
    }
}
