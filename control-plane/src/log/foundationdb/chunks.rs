//! An entry as values of FoundationDB, which takes 100,000 bytes at most: cut on append, put together on read.
//!
//! The first chunk begins with a head: format (1 byte), the append's id (16), the entry's length (4) and its CRC32C (4).

use bytes::{Bytes, BytesMut};

use super::keys::Stamp;

/// Bytes of an entry in one chunk.
const CHUNK_BYTES: usize = 90_000;

const FORMAT: u8 = 1;

const HEAD_BYTES: usize = 1 + 16 + 4 + 4;

/// Tells one append from all others.
pub(super) type AppendId = [u8; 16];

/// The values that `entry` becomes, in order.
pub(super) fn cut(id: AppendId, entry: &Bytes) -> Vec<Bytes> {
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    let mut first = BytesMut::with_capacity(HEAD_BYTES + entry.len().min(CHUNK_BYTES));
    first.extend([FORMAT]);
    first.extend(id);
    first.extend(length.to_be_bytes());
    first.extend(crc32c::crc32c(entry).to_be_bytes());
    let mut chunks = entry.chunks(CHUNK_BYTES);
    first.extend(chunks.next().unwrap_or_default());
    let rest = chunks.map(|chunk| entry.slice_ref(chunk));
    std::iter::once(first.freeze()).chain(rest).collect()
}

/// An entry read back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whole {
    pub stamp: Stamp,
    pub id: AppendId,
    pub entry: Bytes,
}

/// Puts entries together from chunks that come in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Assembly(Option<Part>);

#[derive(Debug)]
struct Part {
    stamp: Stamp,
    id: AppendId,
    length: usize,
    crc: u32,
    chunks: u16,
    bytes: BytesMut,
}

impl Assembly {
    /// Takes the next chunk; gives the entry that it completes. An error says what is wrong with what is stored.
    pub fn take(
        &mut self,
        stamp: Stamp,
        chunk: u16,
        value: &[u8],
    ) -> Result<Option<Whole>, String> {
        let broken = |what: &str| format!("an entry of version {} {what}", stamp.version());
        let mut part = match (self.0.take(), chunk) {
            (None, 0) => Part::begin(stamp, value).ok_or_else(|| broken("has an unknown head"))?,
            (Some(mut part), _) if part.stamp == stamp && part.chunks == chunk => {
                part.bytes.extend(value);
                part
            }
            _ => return Err(broken("lacks a chunk")),
        };
        part.chunks += 1;
        if part.bytes.len() < part.length {
            self.0 = Some(part);
            return Ok(None);
        }
        if part.bytes.len() > part.length || crc32c::crc32c(&part.bytes) != part.crc {
            return Err(broken("is damaged"));
        }
        Ok(Some(Whole {
            stamp,
            id: part.id,
            entry: part.bytes.freeze(),
        }))
    }
}

impl Part {
    fn begin(stamp: Stamp, value: &[u8]) -> Option<Self> {
        let ([format], rest) = value.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        (*format == FORMAT).then(|| Self {
            stamp,
            id: *id,
            length: u32::from_be_bytes(*length) as usize,
            crc: u32::from_be_bytes(*crc),
            chunks: 0,
            bytes: rest.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_together(chunks: &[Bytes]) -> Result<Option<Whole>, String> {
        let mut assembly = Assembly::default();
        let mut whole = None;
        for (number, chunk) in chunks.iter().enumerate() {
            assert_eq!(whole, None, "complete before its last chunk");
            let number = u16::try_from(number).unwrap();
            whole = assembly.take(Stamp([7; 10]), number, chunk)?;
        }
        Ok(whole)
    }

    #[test]
    fn entries_of_all_sizes_come_back_whole_and_fit_into_values() {
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 8 << 20] {
            let entry = Bytes::from_iter((0..size).map(|i| u8::try_from(i % 251).unwrap()));
            let chunks = cut([3; 16], &entry);
            assert!(chunks.iter().all(|chunk| chunk.len() <= 100_000));
            assert_eq!(chunks.len(), size.div_ceil(CHUNK_BYTES).max(1));
            let whole = put_together(&chunks).unwrap().unwrap();
            assert!(whole.entry == entry && whole.id == [3; 16]);
        }
    }

    #[test]
    fn what_is_stored_wrongly_is_an_error() {
        let chunks = cut([0; 16], &vec![5; 3 * CHUNK_BYTES].into());
        let lacking = [chunks[0].clone(), chunks[2].clone()];
        assert!(put_together(&lacking).is_ok(), "not complete, so far");
        let without_first = &chunks[1..];
        assert!(put_together(without_first).is_err());
        let mut flipped = chunks.clone();
        flipped[1] = vec![6; CHUNK_BYTES].into();
        let damaged = put_together(&flipped).unwrap_err();
        assert!(damaged.contains("damaged"), "{damaged}");
        let unknown = put_together(&[vec![9; 40].into()]).unwrap_err();
        assert!(unknown.contains("unknown head"), "{unknown}");

        let mut assembly = Assembly::default();
        assembly.take(Stamp([1; 10]), 0, &chunks[0]).unwrap();
        assert!(assembly.take(Stamp([2; 10]), 0, &chunks[0]).is_err());
        let mut assembly = Assembly::default();
        assembly.take(Stamp([1; 10]), 0, &chunks[0]).unwrap();
        assert!(assembly.take(Stamp([1; 10]), 2, &chunks[2]).is_err());
    }
}
