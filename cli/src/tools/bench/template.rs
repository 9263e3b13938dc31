//! Batches made by patching one template, so that making load costs the machine little: the layout
//! of a batch never changes, and its buffer comes back with its acknowledgement.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::chain::{ChainEnd, LINK_BYTES, Link, hash};
use crate::client::records::{BatchEncoder, Compression, HEADER_BYTES, stamp_time};

/// Buffers kept for reuse.
const SPARE_MAX: usize = 256;

/// Makes the batches of one producer.
pub struct Template {
    link: Link,
    batch: BytesMut,
    values: Vec<Range<usize>>,
    spare: Vec<BytesMut>,
    compression: Compression,
}

impl Template {
    /// Batches of up to `batch_bytes` (at least one record) of values of `record_size` bytes, which
    /// is at least [`LINK_BYTES`].
    pub fn new(
        run: u64,
        producer: u32,
        record_size: usize,
        batch_bytes: usize,
        compression: Compression,
    ) -> Result<Self, String> {
        let mut filler = Filler(run ^ u64::from(producer));
        let mut encoder = BatchEncoder::default();
        let mut values = Vec::new();
        let size = record_size.max(LINK_BYTES);
        let mut value = vec![0; size];
        while encoder.is_empty() || encoder.len() + size + 20 <= batch_bytes {
            filler.fill(&mut value);
            values.push(encoder.push(0, None, Some(&value), &[]));
        }
        let batch = encoder.finish(Compression::None)?;
        let link = Link {
            producer,
            run,
            sequence: 0,
            sent_ns: 0,
            previous: 0,
        };
        Ok(Self {
            link,
            batch,
            values,
            spare: Vec::new(),
            compression,
        })
    }

    /// Records in a batch.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Bytes of values in a batch.
    pub fn value_bytes(&self) -> usize {
        self.values.iter().map(Range::len).sum()
    }

    /// Bytes of a batch, before compression.
    pub fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    /// The next batch of a chain, not sealed.
    pub fn next(
        &mut self,
        chain: &mut ChainEnd,
        sent_ns: u64,
        wall_ms: i64,
    ) -> Result<BytesMut, String> {
        let mut batch = self.spare.pop().unwrap_or_else(|| self.batch.clone());
        let mut link = Link {
            sent_ns,
            ..self.link
        };
        for value in &self.values {
            link.sequence = chain.next;
            link.previous = chain.last;
            let value = &mut batch[value.clone()];
            link.write(value);
            chain.last = hash(value);
            chain.next += 1;
        }
        stamp_time(&mut batch, wall_ms);
        if self.compression == Compression::None {
            return Ok(batch);
        }
        let mut compressed = BytesMut::with_capacity(batch.len());
        compressed.extend_from_slice(&batch[..HEADER_BYTES]);
        crate::client::records::compress(self.compression, &batch, &mut compressed)?;
        self.put_back(batch);
        Ok(compressed)
    }

    /// Takes a batch back that is not needed any more, for its memory.
    pub fn recycle(&mut self, batch: Bytes) {
        if self.compression == Compression::None
            && let Ok(batch) = batch.try_into_mut()
        {
            self.put_back(batch);
        }
    }

    fn put_back(&mut self, batch: BytesMut) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch);
        }
    }
}

/// Text that compresses about as well as logs do: words of a small vocabulary, seeded.
struct Filler(u64);

impl Filler {
    fn fill(&mut self, value: &mut [u8]) {
        for word in value.chunks_mut(8) {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            for (index, byte) in word.iter_mut().enumerate() {
                *byte = b'a' + ((z >> (8 * (index / 2))) as u8 & 0x0f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::Verifier;
    use super::*;
    use crate::client::records::{ProducerIdentity, seal, split_batches};

    fn template(compression: Compression) -> Template {
        Template::new(11, 2, 1024, 64 << 10, compression).unwrap()
    }

    /// Makes `count` batches and walks them as a reader would, which also checks each CRC.
    fn walk(template: &mut Template, count: usize) -> Verifier {
        let (mut chain, mut verifier) = (ChainEnd::default(), Verifier::default());
        let mut offset = 0;
        for number in 0..count {
            let mut batch = template.next(&mut chain, 7, 1_234).unwrap();
            seal(
                &mut batch,
                ProducerIdentity { id: 5, epoch: 0 },
                number as i32,
            );
            let batch = batch.freeze();
            let views = split_batches(batch.clone()).unwrap();
            for record in views[0].records().unwrap().iter() {
                let record = record.unwrap();
                assert_eq!(
                    (record.timestamp, record.value.map(<[u8]>::len)),
                    (1_234, Some(1024))
                );
                let link = verifier.observe(0, offset, record.value).unwrap();
                assert_eq!((link.producer, link.run, link.sent_ns), (2, 11, 7));
                offset += 1;
            }
            drop(views);
            template.recycle(batch);
        }
        verifier
    }

    #[test]
    fn patched_batches_are_valid_and_chained_across_reuse() {
        let mut template = template(Compression::None);
        assert_eq!(template.count(), 63);
        assert!(template.batch_bytes() <= 64 << 10);
        let seen = walk(&mut template, 5).seen();
        assert_eq!((seen.received, seen.verified, seen.altered), (315, 315, 0));
        assert_eq!(
            template.spare.len(),
            1,
            "the buffer of each batch is used for the next"
        );
    }

    #[test]
    fn compressed_batches_are_chained_too_and_smaller() {
        for codec in Compression::ALL {
            let mut template = template(codec);
            let seen = walk(&mut template, 3).seen();
            assert_eq!((seen.received, seen.verified), (189, 189), "{codec}");
        }
        let mut zstd = template(Compression::Zstd);
        let batch = zstd.next(&mut ChainEnd::default(), 0, 0).unwrap();
        assert!(batch.len() < 50 << 10, "{} bytes", batch.len());
    }

    #[test]
    fn a_record_larger_than_the_batch_goes_alone() {
        let template = Template::new(1, 1, 5_000, 1_000, Compression::None).unwrap();
        assert_eq!((template.count(), template.value_bytes()), (1, 5_000));
    }
}
