//! Batches cleaned one by one: what Kafka's cleaner does with them, and damaged ones.

mod damage;
mod kafka;
mod passes;
mod world;

use std::io::Read;

use bytes::Bytes;
use object_format::batch::{
    BatchBuilder, BatchHeader, Codec, HEADER_LEN, RecordView, compressed, control_batch,
    decompressed, records_in, verify_crc, with_log_append_time,
};

use super::*;

const NOW: i64 = 1_000_000;
const RETENTION: i64 = 5_000;

/// The records that consumers see, and the batch's header.
fn opened(batch: &Bytes) -> (BatchHeader, Vec<RecordView>) {
    let header = verify_crc(batch).unwrap();
    let mut section = vec![];
    decompressed(batch.slice(HEADER_LEN..), header.codec().unwrap())
        .unwrap()
        .read_to_end(&mut section)
        .unwrap();
    let records = records_in(section.into(), &header).map(Result::unwrap);
    (header, records.collect())
}

fn built(codec: Codec, builder: BatchBuilder) -> Bytes {
    builder.build_with(codec, |plain| compressed(plain, codec).unwrap())
}

/// Three values and a tombstone, at 10, 9, 12 and 11 ms.
fn four() -> BatchBuilder {
    BatchBuilder::new()
        .producer(7, 1, 40)
        .record_with(
            10,
            Some(b"a"),
            Some(b"1"),
            &[(b"h", None), (b"h", Some(b""))],
        )
        .record(9, Some(b"b"), Some(b"2"))
        .record(12, Some(b"c"), Some(b"3"))
        .record(11, Some(b"d"), None)
}

fn noted(keys: &[(&[u8], i64)]) -> KeyMap {
    let mut map = KeyMap::new(24 * 100, 3);
    for (key, offset) in keys {
        map.note(key, *offset).unwrap();
    }
    map
}

fn cleaned(batch: &Bytes, map: &KeyMap, now_ms: i64, keep_last: i64) -> Cleaned {
    let rules = Rules {
        map,
        aborted: &AbortedRanges::new([(7, 90, 110)]),
        now_ms,
        delete_retention_ms: RETENTION,
        keep_last,
    };
    clean(batch, 100, &rules).unwrap()
}

