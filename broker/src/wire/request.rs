//! From a frame to a request: the header parsed, the body walked and ready to be decoded.

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, Message, StrBytes};

use super::reader::Reader;
use super::shape::{Shape, Walked, walk};
use super::{ResponseBytes, WireError, encode_response};

/// A request whose header has been read and whose body has been walked to its end.
///
/// Only [`decode_request`] makes one, so whoever holds one may decode the body without fear of
/// lying counts. The one exception is an ApiVersions request in a version nobody knows: Kafka
/// answers it (with version 0 and `UNSUPPORTED_VERSION`), so it is let through with an empty body.
#[derive(Debug, Clone)]
pub struct Request {
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<StrBytes>,
    body: Bytes,
    walked: Walked,
}

impl Request {
    /// Which API is called.
    pub fn api_key(&self) -> ApiKey {
        self.api_key
    }

    /// The version of the API, which is also that of the response.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The number the client recognises the response by.
    pub fn correlation_id(&self) -> i32 {
        self.correlation_id
    }

    /// What the client calls itself. Points into the frame.
    pub fn client_id(&self) -> Option<&StrBytes> {
        self.client_id.as_ref()
    }

    /// The length of the body in bytes.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// About how many bytes decoding the body takes beyond the frame. A small frame can claim many
    /// small elements, which is harmless once but not from every client at once.
    pub fn decoded_bytes(&self) -> usize {
        self.walked.decoded_bytes
    }

    /// Decodes the body without copying: strings and records point into the frame.
    ///
    /// # Errors
    /// If `T` is not the request of this API or does not know the version, or if the body holds
    /// what only decoding finds out, such as a string that is not UTF-8.
    pub fn decode<T>(&self) -> Result<T, WireError>
    where
        T: Decodable + Message + kafka_protocol::protocol::Request,
    {
        if T::KEY != self.api_key as i16 {
            return Err(self.decode_error(format!("asked to decode API key {}", T::KEY)));
        }
        if self.version < T::VERSIONS.min || self.version > T::VERSIONS.max {
            return Err(self.unsupported());
        }
        let mut body = self.body.clone();
        // Bytes that follow are ignored, as Kafka does: librdkafka sends some behind its Metadata.
        T::decode(&mut body, self.version).map_err(|error| self.decode_error(error.to_string()))
    }

    /// Encodes `body` as the response to this request.
    ///
    /// # Errors
    /// If a value has no encoding in this version.
    pub fn respond<T: Encodable>(&self, body: &T) -> Result<ResponseBytes, WireError> {
        encode_response(self.api_key, self.version, self.correlation_id, body)
    }

    /// The error that says that this API is not served in this version.
    pub fn unsupported(&self) -> WireError {
        unsupported(self.api_key, self.version)
    }

    fn decode_error(&self, reason: String) -> WireError {
        WireError::Decode {
            api: api_name(self.api_key),
            version: self.version,
            reason,
        }
    }
}

/// The name of an API as Kafka's schemas have it, such as `Produce`.
pub fn api_name(api_key: ApiKey) -> &'static str {
    Shape::of(api_key as i16).map_or("unknown", |shape| shape.name)
}

fn unsupported(api_key: ApiKey, version: i16) -> WireError {
    WireError::UnsupportedVersion {
        api: api_name(api_key),
        version,
    }
}

/// Reads the header of `frame` (without its length prefix) and walks its body.
///
/// # Errors
/// If the frame is not a request of Kafka's in a version that is known, or is malformed. Kafka
/// closes the connection then, there being no way to answer.
pub fn decode_request(frame: Bytes) -> Result<Request, WireError> {
    let mut reader = Reader::new(&frame);
    let key = reader.int16("API key")?;
    let version = reader.int16("API version")?;
    let correlation_id = reader.int32("correlation id")?;
    let api_key = ApiKey::try_from(key).map_err(|()| WireError::UnknownApi(key))?;
    let shape = Shape::of(key).ok_or(WireError::UnknownApi(key))?;
    let is_known = shape.has_version(version);
    if !is_known && api_key != ApiKey::ApiVersions {
        return Err(unsupported(api_key, version));
    }
    let client_id = read_client_id(&mut reader, &frame)?;
    let mut request = Request {
        api_key,
        version,
        correlation_id,
        client_id,
        body: Bytes::new(),
        walked: Walked::default(),
    };
    if is_known {
        if shape.is_flexible(version) {
            skip_tagged_fields(&mut reader)?;
        }
        request.body = frame.slice(reader.position()..);
        request.walked = walk(shape, version, &mut reader)?;
    }
    Ok(request)
}

fn read_client_id(reader: &mut Reader<'_>, frame: &Bytes) -> Result<Option<StrBytes>, WireError> {
    let length = reader.int16("client id")?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| WireError::Impossible {
        what: "length of the client id",
        value: i64::from(length),
    })?;
    let start = reader.position();
    reader.take(length, "client id")?;
    StrBytes::from_utf8(frame.slice(start..start + length))
        .map(Some)
        .map_err(|_| WireError::Impossible {
            what: "client id (not UTF-8)",
            value: 0,
        })
}

fn skip_tagged_fields(reader: &mut Reader<'_>) -> Result<(), WireError> {
    for _ in 0..reader.unsigned_varint("number of tagged fields")? {
        reader.unsigned_varint("tag")?;
        let size = reader.unsigned_varint("size of a tagged field")?;
        reader.take(size as usize, "tagged field")?;
    }
    Ok(())
}
