//! A partition as its writers know it, and as it is after passes; and a consumer that reads it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One thing that happens to the partition.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write {
        producer: Option<i64>,
        codec: Codec,
        records: Vec<Written>,
        append_time: bool,
    },
    End {
        producer: i64,
        commit: bool,
    },
    /// A pass after `pause` ms, up to the batch that is this part of the way, with room for a few keys.
    Pass {
        pause: i64,
        part: u8,
        keys_max: usize,
    },
}

/// Key, whether there is a value, and by how much its timestamp is ahead.
pub(super) type Written = (Option<u8>, bool, i64);

/// Most records in a batch, and so the least room of a map that gets anywhere.
pub(super) const BATCH_MAX: usize = 6;

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![12 => (0u8..8).prop_map(Some), 1 => Just(None)];
    let record = (key, prop::bool::weighted(0.8), -50i64..50);
    let write = (
        prop::option::of(1i64..4),
        (0u8..5).prop_map(|id| Codec::from_id(id).unwrap()),
        prop::collection::vec(record, 1..=BATCH_MAX),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        8 => write.prop_map(|(producer, codec, records, append_time)| Step::Write {
            producer,
            codec,
            records,
            append_time,
        }),
        2 => (1i64..4, any::<bool>()).prop_map(|(producer, commit)| Step::End {
            producer,
            commit,
        }),
        3 => (0..3 * RETENTION, any::<u8>(), BATCH_MAX..20).prop_map(
            |(pause, part, keys_max)| Step::Pass {
                pause,
                part,
                keys_max,
            }
        ),
    ]
}

/// A record as a consumer has it, but for its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    headers: Vec<(Bytes, Option<Bytes>)>,
    /// Producer id, epoch and sequence number.
    producer: (i64, i16, i32),
}

/// The batches that are there, by their first offset.
pub(super) type Log = BTreeMap<i64, Bytes>;

#[derive(Default)]
pub(super) struct World {
    pub(super) log: Log,
    pub(super) next_offset: i64,
    pub(super) now_ms: i64,
    /// First offset of the transaction that a producer is in.
    open: BTreeMap<i64, i64>,
    /// Producer, first offset and marker of those that readers are told of.
    pub(super) aborted: BTreeSet<(i64, i64, i64)>,
    /// All data ever written, and those of it that were aborted.
    pub(super) written: BTreeMap<i64, Record>,
    pub(super) dead: BTreeSet<i64>,
    /// Where the next pass begins to note keys.
    pub(super) dirty: i64,
    /// When a tombstone was first cleaned.
    pub(super) met: BTreeMap<i64, i64>,
}

impl World {
    pub(super) fn write(
        &mut self,
        producer: Option<i64>,
        codec: Codec,
        records: &[Written],
        append_time: bool,
    ) {
        let base = self.next_offset;
        let mut builder = BatchBuilder::new();
        if let Some(id) = producer {
            builder = builder.producer(id, 2, base as i32).transactional();
            self.open.entry(id).or_insert(base);
        }
        for (n, (key, has_value, ahead)) in records.iter().enumerate() {
            let offset = base + n as i64;
            let value = format!("value of {offset}");
            builder.push(
                self.now_ms + ahead,
                key.as_ref().map(std::slice::from_ref),
                has_value.then_some(value.as_bytes()),
                &[(b"same", Some(value.as_bytes())), (b"same", None)],
            );
        }
        let mut batch = built(codec, builder);
        if append_time {
            batch = with_log_append_time(&batch, self.now_ms).unwrap();
        }
        self.written.extend(read(&batch, base));
        self.append(batch);
    }

    pub(super) fn end(&mut self, producer: i64, commit: bool) {
        let Some(first) = self.open.remove(&producer) else {
            return;
        };
        let marker = self.next_offset;
        if !commit {
            self.aborted.insert((producer, first, marker));
            let theirs = self.written.range(first..marker);
            let theirs = theirs.filter(|(_, record)| record.producer.0 == producer);
            self.dead.extend(theirs.map(|(offset, _)| *offset));
        }
        self.append(control_batch(marker, producer, 2, commit, self.now_ms));
    }

    fn append(&mut self, batch: Bytes) {
        let count = verify_crc(&batch).unwrap().offset_count();
        // What stands in the header before a pass means nothing.
        let mut batch = batch.to_vec();
        batch[..8].copy_from_slice(&(-7i64).to_be_bytes());
        self.log.insert(self.next_offset, batch.into());
        self.next_offset += count;
    }

    pub(super) fn last_stable(&self) -> i64 {
        let open = self.open.values().min();
        open.copied().unwrap_or(self.next_offset)
    }

    /// What a new consumer with `isolation.level=read_committed` makes of the log up to `end`: the
    /// latest record of each key, where that has a value.
    pub(super) fn table(&self, log: &Log, end: i64) -> BTreeMap<Bytes, (i64, Record)> {
        let mut table = BTreeMap::new();
        let mut inside = BTreeSet::new();
        let mut told: Vec<_> = self.aborted.iter().collect();
        for (base, batch) in log.range(..end) {
            let header = verify_crc(batch).unwrap();
            let last = base + i64::from(header.last_offset_delta);
            told.retain(|(producer, first, _)| {
                let begun = *first <= last;
                begun.then(|| inside.insert(*producer));
                !begun
            });
            if header.is_control() {
                // Only a marker of abort ends it for a consumer.
                if opened(batch)
                    .1
                    .iter()
                    .any(|r| r.key.as_deref() == Some(&[0; 4]))
                {
                    inside.remove(&header.producer_id);
                }
                continue;
            }
            if header.is_transactional() && inside.contains(&header.producer_id) {
                continue;
            }
            for (offset, record) in read(batch, *base) {
                let Some(key) = record.key.clone() else {
                    continue;
                };
                match record.value {
                    Some(_) => table.insert(key, (offset, record)),
                    None => table.remove(&key),
                };
            }
        }
        table
    }
}

/// The records of a batch of data.
pub(super) fn read(batch: &Bytes, base: i64) -> BTreeMap<i64, Record> {
    let (header, records) = opened(batch);
    let records = records.into_iter().map(|view| {
        let sequence = header.base_sequence.wrapping_add(view.offset_delta);
        let record = Record {
            timestamp: view.timestamp(&header),
            producer: (header.producer_id, header.producer_epoch, sequence),
            headers: view.headers.collect(),
            key: view.key,
            value: view.value,
        };
        (base + i64::from(view.offset_delta), record)
    });
    records.collect()
}
