//! The codecs of record batches, as streams both ways: however far a batch expands, little of it is
//! in memory at once, and there is an end to it.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};

use super::Codec;
use super::snappy::{SnappyReader, SnappyWriter};

/// Bytes the records of one batch may expand to before it is given up as a bomb.
pub const EXPANDED_MAX: u64 = 1 << 30;

/// Fast enough to rewrite a topic with, and what other clients use.
const LZ4_LEVEL: u32 = 4;

/// What `section`, the bytes of a batch after its header, expands to; it ends after
/// [`EXPANDED_MAX`] bytes.
///
/// # Errors
/// If it does not begin as `codec` demands; reading fails where it is damaged later.
pub fn decompressed(section: Bytes, codec: Codec) -> io::Result<Box<dyn Read + Send>> {
    let section = section.reader();
    Ok(match codec {
        Codec::None => Box::new(section.take(EXPANDED_MAX)),
        Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(section).take(EXPANDED_MAX)),
        Codec::Snappy => Box::new(SnappyReader::new(section.into_inner()).take(EXPANDED_MAX)),
        Codec::Lz4 => Box::new(lz4::Decoder::new(section)?.take(EXPANDED_MAX)),
        Codec::Zstd => Box::new(zstd::stream::read::Decoder::new(section)?.take(EXPANDED_MAX)),
    })
}

/// `plain`, compressed.
///
/// # Errors
/// As for [`Compressor`].
pub fn compressed(plain: &[u8], codec: Codec) -> io::Result<Bytes> {
    let mut to = Compressor::new(codec, vec![])?;
    to.write_all(plain)?;
    Ok(to.finish()?.into())
}

/// Compresses what is written to it, in the framing that Kafka's clients read.
pub struct Compressor(Stream);

enum Stream {
    None(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Snappy(Box<SnappyWriter>),
    Lz4(lz4::Encoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// Appends to `out`, with the levels that are each codec's default in Kafka, but for LZ4.
    ///
    /// # Errors
    /// If the codec's library cannot begin.
    pub fn new(codec: Codec, out: Vec<u8>) -> io::Result<Self> {
        Ok(Self(match codec {
            Codec::None => Stream::None(out),
            Codec::Gzip => {
                let level = flate2::Compression::default();
                Stream::Gzip(flate2::write::GzEncoder::new(out, level))
            }
            Codec::Snappy => Stream::Snappy(Box::new(SnappyWriter::new(out))),
            // SUBTLE: the Java client reads no frame whose blocks depend on one another.
            Codec::Lz4 => Stream::Lz4(
                lz4::EncoderBuilder::new()
                    .level(LZ4_LEVEL)
                    .block_size(lz4::BlockSize::Max64KB)
                    .block_mode(lz4::BlockMode::Independent)
                    .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
                    .checksum(lz4::ContentChecksum::NoChecksum)
                    .build(out)?,
            ),
            Codec::Zstd => Stream::Zstd(zstd::stream::write::Encoder::new(
                out,
                zstd::DEFAULT_COMPRESSION_LEVEL,
            )?),
        }))
    }

    /// Ends the stream and returns what it was appended to.
    ///
    /// # Errors
    /// If the codec's library cannot end.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Stream::None(out) => Ok(out),
            Stream::Gzip(stream) => stream.finish(),
            Stream::Snappy(stream) => stream.finish(),
            Stream::Lz4(stream) => {
                let (out, ended) = stream.finish();
                ended.map(|()| out)
            }
            Stream::Zstd(stream) => stream.finish(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::None(out) => out.write(bytes),
            Stream::Gzip(stream) => stream.write(bytes),
            Stream::Snappy(stream) => stream.write(bytes),
            Stream::Lz4(stream) => stream.write(bytes),
            Stream::Zstd(stream) => stream.write(bytes),
        }
    }

    /// Does nothing: a flush in the middle costs compression, and only the end counts.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
