//! Transactions: whose they are, what they have touched, and how they end (KIP-98, KIP-890).
//!
//! Nobody coordinates a transactional id. Every rule is applied here, at one position of the log, so any agent may serve
//! any request, and a transaction outlives all of them. Its end is one command: markers in every partition, offsets in
//! every group, at once.

use std::collections::{BTreeMap, BTreeSet};

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};

use super::stable::Marker;
use super::{
    BatchProducer, BatchRejection, CommittedOffset, Context, GroupRejection, OffsetToCommit, State,
    WriteKind,
};

/// The last epoch that a producer uses; the one after it only fences, as in Kafka.
const PRODUCER_EPOCH_LAST: i16 = i16::MAX - 1;

/// What is known of a transactional id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionalId {
    /// The producer that may write under it.
    pub producer: Producer,
    /// What that was before it was last raised; who repeats what raised it still says so.
    previous: Option<Producer>,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// The transaction under way.
    pub ongoing: Option<Ongoing>,
    /// How the last one ended, since the producer was initialized.
    pub ended: Option<TransactionEnd>,
    /// The log's time of its last change.
    pub updated_ms: i64,
}

/// A producer id with an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
}

/// A transaction that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ongoing {
    /// The log's time of its beginning.
    pub started_ms: i64,
    /// Where it has written, or is going to.
    pub partitions: BTreeSet<TopicPartition>,
    /// The groups whose offsets it commits.
    pub groups: BTreeSet<String>,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionEnd {
    /// What it wrote counts.
    Commit,
    /// What it wrote does not.
    Abort,
}

/// Why a transactional request has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransactionRejection {
    /// Nobody initialized the transactional id, or with another producer id.
    #[error("the producer id is not assigned to the transactional id")]
    UnknownProducer,
    /// The epoch is not the producer's present one.
    #[error("there is a newer producer with the same transactional id")]
    Fenced,
    /// Not what may come now.
    #[error("the transaction is not in a state that allows this")]
    InvalidState,
    /// Offsets for a group that this agent does not coordinate any more.
    #[error("this agent does not coordinate the group any more")]
    NotCoordinator,
}

/// All transactional ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Transactions {
    ids: BTreeMap<String, TransactionalId>,
    /// The transactional id of each of their present producer ids.
    by_producer: BTreeMap<i64, String>,
}

/// Gives a transactional id's producer a new epoch, and aborts what its predecessor left (InitProducerId).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitTransactionalId {
    /// Transactional id.
    pub id: String,
    /// How long its transactions may take, in milliseconds.
    pub timeout_ms: i32,
    /// What a producer that goes on after an error believes to be (KIP-360).
    pub expected: Option<Producer>,
}

/// Says what a transaction is going to write to; begins it if it is not under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddToTransaction {
    /// Transactional id.
    pub id: String,
    /// Its producer.
    pub producer: Producer,
    /// Partitions it writes to; those that do not exist are passed over.
    pub partitions: Vec<TopicPartition>,
    /// A group whose offsets it commits.
    pub group: Option<String>,
}

/// Commits offsets when, and if, a transaction commits (TxnOffsetCommit).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitTransactionOffsets {
    /// Transactional id.
    pub id: String,
    /// Its producer.
    pub producer: Producer,
    /// Whether the group becomes part of the transaction by this (transaction version 2).
    pub joins: bool,
    /// Group id.
    pub group: String,
    /// The epoch of the group's coordinator.
    pub group_epoch: u64,
    /// One for each partition.
    pub offsets: Vec<OffsetToCommit>,
}

/// Ends a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndTransaction {
    /// Transactional id.
    pub id: String,
    /// Its producer.
    pub producer: Producer,
    /// How.
    pub end: TransactionEnd,
    /// Who ends it.
    pub by: EndedBy,
}

/// Who ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// Its producer, which keeps its epoch.
    Producer,
    /// Its producer, whose epoch is raised by every end (transaction version 2).
    ProducerBumped,
    /// Its timeout, if it is still the one begun at this time. Fences the producer.
    Timeout {
        /// [`Ongoing::started_ms`] as it was seen.
        started_ms: i64,
    },
}

