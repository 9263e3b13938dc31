//! Offset deltas and timestamps of the records in a batch, decompressed as a stream: however far a
//! batch expands, little of it is in memory at once, and there is an end to it.

use std::io::{self, BufRead, BufReader, Read};

use bytes::{Buf, Bytes};
use object_format::batch::{BatchHeader, Codec, HEADER_LEN, TimestampType};

/// Bytes a batch may expand to before it is given up as a bomb.
const EXPANDED_MAX: u64 = 1 << 30;

/// Bytes one block of snappy may expand to; it cannot be streamed.
const SNAPPY_BLOCK_MAX: usize = 64 << 20;

/// What snappy-java puts before its blocks: magic, version, compatible version.
const SNAPPY_JAVA_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const SNAPPY_JAVA_HEADER: usize = 16;

/// The offset delta and timestamp of the first record that `wanted` accepts.
///
/// # Errors
/// If the records cannot be decompressed, or are cut short.
pub(super) fn find_record(
    batch: &Bytes,
    header: &BatchHeader,
    wanted: impl Fn(i32, i64) -> bool,
) -> io::Result<Option<(i32, i64)>> {
    let section = batch.slice(HEADER_LEN.min(batch.len())..);
    let mut records = BufReader::new(decompressed(section, header)?.take(EXPANDED_MAX));
    for _ in 0..header.record_count {
        let (delta, timestamp_delta) = next_record(&mut records)?;
        let timestamp = match header.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        };
        if wanted(delta, timestamp) {
            return Ok(Some((delta, timestamp)));
        }
    }
    Ok(None)
}

fn decompressed(section: Bytes, header: &BatchHeader) -> io::Result<Box<dyn Read>> {
    Ok(match header.codec() {
        Some(Codec::None) => Box::new(section.reader()),
        Some(Codec::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(section.reader())),
        Some(Codec::Lz4) => Box::new(lz4::Decoder::new(section.reader())?),
        Some(Codec::Zstd) => Box::new(zstd::stream::read::Decoder::new(section.reader())?),
        Some(Codec::Snappy) => Box::new(Snappy::new(section)),
        None => return Err(io::Error::other("unknown codec")),
    })
}

/// Snappy as snappy-java frames it, or one bare block.
struct Snappy {
    rest: Bytes,
    framed: bool,
    block: Bytes,
}

impl Snappy {
    fn new(mut section: Bytes) -> Self {
        let framed = section.len() >= SNAPPY_JAVA_HEADER && section.starts_with(&SNAPPY_JAVA_MAGIC);
        if framed {
            section.advance(SNAPPY_JAVA_HEADER);
        }
        Self {
            rest: section,
            framed,
            block: Bytes::new(),
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let compressed = if self.framed {
            let len = self.rest.try_get_u32().map_err(io::Error::other)? as usize;
            if len > self.rest.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.rest.split_to(len)
        } else {
            std::mem::take(&mut self.rest)
        };
        if snap::raw::decompress_len(&compressed)? > SNAPPY_BLOCK_MAX {
            return Err(io::Error::other("a snappy block of more than 64 MiB"));
        }
        self.block = snap::raw::Decoder::new()
            .decompress_vec(&compressed)?
            .into();
        Ok(())
    }
}

impl Read for Snappy {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() && !self.rest.is_empty() {
            self.next_block()?;
        }
        let len = out.len().min(self.block.len());
        self.block.split_to(len).copy_to_slice(&mut out[..len]);
        Ok(len)
    }
}

/// Offset delta and timestamp delta of the next record, which is passed over.
fn next_record(from: &mut impl BufRead) -> io::Result<(i32, i64)> {
    let len = u64::try_from(varlong(from)?).map_err(io::Error::other)?;
    let mut body = from.take(len);
    let mut attributes = [0];
    body.read_exact(&mut attributes)?;
    let timestamp_delta = varlong(&mut body)?;
    let offset_delta = i32::try_from(varlong(&mut body)?).map_err(io::Error::other)?;
    let left = body.limit();
    let passed = io::copy(&mut body, &mut io::sink())?;
    if passed < left {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((offset_delta, timestamp_delta))
}

/// A zigzag varint.
fn varlong(from: &mut impl Read) -> io::Result<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        raw |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    Err(io::Error::other("a number that does not end"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use object_format::batch::BatchBuilder;

    use super::*;

    fn compress(codec: Codec, plain: &[u8]) -> Bytes {
        match codec {
            Codec::None => Bytes::copy_from_slice(plain),
            Codec::Gzip => {
                let mut to = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
                to.write_all(plain).unwrap();
                to.finish().unwrap().into()
            }
            Codec::Snappy => {
                let mut out = SNAPPY_JAVA_MAGIC.to_vec();
                out.extend([0, 0, 0, 1, 0, 0, 0, 1]);
                for block in plain.chunks(32 << 10) {
                    let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                    out.extend((block.len() as u32).to_be_bytes());
                    out.extend(block);
                }
                out.into()
            }
            Codec::Lz4 => {
                let mut to = lz4::EncoderBuilder::new().build(vec![]).unwrap();
                to.write_all(plain).unwrap();
                to.finish().0.into()
            }
            Codec::Zstd => zstd::encode_all(plain, 1).unwrap().into(),
        }
    }

    fn batch(codec: Codec) -> (Bytes, BatchHeader) {
        let mut builder = BatchBuilder::new();
        for n in 0..500i64 {
            let value = vec![n as u8; 300];
            builder.push(
                10_000 + n * 10,
                Some(b"key"),
                Some(&value),
                &[(b"name", None)],
            );
        }
        let batch = builder.build_with(codec, |plain| compress(codec, plain));
        let header = BatchHeader::parse(&batch).unwrap();
        (batch, header)
    }

    #[test]
    fn records_are_found_in_every_codec() {
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            let (batch, header) = batch(codec);
            let found = |at: i64| find_record(&batch, &header, |_, ts| ts >= at).unwrap();
            assert_eq!(found(0), Some((0, 10_000)), "{codec:?}");
            assert_eq!(found(14_981), Some((499, 14_990)), "{codec:?}");
            assert_eq!(found(14_991), None, "{codec:?}");
        }
    }

    #[test]
    fn bare_snappy_is_understood() {
        let (plain, _) = batch(Codec::None);
        let bare = snap::raw::Encoder::new()
            .compress_vec(&plain[HEADER_LEN..])
            .unwrap();
        let mut read = vec![];
        Snappy::new(bare.into()).read_to_end(&mut read).unwrap();
        assert_eq!(read, plain[HEADER_LEN..]);
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_no_panic() {
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            let (batch, header) = batch(codec);
            for len in (0..batch.len()).step_by(97) {
                let cut = batch.slice(..len);
                assert!(
                    find_record(&cut, &header, |_, _| false).is_err(),
                    "{codec:?} {len}"
                );
            }
        }
    }

    #[test]
    fn a_block_that_claims_gigabytes_is_refused() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        let mut read = Snappy::new(Bytes::copy_from_slice(&claim));
        assert!(read.read(&mut [0; 16]).is_err());
    }
}
