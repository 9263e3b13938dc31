//! Batches in every codec: read as a stream, written again, cut short, lied about.

use std::io::{Read, Write};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::snappy::SnappyReader;
use super::*;

fn plain() -> BatchBuilder {
    let mut builder = BatchBuilder::new().producer(7, 3, 40).transactional();
    for n in 0..500i64 {
        let value = vec![n as u8; 300];
        let value = (n % 3 > 0).then_some(&value[..]);
        let key = (n % 5 > 0).then_some(&b"key"[..]);
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"name", None), (b"name", Some(b"x"))];
        builder.push(10_000 - n * 10, key, value, headers);
    }
    builder
}

fn batch(codec: Codec) -> Bytes {
    plain().build_with(codec, |plain| compressed(plain, codec).unwrap())
}

/// Offset delta, key, and whether there is a value.
type Walked = (i32, Option<Vec<u8>>, bool);

/// The records of a batch; the whole of it is checked.
fn walk(batch: &Bytes) -> std::io::Result<Vec<Walked>> {
    let header = BatchHeader::parse(batch).map_err(std::io::Error::other)?;
    let mut stream = RecordStream::open(batch, &header)?;
    let (mut seen, mut key) = (vec![], vec![]);
    while let Some(mut record) = stream.next_record()? {
        let has_key = record.key(&mut key)?;
        let offset_delta = record.offset_delta;
        let has_value = record.pass_value_and_headers()?;
        seen.push((offset_delta, has_key.then(|| key.clone()), has_value));
    }
    stream.end()?;
    Ok(seen)
}

/// What consumers see of each record.
fn views(batch: &Bytes) -> Vec<(i32, i64, RecordView)> {
    let header = BatchHeader::parse(batch).unwrap();
    let mut section = vec![];
    let codec = header.codec().unwrap();
    let mut from = decompressed(batch.slice(HEADER_LEN..), codec).unwrap();
    from.read_to_end(&mut section).unwrap();
    let views = records_in(section.into(), &header).map(|view| {
        let mut view = view.unwrap();
        let timestamp = view.timestamp(&header);
        view.timestamp_delta = 0;
        (view.offset_delta, timestamp, view)
    });
    views.collect()
}

#[test]
fn every_codec_is_read_as_a_stream() {
    for codec in Codec::ALL {
        let seen = walk(&batch(codec)).unwrap();
        assert_eq!(seen.len(), 500);
        for (n, (offset_delta, key, has_value)) in seen.into_iter().enumerate() {
            assert_eq!(offset_delta as usize, n);
            assert_eq!(key.is_some(), n % 5 > 0, "{codec:?} {n}");
            assert_eq!(has_value, n % 3 > 0, "{codec:?} {n}");
        }
    }
}

#[test]
fn a_rewritten_batch_has_the_records_it_was_given_unchanged() {
    for codec in Codec::ALL {
        let original = batch(codec);
        let from = BatchHeader::parse(&original).unwrap();
        for horizon in [None, Some(77_000)] {
            let mut stream = RecordStream::open(&original, &from).unwrap();
            let mut to = BatchRewriter::new(from, 1_000, horizon).unwrap();
            while let Some(record) = stream.next_record().unwrap() {
                if record.offset_delta >= 100 && record.offset_delta % 7 == 0 {
                    to.push(record).unwrap();
                }
            }
            let rewritten = to.finish().unwrap();
            let header = verify_crc(&rewritten).unwrap();
            let mut expected = views(&original);
            expected.retain(|(delta, ..)| *delta >= 100 && delta % 7 == 0);
            assert_eq!(views(&rewritten), expected, "{codec:?}");
            assert_eq!(header.base_offset, 1_000);
            assert_eq!(header.last_offset_delta, 499);
            assert_eq!(header.record_count as usize, expected.len());
            assert_eq!(header.base_timestamp, horizon.unwrap_or(expected[0].1));
            assert_eq!(header.max_timestamp, expected[0].1);
            assert_eq!(header.delete_horizon(), horizon);
            assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
            assert_eq!((header.base_sequence, header.last_sequence()), (40, 539));
            assert!(header.is_transactional() && header.codec() == Some(codec));
        }
    }
}

