//! A log that Apache Kafka 4.1.1 wrote and its cleaner cleaned: what is made of it here is the same.
//!
//! In `golden/` are the segments of a partition before and after a pass: the first pass with each
//! type of timestamps, and a later one, after `delete.retention.ms`. What differs is left out of the
//! comparison:
//! - Kafka keeps an emptied batch for each producer that it still knows, since its state is read
//!   from the log. Ours is in the metadata.
//! - Kafka sets the horizon of a marker one pass later, when it meets no data of the transaction any
//!   more.

use std::collections::BTreeMap;

use object_format::batch::split;

use super::*;

const DELETE_RETENTION: i64 = 20_000;

/// The batches by their first offset.
fn segments(bytes: &'static [u8]) -> BTreeMap<i64, Bytes> {
    let batches = split(Bytes::from_static(bytes)).map(Result::unwrap);
    let batches = batches.map(|batch| (BatchHeader::parse(&batch).unwrap().base_offset, batch));
    batches.collect()
}

/// Producer, first offset and marker of each aborted transaction.
fn aborted(log: &BTreeMap<i64, Bytes>) -> AbortedRanges {
    let (mut open, mut aborted) = (BTreeMap::new(), vec![]);
    for (base, batch) in log {
        let (header, records) = opened(batch);
        if header.is_control() {
            let first = open.remove(&header.producer_id);
            let is_abort = records[0].key.as_deref() == Some(&[0; 4]);
            aborted.extend(
                first
                    .filter(|_| is_abort)
                    .map(|first| (header.producer_id, first, *base)),
            );
        } else if header.is_transactional() {
            open.entry(header.producer_id).or_insert(*base);
        }
    }
    AbortedRanges::new(aborted)
}

/// What there is to see of a batch, but for how well it is compressed.
fn seen(batch: &Bytes) -> (BatchHeader, Vec<RecordView>) {
    let (mut header, records) = opened(batch);
    if header.codec() != Some(Codec::None) {
        (header.batch_length, header.crc) = (0, 0);
    }
    (header, records)
}

fn compare(before: &'static [u8], after: &'static [u8], now_ms: i64) {
    let (before, after) = (segments(before), segments(after));
    let aborted = aborted(&before);
    let mut map = KeyMap::new(1 << 20, 9);
    let mut keep_last = 0;
    for (base, batch) in &before {
        note_keys(batch, *base, &aborted, &mut map).unwrap();
        keep_last = base + i64::from(opened(batch).0.last_offset_delta);
    }
    let rules = Rules {
        map: &map,
        aborted: &aborted,
        now_ms,
        delete_retention_ms: DELETE_RETENTION,
        keep_last,
    };
    let (mut rewritten, mut gone) = (0, 0);
    for (base, batch) in &before {
        let ours = match clean(batch, *base, &rules).unwrap() {
            Cleaned::Same => Some(batch.clone()),
            Cleaned::Rewritten(batch) => Some(batch),
            Cleaned::Gone => None,
        };
        rewritten += u32::from(ours.as_ref().is_some_and(|ours| ours != batch));
        gone += u32::from(ours.is_none());
        let theirs = after.get(base).cloned();
        let is_control = opened(batch).0.is_control();
        let differs = match (&ours, &theirs) {
            (Some(_), Some(_)) if is_control => false,
            (None, Some(theirs)) => {
                let header = opened(theirs).0;
                header.record_count > 0 || !header.has_producer()
            }
            _ => ours.as_ref().map(seen) != theirs.as_ref().map(seen),
        };
        assert!(
            !differs,
            "offset {base}: {:?} and not {:?}",
            ours.as_ref().map(seen),
            theirs.as_ref().map(seen)
        );
    }
    assert!(after.keys().all(|base| before.contains_key(base)));
    assert!(
        rewritten > 2 && gone > 2,
        "{rewritten} rewritten, {gone} gone"
    );
}

#[test]
fn a_log_is_cleaned_as_kafka_cleans_it() {
    compare(
        include_bytes!("golden/create-time-0.bin"),
        include_bytes!("golden/create-time-1.bin"),
        1_795_248_224_300 - DELETE_RETENTION,
    );
    compare(
        include_bytes!("golden/append-time-0.bin"),
        include_bytes!("golden/append-time-1.bin"),
        1_795_248_246_213 - DELETE_RETENTION,
    );
}

#[test]
fn tombstones_and_markers_go_as_in_kafka() {
    compare(
        include_bytes!("golden/append-time-2.bin"),
        include_bytes!("golden/append-time-3.bin"),
        1_795_248_260_802,
    );
}