/// Ends what a producer has left open in some partitions, whatever is known of its transaction (WriteTxnMarkers).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteMarkers {
    /// The producer.
    pub producer: Producer,
    /// How.
    pub end: TransactionEnd,
    /// Where.
    pub partitions: Vec<TopicPartition>,
}

/// Why a marker is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MarkerRejection {
    /// No such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// A newer epoch of the producer has written.
    #[error("a newer epoch of this producer has written")]
    Fenced,
}

/// Forgets transactional ids that are not in use and have not changed since this was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForgetTransactionalIds {
    /// The ids, with [`TransactionalId::updated_ms`] as it was seen.
    pub seen: Vec<(String, i64)>,
}

impl TransactionalId {
    /// The name Kafka has for its state (DescribeTransactions, ListTransactions).
    pub fn state_name(&self) -> &'static str {
        match (&self.ongoing, self.ended) {
            (Some(_), _) => "Ongoing",
            (None, None) => "Empty",
            (None, Some(TransactionEnd::Commit)) => "CompleteCommit",
            (None, Some(TransactionEnd::Abort)) => "CompleteAbort",
        }
    }

    /// Whether a transaction is under way that has taken longer than it may.
    pub fn is_overdue(&self, now_ms: i64) -> bool {
        let timeout_ms = i64::from(self.timeout_ms);
        let over = |o: &Ongoing| now_ms.saturating_sub(o.started_ms) > timeout_ms;
        self.ongoing.as_ref().is_some_and(over)
    }

    fn ongoing_at(&mut self, now_ms: i64) -> &mut Ongoing {
        self.updated_ms = now_ms;
        self.ongoing.get_or_insert_with(|| Ongoing {
            started_ms: now_ms,
            ..Ongoing::default()
        })
    }
}

impl Transactions {
    /// The transactional id, if `producer` is who may write under it now.
    fn owned(
        &mut self,
        id: &str,
        producer: Producer,
    ) -> Result<&mut TransactionalId, TransactionRejection> {
        let known = self
            .ids
            .get_mut(id)
            .filter(|known| known.producer.id == producer.id)
            .ok_or(TransactionRejection::UnknownProducer)?;
        if known.producer.epoch != producer.epoch {
            return Err(TransactionRejection::Fenced);
        }
        Ok(known)
    }

    /// Whether a batch that is the producer's next one may be written to `partition`.
    pub(super) fn admit(
        &mut self,
        partition: TopicPartition,
        batch: &BatchProducer,
        now_ms: i64,
    ) -> Result<(), BatchRejection> {
        let known = self.by_producer.get(&batch.id);
        let known = known.and_then(|id| self.ids.get_mut(id));
        let known = known.ok_or(BatchRejection::UnknownProducer)?;
        if known.producer.epoch != batch.epoch {
            return Err(BatchRejection::ProducerFenced);
        }
        let is_part = |o: &Ongoing| o.partitions.contains(&partition);
        if known.ongoing.as_ref().is_some_and(is_part) {
            return Ok(());
        }
        if batch.kind != WriteKind::JoinsTransaction {
            return Err(BatchRejection::NotInTransaction);
        }
        known.ongoing_at(now_ms).partitions.insert(partition);
        Ok(())
    }
}

impl InitTransactionalId {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) -> Result<Producer, TransactionRejection> {
        let Some(known) = state.transactions.ids.get_mut(&self.id) else {
            let producer = state.next_producer();
            let known = TransactionalId {
                producer,
                previous: None,
                timeout_ms: self.timeout_ms,
                ongoing: None,
                ended: None,
                updated_ms: by.now_ms,
            };
            state
                .transactions
                .by_producer
                .insert(producer.id, self.id.clone());
            state.transactions.ids.insert(self.id, known);
            return Ok(producer);
        };
        match self.expected {
            Some(expected) if expected == known.producer => {}
            Some(expected) if Some(expected) == known.previous => return Ok(known.producer),
            Some(_) => return Err(TransactionRejection::Fenced),
            None => {}
        }
        known.timeout_ms = self.timeout_ms;
        known.updated_ms = by.now_ms;
        let ongoing = known.ongoing.take();
        known.ended = None;
        let (marked, producer) = state.raise_producer(&self.id);
        if let Some(ongoing) = ongoing {
            state.settle(ongoing, marked, TransactionEnd::Abort, by, grown);
        }
        if self.expected.is_none()
            && let Some(known) = state.transactions.ids.get_mut(&self.id)
        {
            known.previous = None;
        }
        Ok(producer)
    }
}

