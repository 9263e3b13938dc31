//! Owns the bytes of a checkpoint's manifest: magic `MRC` and version 1 (4 bytes), CRC32C of the rest, little-endian (4),
//! then the fields in postcard.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::log::Position;

const MAGIC: [u8; 4] = *b"MRC\x01";
const HEADER_BYTES: usize = 8;

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub position: Position,
    pub hash: u64,
    pub metadata_version: u16,
    pub chunks: Vec<Chunk>,
}

/// One piece of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub bytes: u64,
    pub crc32c: u32,
}

impl Chunk {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            crc32c: crc32c::crc32c(bytes),
        }
    }
}

impl Manifest {
    pub fn encode(&self) -> Bytes {
        // Writing numbers and a list to memory has no way to fail; should it, an empty body is refused when read.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + body.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(crc32c::crc32c(&body));
        bytes.put_slice(&body);
        bytes.freeze()
    }

    /// The manifest in `bytes`, or what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err("shorter than its header");
        };
        if header[..3] != MAGIC[..3] {
            return Err("not a manifest");
        }
        if header[3] != MAGIC[3] {
            return Err("written in a format this version does not know; upgrade it");
        }
        if header[4..] != crc32c::crc32c(body).to_le_bytes() {
            return Err("damaged: its checksum does not match");
        }
        postcard::from_bytes(body).map_err(|_| "damaged: its fields do not decode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let chunks = vec![
            Chunk {
                bytes: 300,
                crc32c: 1,
            },
            Chunk {
                bytes: 5,
                crc32c: u32::MAX,
            },
        ];
        Manifest {
            position: Position(1_000),
            hash: 2,
            metadata_version: 3,
            chunks,
        }
    }

    #[test]
    fn version_1_is_these_bytes() {
        let golden = [
            &b"MRC\x01"[..],
            &[0xc3, 0xf5, 0x08, 0x18],
            &[
                0xe8, 0x07, 2, 3, 2, 0xac, 0x02, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f,
            ],
        ]
        .concat();
        assert_eq!(manifest().encode()[..], golden[..]);
    }

    #[test]
    fn round_trips_and_any_damage_is_noticed() {
        let bytes = manifest().encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }
}
