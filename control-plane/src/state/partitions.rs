//! Partitions: where their records are, and how new ones get their offsets (I2).

use std::collections::{BTreeMap, BTreeSet};

use object_format::{ObjectId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::producers::Sequenced;
use super::stable::{Aborted, Marker};
use super::transactions::Transactions;
use super::{Context, ObjectState, ProducerState, State};

/// How long a partition remembers a producer that writes nothing (Kafka's `producer.id.expiration.ms`).
const PRODUCER_EXPIRATION_MS: i64 = 24 * 60 * 60 * 1000;

/// How often a partition in use looks for expired producers.
const PRODUCER_SWEEP_MS: i64 = 10 * 60 * 1000;

/// Records side by side in one object, at offsets side by side in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Where they are.
    pub object: ObjectId,
    /// Byte position of the first batch in the object.
    pub position: u64,
    /// Bytes of all its batches.
    pub bytes: u64,
    /// Number of offsets it covers.
    pub offsets: u64,
    /// Greatest timestamp of its records, in milliseconds since 1970; -1 if they have none.
    pub max_timestamp: i64,
    /// Its batches carry their base offsets, and there may be gaps between them: something was compacted away. Without
    /// it each begins where the one before it ends.
    pub is_stamped: bool,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// First offset that may be read.
    pub log_start_offset: i64,
    /// Offset the next record gets.
    pub high_watermark: i64,
    /// By base offset; they do not overlap. Gaps are the offsets of markers, and what compaction has left nothing of.
    pub extents: BTreeMap<i64, Extent>,
    /// Compaction by key has taken the records before this offset into account.
    pub cleaned_to: i64,
    /// The ends of transactions, by offset, that have not become part of an extent.
    pub(super) markers: BTreeMap<i64, Marker>,
    /// Aborted transactions that wrote here, by the offset of their marker.
    pub(super) aborted: BTreeMap<i64, Aborted>,
    /// First offsets of transactions that have not ended.
    pub(super) undecided: BTreeSet<i64>,
    /// Idempotent producers by producer id.
    pub producers: BTreeMap<i64, ProducerState>,
    /// Producers with a lower id may have written here and been forgotten, or have written to a deleted topic of this
    /// name, so their first batch may have any sequence, as in Kafka. All others begin at 0.
    producer_id_strict_from: i64,
    producers_swept_ms: i64,
}

/// An uploaded object is to become part of the partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitObject {
    /// The object; its writer is who appends this.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
    /// What is in it, by partition.
    pub runs: Vec<CommitRun>,
}

/// One partition's batches in an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitRun {
    /// Whose.
    pub partition: TopicPartition,
    /// Byte position of the first batch.
    pub position: u64,
    /// Side by side in the object.
    pub batches: Vec<BatchMeta>,
}

/// What the metadata needs to know of a batch. Batches without a producer may be told as one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchMeta {
    /// Length in bytes.
    pub bytes: u32,
    /// Number of offsets it takes.
    pub records: u32,
    /// Greatest timestamp in it.
    pub max_timestamp: i64,
    /// For idempotent producers.
    pub producer: Option<BatchProducer>,
}

/// A batch's place among its producer's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchProducer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence of its first record.
    pub base_sequence: i32,
    /// What it has to do with a transaction.
    pub kind: WriteKind,
}

/// What a batch has to do with its producer's transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteKind {
    /// Nothing.
    #[default]
    Plain,
    /// It belongs to it, and its partition has been added to it before.
    InTransaction,
    /// It belongs to it, and adds its partition to it (transaction version 2, KIP-890).
    JoinsTransaction,
}

/// Why an object is not committed at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum CommitRejection {
    /// It was committed before, or is not its committer's.
    #[error("the object was committed before or is another writer's")]
    NotYours,
}

/// What became of a run: an outcome for each batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// In the order of the run's batches.
    pub batches: Vec<BatchOutcome>,
    /// The partition's log start offset.
    pub log_start_offset: i64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum BatchOutcome {
    /// It begins at this offset.
    Accepted(i64),
    /// It was there before, from this offset on.
    Duplicate(i64),
    /// It is not there.
    Rejected(BatchRejection),
}

/// Why a batch is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum BatchRejection {
    /// The topic was deleted meanwhile, or never was.
    #[error("there is no such topic or partition")]
    UnknownPartition,
    /// Its sequence is not the one after the producer's last.
    #[error("the batch is not the producer's next one")]
    OutOfOrderSequence,
    /// A newer epoch of the producer has written.
    #[error("a newer epoch of this producer has written")]
    ProducerFenced,
    /// No transactional id has its producer id.
    #[error("the producer id is not assigned to a transactional id")]
    UnknownProducer,
    /// It is transactional, and its partition is not part of a transaction of its producer.
    #[error("the partition is not part of a transaction of this producer")]
    NotInTransaction,
    /// It is not transactional, and its producer has a transaction under way here.
    #[error("the producer has a transaction under way in this partition")]
    NotTransactional,
    /// Not a batch that could have been produced.
    #[error("a batch without records")]
    Malformed,
}

