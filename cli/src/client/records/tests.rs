use bytes::{Bytes, BytesMut};
use kafka_protocol::records::RecordBatchDecoder;

use super::*;

const IDENTITY: ProducerIdentity = ProducerIdentity { id: 7, epoch: 3 };

fn batch(compression: Compression) -> BytesMut {
    let mut encoder = BatchEncoder::default();
    encoder.push(
        1_000,
        Some(b"k"),
        Some(b"first value"),
        &[(b"h", Some(b"1")), (b"h", None)],
    );
    encoder.push(1_005, None, None, &[]);
    encoder.push(999, None, Some(&[b'x'; 500]), &[]);
    let mut batch = encoder.finish(compression).unwrap();
    assert!(encoder.is_empty());
    seal(&mut batch, IDENTITY, 40);
    batch
}

#[test]
fn every_codec_round_trips_and_agrees_with_another_implementation() {
    for codec in Compression::ALL {
        let bytes = batch(codec).freeze();
        let theirs = RecordBatchDecoder::decode(&mut bytes.clone())
            .unwrap()
            .records;
        let views = split_batches(bytes).unwrap();
        assert_eq!(
            (views.len(), views[0].count(), views[0].next_offset()),
            (1, 3, 3),
            "{codec}"
        );
        let records = views[0].records().unwrap();
        let ours: Vec<_> = records.iter().map(Result::unwrap).collect();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.offset, theirs.offset);
            assert_eq!(ours.timestamp, theirs.timestamp);
            assert_eq!(ours.key, theirs.key.as_deref());
            assert_eq!(ours.value, theirs.value.as_deref());
            assert_eq!((7, 3), (theirs.producer_id, theirs.producer_epoch));
        }
        assert_eq!(theirs[2].sequence, 42);
        assert_eq!(
            ours[0].headers(),
            [(&b"h"[..], Some(&b"1"[..])), (&b"h"[..], None)]
        );
    }
}

#[test]
fn the_layout_names_where_the_value_is() {
    let mut encoder = BatchEncoder::default();
    let first = encoder.push(0, Some(b"key"), Some(b"one"), &[(b"h", Some(b"v"))]);
    let second = encoder.push(0, None, Some(&[b'2'; 300]), &[]);
    let batch = encoder.finish(Compression::None).unwrap();
    assert_eq!(&batch[first], b"one");
    assert_eq!(&batch[second], &[b'2'; 300]);
}

#[test]
fn a_flipped_byte_is_noticed() {
    let mut bytes = batch(Compression::None);
    bytes[HEADER_BYTES + 9] ^= 1;
    let views = split_batches(bytes.freeze()).unwrap();
    assert_eq!(views[0].records().err().unwrap().reason, "wrong CRC");
}

#[test]
fn a_batch_cut_off_at_the_end_is_left_out() {
    let mut bytes = batch(Compression::None);
    let whole = bytes.len();
    bytes.extend_from_slice(&batch(Compression::Lz4));
    for cut in [whole, whole + 10, whole + HEADER_BYTES, bytes.len() - 1] {
        let views = split_batches(Bytes::copy_from_slice(&bytes[..cut])).unwrap();
        assert_eq!(views.len(), 1, "cut at {cut}");
    }
    assert_eq!(split_batches(bytes.freeze()).unwrap().len(), 2);
}

#[test]
fn lying_lengths_are_errors_and_not_panics() {
    let mut bytes = batch(Compression::None);
    bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&(-1_i32).to_be_bytes());
    assert!(split_batches(bytes.clone().freeze()).is_err());
    bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&3_i32.to_be_bytes());
    assert!(split_batches(bytes.freeze()).is_err());
    let mut bytes = batch(Compression::None);
    bytes[HEADER_BYTES] = 0xff;
    seal(&mut bytes, IDENTITY, 0);
    let views = split_batches(bytes.freeze()).unwrap();
    assert!(
        views[0]
            .records()
            .unwrap()
            .iter()
            .any(|record| record.is_err())
    );
}
