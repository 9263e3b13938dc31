//! Offset deltas and timestamps of the records in a batch of whatever codec.

use std::io;

use bytes::Bytes;
use object_format::batch::{BatchHeader, RecordStream};

/// The offset delta and timestamp of the first record that `wanted` accepts.
///
/// # Errors
/// If the records cannot be decompressed, or are cut short.
pub(super) fn find_record(
    batch: &Bytes,
    header: &BatchHeader,
    wanted: impl Fn(i32, i64) -> bool,
) -> io::Result<Option<(i32, i64)>> {
    let mut records = RecordStream::open(batch, header)?;
    while let Some(record) = records.next_record()? {
        let found = (record.offset_delta, record.timestamp(header));
        if wanted(found.0, found.1) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use object_format::batch::{BatchBuilder, Codec, compressed};

    use super::*;

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
        let batch = builder.build_with(codec, |plain| compressed(plain, codec).unwrap());
        let header = BatchHeader::parse(&batch).unwrap();
        (batch, header)
    }

    #[test]
    fn records_are_found_in_every_codec() {
        for codec in Codec::ALL {
            let (batch, header) = batch(codec);
            let found = |at: i64| find_record(&batch, &header, |_, ts| ts >= at).unwrap();
            assert_eq!(found(0), Some((0, 10_000)), "{codec:?}");
            assert_eq!(found(14_981), Some((499, 14_990)), "{codec:?}");
            assert_eq!(found(14_991), None, "{codec:?}");
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_no_panic() {
        for codec in Codec::ALL {
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
}
