//! A response as it goes to the socket: a chain of byte slices, length prefix and header included.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Encodable;

use super::{WireError, api_name};

/// A whole response frame: the four bytes of length, the response header and the body, as a chain
/// of slices that are written one after the other and never joined.
#[derive(Debug, Clone, Default)]
pub struct ResponseBytes {
    chunks: VecDeque<Bytes>,
    error_code: i16,
    held: Option<Arc<dyn Any + Send + Sync>>,
}

impl ResponseBytes {
    /// A response made of `chunks`, the first of which begins with the length prefix.
    pub fn from_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let chunks: VecDeque<Bytes> = chunks
            .into_iter()
            .filter(|chunk| !chunk.is_empty())
            .collect();
        Self {
            chunks,
            error_code: 0,
            held: None,
        }
    }

    /// The same response, counted in the metrics under this Kafka error code.
    #[must_use]
    pub fn with_error_code(mut self, error_code: i16) -> Self {
        self.error_code = error_code;
        self
    }

    /// The same response, which keeps `held` alive until it has been written: the permit for the memory it takes.
    #[must_use]
    pub fn holding(mut self, held: impl Any + Send + Sync) -> Self {
        self.held = Some(Arc::new(held));
        self
    }

    /// What is to be kept alive until the response has been written.
    pub fn take_held(&mut self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.held.take()
    }

    /// The Kafka error code that the metrics count this response under; 0 is success.
    pub fn error_code(&self) -> i16 {
        self.error_code
    }

    /// The slices in the order of writing.
    pub fn into_chunks(self) -> VecDeque<Bytes> {
        self.chunks
    }
}

/// Encodes `body` as the response to a request of `api_key` in `version`, framed and with the
/// response header of that version (always version 0 for ApiVersions, KIP-511).
///
/// # Errors
/// If a value has no encoding in this version, or the frame would exceed 2 GiB.
pub fn encode_response<T: Encodable>(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &T,
) -> Result<ResponseBytes, WireError> {
    let failed = |reason: String| WireError::Encode {
        api: api_name(api_key),
        version,
        reason,
    };
    let header_bytes = if api_key.response_header_version(version) >= 1 {
        5
    } else {
        4
    };
    let body_bytes = body
        .compute_size(version)
        .map_err(|error| failed(error.to_string()))?;
    let length = header_bytes + body_bytes;
    let prefix = i32::try_from(length).map_err(|_| failed(format!("{length} bytes")))?;

    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_i32(prefix);
    frame.put_i32(correlation_id);
    if header_bytes == 5 {
        frame.put_u8(0); // no tagged fields
    }
    body.encode(&mut frame, version)
        .map_err(|error| failed(error.to_string()))?;
    if frame.len() != 4 + length {
        return Err(failed(format!(
            "{} bytes where {length} were announced",
            frame.len() - 4
        )));
    }
    Ok(ResponseBytes::from_chunks([frame.freeze()]))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{
        ApiVersionsResponse, FetchResponse, HeartbeatResponse, MetadataResponse, ProduceResponse,
        ResponseHeader,
    };
    use kafka_protocol::protocol::{Decodable, Message};

    use super::*;

    fn check<T>(api_key: ApiKey)
    where
        T: Encodable + Decodable + Message + Default + PartialEq + std::fmt::Debug,
    {
        for version in T::VERSIONS.min..=T::VERSIONS.max {
            let encoded = encode_response(api_key, version, 7, &T::default()).unwrap();
            assert_eq!(encoded.chunks.len(), 1);
            let mut frame = encoded.chunks[0].clone();
            assert_eq!(bytes::Buf::get_i32(&mut frame) as usize, frame.len());
            let header_version = api_key.response_header_version(version);
            let header = ResponseHeader::decode(&mut frame, header_version).unwrap();
            assert_eq!(header.correlation_id, 7);
            assert_eq!(T::decode(&mut frame, version).unwrap(), T::default());
            assert!(frame.is_empty(), "{api_key:?} version {version}");
        }
    }

    #[test]
    fn responses_of_every_version_decode_to_their_exact_end() {
        check::<ApiVersionsResponse>(ApiKey::ApiVersions);
        check::<MetadataResponse>(ApiKey::Metadata);
        check::<ProduceResponse>(ApiKey::Produce);
        check::<HeartbeatResponse>(ApiKey::Heartbeat);
        check::<FetchResponse>(ApiKey::Fetch);
    }

    #[test]
    fn an_api_versions_response_has_the_oldest_header() {
        let body = ApiVersionsResponse::default();
        let encoded = encode_response(ApiKey::ApiVersions, 4, 7, &body).unwrap();
        let expected = 4 + 4 + body.compute_size(4).unwrap();
        assert_eq!(encoded.chunks[0].len(), expected);
    }
}