impl AddToTransaction {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), TransactionRejection> {
        let known = state.transactions.owned(&self.id, self.producer)?;
        let ongoing = known.ongoing_at(by.now_ms);
        let exists = |of: &TopicPartition| state.partitions.contains_key(of);
        ongoing
            .partitions
            .extend(self.partitions.into_iter().filter(exists));
        ongoing.groups.extend(self.group);
        Ok(())
    }
}

impl CommitTransactionOffsets {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<(), TransactionRejection> {
        let refused = |_: GroupRejection| TransactionRejection::NotCoordinator;
        state
            .coordinated(&self.group, self.group_epoch, by)
            .map_err(refused)?;
        let known = state.transactions.owned(&self.id, self.producer)?;
        let is_part = |o: &Ongoing| o.groups.contains(&self.group);
        if !known.ongoing.as_ref().is_some_and(is_part) {
            if !self.joins {
                return Err(TransactionRejection::InvalidState);
            }
            known
                .ongoing_at(by.now_ms)
                .groups
                .insert(self.group.clone());
        }
        let exists = |o: &OffsetToCommit| state.partitions.contains_key(&o.partition);
        let offsets: Vec<_> = self.offsets.into_iter().filter(exists).collect();
        let group = state
            .coordinated(&self.group, self.group_epoch, by)
            .map_err(refused)?;
        let pending = group.pending.entry(self.producer.id).or_default();
        for offset in offsets {
            pending.insert(offset.partition, CommittedOffset::new(&offset, by.now_ms));
        }
        Ok(())
    }
}

impl EndTransaction {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) -> Result<Producer, TransactionRejection> {
        let known = state
            .transactions
            .ids
            .get_mut(&self.id)
            .ok_or(TransactionRejection::UnknownProducer)?;
        if let Some(repeated) = self.repeats(known) {
            return repeated;
        }
        let known = state.transactions.owned(&self.id, self.producer)?;
        let started_ms = known.ongoing.as_ref().map(|o| o.started_ms);
        match (self.by, known.ended, started_ms) {
            (EndedBy::Timeout { started_ms: seen }, _, begun) if begun != Some(seen) => {
                return Err(TransactionRejection::InvalidState);
            }
            (_, _, Some(_)) => {}
            // Asked again, after an answer that got lost.
            (EndedBy::Producer, Some(ended), None) if ended == self.end => {
                return Ok(known.producer);
            }
            // An abort before anything was written (KIP-890).
            (EndedBy::ProducerBumped, _, None) if self.end == TransactionEnd::Abort => {}
            _ => return Err(TransactionRejection::InvalidState),
        }
        known.updated_ms = by.now_ms;
        known.ended = Some(self.end);
        let ongoing = known.ongoing.take().unwrap_or_default();
        let (marked, producer) = match self.by {
            EndedBy::Producer => (known.producer, known.producer),
            EndedBy::ProducerBumped | EndedBy::Timeout { .. } => state.raise_producer(&self.id),
        };
        state.settle(ongoing, marked, self.end, by, grown);
        Ok(producer)
    }

    /// The answer, if this was applied before and raised the producer's epoch then.
    fn repeats(&self, known: &TransactionalId) -> Option<Result<Producer, TransactionRejection>> {
        let raised = self.by == EndedBy::ProducerBumped && known.previous == Some(self.producer);
        let ended = known.ended.filter(|_| raised && known.ongoing.is_none())?;
        Some(match ended == self.end {
            true => Ok(known.producer),
            false => Err(TransactionRejection::InvalidState),
        })
    }
}

