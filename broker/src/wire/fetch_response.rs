//! The Fetch response, versions 4 to 18, as a chain of slices: record bytes are not copied.
//!
//! The crate's encoder copies every byte of every batch. Here only what stands between the records
//! is written, and the records follow as the slices they are.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{ResponseBytes, WireError};

/// Slices of records up to this size are copied after all: it costs less than one more slice in
/// the system call.
const COPIED_BYTES_MAX: usize = 256;

/// What a Fetch is answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// Milliseconds for which the client was throttled.
    pub throttle_ms: i32,
    /// The Kafka error code of the whole; from version 7 on.
    pub error_code: i16,
    /// The fetch session, 0 for none; from version 7 on.
    pub session_id: i32,
    /// The topics, in the order of the request.
    pub topics: Vec<FetchedTopic>,
    /// Where the leaders named by [`FetchedPartition::current_leader`] are; from version 16 on.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// A topic of a Fetch response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Its name; up to version 12.
    pub name: StrBytes,
    /// Its id; from version 13 on.
    pub id: Uuid,
    /// The partitions, in the order of the request.
    pub partitions: Vec<FetchedPartition>,
}

/// A partition of a Fetch response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// The number of the partition.
    pub partition: i32,
    /// The Kafka error code, 0 for none.
    pub error_code: i16,
    /// One more than the last offset that is safely stored; -1 with an error.
    pub high_watermark: i64,
    /// The first offset whose transaction is undecided, or the high watermark; -1 with an error.
    pub last_stable_offset: i64,
    /// The first offset there is; from version 5 on; -1 with an error.
    pub log_start_offset: i64,
    /// The aborted transactions among the records; none unless reading committed.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The broker to fetch from instead, -1 for none; from version 11 on.
    pub preferred_read_replica: i32,
    /// The leader and its epoch, told with an error about them; from version 12 on.
    pub current_leader: Option<(i32, i32)>,
    /// Whole record batches, cut anywhere.
    pub records: Vec<Bytes>,
}

impl Default for FetchedPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted_transactions: None,
            preferred_read_replica: -1,
            current_leader: None,
            records: Vec::new(),
        }
    }
}

/// An aborted transaction, whose records up to its control marker a client passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who produced it.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: i64,
}

/// Where a broker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node_id: i32,
    /// Its host name.
    pub host: StrBytes,
    /// Its port.
    pub port: i32,
    /// Its rack or zone.
    pub rack: Option<StrBytes>,
}

/// Encodes `response` as the response to a Fetch of `version`, framed.
///
/// # Errors
/// If Kafka has no such version, a name is longer than 32 KiB, or the frame would exceed 2 GiB.
pub fn encode_fetch_response(
    version: i16,
    correlation_id: i32,
    response: FetchResponse,
) -> Result<ResponseBytes, WireError> {
    let error_code = response.error_code;
    let mut chain = Chain {
        version,
        chunks: vec![Bytes::new()],
        open: BytesMut::new(),
    };
    if !(4..=18).contains(&version) {
        return Err(chain.failed("there is no such version"));
    }
    chain.open.reserve(estimate(&response));
    chain.response(response)?;

    let length: usize = chain.chunks.iter().map(Bytes::len).sum::<usize>() + chain.open.len();
    let header_bytes = if chain.is_flexible() { 5 } else { 4 };
    let length = i32::try_from(header_bytes + length)
        .map_err(|_| chain.failed("it would be larger than 2 GiB"))?;
    let mut head = BytesMut::with_capacity(4 + header_bytes);
    head.put_i32(length);
    head.put_i32(correlation_id);
    if chain.is_flexible() {
        head.put_u8(0); // no tagged fields
    }
    let Chain {
        mut chunks, open, ..
    } = chain;
    chunks[0] = head.freeze();
    chunks.push(open.freeze());
    Ok(ResponseBytes::from_chunks(chunks).with_error_code(error_code))
}

/// About how many bytes stand between the records.
fn estimate(response: &FetchResponse) -> usize {
    let partition =
        |p: &FetchedPartition| 64 + 17 * p.aborted_transactions.as_ref().map_or(0, Vec::len);
    let topic = |topic: &FetchedTopic| {
        let partitions: usize = topic.partitions.iter().map(partition).sum();
        32 + topic.name.len() + partitions
    };
    64 + response.topics.iter().map(topic).sum::<usize>()
}

