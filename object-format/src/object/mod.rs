//! The layout of data objects, format version 1.
//!
//! ```text
//! header  magic "millrace" | version u32 | writer u64, sequence u64 (the object id)
//!         | created i64, ms since 1970 | CRC32C u32 of all before                     40 bytes
//! runs    each partition's record batches side by side, as the clients sent them
//! index   number of runs u32 | for each: topic id 16 bytes | partition u32
//!         | position u64 | length u64 | batches u32 | records u64
//!         | min timestamp i64 | max timestamp i64 | CRC32C u32 of the run             4 + 68 n
//! footer  index position u64 | index length u64 | object length u64
//!         | CRC32C u32 of the index | CRC32C u32 of all else here | version u32
//!         | magic "ecarllim"                                                          44 bytes
//! ```
//! All integers are big-endian. Nothing lies between these parts: runs follow one another in the
//! order of the index, which is that of topic id and partition, so every byte is under some CRC.
//! A reader knows the version from the first 12 bytes and from the last 12; they stay in every
//! version.

mod build;
mod error;
mod index;
mod read;
#[cfg(test)]
mod tests;

pub use build::{ObjectBuilder, PlacedBatch, SealedObject, SealedRun};
pub use error::{ObjectError, Part};
pub use index::{Footer, Index, RunIndex};
pub use read::{Object, parse_object, verify_object, verify_run};

use crate::batch::array;
use crate::ids::{AgentEpoch, ObjectId};

/// Version of the layout that is written, and the only one that is read.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_LEN: usize = 40;
/// Bytes of the footer: what a reader fetches from the end of an object to find the index.
pub const FOOTER_LEN: usize = 44;

const HEADER_MAGIC: [u8; 8] = *b"millrace";
const FOOTER_MAGIC: [u8; 8] = *b"ecarllim";

/// What an object says of itself at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    /// Its name.
    pub id: ObjectId,
    /// When it was sealed, in ms since 1970 by the writer's clock.
    pub created_ms: i64,
}

impl ObjectHeader {
    /// Parses the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`ObjectError::Truncated`], [`ObjectError::Magic`], [`ObjectError::Version`] and
    /// [`ObjectError::Crc`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(ObjectError::truncated(
                Part::Header,
                HEADER_LEN,
                bytes.len(),
            ));
        };
        if array(header, 0) != HEADER_MAGIC {
            return Err(ObjectError::Magic(Part::Header));
        }
        check_version(u32::from_be_bytes(array(header, 8)))?;
        let stored = u32::from_be_bytes(array(header, 36));
        check_crc(Part::Header, stored, crc32c::crc32c(&header[..36]))?;
        Ok(Self {
            id: ObjectId {
                writer: AgentEpoch(u64::from_be_bytes(array(header, 12))),
                sequence: u64::from_be_bytes(array(header, 20)),
            },
            created_ms: i64::from_be_bytes(array(header, 28)),
        })
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(&HEADER_MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        out[12..20].copy_from_slice(&self.id.writer.0.to_be_bytes());
        out[20..28].copy_from_slice(&self.id.sequence.to_be_bytes());
        out[28..36].copy_from_slice(&self.created_ms.to_be_bytes());
        let crc = crc32c::crc32c(&out[..36]);
        out[36..40].copy_from_slice(&crc.to_be_bytes());
        out
    }
}

fn check_version(version: u32) -> Result<(), ObjectError> {
    if version == FORMAT_VERSION {
        Ok(())
    } else {
        Err(ObjectError::Version(version))
    }
}

fn check_crc(part: Part, stored: u32, computed: u32) -> Result<(), ObjectError> {
    if stored == computed {
        Ok(())
    } else {
        Err(ObjectError::Crc {
            part,
            stored,
            computed,
        })
    }
}