#[test]
fn log_append_time_outlives_a_rewrite() {
    let original = with_log_append_time(&batch(Codec::Zstd), 123).unwrap();
    let from = BatchHeader::parse(&original).unwrap();
    let mut stream = RecordStream::open(&original, &from).unwrap();
    let mut to = BatchRewriter::new(from, 0, Some(9_000)).unwrap();
    to.push(stream.next_record().unwrap().unwrap()).unwrap();
    let rewritten = to.finish().unwrap();
    assert_eq!(views(&rewritten)[0].1, 123);
    let header = verify_crc(&rewritten).unwrap();
    assert_eq!((header.max_timestamp, header.base_timestamp), (123, 9_000));
}

#[test]
fn an_emptied_batch_still_takes_its_offsets() {
    let original = batch(Codec::Lz4);
    let from = BatchHeader::parse(&original).unwrap();
    let empty = emptied(&from, 5);
    let header = verify_crc(&empty).unwrap();
    assert_eq!(empty.len(), HEADER_LEN);
    assert_eq!((header.base_offset, header.offset_count()), (5, 500));
    assert_eq!((header.last_sequence(), header.record_count), (539, 0));
    assert_eq!(header.max_timestamp, from.max_timestamp);
    assert_eq!(walk(&empty).unwrap(), []);
}

#[test]
fn lz4_blocks_do_not_depend_on_one_another() {
    // Byte 4 of a frame: version 1, independent blocks, no checksums, no content size.
    assert_eq!(compressed(b"abc", Codec::Lz4).unwrap()[4], 0b0110_0000);
}

#[test]
fn lz4_as_others_write_it_is_read() {
    let mut linked = lz4::EncoderBuilder::new().build(vec![]).unwrap();
    let whole = plain().build();
    linked.write_all(&whole[HEADER_LEN..]).unwrap();
    let section = linked.finish().0;
    let batch = plain().build_with(Codec::Lz4, |_| section.into());
    assert_eq!(walk(&batch).unwrap().len(), 500);
}

#[test]
fn bare_snappy_is_understood() {
    let plain = batch(Codec::None);
    let bare = snap::raw::Encoder::new()
        .compress_vec(&plain[HEADER_LEN..])
        .unwrap();
    let mut read = vec![];
    SnappyReader::new(bare.into())
        .read_to_end(&mut read)
        .unwrap();
    assert_eq!(read, plain[HEADER_LEN..]);
}

#[test]
fn a_block_that_claims_gigabytes_is_refused() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let mut read = SnappyReader::new(Bytes::copy_from_slice(&claim));
    assert!(read.read(&mut [0; 16]).is_err());
}

#[test]
fn what_is_cut_short_is_an_error_and_no_panic() {
    for codec in Codec::ALL {
        let batch = batch(codec);
        for len in (0..batch.len()).step_by(31) {
            assert!(walk(&batch.slice(..len)).is_err(), "{codec:?} {len}");
        }
    }
}

#[test]
fn a_count_that_lies_is_an_error() {
    for codec in Codec::ALL {
        for count in [499, 501, i32::MAX] {
            let mut forged = batch(codec).to_vec();
            forged[57..61].copy_from_slice(&count.to_be_bytes());
            assert!(walk(&forged.into()).is_err(), "{codec:?} {count}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_compressed_is_decompressed(plain in vec(any::<u8>(), 0..100_000), codec in 0u8..5) {
        let codec = Codec::from_id(codec).unwrap();
        let mut read = vec![];
        let mut from = decompressed(compressed(&plain, codec).unwrap(), codec).unwrap();
        from.read_to_end(&mut read).unwrap();
        prop_assert_eq!(read, plain);
    }

    #[test]
    fn the_stream_takes_what_the_walk_over_memory_takes(
        section in vec(option::of(any::<u8>()), 0..40),
    ) {
        // Mostly zeros, so that some of it is good.
        let section: Vec<u8> = section.into_iter().map(|byte| byte.unwrap_or(0)).collect();
        let forged = BatchBuilder::new()
            .record(0, None, None)
            .build_with(Codec::None, |_| Bytes::from(section));
        prop_assert_eq!(validate(&forged).is_ok(), match walk(&forged) {
            Ok(seen) => seen[0].0 == 0,
            Err(_) => false,
        });
    }
}