/// The response so far: finished slices, and the bytes that are being written.
struct Chain {
    version: i16,
    chunks: Vec<Bytes>,
    open: BytesMut,
}

impl Chain {
    /// Compact lengths and tagged fields (KIP-482).
    fn is_flexible(&self) -> bool {
        self.version >= 12
    }

    fn failed(&self, reason: &str) -> WireError {
        let api = super::api_name(ApiKey::Fetch);
        WireError::Encode {
            api,
            version: self.version,
            reason: reason.to_string(),
        }
    }

    fn response(&mut self, response: FetchResponse) -> Result<(), WireError> {
        self.open.put_i32(response.throttle_ms);
        if self.version >= 7 {
            self.open.put_i16(response.error_code);
            self.open.put_i32(response.session_id);
        }
        self.count(response.topics.len());
        for topic in response.topics {
            self.topic(topic)?;
        }
        if self.version >= 16 && !response.node_endpoints.is_empty() {
            self.varint(1);
            return self.node_endpoints(&response.node_endpoints);
        }
        self.no_tagged_fields();
        Ok(())
    }

    fn topic(&mut self, topic: FetchedTopic) -> Result<(), WireError> {
        if self.version >= 13 {
            self.open.put_slice(topic.id.as_bytes());
        } else {
            self.string(&topic.name)?;
        }
        self.count(topic.partitions.len());
        for partition in topic.partitions {
            self.partition(partition);
        }
        self.no_tagged_fields();
        Ok(())
    }

    fn partition(&mut self, partition: FetchedPartition) {
        self.open.put_i32(partition.partition);
        self.open.put_i16(partition.error_code);
        self.open.put_i64(partition.high_watermark);
        self.open.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.open.put_i64(partition.log_start_offset);
        }
        self.aborted_transactions(partition.aborted_transactions.as_deref());
        if self.version >= 11 {
            self.open.put_i32(partition.preferred_read_replica);
        }
        self.records(partition.records);
        match partition.current_leader {
            Some((leader, epoch)) if self.is_flexible() => {
                self.open.put_slice(&[1, 1, 9]); // one tagged field: tag 1, of 9 bytes
                self.open.put_i32(leader);
                self.open.put_i32(epoch);
                self.no_tagged_fields();
            }
            _ => self.no_tagged_fields(),
        }
    }

    fn aborted_transactions(&mut self, aborted: Option<&[AbortedTransaction]>) {
        let Some(aborted) = aborted else {
            if self.is_flexible() {
                self.varint(0);
            } else {
                self.open.put_i32(-1);
            }
            return;
        };
        self.count(aborted.len());
        for transaction in aborted {
            self.open.put_i64(transaction.producer_id);
            self.open.put_i64(transaction.first_offset);
            self.no_tagged_fields();
        }
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

    /// Tag 0 of the response. Its size comes before it, so it is written apart.
    fn node_endpoints(&mut self, endpoints: &[NodeEndpoint]) -> Result<(), WireError> {
        let before = std::mem::take(&mut self.open);
        self.count(endpoints.len());
        for endpoint in endpoints {
            self.open.put_i32(endpoint.node_id);
            self.string(&endpoint.host)?;
            self.open.put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => self.string(rack)?,
                None => self.varint(0),
            }
            self.no_tagged_fields();
        }
        let field = std::mem::replace(&mut self.open, before);
        self.varint(0);
        self.varint(field.len());
        self.open.put_slice(&field);
        Ok(())
    }

    fn no_tagged_fields(&mut self) {
        if self.is_flexible() {
            self.varint(0);
        }
    }

    /// The length of an array or of bytes.
    fn count(&mut self, count: usize) {
        if self.is_flexible() {
            self.varint(count + 1);
        } else {
            // What does not fit makes the frame too large, which is seen at the end.
            self.open.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), WireError> {
        let length = i16::try_from(text.len()).map_err(|_| self.failed("a name is too long"))?;
        if self.is_flexible() {
            self.varint(text.len() + 1);
        } else {
            self.open.put_i16(length);
        }
        self.open.put_slice(text.as_bytes());
        Ok(())
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
mod tests;
