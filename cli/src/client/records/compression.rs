//! The codecs of record batches; the bytes come from the kafka-protocol crate.

use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use kafka_protocol::compression::{Compressor, Decompressor, Gzip, Lz4, Snappy, Zstd};

/// A codec, as in the low three bits of a batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Records as they are.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy in the framing of snappy-java.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Compression {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Its number in the attributes.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// The codec with a number; none if Kafka has no such codec.
    pub fn from_attributes(attributes: i16) -> Option<Self> {
        Self::ALL
            .get(usize::from(attributes.unsigned_abs() & 7))
            .copied()
    }

    /// Its name in Kafka's `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Appends `records` to `to`, compressed.
    pub(super) fn compress(self, records: &[u8], to: &mut BytesMut) -> Result<(), String> {
        let put = |buffer: &mut BytesMut| {
            buffer.extend_from_slice(records);
            Ok(())
        };
        let done = match self {
            Self::None => put(to),
            Self::Gzip => Gzip::compress(to, put),
            Self::Snappy => Snappy::compress(to, put),
            Self::Lz4 => Lz4::compress(to, put),
            Self::Zstd => Zstd::compress(to, put),
        };
        done.map_err(|error| error.to_string())
    }

    /// The records of a batch's body.
    pub(super) fn decompress(self, body: Bytes) -> Result<Bytes, String> {
        let mut body = body;
        let take = |buffer: &mut Bytes| Ok(std::mem::take(buffer));
        let done = match self {
            Self::None => return Ok(body),
            Self::Gzip => Gzip::decompress(&mut body, take),
            Self::Snappy => Snappy::decompress(&mut body, take),
            Self::Lz4 => Lz4::decompress(&mut body, take),
            Self::Zstd => Zstd::decompress(&mut body, take),
        };
        done.map_err(|error| error.to_string())
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| "none, gzip, snappy, lz4 or zstd".to_owned())
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
