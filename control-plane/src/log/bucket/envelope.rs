//! Owns the bytes of one stored entry: who wrote it and a checksum, then the entry. The writer's mark lets a process
//! recognise its own write when the answer to it was lost.
//!
//! Layout, integers little-endian: magic `MRL` and version 1 (4 bytes), nonce of the writer (16), counter of the writer
//! (8), CRC32C of position, nonce, counter and entry (4), entry.

use bytes::{BufMut, Bytes, BytesMut};

use crate::log::Position;

const MAGIC: [u8; 4] = *b"MRL\x01";
const HEADER_BYTES: usize = 32;

/// Which append of which opened log wrote an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Drawn when the log was opened.
    pub nonce: [u8; 16],
    /// Counts that handle's appends.
    pub counter: u64,
}

/// A stored entry, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub mark: Mark,
    pub entry: Bytes,
}

impl Envelope {
    /// The bytes to store at `at`. The position is under the checksum, so that an object moved to another name is
    /// recognised as damaged.
    pub fn encode(&self, at: Position) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + self.entry.len());
        bytes.put_slice(&MAGIC);
        bytes.put_slice(&self.mark.nonce);
        bytes.put_u64_le(self.mark.counter);
        bytes.put_u32_le(self.checksum(at));
        bytes.put_slice(&self.entry);
        bytes.freeze()
    }

    /// What `bytes`, stored at `at`, hold; or what is wrong with them.
    pub fn decode(at: Position, bytes: &Bytes) -> Result<Self, &'static str> {
        let (Some(header), Some(magic)) = (bytes.get(..HEADER_BYTES), bytes.get(..3)) else {
            return Err("shorter than its header");
        };
        if magic != &MAGIC[..3] {
            return Err("not an entry of a metadata log");
        }
        if header[3] != MAGIC[3] {
            return Err("written in a format this version does not know; upgrade it");
        }
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&header[4..20]);
        let mut counter = [0; 8];
        counter.copy_from_slice(&header[20..28]);
        let mark = Mark {
            nonce,
            counter: u64::from_le_bytes(counter),
        };
        let envelope = Self {
            mark,
            entry: bytes.slice(HEADER_BYTES..),
        };
        if header[28..] != envelope.checksum(at).to_le_bytes() {
            return Err("damaged: its checksum does not match");
        }
        Ok(envelope)
    }

    fn checksum(&self, at: Position) -> u32 {
        let crc = crc32c::crc32c(&at.0.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &self.mark.nonce);
        let crc = crc32c::crc32c_append(crc, &self.mark.counter.to_le_bytes());
        crc32c::crc32c_append(crc, &self.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(entry: &'static str) -> Envelope {
        Envelope {
            mark: Mark {
                nonce: *b"0123456789abcdef",
                counter: 7,
            },
            entry: entry.into(),
        }
    }

    #[test]
    fn version_1_is_these_bytes() {
        let bytes = envelope("entry").encode(Position(3));
        let mut golden = b"MRL\x010123456789abcdef\x07\0\0\0\0\0\0\0".to_vec();
        golden.extend_from_slice(&[0xc1, 0x9e, 0xc7, 0x2b]);
        golden.extend_from_slice(b"entry");
        assert_eq!(bytes[..], golden[..]);
    }

    #[test]
    fn round_trips() {
        for entry in ["", "x", "a longer entry"] {
            let stored = envelope(entry).encode(Position(9));
            assert_eq!(Envelope::decode(Position(9), &stored), Ok(envelope(entry)));
        }
    }

    #[test]
    fn any_flipped_bit_any_cut_and_any_move_is_noticed() {
        let stored = envelope("entry").encode(Position(9));
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Envelope::decode(Position(9), &flipped.into()).is_err(),
                "bit {bit}"
            );
        }
        for cut in 0..stored.len() {
            assert!(
                Envelope::decode(Position(9), &stored.slice(..cut)).is_err(),
                "cut {cut}"
            );
        }
        assert!(Envelope::decode(Position(8), &stored).is_err());
    }
}