impl WriteMarkers {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) -> Vec<Result<(), MarkerRejection>> {
        let marker = Marker::new(self.producer, self.end, by.now_ms);
        let mut outcomes = Vec::with_capacity(self.partitions.len());
        for of in self.partitions {
            outcomes.push(match state.partitions.get_mut(&of) {
                None => Err(MarkerRejection::UnknownPartition),
                Some(p) if p.knows_newer(self.producer) => Err(MarkerRejection::Fenced),
                Some(partition) => {
                    partition.end_transaction(marker);
                    grown.push(of);
                    Ok(())
                }
            });
        }
        outcomes
    }
}

impl ForgetTransactionalIds {
    pub(crate) fn apply(self, state: &mut State, _: Context, _: &mut Vec<TopicPartition>) -> u64 {
        let transactions = &mut state.transactions;
        let mut forgotten = 0;
        for (id, updated_ms) in self.seen {
            let is_idle = |k: &TransactionalId| k.ongoing.is_none() && k.updated_ms == updated_ms;
            if transactions.ids.get(&id).is_some_and(is_idle)
                && let Some(known) = transactions.ids.remove(&id)
            {
                transactions.by_producer.remove(&known.producer.id);
                forgotten += 1;
            }
        }
        forgotten
    }
}

impl State {
    /// What is known of a transactional id.
    pub fn transactional_id(&self, id: &str) -> Option<&TransactionalId> {
        self.transactions.ids.get(id)
    }

    /// All transactional ids.
    pub fn transactional_ids(&self) -> impl Iterator<Item = (&str, &TransactionalId)> {
        let ids = self.transactions.ids.iter();
        ids.map(|(id, known)| (id.as_str(), known))
    }

    fn next_producer(&mut self) -> Producer {
        let id = self.producer_id_next;
        self.producer_id_next += 1;
        Producer { id, epoch: 0 }
    }

    /// Raises a transactional id's epoch, or gives it a new producer id when its epochs are used up. Gives what the
    /// markers of a transaction that ends by this say, and the producer from here on.
    fn raise_producer(&mut self, id: &str) -> (Producer, Producer) {
        let fresh = self.next_producer();
        let Some(known) = self.transactions.ids.get_mut(id) else {
            return (fresh, fresh);
        };
        let before = known.producer;
        let marked = Producer {
            id: before.id,
            epoch: before.epoch.saturating_add(1),
        };
        known.previous = Some(before);
        known.producer = marked;
        if before.epoch >= PRODUCER_EPOCH_LAST {
            known.producer = fresh;
            self.transactions.by_producer.remove(&before.id);
            self.transactions
                .by_producer
                .insert(fresh.id, id.to_owned());
        } else {
            self.producer_id_next = fresh.id;
        }
        let after = known.producer;
        (marked, after)
    }

    /// Ends a transaction in all that it has touched and that still exists, or may do so again.
    fn settle(
        &mut self,
        ongoing: Ongoing,
        producer: Producer,
        end: TransactionEnd,
        by: Context,
        grown: &mut Vec<TopicPartition>,
    ) {
        let marker = Marker::new(producer, end, by.now_ms);
        for of in ongoing.partitions {
            if let Some(partition) = self.stored_partition_mut(of) {
                partition.end_transaction(marker);
                grown.push(of);
            }
        }
        for id in ongoing.groups {
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            let pending = group.pending.remove(&producer.id).unwrap_or_default();
            if end == TransactionEnd::Abort {
                continue;
            }
            let exists = |of: &TopicPartition| self.partitions.contains_key(of);
            let (kept, deleted): (BTreeMap<_, _>, BTreeMap<_, _>) =
                pending.into_iter().partition(|(of, _)| exists(of));
            group.offsets.extend(kept);
            for (of, offset) in deleted {
                self.set_offset_aside(&id, of, offset);
            }
        }
    }
}
