//! The codecs of record batches, as the tools name them.

use std::io::Read;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use object_format::batch::{Codec, compressed, decompressed};

/// A codec, as in the low three bits of a batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
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
        let section = compressed(records, self.codec()).map_err(|error| error.to_string())?;
        to.extend_from_slice(&section);
        Ok(())
    }

    /// The records of a batch's body.
    pub(super) fn decompress(self, body: Bytes) -> Result<Bytes, String> {
        if self == Self::None {
            return Ok(body);
        }
        let mut records = vec![];
        decompressed(body, self.codec())
            .and_then(|mut from| from.read_to_end(&mut records))
            .map_err(|error| error.to_string())?;
        Ok(records.into())
    }

    fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Gzip => Codec::Gzip,
            Self::Snappy => Codec::Snappy,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
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
