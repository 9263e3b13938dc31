//! Snappy as snappy-java frames it: a header, then blocks, each after its length.
//!
//! A batch may also be one bare block; that is read and not written.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};

/// Bytes one block may expand to; it cannot be streamed.
const BLOCK_MAX: usize = 64 << 20;

/// Bytes of a block that is written, as snappy-java does by default.
const BLOCK_BYTES: usize = 32 << 10;

/// What stands before the blocks: magic, version, least compatible version.
const FRAME_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC_LEN: usize = 8;

pub(super) struct SnappyReader {
    rest: Bytes,
    framed: bool,
    block: Bytes,
}

impl SnappyReader {
    pub(super) fn new(mut section: Bytes) -> Self {
        let framed =
            section.len() >= FRAME_HEADER.len() && section.starts_with(&FRAME_HEADER[..MAGIC_LEN]);
        if framed {
            section.advance(FRAME_HEADER.len());
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
        if snap::raw::decompress_len(&compressed)? > BLOCK_MAX {
            return Err(io::Error::other("a snappy block of more than 64 MiB"));
        }
        self.block = snap::raw::Decoder::new()
            .decompress_vec(&compressed)?
            .into();
        Ok(())
    }
}

impl Read for SnappyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() && !self.rest.is_empty() {
            self.next_block()?;
        }
        let len = out.len().min(self.block.len());
        self.block.split_to(len).copy_to_slice(&mut out[..len]);
        Ok(len)
    }
}

pub(super) struct SnappyWriter {
    out: Vec<u8>,
    block: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl SnappyWriter {
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.extend(FRAME_HEADER);
        Self {
            out,
            block: Vec::with_capacity(BLOCK_BYTES),
            encoder: snap::raw::Encoder::new(),
        }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let compressed = self.encoder.compress_vec(&self.block)?;
        self.out.extend((compressed.len() as u32).to_be_bytes());
        self.out.extend(compressed);
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        Ok(self.out)
    }
}

impl Write for SnappyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend(&bytes[..len]);
        if self.block.len() == BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