fn rewritten(batch: &Bytes, map: &KeyMap, now_ms: i64) -> Bytes {
    match cleaned(batch, map, now_ms, 1_000) {
        Cleaned::Rewritten(batch) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_the_latest_of_its_key_goes_and_all_else_stays_as_it_was() {
    for codec in Codec::ALL {
        let original = built(codec, four());
        let map = noted(&[(b"a", 150), (b"b", 101), (b"d", 103)]);
        let (header, records) = opened(&rewritten(&original, &map, NOW));
        let (before, all) = opened(&original);
        let seen = records
            .iter()
            .map(|record| (record.offset_delta, record.timestamp(&header)));
        assert!(seen.eq([(1, 9), (2, 12), (3, 11)]), "{codec:?}");
        assert_eq!(records[0].value, all[1].value);
        assert_eq!(header.base_offset, 100);
        assert_eq!(header.last_offset_delta, 3);
        assert_eq!(header.max_timestamp, 12);
        assert_eq!(header.codec(), Some(codec));
        assert_eq!(header.producer_id, 7);
        assert_eq!(header.base_sequence, before.base_sequence);
        assert_eq!(header.delete_horizon(), Some(NOW + RETENTION));
    }
}

#[test]
fn headers_of_records_outlive_a_rewrite() {
    let original = built(Codec::Gzip, four());
    let (_, records) = opened(&rewritten(&original, &noted(&[(b"c", 150)]), NOW));
    let headers: Vec<_> = records[0].headers.clone().collect();
    let name = Bytes::from_static(b"h");
    assert_eq!(headers, [(name.clone(), None), (name, Some(Bytes::new()))]);
}

#[test]
fn without_tombstones_there_is_no_horizon_and_the_base_is_the_first_timestamp() {
    let map = noted(&[(b"a", 150), (b"c", 151), (b"d", 152)]);
    let (header, records) = opened(&rewritten(&built(Codec::Zstd, four()), &map, NOW));
    assert_eq!(records.len(), 1);
    assert_eq!(header.delete_horizon(), None);
    assert_eq!((header.base_timestamp, header.max_timestamp), (9, 9));
}

#[test]
fn a_batch_that_loses_nothing_stays_byte_for_byte() {
    let batch = built(Codec::Lz4, four());
    let latest = noted(&[(b"a", 100), (b"b", 101), (b"c", 102), (b"d", 103)]);
    let with_horizon = rewritten(&batch, &latest, NOW);
    assert_eq!(opened(&with_horizon).1.len(), 4);
    for now in [NOW, NOW + 1, NOW + RETENTION - 1] {
        assert_eq!(cleaned(&with_horizon, &latest, now, 1_000), Cleaned::Same);
        assert_eq!(
            cleaned(&with_horizon, &noted(&[]), now, 1_000),
            Cleaned::Same
        );
    }
    let no_tombstone = BatchBuilder::new().record(1, Some(b"a"), Some(b"")).build();
    assert_eq!(cleaned(&no_tombstone, &latest, NOW, 1_000), Cleaned::Same);
}

#[test]
fn a_tombstone_goes_at_its_horizon_and_the_horizon_stays() {
    let map = noted(&[]);
    let first = rewritten(&built(Codec::Snappy, four()), &map, NOW);
    let second = rewritten(&first, &map, NOW + RETENTION);
    let (header, records) = opened(&second);
    assert_eq!(records.len(), 3);
    assert_eq!(header.delete_horizon(), Some(NOW + RETENTION));
    let seen = records.iter().map(|record| record.timestamp(&header));
    assert!(seen.eq([10, 9, 12]));
    assert_eq!(cleaned(&second, &map, i64::MAX, 1_000), Cleaned::Same);
}

#[test]
fn a_horizon_beyond_all_time_is_never_reached() {
    let batch = built(Codec::None, four());
    let map = noted(&[]);
    let rules = Rules {
        map: &map,
        aborted: &AbortedRanges::default(),
        now_ms: NOW,
        delete_retention_ms: i64::MAX,
        keep_last: 1_000,
    };
    let Cleaned::Rewritten(batch) = clean(&batch, 100, &rules).unwrap() else {
        panic!("no horizon");
    };
    let (header, records) = opened(&batch);
    assert_eq!(header.delete_horizon(), Some(i64::MAX));
    assert_eq!(records[0].timestamp(&header), 10);
    assert_eq!(cleaned(&batch, &map, i64::MAX - 1, 1_000), Cleaned::Same);
}

#[test]
fn keyless_records_go_and_records_after_the_pass_stay() {
    let batch = BatchBuilder::new()
        .record(1, None, Some(b"x"))
        .record(2, None, Some(b"y"))
        .record(3, Some(b"a"), Some(b"z"))
        .build();
    let map = noted(&[(b"a", 500)]);
    assert_eq!(cleaned(&batch, &map, NOW, 1_000), Cleaned::Gone);
    assert_eq!(cleaned(&batch, &map, NOW, 99), Cleaned::Same);
    let Cleaned::Rewritten(half) = cleaned(&batch, &map, NOW, 100) else {
        panic!("the keyless record at 100 stayed");
    };
    assert_eq!(opened(&half).1.len(), 2);
}

#[test]
fn the_time_of_the_broker_outlives_a_rewrite() {
    let original = with_log_append_time(&built(Codec::Zstd, four()), 777).unwrap();
    for (map, count) in [(noted(&[(b"d", 500)]), 3), (noted(&[(b"a", 500)]), 3)] {
        let (header, records) = opened(&rewritten(&original, &map, NOW));
        assert_eq!(records.len(), count);
        assert_eq!(header.max_timestamp, 777);
        assert!(
            records
                .iter()
                .all(|record| record.timestamp(&header) == 777)
        );
        // As a reader that does not know of the type of the timestamps would have it.
        let plain = |record: &RecordView| header.base_timestamp + record.timestamp_delta;
        assert!(records.iter().all(|record| plain(record) == 777));
    }
}

#[test]
fn the_batch_with_the_last_offset_stays_without_its_records() {
    let batch = built(Codec::Gzip, four());
    let map = noted(&[(b"a", 500), (b"b", 500), (b"c", 500), (b"d", 500)]);
    assert_eq!(cleaned(&batch, &map, NOW, 1_000), Cleaned::Gone);
    let Cleaned::Rewritten(empty) = cleaned(&batch, &map, NOW, 103) else {
        panic!("the last offset went");
    };
    let (header, records) = opened(&empty);
    assert!(records.is_empty());
    assert_eq!((header.base_offset, header.last_offset_delta), (100, 3));
    assert_eq!((header.max_timestamp, header.last_sequence()), (12, 43));
    assert_eq!(cleaned(&empty, &map, NOW, 103), Cleaned::Same);
    assert_eq!(cleaned(&empty, &map, NOW, 104), Cleaned::Gone);
}

#[test]
fn data_of_an_aborted_transaction_goes_and_is_not_noted() {
    let batch = built(Codec::Lz4, four().transactional());
    assert_eq!(cleaned(&batch, &noted(&[]), NOW, 1_000), Cleaned::Gone);
    let outside = built(Codec::Lz4, four());
    let mut map = noted(&[]);
    let aborted = AbortedRanges::new([(7, 90, 110)]);
    note_keys(&batch, 100, &aborted, &mut map).unwrap();
    assert!(map.is_empty());
    note_keys(&batch, 110, &aborted, &mut map).unwrap();
    assert_eq!(map.latest(b"d"), Some(113));
    note_keys(&outside, 90, &aborted, &mut map).unwrap();
    assert_eq!((map.len(), map.latest(b"d")), (4, Some(113)));
    assert!(matches!(cleaned(&outside, &map, NOW, 1_000), Cleaned::Gone));
}

#[test]
fn markers_go_at_their_horizon_and_not_before() {
    let map = noted(&[]);
    for commit in [true, false] {
        let marker = control_batch(100, 7, 1, commit, 55);
        let with_horizon = rewritten(&marker, &map, NOW);
        let (header, records) = opened(&with_horizon);
        assert_eq!(header.delete_horizon(), Some(NOW + RETENTION));
        assert_eq!(records[0].timestamp(&header), 55);
        assert_eq!((header.max_timestamp, header.producer_id), (55, 7));
        assert!(header.is_control() && header.is_transactional());
        let (_, before) = opened(&marker);
        assert_eq!(records[0].key, before[0].key);
        assert_eq!(records[0].value, before[0].value);
        let at = |now, keep_last| cleaned(&with_horizon, &map, now, keep_last);
        assert_eq!(at(NOW + RETENTION - 1, 1_000), Cleaned::Same);
        assert_eq!(at(NOW + RETENTION, 1_000), Cleaned::Gone);
        assert_eq!(at(NOW + RETENTION, 100), Cleaned::Same);
    }
}

#[test]
fn control_records_that_are_no_markers_stay() {
    let batch = BatchBuilder::new()
        .control()
        .record(1, Some(&[0, 0, 0, 2]), Some(b""))
        .build();
    assert_eq!(cleaned(&batch, &noted(&[]), i64::MAX, 1_000), Cleaned::Same);
}

#[test]
fn a_full_map_ends_the_pass() {
    let mut map = KeyMap::new(24 * 5, 0);
    let aborted = AbortedRanges::default();
    note_keys(&four().build(), 0, &aborted, &mut map).unwrap();
    let other = BatchBuilder::new().record(0, Some(b"e"), None).build();
    let result = note_keys(&other, 4, &aborted, &mut map);
    assert!(matches!(result, Err(NoteError::Full(Full))));
}
