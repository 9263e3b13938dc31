//! The bytes of a Produce request (versions 3 to 13), written by hand so that record batches go
//! from the producer to the socket without being copied.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::{Message, VersionRange};
use uuid::Uuid;

use super::connection::Frame;

/// API key of Produce.
pub const PRODUCE: i16 = 0;
/// The versions written here.
pub const VERSIONS: VersionRange = ProduceRequest::VERSIONS;

/// First version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 9;
/// First version that names topics by id.
const BY_TOPIC_ID: i16 = 13;

/// What is the same in every request of a producer.
pub struct ProduceTarget<'a> {
    /// Version of the request.
    pub version: i16,
    /// Name of the client.
    pub client_id: &'a str,
    /// Required acknowledgements.
    pub acks: i16,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
    /// Name of the topic.
    pub topic: &'a str,
    /// Id of the topic.
    pub topic_id: Uuid,
}

impl ProduceTarget<'_> {
    /// A request with one batch for each partition named.
    pub fn frame(&self, correlation: i32, batches: &[(i32, Bytes)]) -> Frame {
        let flexible = self.version >= FLEXIBLE;
        let mut chunks = Vec::with_capacity(2 * batches.len() + 1);
        let mut part = BytesMut::with_capacity(128 + self.topic.len());
        part.put_u32(0);
        self.put_header(&mut part, correlation);
        put_length(&mut part, flexible, batches.len());
        for (index, batch) in batches {
            part.put_i32(*index);
            put_length(&mut part, flexible, batch.len());
            chunks.push(part.split().freeze());
            chunks.push(batch.clone());
            put_no_tags(&mut part, flexible);
        }
        // Of the topic, and of the request.
        put_no_tags(&mut part, flexible);
        put_no_tags(&mut part, flexible);
        if !part.is_empty() {
            chunks.push(part.freeze());
        }
        let length: usize = chunks.iter().map(Bytes::len).sum::<usize>() - 4;
        let mut first = BytesMut::from(&chunks[0][..]);
        first[..4].copy_from_slice(&(length as u32).to_be_bytes());
        chunks[0] = first.freeze();
        Frame {
            chunks,
            correlation,
            answered: self.acks != 0,
        }
    }

    fn put_header(&self, part: &mut BytesMut, correlation: i32) {
        let flexible = self.version >= FLEXIBLE;
        part.put_i16(PRODUCE);
        part.put_i16(self.version);
        part.put_i32(correlation);
        part.put_i16(self.client_id.len() as i16);
        part.put_slice(self.client_id.as_bytes());
        put_no_tags(part, flexible);
        match flexible {
            true => part.put_u8(0),
            false => part.put_i16(-1),
        }
        part.put_i16(self.acks);
        part.put_i32(self.timeout_ms);
        put_length(part, flexible, 1);
        if self.version >= BY_TOPIC_ID {
            part.put_slice(self.topic_id.as_bytes());
        } else if flexible {
            put_length(part, true, self.topic.len());
            part.put_slice(self.topic.as_bytes());
        } else {
            part.put_i16(self.topic.len() as i16);
            part.put_slice(self.topic.as_bytes());
        }
    }
}

/// Length of an array: four bytes, or compact.
fn put_length(part: &mut BytesMut, flexible: bool, length: usize) {
    match flexible {
        true => put_unsigned_varint(part, length + 1),
        false => part.put_i32(length as i32),
    }
}

fn put_no_tags(part: &mut BytesMut, flexible: bool) {
    if flexible {
        part.put_u8(0);
    }
}

fn put_unsigned_varint(part: &mut BytesMut, value: usize) {
    let mut rest = value;
    while rest >= 0x80 {
        part.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    part.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{RequestHeader, TopicName};
    use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

    use super::*;

    /// The same request, written by the kafka-protocol crate.
    fn reference(target: &ProduceTarget<'_>, batches: &[(i32, Bytes)]) -> BytesMut {
        let partition = |(index, batch): &(i32, Bytes)| {
            PartitionProduceData::default()
                .with_index(*index)
                .with_records(Some(batch.clone()))
        };
        let mut topic = TopicProduceData::default()
            .with_partition_data(batches.iter().map(partition).collect());
        if target.version >= 13 {
            topic = topic.with_topic_id(target.topic_id);
        } else {
            topic = topic.with_name(TopicName(StrBytes::from_string(target.topic.into())));
        }
        let request = ProduceRequest::default()
            .with_acks(target.acks)
            .with_timeout_ms(target.timeout_ms)
            .with_topic_data(vec![topic]);
        let header = RequestHeader::default()
            .with_request_api_key(0)
            .with_request_api_version(target.version)
            .with_correlation_id(77)
            .with_client_id(Some(StrBytes::from_string(target.client_id.into())));
        let mut bytes = BytesMut::zeroed(4);
        header
            .encode(&mut bytes, ProduceRequest::header_version(target.version))
            .unwrap();
        request.encode(&mut bytes, target.version).unwrap();
        let length = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn every_version_is_what_another_encoder_writes() {
        let batches = [
            (0, Bytes::from_static(b"abc")),
            (300, Bytes::from(vec![b'x'; 20_000])),
            (2, Bytes::new()),
        ];
        for version in VERSIONS.min..=VERSIONS.max {
            let target = ProduceTarget {
                version,
                client_id: "millrace",
                acks: -1,
                timeout_ms: 30_000,
                topic: "orders",
                topic_id: Uuid::from_u128(0x1234_5678_9abc),
            };
            let frame = target.frame(77, &batches);
            assert!(frame.answered);
            let ours: Vec<u8> = frame.chunks.concat();
            assert!(ours == reference(&target, &batches), "version {version}");
        }
    }

    #[test]
    fn nobody_answers_acks_0() {
        let target = ProduceTarget {
            version: 9,
            client_id: "c",
            acks: 0,
            timeout_ms: 1,
            topic: "t",
            topic_id: Uuid::nil(),
        };
        assert!(!target.frame(1, &[(0, Bytes::from_static(b"b"))]).answered);
    }
}
