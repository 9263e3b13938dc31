//! Damaged batches: nothing panics, and what is rewritten is a batch.

use proptest::prelude::*;

use super::*;

fn whole(codec: Codec) -> Bytes {
    let mut builder = four();
    for n in 0..20u8 {
        builder.push(20, Some(&[n % 3]), Some(&[n; 40]), &[(b"name", None)]);
    }
    built(codec, builder)
}

/// Notes and cleans; what comes out of it must be a batch of the same offsets.
fn both(batch: &Bytes, base_offset: i64, keep_last: i64) -> Result<Cleaned, Damaged> {
    let mut map = KeyMap::new(24 * 1_000, 5);
    let aborted = AbortedRanges::default();
    let _ = note_keys(batch, base_offset, &aborted, &mut map);
    let rules = Rules {
        map: &map,
        aborted: &aborted,
        now_ms: NOW,
        delete_retention_ms: RETENTION,
        keep_last,
    };
    let cleaned = clean(batch, base_offset, &rules)?;
    if let Cleaned::Rewritten(batch) = &cleaned {
        let (header, records) = opened(batch);
        assert_eq!(header.base_offset, base_offset);
        assert_eq!(records.len(), header.record_count as usize);
        assert!(
            records
                .iter()
                .all(|r| (0..=header.last_offset_delta).contains(&r.offset_delta))
        );
    }
    Ok(cleaned)
}

/// The batch with its CRC made right.
fn resealed(mut batch: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

#[test]
fn every_flipped_byte_that_the_crc_covers_is_noticed() {
    for codec in Codec::ALL {
        let batch = whole(codec);
        for at in 21..batch.len() {
            let mut flipped = batch.to_vec();
            flipped[at] ^= 0x41;
            assert!(both(&flipped.into(), 0, 0).is_err(), "{codec:?} {at}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    for codec in Codec::ALL {
        let batch = whole(codec);
        for len in 0..batch.len() {
            assert!(both(&batch.slice(..len), 0, 0).is_err(), "{codec:?} {len}");
            // With a length and a CRC that go with what is left of it.
            if len >= HEADER_LEN {
                let mut cut = batch[..len].to_vec();
                cut[8..12].copy_from_slice(&(len as i32 - 12).to_be_bytes());
                let cleaned = both(&resealed(cut), 0, 0);
                // Only a stream's own end mark and checksum may be lost unnoticed.
                assert!(
                    cleaned.is_err() || len + 24 > batch.len(),
                    "{codec:?} {len}"
                );
            }
        }
    }
}

#[test]
fn counts_that_lie_are_noticed() {
    for codec in Codec::ALL {
        for count in [-1i32, 1, 23, 25, i32::MAX] {
            let mut forged = whole(codec).to_vec();
            forged[57..61].copy_from_slice(&count.to_be_bytes());
            assert!(both(&resealed(forged), 0, 0).is_err(), "{codec:?} {count}");
        }
        for last_offset_delta in [-1i32, 0, 22] {
            let mut forged = whole(codec).to_vec();
            forged[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
            assert!(both(&resealed(forged), 0, 0).is_err(), "{codec:?}");
        }
    }
}

#[test]
fn offsets_without_end_are_refused() {
    assert!(both(&whole(Codec::None), i64::MAX - 5, 0).is_err());
    assert!(both(&whole(Codec::None), -1, 0).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(
        codec in 0u8..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        control in any::<bool>(),
        keep_last in -1i64..30,
    ) {
        let batch = match control {
            true => control_batch(0, 7, 1, true, 5),
            false => whole(Codec::from_id(codec).unwrap()),
        };
        let mut forged = batch.to_vec();
        for (at, byte) in changes {
            let at = 21 + at.index(batch.len() - 21);
            forged[at] = byte;
        }
        let _ = both(&resealed(forged), 0, keep_last);
    }
}
