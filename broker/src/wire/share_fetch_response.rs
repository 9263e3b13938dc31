//! The ShareFetch response, version 1, as a chain of slices: record bytes are not copied, as in
//! [`fetch_response`](super::fetch_response).

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use uuid::Uuid;

use super::{ResponseBytes, WireError};

/// Slices of records up to this size are copied after all.
const COPIED_BYTES_MAX: usize = 256;

/// What a ShareFetch is answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareFetchResponse {
    /// The Kafka error code of the whole.
    pub error_code: i16,
    /// How long the acquired records are held, in milliseconds.
    pub acquisition_lock_timeout_ms: i32,
    /// The topics.
    pub topics: Vec<ShareFetchedTopic>,
}

/// A topic of a ShareFetch response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareFetchedTopic {
    /// Its id.
    pub id: Uuid,
    /// The partitions.
    pub partitions: Vec<ShareFetchedPartition>,
}

/// A partition of a ShareFetch response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareFetchedPartition {
    /// The number of the partition.
    pub partition: i32,
    /// The Kafka error code of fetching, 0 for none.
    pub error_code: i16,
    /// The Kafka error code of acknowledging, 0 for none.
    pub acknowledge_error_code: i16,
    /// Whole record batches, cut anywhere.
    pub records: Vec<Bytes>,
    /// What of them the member holds now: first and last offset, and the how-manieth delivery it is.
    pub acquired: Vec<(i64, i64, i16)>,
}

/// Encodes `response` as the response to a ShareFetch of version 1, framed.
///
/// # Errors
/// If the frame would exceed 2 GiB.
pub fn encode_share_fetch_response(
    correlation_id: i32,
    response: ShareFetchResponse,
) -> Result<ResponseBytes, WireError> {
    let error_code = response.error_code;
    let mut chain = Chain {
        chunks: vec![Bytes::new()],
        open: BytesMut::new(),
    };
    chain.response(response);
    let Chain {
        mut chunks, open, ..
    } = chain;
    chunks.push(open.freeze());
    let length = 5 + chunks.iter().map(Bytes::len).sum::<usize>();
    let length = i32::try_from(length).map_err(|_| WireError::Encode {
        api: super::api_name(ApiKey::ShareFetch),
        version: 1,
        reason: "it would be larger than 2 GiB".to_owned(),
    })?;
    let mut head = BytesMut::with_capacity(9);
    head.put_i32(length);
    head.put_i32(correlation_id);
    head.put_u8(0); // no tagged fields
    chunks[0] = head.freeze();
    Ok(ResponseBytes::from_chunks(chunks).with_error_code(error_code))
}

/// The response so far: finished slices, and the bytes that are being written.
struct Chain {
    chunks: Vec<Bytes>,
    open: BytesMut,
}

impl Chain {
    fn response(&mut self, response: ShareFetchResponse) {
        self.open.put_i32(0); // not throttled
        self.open.put_i16(response.error_code);
        self.varint(0); // no message
        self.open.put_i32(response.acquisition_lock_timeout_ms);
        self.count(response.topics.len());
        for topic in response.topics {
            self.open.put_slice(topic.id.as_bytes());
            self.count(topic.partitions.len());
            for partition in topic.partitions {
                self.partition(partition);
            }
            self.varint(0);
        }
        self.count(0); // no node endpoints: any agent is as good as another
        self.varint(0);
    }

    fn partition(&mut self, partition: ShareFetchedPartition) {
        self.open.put_i32(partition.partition);
        self.open.put_i16(partition.error_code);
        self.varint(0);
        self.open.put_i16(partition.acknowledge_error_code);
        self.varint(0);
        self.open.put_i32(0); // leader id and epoch; none is told
        self.open.put_i32(0);
        self.varint(0);
        self.records(partition.records);
        self.count(partition.acquired.len());
        for (first, last, deliveries) in partition.acquired {
            self.open.put_i64(first);
            self.open.put_i64(last);
            self.open.put_i16(deliveries);
            self.varint(0);
        }
        self.varint(0);
    }

    fn records(&mut self, records: Vec<Bytes>) {
        self.count(records.iter().map(Bytes::len).sum());
        for slice in records {
            if slice.len() <= COPIED_BYTES_MAX {
                self.open.put_slice(&slice);
            } else {
                self.chunks.push(self.open.split().freeze());
                self.chunks.push(slice);
            }
        }
    }

    fn count(&mut self, count: usize) {
        self.varint(count + 1);
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.open.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.open.put_u8(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::share_fetch_response::{
        AcquiredRecords, PartitionData, ShareFetchableTopicResponse,
    };

    use super::*;
    use crate::wire::encode_response;

    fn flat(response: ResponseBytes) -> Vec<u8> {
        response.into_chunks().into_iter().flatten().collect()
    }

    #[test]
    fn it_is_what_the_schema_says() {
        let long: Bytes = vec![7; 1000].into();
        let partition = |partition| ShareFetchedPartition {
            partition,
            error_code: 3,
            acknowledge_error_code: 121,
            records: vec![Bytes::from_static(b"short"), long.clone()],
            acquired: vec![(1, 5, 1), (7, 300, 2)],
        };
        let topic = |id| ShareFetchedTopic {
            id: Uuid::from_u128(id),
            partitions: vec![partition(0), ShareFetchedPartition::default()],
        };
        let response = ShareFetchResponse {
            error_code: 123,
            acquisition_lock_timeout_ms: 30_000,
            topics: vec![topic(1), topic(2)],
        };
        let expected_partition = |p: &ShareFetchedPartition| {
            let acquired = p.acquired.iter().map(|&(first, last, count)| {
                AcquiredRecords::default()
                    .with_first_offset(first)
                    .with_last_offset(last)
                    .with_delivery_count(count)
            });
            PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(p.error_code)
                .with_acknowledge_error_code(p.acknowledge_error_code)
                .with_records(Some(p.records.concat().into()))
                .with_acquired_records(acquired.collect())
        };
        let expected_topic = |t: &ShareFetchedTopic| {
            ShareFetchableTopicResponse::default()
                .with_topic_id(t.id)
                .with_partitions(t.partitions.iter().map(expected_partition).collect())
        };
        let expected = kafka_protocol::messages::ShareFetchResponse::default()
            .with_error_code(123)
            .with_acquisition_lock_timeout_ms(30_000)
            .with_responses(response.topics.iter().map(expected_topic).collect());
        let expected = encode_response(ApiKey::ShareFetch, 1, 9, &expected).unwrap();
        let encoded = encode_share_fetch_response(9, response).unwrap();
        assert_eq!(flat(encoded), flat(expected));
    }
}