impl CommitObject {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) -> Result<Vec<RunOutcome>, CommitRejection> {
        if self.object.writer != by.writer || !state.take_object_sequence(self.object) {
            return Err(CommitRejection::NotYours);
        }
        let (mut extents, mut live_bytes) = (0, 0);
        let mut outcomes = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let outcome = match state.partitions.get_mut(&run.partition) {
                Some(partition) => {
                    let before = partition.high_watermark;
                    let (outcome, added) =
                        partition.commit(self.object, run, &mut state.transactions, by.now_ms);
                    extents += added.extents;
                    live_bytes += added.bytes;
                    if partition.high_watermark > before {
                        grown.push(run.partition);
                    }
                    outcome
                }
                None => {
                    let gone = BatchOutcome::Rejected(BatchRejection::UnknownPartition);
                    RunOutcome {
                        batches: vec![gone; run.batches.len()],
                        log_start_offset: -1,
                    }
                }
            };
            outcomes.push(outcome);
        }
        let object = ObjectState::new(self.bytes, extents, live_bytes, by.now_ms);
        state.add_object(self.object, object);
        Ok(outcomes)
    }
}

impl Partition {
    pub(super) fn new(producer_id_strict_from: i64) -> Self {
        Self {
            log_start_offset: 0,
            high_watermark: 0,
            extents: BTreeMap::new(),
            cleaned_to: 0,
            markers: BTreeMap::new(),
            aborted: BTreeMap::new(),
            undecided: BTreeSet::new(),
            producers: BTreeMap::new(),
            producer_id_strict_from,
            producers_swept_ms: 0,
        }
    }

    /// Idempotent producers that wrote within the last day, and are not forgotten therefore.
    pub fn active_producers(&self, now_ms: i64) -> impl Iterator<Item = (i64, &ProducerState)> {
        let producers = self.producers.iter().map(|(&id, producer)| (id, producer));
        producers.filter(move |(_, producer)| !is_forgotten(producer, now_ms))
    }

    /// Bytes of all its extents.
    pub fn bytes(&self) -> u64 {
        self.extents.values().map(|e| e.bytes).sum()
    }

    /// Extents from the one that holds `offset` on.
    pub fn extents_from(&self, offset: i64) -> impl Iterator<Item = (i64, &Extent)> {
        let first = self
            .extents
            .range(..=offset)
            .next_back()
            .map(|(&base, _)| base);
        self.extents
            .range(first.unwrap_or(offset)..)
            .filter(move |(base, e)| e.end_offset(**base) > offset)
            .map(|(&base, extent)| (base, extent))
    }

    /// Appends a run's batches; also gives what extents were added.
    fn commit(
        &mut self,
        object: ObjectId,
        run: &CommitRun,
        transactions: &mut Transactions,
        now_ms: i64,
    ) -> (RunOutcome, Added) {
        self.sweep_producers(now_ms);
        let mut position = run.position;
        let mut open: Option<(i64, Extent)> = None;
        let mut added = Added::default();
        let mut batches = Vec::with_capacity(run.batches.len());
        for batch in &run.batches {
            let outcome = self.place(run.partition, batch, transactions, now_ms);
            match (outcome, &mut open) {
                (BatchOutcome::Accepted(_), Some((_, extent))) => extent.extend(batch),
                (BatchOutcome::Accepted(base), None) => {
                    open = Some((base, Extent::starting(object, position, batch)));
                }
                (_, _) => self.close(open.take(), &mut added),
            }
            position = position.saturating_add(u64::from(batch.bytes));
            batches.push(outcome);
        }
        self.close(open, &mut added);
        (
            RunOutcome {
                batches,
                log_start_offset: self.log_start_offset,
            },
            added,
        )
    }

    /// Gives a batch its offset, if it is its turn.
    fn place(
        &mut self,
        of: TopicPartition,
        batch: &BatchMeta,
        transactions: &mut Transactions,
        now_ms: i64,
    ) -> BatchOutcome {
        let Some(end) = self.high_watermark.checked_add(i64::from(batch.records)) else {
            return BatchOutcome::Rejected(BatchRejection::Malformed);
        };
        if batch.records == 0 {
            return BatchOutcome::Rejected(BatchRejection::Malformed);
        }
        if let Some(producer) = &batch.producer {
            let known = self.producers.get(&producer.id);
            let must_start = producer.id >= self.producer_id_strict_from;
            match ProducerState::judge(known, producer, batch.records, must_start) {
                Ok(Sequenced::Next) => {}
                Ok(Sequenced::Duplicate(base)) => return BatchOutcome::Duplicate(base),
                Err(rejection) => return BatchOutcome::Rejected(rejection),
            }
            let is_undecided = known.is_some_and(|k| k.transaction_first_offset.is_some());
            let admitted = match producer.kind {
                WriteKind::Plain if is_undecided => Err(BatchRejection::NotTransactional),
                WriteKind::Plain => Ok(()),
                _ => transactions.admit(of, producer, now_ms),
            };
            if let Err(rejection) = admitted {
                return BatchOutcome::Rejected(rejection);
            }
            let known = self.producers.remove(&producer.id);
            let base = self.high_watermark;
            let noted = ProducerState::note(known, producer, batch.records, base, now_ms);
            self.producers.insert(producer.id, noted);
            if producer.kind != WriteKind::Plain {
                self.note_undecided(producer.id, base);
            }
        }
        let base = self.high_watermark;
        self.high_watermark = end;
        BatchOutcome::Accepted(base)
    }

