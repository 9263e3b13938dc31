//! One entry of the metadata log: who says it, when, and the commands.
//!
//! On the wire: metadata version as two little-endian bytes, then the rest in postcard.

use bytes::Bytes;
use object_format::AgentEpoch;
use serde::{Deserialize, Serialize};

use super::{Command, METADATA_VERSION_MAX};

/// Commands that one writer appends together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The registration that appends it; 0 while registering.
    pub writer: AgentEpoch,
    /// Counts the writer's entries, from 1, so that a repeated append is recognised (I8).
    pub sequence: u64,
    /// The writer's wall clock in milliseconds since 1970.
    pub time_ms: i64,
    /// Applied in this order.
    pub commands: Vec<Command>,
}

/// Why an entry cannot be applied.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EntryError {
    /// Written under a metadata version this build does not know.
    #[error(
        "the metadata log holds an entry of metadata version {0}, and this build knows versions up to \
         {METADATA_VERSION_MAX}: upgrade this process"
    )]
    NewerVersion(u16),
    /// Not an entry at all.
    #[error("not a metadata entry: {0}")]
    Malformed(String),
}

impl Entry {
    /// The entry as bytes of metadata version `version`.
    pub fn encode(&self, version: u16) -> Bytes {
        let mut bytes = version.to_le_bytes().to_vec();
        bytes.extend(postcard::to_stdvec(self).unwrap_or_default());
        bytes.into()
    }

    /// The metadata version of the entry in `bytes`, if it begins as one of any version.
    pub fn version(bytes: &[u8]) -> Option<u16> {
        let version = bytes.first_chunk().map(|v| u16::from_le_bytes(*v));
        version.filter(|version| *version > 0)
    }

    /// The entry in `bytes`, which must hold nothing else, and the version it is written in.
    pub fn decode(bytes: &[u8]) -> Result<(u16, Self), EntryError> {
        let malformed = |what: &str| EntryError::Malformed(what.to_owned());
        let version = Self::version(bytes).ok_or_else(|| malformed("it has no version"))?;
        if version > METADATA_VERSION_MAX {
            return Err(EntryError::NewerVersion(version));
        }
        let body = bytes.get(2..).unwrap_or_default();
        let (entry, rest) =
            postcard::take_from_bytes(body).map_err(|e| EntryError::Malformed(e.to_string()))?;
        if rest.is_empty() {
            Ok((version, entry))
        } else {
            Err(malformed("bytes after its end"))
        }
    }
}
