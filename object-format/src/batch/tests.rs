//! What is taken for a batch, what is not and why; and that what is built is read back.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn three() -> BatchBuilder {
    BatchBuilder::new()
        .record(1_000, Some(b"a"), Some(b"1"))
        .record(3_000, None, Some(b"2"))
        .record(2_000, Some(b"c"), None)
}

/// The batch with its header changed and its CRC made right again.
fn forged(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    let mut out = batch.to_vec();
    out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    let crc = crc32c::crc32c(&out[CRC_FROM..]);
    out[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    out.into()
}

/// A batch that says it has `count` records, and has these bytes in their place.
fn with_section(count: i32, section: &[u8]) -> Bytes {
    let batch = BatchBuilder::new().build_with(Codec::None, |_| Bytes::copy_from_slice(section));
    forged(&batch, |header| {
        header.record_count = count;
        header.last_offset_delta = count - 1;
    })
}

fn fault(section: &[u8]) -> RecordFault {
    match validate(&with_section(1, section)) {
        Err(BatchError::Record { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_batch_is_taken_with_its_header() {
    let batch = three().producer(7, 3, 40).transactional().build();
    let header = validate(&batch).unwrap();
    assert_eq!(header.total_len(), batch.len());
    assert_eq!((header.record_count, header.offset_count()), (3, 3));
    assert_eq!(
        (header.base_timestamp, header.max_timestamp),
        (1_000, 3_000)
    );
    assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
    assert_eq!((header.base_sequence, header.last_sequence()), (40, 42));
    assert_eq!(header.codec(), Some(Codec::None));
    assert!(header.is_transactional() && !header.is_control() && header.has_producer());
    assert_eq!(header.to_bytes(), batch[..HEADER_LEN]);
}

#[test]
fn compressed_records_are_not_looked_at() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = three().build_with(codec, |_| Bytes::from_static(b"opaque"));
        let header = validate(&batch).unwrap();
        assert_eq!(header.codec(), Some(codec));
        assert_eq!(
            records(&batch, &header).unwrap_err(),
            BatchError::Compressed(codec.name())
        );
    }
}

#[test]
fn a_producer_without_id_may_leave_anything_in_epoch_and_sequence() {
    let batch = forged(&three().build(), |header| {
        header.producer_epoch = 0;
        header.base_sequence = 0;
    });
    assert!(validate(&batch).is_ok());
}

#[test]
fn every_length_but_its_own_is_refused() {
    let batch = three().build();
    for len in 0..batch.len() {
        let error = validate(&batch[..len]).unwrap_err();
        let needed = if len < HEADER_LEN {
            HEADER_LEN
        } else {
            batch.len()
        };
        assert_eq!(error, BatchError::Truncated { needed, have: len });
    }
    let twice = [&batch[..], &batch[..]].concat();
    assert_eq!(validate(&twice), Err(BatchError::Trailing(batch.len())));
    assert_eq!(verify_crc(&twice), Err(BatchError::Trailing(batch.len())));
}

#[test]
fn lengths_that_lie_are_refused() {
    let batch = three().build();
    let has = batch.len();
    let with_length = |length: i32| {
        let mut batch = batch.to_vec();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        validate(&batch).unwrap_err()
    };
    for length in [i32::MIN, -1, 0, 48] {
        assert_eq!(with_length(length), BatchError::Length(length));
    }
    assert_eq!(with_length(49), BatchError::Trailing(has - 61));
    let needed = i32::MAX as usize + 12;
    assert_eq!(
        with_length(i32::MAX),
        BatchError::Truncated { needed, have: has }
    );
}

#[test]
fn headers_that_do_not_hold_together_are_refused() {
    type Case = (fn(&mut BatchHeader), BatchError);
    let count = |count, last_offset_delta| BatchError::RecordCount {
        count,
        last_offset_delta,
    };
    let producer = |producer_id, producer_epoch, base_sequence| BatchError::Producer {
        producer_id,
        producer_epoch,
        base_sequence,
    };
    let cases: &[Case] = &[
        (|h| h.magic = 0, BatchError::OldMagic(0)),
        (|h| h.magic = 1, BatchError::OldMagic(1)),
        (|h| h.magic = 3, BatchError::UnknownMagic(3)),
        (|h| h.magic = -1, BatchError::UnknownMagic(-1)),
        (|h| h.attributes = 5, BatchError::UnknownCodec(5)),
        (|h| h.attributes = 7, BatchError::UnknownCodec(7)),
        (|h| h.attributes = 0x20, BatchError::Control),
        (|h| h.attributes = 0x08, BatchError::BrokerTimestamps(0x08)),
        (|h| h.attributes = 0x40, BatchError::BrokerTimestamps(0x40)),
        (|h| h.record_count = 0, count(0, 2)),
        (|h| h.record_count = -1, count(-1, 2)),
        (|h| h.record_count = 2, count(2, 2)),
        (|h| h.record_count = i32::MIN, count(i32::MIN, 2)),
        (|h| h.last_offset_delta = -1, count(3, -1)),
        (|h| h.last_offset_delta = i32::MAX, count(3, i32::MAX)),
        (|h| h.producer_id = 1, producer(1, -1, -1)),
        (
            |h| (h.producer_id, h.producer_epoch) = (1, 0),
            producer(1, 0, -1),
        ),
        (
            |h| (h.producer_id, h.base_sequence) = (1, 0),
            producer(1, -1, 0),
        ),
        (|h| h.producer_id = -2, producer(-2, -1, -1)),
        (|h| h.attributes = 0x10, producer(-1, -1, -1)),
    ];
    for (change, expected) in cases {
        assert_eq!(validate(&forged(&three().build(), change)), Err(*expected));
    }
}

#[test]
fn more_or_fewer_records_than_said_are_refused() {
    let claim = |count: i32| {
        validate(&forged(&three().build(), |header| {
            header.record_count = count;
            header.last_offset_delta = count - 1;
        }))
    };
    let fault = RecordFault::Trailing(9);
    assert_eq!(claim(2), Err(BatchError::Record { index: 2, fault }));
    let fault = RecordFault::Overrun;
    assert_eq!(claim(4), Err(BatchError::Record { index: 3, fault }));
    assert_eq!(claim(i32::MAX), Err(BatchError::Record { index: 3, fault }));
}

#[test]
fn malformed_records_are_refused() {
    // length, attributes, timestamp delta, offset delta, key length, value length, header count
    assert!(validate(&with_section(1, &[12, 0, 0, 0, 1, 1, 0])).is_ok());
    assert!(
        validate(&with_section(1, &[14, 0, 0, 0x80, 0, 1, 1, 0])).is_ok(),
        "longer varint"
    );
    assert_eq!(fault(&[]), RecordFault::Overrun);
    assert_eq!(
        fault(&[12, 0, 0, 0, 1, 1]),
        RecordFault::Overrun,
        "longer than the batch"
    );
    assert_eq!(
        fault(&[10, 0, 0, 0, 1, 1, 0]),
        RecordFault::Overrun,
        "longer than itself"
    );
    assert_eq!(fault(&[14, 0, 0, 0, 1, 1, 0, 9]), RecordFault::Slack(1));
    assert_eq!(fault(&[12, 0, 0, 0, 1, 1, 0, 9]), RecordFault::Trailing(1));
    assert_eq!(fault(&[1]), RecordFault::NegativeSize, "record");
    assert_eq!(
        fault(&[12, 0, 0, 0, 3, 1, 0]),
        RecordFault::NegativeSize,
        "key"
    );
    assert_eq!(
        fault(&[12, 0, 0, 0, 1, 3, 0]),
        RecordFault::NegativeSize,
        "value"
    );
    assert_eq!(
        fault(&[12, 0, 0, 0, 1, 1, 1]),
        RecordFault::NegativeSize,
        "headers"
    );
    assert_eq!(
        fault(&[16, 0, 0, 0, 1, 1, 2, 1, 1]),
        RecordFault::NegativeSize,
        "header name"
    );
    assert_eq!(
        fault(&[16, 0, 0, 0, 1, 1, 2, 0, 3]),
        RecordFault::NegativeSize,
        "header value"
    );
    assert_eq!(fault(&[12, 0, 0, 0, 4, 1, 0]), RecordFault::Overrun, "key");
    assert_eq!(
        fault(&[16, 0, 0, 0, 1, 1, 4, 0, 1]),
        RecordFault::Overrun,
        "one header of two"
    );
    assert_eq!(fault(&[12, 0, 0, 2, 1, 1, 0]), RecordFault::OffsetDelta(1));
    assert_eq!(fault(&[12, 0, 0, 1, 1, 1, 0]), RecordFault::OffsetDelta(-1));
    assert_eq!(
        fault(&[0xff, 0xff, 0xff, 0xff, 0x7f]),
        RecordFault::Varint,
        "33 bits"
    );
    assert_eq!(
        fault(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        RecordFault::Varint,
        "6 bytes"
    );
    let long = [
        24, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,
    ];
    assert_eq!(fault(&long), RecordFault::Varint, "65 bits");
    assert_eq!(
        fault(&[12, 0, 0, 0, 1, 1, 0xff]),
        RecordFault::Overrun,
        "half a varint"
    );
}

#[test]
fn a_header_count_that_lies_costs_no_more_than_the_bytes_there_are() {
    let section = [20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(fault(&section), RecordFault::Overrun);
}

#[test]
fn a_max_timestamp_that_lies_is_corrected() {
    let batch = forged(&three().build(), |header| header.max_timestamp = 9);
    assert_eq!(validate(&batch).unwrap().max_timestamp, 3_000);
    let huge = forged(&three().build(), |header| header.base_timestamp = i64::MAX);
    assert_eq!(validate(&huge).unwrap().max_timestamp, i64::MAX);
}

#[test]
fn sequences_go_round_to_zero() {
    let header = validate(&three().producer(1, 0, i32::MAX - 1).build()).unwrap();
    assert_eq!(header.last_sequence(), 0);
    let header = validate(&three().producer(1, 0, i32::MAX - 2).build()).unwrap();
    assert_eq!(header.last_sequence(), i32::MAX);
}

#[test]
fn keyless_records_are_found() {
    let keyless = |batch: Bytes| {
        let header = validate(&batch).unwrap();
        records(&batch, &header)
            .unwrap()
            .has_keyless_record()
            .unwrap()
    };
    assert!(keyless(three().build()));
    assert!(!keyless(
        BatchBuilder::new().record(0, Some(b""), None).build()
    ));
}

#[test]
fn a_stamp_replaces_what_the_crc_does_not_cover() {
    let batch = three().build();
    let header = validate(&batch).unwrap();
    let mut stamped = batch.to_vec();
    stamped[..STAMP_LEN].copy_from_slice(&stamp(1 << 40, 5, header.batch_length));
    let stamped = verify_crc(&stamped).unwrap();
    assert_eq!(stamped.base_offset, 1 << 40);
    assert_eq!(stamped.partition_leader_epoch, 5);
    let restored = BatchHeader {
        base_offset: 0,
        partition_leader_epoch: -1,
        ..stamped
    };
    assert_eq!(restored, header);
}

#[test]
fn a_run_is_split_into_its_batches() {
    let batches = [
        three().build(),
        BatchBuilder::new().record(0, None, None).build(),
    ];
    let run = Bytes::from(batches.concat());
    let split_up: Vec<_> = split(run.clone()).collect::<Result<_, _>>().unwrap();
    assert_eq!(split_up, batches);
    assert_eq!(split_up[0].as_ptr(), run.as_ptr(), "not copied");

    let cut = run.slice(..run.len() - 1);
    let mut cut_up = split(cut);
    assert_eq!(cut_up.next(), Some(Ok(batches[0].clone())));
    let (needed, have) = (batches[1].len(), batches[1].len() - 1);
    assert_eq!(
        cut_up.next(),
        Some(Err(BatchError::Truncated { needed, have }))
    );
    assert_eq!(cut_up.next(), None);
    assert_eq!(split(Bytes::new()).next(), None);
}

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);
type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<OwnedHeader>);

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || vec(any::<u8>(), 0..200);
    let header = (vec(any::<u8>(), 0..4), option::of(bytes()));
    (
        any::<i64>(),
        option::of(bytes()),
        option::of(bytes()),
        vec(header, 0..4),
    )
}

fn build(records: &[OwnedRecord]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers
            .iter()
            .map(|(n, v)| (&n[..], v.as_deref()))
            .collect();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.build()
}

fn read(batch: &Bytes) -> Vec<OwnedRecord> {
    let header = BatchHeader::parse(batch).unwrap();
    let owned = |bytes: Bytes| bytes.to_vec();
    let records = records(batch, &header)
        .unwrap()
        .map(Result::unwrap)
        .enumerate();
    let read = records.map(|(at, record)| {
        assert_eq!(record.offset_delta, at as i32);
        let headers = record
            .headers
            .clone()
            .map(|(n, v)| (owned(n), v.map(owned)))
            .collect();
        let timestamp = record.timestamp(&header);
        (
            timestamp,
            record.key.map(owned),
            record.value.map(owned),
            headers,
        )
    });
    read.collect()
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(records in vec(any_record(), 1..20)) {
        let batch = build(&records);
        let header = validate(&batch).unwrap();
        prop_assert_eq!(header.record_count as usize, records.len());
        prop_assert_eq!(read(&batch), records);
    }

    #[test]
    fn a_flipped_byte_is_found(
        records in vec(any_record(), 1..5), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let mut batch = build(&records).to_vec();
        let at = at.index(batch.len());
        batch[at] ^= flip;
        let unprotected = at < 8 || (12..16).contains(&at);
        prop_assert_eq!(validate(&batch).is_ok(), unprotected);
    }

    #[test]
    fn what_is_taken_can_be_read(
        records in vec(any_record(), 1..5),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut batch = build(&records).to_vec();
        for (at, byte) in edits {
            let len = batch.len() - HEADER_LEN;
            batch[HEADER_LEN + at.index(len)] = byte;
        }
        let batch = forged(&batch, |_| ());
        if let Ok(header) = validate(&batch) {
            prop_assert_eq!(read(&batch).len(), header.record_count as usize);
        }
    }

    #[test]
    fn nothing_panics(mut bytes in vec(any::<u8>(), 0..200)) {
        let _ = validate(&bytes);
        if let Some(magic) = bytes.get_mut(MAGIC_AT) {
            *magic = 2;
        }
        let _ = validate(&bytes);
        prop_assert!(split(bytes.into()).count() < 200);
    }
}
