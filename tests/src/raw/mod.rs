//! A Kafka client that does as it is told: any bytes, any version, any lie.
//!
//! It checks nothing it sends. What comes back is read with bounds and a deadline, so that a test
//! against a broker that hangs fails instead of hanging too.

mod batch;

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, FetchRequest, ListOffsetsRequest, ProduceRequest, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use batch::{Batch, KeyValue};

/// How long an answer may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const FRAME_BYTES_MAX: usize = 64 << 20;
const CLIENT_ID: &str = "raw";
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 11;

/// One connection.
pub struct Raw {
    stream: TcpStream,
    client_id: StrBytes,
    correlation_id: i32,
}

impl Raw {
    /// Connects to `HOST:PORT`.
    pub async fn connect(bootstrap: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(bootstrap).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            client_id: StrBytes::from_static_str(CLIENT_ID),
            correlation_id: 0,
        })
    }

    /// Connects to `HOST:PORT`, with a client id of its own.
    pub async fn connect_as(bootstrap: &str, client_id: &str) -> io::Result<Self> {
        let raw = Self::connect(bootstrap).await?;
        Ok(Self {
            client_id: StrBytes::from_string(client_id.to_owned()),
            ..raw
        })
    }

    /// Over a connection that there is, with a client id of its own.
    pub fn over(stream: TcpStream, client_id: &str) -> Self {
        Self {
            stream,
            client_id: StrBytes::from_string(client_id.to_owned()),
            correlation_id: 0,
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends bytes behind a length prefix that is true.
    pub async fn send_frame(&mut self, body: &[u8]) -> io::Result<()> {
        let mut frame = BytesMut::with_capacity(body.len() + 4);
        frame.put_i32(i32::try_from(body.len()).map_err(io::Error::other)?);
        frame.put_slice(body);
        self.send(&frame).await
    }

    /// Sends a request and returns its correlation id, without waiting.
    pub async fn send_request<R: Request>(&mut self, version: i16, request: &R) -> io::Result<i32> {
        self.correlation_id += 1;
        let body = encode_request_of(&self.client_id, version, self.correlation_id, request)?;
        self.send_frame(&body).await?;
        Ok(self.correlation_id)
    }

    /// Reads one frame; `None` if the other side has closed the connection.
    ///
    /// # Errors
    /// Nothing came in time, or a frame larger than any answer could be.
    pub async fn read_frame(&mut self) -> io::Result<Option<Bytes>> {
        match timeout(ANSWER_WITHIN, self.read_frame_unbounded()).await {
            Ok(frame) => frame,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
        }
    }

    async fn read_frame_unbounded(&mut self) -> io::Result<Option<Bytes>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length).await {
            Ok(_) => {}
            Err(error) if is_closed(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await?;
        Ok(Some(frame.into()))
    }

    /// Reads the response to the request with that correlation id.
    pub async fn read_response<R: Request>(
        &mut self,
        version: i16,
        correlation_id: i32,
    ) -> io::Result<R::Response> {
        let frame = self.read_frame().await?;
        let mut frame = frame.ok_or_else(|| io::Error::other("the connection was closed"))?;
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).map_err(invalid)?;
        if header.correlation_id != correlation_id {
            let found = header.correlation_id;
            let why = format!("correlation id {found} instead of {correlation_id}");
            return Err(io::Error::other(why));
        }
        let response = R::Response::decode(&mut frame, version).map_err(invalid)?;
        if frame.has_remaining() {
            let why = format!("{} bytes behind the response", frame.remaining());
            return Err(io::Error::other(why));
        }
        Ok(response)
    }

    /// Sends a request and reads its response.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let correlation_id = self.send_request(version, request).await?;
        self.read_response::<R>(version, correlation_id).await
    }

    /// Whether the other side closes the connection in time. Frames before that are skipped.
    pub async fn is_closed_by_peer(&mut self) -> bool {
        loop {
            match self.read_frame().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => return is_closed(&error),
            }
        }
    }

    /// Creates a topic. Returns the error code.
    pub async fn create_topic(&mut self, name: &str, partitions: i32) -> io::Result<i16> {
        self.create_topic_with(name, partitions, &[]).await
    }

    /// Creates a topic with these configs. Returns the error code.
    pub async fn create_topic_with(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) -> io::Result<i16> {
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        Ok(self.call(5, &request).await?.topics[0].error_code)
    }

    /// Produces bytes, whatever they are, to one partition. Returns the partition's answer.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> io::Result<PartitionProduceResponse> {
        let request = produce_request(topic, partition, -1, records);
        let mut response = self.call(PRODUCE_VERSION, &request).await?;
        let mut topics = response.responses.drain(..);
        let mut partitions = topics
            .next()
            .into_iter()
            .flat_map(|topic| topic.partition_responses);
        partitions
            .next()
            .ok_or_else(|| io::Error::other("no partition in the response"))
    }

    /// Fetches from one partition. Returns error code, high watermark and the bytes.
    pub async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> io::Result<(i16, i64, Bytes)> {
        let request = fetch_request(topic, partition, offset);
        let response = self.call(FETCH_VERSION, &request).await?;
        if response.error_code != 0 {
            return Err(io::Error::other(format!(
                "fetch: error {}",
                response.error_code
            )));
        }
        let partition = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let partition =
            partition.ok_or_else(|| io::Error::other("no partition in the response"))?;
        let records = partition.records.unwrap_or_default();
        Ok((partition.error_code, partition.high_watermark, records))
    }

    /// Earliest offset (-2), latest offset (-1), or that of a timestamp. Returns error and offset.
    pub async fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> io::Result<(i16, i64)> {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![topic]);
        let response = self.call(5, &request).await?;
        let partition = &response.topics[0].partitions[0];
        Ok((partition.error_code, partition.offset))
    }
}

/// A request's bytes, without the length prefix.
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    request: &R,
) -> io::Result<Bytes> {
    let client_id = StrBytes::from_static_str(CLIENT_ID);
    encode_request_of(&client_id, version, correlation_id, request)
}

fn encode_request_of<R: Request>(
    client_id: &StrBytes,
    version: i16,
    correlation_id: i32,
    request: &R,
) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(client_id.clone()))
        .encode(&mut body, R::header_version(version))
        .map_err(invalid)?;
    request.encode(&mut body, version).map_err(invalid)?;
    Ok(body.freeze())
}

/// The first bytes of any request: key, version, correlation id, client id "raw".
pub fn header(api_key: i16, version: i16, correlation_id: i32) -> BytesMut {
    let mut header = BytesMut::new();
    header.put_i16(api_key);
    header.put_i16(version);
    header.put_i32(correlation_id);
    header.put_i16(3);
    header.put_slice(b"raw");
    let flexible =
        ApiKey::try_from(api_key).is_ok_and(|key| key.request_header_version(version) == 2);
    if flexible {
        header.put_u8(0);
    }
    header
}

/// A ProduceRequest for one partition.
pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// A FetchRequest for one partition, that waits up to half a second for one byte.
pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(8 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(16 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// A topic name as the protocol has it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}
