//! Which partition a record goes to, as Kafka's Java client decides it: keyed records by murmur2,
//! the others stay with one partition for a whole batch (KIP-480).

/// Chooses among `partitions` partitions.
#[derive(Clone, Debug)]
pub struct Partitioner {
    partitions: Vec<i32>,
    sticky: usize,
}

impl Partitioner {
    /// Among these partitions, which must not be none.
    pub fn new(partitions: Vec<i32>) -> Self {
        Self {
            partitions,
            sticky: 0,
        }
    }

    /// The partition of a record.
    pub fn partition(&self, key: Option<&[u8]>) -> i32 {
        let count = self.partitions.len();
        let index = match key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) as usize % count,
            None => self.sticky % count,
        };
        self.partitions[index]
    }

    /// A batch was filled: records without a key go to the next partition.
    pub fn filled(&mut self, partition: i32) {
        if self.partition(None) == partition {
            self.sticky += 1;
        }
    }
}

/// The 32-bit murmur2 of Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of Kafka's own UtilsTest.
    #[test]
    fn murmur2_is_that_of_kafka() {
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58897971,
            ),
            (b"abc", 479470107),
        ];
        for (data, hash) in cases {
            assert_eq!(murmur2(data) as i32, hash, "{data:?}");
        }
    }

    #[test]
    fn records_without_a_key_change_partition_with_the_batch() {
        let mut partitioner = Partitioner::new(vec![0, 1, 2]);
        assert_eq!(partitioner.partition(None), 0);
        assert_eq!(partitioner.partition(None), 0);
        partitioner.filled(2);
        assert_eq!(partitioner.partition(None), 0);
        partitioner.filled(0);
        assert_eq!(partitioner.partition(None), 1);
        assert_eq!(
            partitioner.partition(Some(b"k")),
            partitioner.partition(Some(b"k"))
        );
    }
}