    fn close(&mut self, open: Option<(i64, Extent)>, added: &mut Added) {
        let Some((base, extent)) = open else { return };
        added.extents += 1;
        added.bytes += extent.bytes;
        self.extents.insert(base, extent);
    }

    /// Clients count sequences by the names of topics, and this partition's topic has another one, or one that another
    /// topic had meanwhile. So what comes next from the producers up to now may have any sequence, but for those whose
    /// transactions are under way: they begin anew.
    pub(super) fn forget_sequences(&mut self, producer_id_next: i64) {
        self.producer_id_strict_from = producer_id_next;
        self.producers
            .retain(|_, producer| producer.transaction_first_offset.is_some());
        self.producers
            .values_mut()
            .for_each(ProducerState::forget_sequence);
    }

    /// Forgets producers that wrote nothing for long.
    fn sweep_producers(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.producers_swept_ms) < PRODUCER_SWEEP_MS {
            return;
        }
        self.producers_swept_ms = now_ms;
        let forgotten = |p: &ProducerState| is_forgotten(p, now_ms);
        let newest = self
            .producers
            .iter()
            .rev()
            .find(|(_, p)| forgotten(p))
            .map(|(&id, _)| id);
        if let Some(id) = newest {
            self.producer_id_strict_from = self.producer_id_strict_from.max(id.saturating_add(1));
            self.producers.retain(|_, p| !forgotten(p));
        }
    }
}

fn is_forgotten(producer: &ProducerState, now_ms: i64) -> bool {
    let is_idle = now_ms.saturating_sub(producer.seen_ms) > PRODUCER_EXPIRATION_MS;
    is_idle && producer.transaction_first_offset.is_none()
}

/// Extents that a commit has added.
#[derive(Default)]
struct Added {
    extents: u64,
    bytes: u64,
}

impl Extent {
    /// The offset after its last, if it begins at `base`.
    pub fn end_offset(&self, base: i64) -> i64 {
        base.saturating_add_unsigned(self.offsets)
    }

    fn starting(object: ObjectId, position: u64, batch: &BatchMeta) -> Self {
        Self {
            object,
            position,
            bytes: u64::from(batch.bytes),
            offsets: u64::from(batch.records),
            max_timestamp: batch.max_timestamp,
            is_stamped: false,
        }
    }

    fn extend(&mut self, batch: &BatchMeta) {
        self.bytes += u64::from(batch.bytes);
        self.offsets += u64::from(batch.records);
        self.max_timestamp = self.max_timestamp.max(batch.max_timestamp);
    }
}

/// Moves a partition's log start offset forward (DeleteRecords, retention). Gives the log start offset in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteRecords {
    /// Of what.
    pub partition: TopicPartition,
    /// The first offset to keep; -1 means the high watermark.
    pub before_offset: i64,
}

/// Why records are not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum DeleteRecordsRejection {
    /// No such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// Past the high watermark.
    #[error("the offset is beyond the high watermark")]
    OffsetOutOfRange,
}

impl DeleteRecords {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<i64, DeleteRecordsRejection> {
        let Some(partition) = state.partitions.get_mut(&self.partition) else {
            return Err(DeleteRecordsRejection::UnknownPartition);
        };
        let to = match self.before_offset {
            -1 => partition.high_watermark,
            to if (0..=partition.high_watermark).contains(&to) => to,
            _ => return Err(DeleteRecordsRejection::OffsetOutOfRange),
        };
        partition.log_start_offset = partition.log_start_offset.max(to);
        partition.trim_transactions();
        let start = partition.log_start_offset;
        let mut dropped = Vec::new();
        while let Some(first) = partition.extents.first_entry() {
            if first.get().end_offset(*first.key()) > start {
                break;
            }
            dropped.push(first.remove());
        }
        state.release_extents(dropped.into_iter(), by.now_ms);
        Ok(start)
    }
}

impl State {
    /// One partition.
    pub fn partition(&self, of: TopicPartition) -> Option<&Partition> {
        self.partitions.get(&of).map(|partition| &**partition)
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.partitions
            .iter()
            .map(|(&key, partition)| (key, &**partition))
    }
}
