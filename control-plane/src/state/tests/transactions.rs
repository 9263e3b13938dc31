//! The rules of transactions one by one, and all of them against a model.

use super::*;
use TransactionRejection::{Fenced, InvalidState, UnknownProducer};

/// One agent, a topic of two partitions, a group that the agent coordinates, and transactional producers.
struct Bank {
    driver: Driver,
    agent: AgentEpoch,
    group_epoch: u64,
}

impl Bank {
    fn new() -> Self {
        let (mut driver, agent) = Driver::with_topic();
        let group = "g".to_owned();
        let group_epoch = driver.submit(agent, AcquireGroup { group }).epoch;
        Self {
            driver,
            agent,
            group_epoch,
        }
    }

    fn submit<C: Submit>(&mut self, command: C) -> C::Outcome {
        self.driver.submit(self.agent, command)
    }

    fn init(&mut self, id: &str) -> Producer {
        self.init_as(id, None).unwrap()
    }

    fn init_as(
        &mut self,
        id: &str,
        expected: Option<Producer>,
    ) -> Result<Producer, TransactionRejection> {
        self.submit(InitTransactionalId {
            id: id.into(),
            timeout_ms: 1000,
            expected,
        })
    }

    fn add(
        &mut self,
        id: &str,
        producer: Producer,
        partition: u32,
    ) -> Result<(), TransactionRejection> {
        self.submit(AddToTransaction {
            id: id.into(),
            producer,
            partitions: vec![tp(partition)],
            group: None,
        })
    }

    fn write(
        &mut self,
        producer: Producer,
        partition: u32,
        kind: WriteKind,
        base_sequence: i32,
    ) -> BatchOutcome {
        let sequence = self
            .driver
            .state
            .agent(self.agent)
            .map_or(0, |a| a.object_next);
        let mut one = batch(1, Some((producer.id, producer.epoch, base_sequence)));
        one.producer.as_mut().unwrap().kind = kind;
        let object = ObjectId {
            writer: self.agent,
            sequence,
        };
        let runs = vec![CommitRun {
            partition: tp(partition),
            position: 64,
            batches: vec![one],
        }];
        let outcomes = self.submit(CommitObject {
            object,
            bytes: 100,
            runs,
        });
        outcomes.unwrap().remove(0).batches.remove(0)
    }

    /// Writes as a producer of transaction version 2 does, whose sequences begin anew with each epoch.
    fn join(&mut self, producer: Producer, partition: u32, base_sequence: i32) -> i64 {
        match self.write(
            producer,
            partition,
            WriteKind::JoinsTransaction,
            base_sequence,
        ) {
            BatchOutcome::Accepted(offset) => offset,
            other => panic!("{other:?}"),
        }
    }

    fn end(
        &mut self,
        id: &str,
        producer: Producer,
        end: TransactionEnd,
        by: EndedBy,
    ) -> Result<Producer, TransactionRejection> {
        self.submit(EndTransaction {
            id: id.into(),
            producer,
            end,
            by,
        })
    }

    fn commit_offset(
        &mut self,
        id: &str,
        producer: Producer,
        offset: i64,
        joins: bool,
    ) -> Result<(), TransactionRejection> {
        let group_epoch = self.group_epoch;
        self.submit(CommitTransactionOffsets {
            id: id.into(),
            producer,
            joins,
            group: "g".into(),
            group_epoch,
            offsets: vec![OffsetToCommit {
                partition: tp(0),
                offset,
                leader_epoch: -1,
                metadata: String::new(),
                retention_ms: None,
            }],
        })
    }

    fn committed(&self) -> Option<i64> {
        let group = self.driver.state.group("g").unwrap();
        group.offsets.get(&tp(0)).map(|committed| committed.offset)
    }

    fn partition(&self, partition: u32) -> &Partition {
        self.driver.state.partition(tp(partition)).unwrap()
    }

    fn stable(&self, partition: u32) -> i64 {
        self.partition(partition).last_stable_offset()
    }

    fn aborted(&self, partition: u32, from: i64, to: i64) -> Vec<(i64, i64)> {
        let aborted = self.partition(partition).aborted_between(from, to);
        aborted.map(|a| (a.producer_id, a.first_offset)).collect()
    }
}

const COMMIT: TransactionEnd = TransactionEnd::Commit;
const ABORT: TransactionEnd = TransactionEnd::Abort;

fn next(producer: Producer) -> Producer {
    Producer {
        epoch: producer.epoch + 1,
        ..producer
    }
}

#[test]
fn an_end_puts_one_marker_in_each_partition_and_decides_what_was_written() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.add("a", a, 0).unwrap();
    bank.add("a", a, 1).unwrap();
    let outcome = bank.write(a, 0, WriteKind::InTransaction, 0);
    assert_eq!(outcome, BatchOutcome::Accepted(0));
    assert_eq!((bank.stable(0), bank.partition(0).high_watermark), (0, 1));
    assert_eq!(bank.end("a", a, COMMIT, EndedBy::Producer), Ok(a));
    assert_eq!((bank.stable(0), bank.partition(0).high_watermark), (2, 2));
    // A partition that was added has a marker, written to or not.
    assert_eq!((bank.stable(1), bank.partition(1).high_watermark), (1, 1));
    let markers: Vec<_> = bank.partition(0).markers_from(0).collect();
    assert_eq!(markers.len(), 1);
    assert_eq!(
        (markers[0].0, markers[0].1.producer, markers[0].1.end),
        (1, a, COMMIT)
    );
    assert_eq!(bank.aborted(0, 0, 9), []);
    // The next transaction of the same epoch goes on with the sequence.
    bank.add("a", a, 0).unwrap();
    let outcome = bank.write(a, 0, WriteKind::InTransaction, 1);
    assert_eq!(outcome, BatchOutcome::Accepted(2));
    assert_eq!(bank.end("a", a, ABORT, EndedBy::Producer), Ok(a));
    assert_eq!(bank.aborted(0, 0, 9), [(a.id, 2)]);
    assert_eq!(bank.aborted(0, 3, 9), [(a.id, 2)], "it ends at 3");
    assert_eq!(bank.aborted(0, 4, 9), []);
    assert_eq!(bank.aborted(0, 0, 2), []);
}

#[test]
fn the_last_stable_offset_is_the_first_of_any_undecided_record() {
    let mut bank = Bank::new();
    let (a, b) = (bank.init("a"), bank.init("b"));
    assert_eq!(
        (bank.join(a, 0, 0), bank.join(b, 0, 0), bank.join(a, 0, 1)),
        (0, 1, 2)
    );
    assert_eq!(bank.stable(0), 0);
    bank.end("a", a, ABORT, EndedBy::ProducerBumped).unwrap();
    assert_eq!(bank.stable(0), 1);
    bank.end("b", b, ABORT, EndedBy::ProducerBumped).unwrap();
    assert_eq!(bank.stable(0), 5);
    // In the order of their ends, and no further than anything could begin before the bound.
    assert_eq!(bank.aborted(0, 0, 5), [(a.id, 0), (b.id, 1)]);
    assert_eq!(bank.aborted(0, 4, 5), [(b.id, 1)]);
    assert_eq!(bank.aborted(0, 0, 1), [(a.id, 0)]);
}

#[test]
fn what_is_not_part_of_the_transaction_is_refused_unless_it_joins() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    let refused = BatchOutcome::Rejected(BatchRejection::NotInTransaction);
    assert_eq!(bank.write(a, 0, WriteKind::InTransaction, 0), refused);
    bank.add("a", a, 1).unwrap();
    assert_eq!(bank.write(a, 0, WriteKind::InTransaction, 0), refused);
    assert_eq!(bank.join(a, 0, 0), 0);
    // After the end it is not part of it any more.
    bank.end("a", a, COMMIT, EndedBy::Producer).unwrap();
    assert_eq!(bank.write(a, 0, WriteKind::InTransaction, 1), refused);
    let stranger = Producer { id: 1, epoch: 0 };
    let unknown = BatchOutcome::Rejected(BatchRejection::UnknownProducer);
    assert_eq!(
        bank.write(stranger, 0, WriteKind::JoinsTransaction, 0),
        unknown
    );
}

#[test]
fn a_plain_batch_does_not_go_into_a_transaction_under_way() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.join(a, 0, 0);
    let refused = BatchOutcome::Rejected(BatchRejection::NotTransactional);
    assert_eq!(bank.write(a, 0, WriteKind::Plain, 1), refused);
    // Nor does it take the producer's turn.
    assert_eq!(bank.join(a, 0, 1), 1);
}

#[test]
fn a_successor_fences_its_predecessor_and_aborts_what_that_left() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.join(a, 0, 0);
    let successor = bank.init("a");
    assert_eq!(successor, next(a));
    assert_eq!(bank.aborted(0, 0, 9), [(a.id, 0)]);
    let fenced = BatchOutcome::Rejected(BatchRejection::ProducerFenced);
    assert_eq!(bank.write(a, 0, WriteKind::JoinsTransaction, 1), fenced);
    // Where the predecessor has never written its epoch is known all the same.
    assert_eq!(bank.write(a, 1, WriteKind::JoinsTransaction, 0), fenced);
    assert_eq!(bank.add("a", a, 0), Err(Fenced));
    assert_eq!(bank.end("a", a, COMMIT, EndedBy::Producer), Err(Fenced));
    assert_eq!(bank.commit_offset("a", a, 1, true), Err(Fenced));
    assert_eq!(bank.join(successor, 0, 0), 2);
    assert_eq!(bank.add("b", a, 0), Err(UnknownProducer));
    let other = Producer { id: 5, epoch: 0 };
    assert_eq!(
        bank.end("a", other, COMMIT, EndedBy::Producer),
        Err(UnknownProducer)
    );
}

#[test]
fn a_producer_that_goes_on_says_who_it_is() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    let raised = bank.init_as("a", Some(a)).unwrap();
    assert_eq!(raised, next(a));
    // It did not hear the answer and asks again.
    assert_eq!(bank.init_as("a", Some(a)), Ok(raised));
    let successor = bank.init("a");
    assert_eq!(successor, next(raised));
    assert_eq!(bank.init_as("a", Some(a)), Err(Fenced));
    assert_eq!(bank.init_as("a", Some(raised)), Err(Fenced));
}

#[test]
fn epochs_that_are_used_up_give_way_to_a_new_producer_id() {
    let mut bank = Bank::new();
    let mut a = bank.init("a");
    while a.epoch < i16::MAX - 1 {
        a = bank.init("a");
    }
    bank.join(a, 0, 0);
    let fresh = bank.end("a", a, COMMIT, EndedBy::ProducerBumped).unwrap();
    assert_ne!(fresh.id, a.id);
    assert_eq!(fresh.epoch, 0);
    let marker = *bank.partition(0).markers_from(0).next().unwrap().1;
    assert_eq!(marker.producer, next(a), "which fences the old id for good");
    assert_eq!(bank.end("a", a, COMMIT, EndedBy::ProducerBumped), Ok(fresh));
    let unknown = BatchOutcome::Rejected(BatchRejection::ProducerFenced);
    assert_eq!(bank.write(a, 0, WriteKind::JoinsTransaction, 1), unknown);
    assert_eq!(bank.join(fresh, 0, 0), 2);
    let other = bank.init("b");
    assert!(other.id > fresh.id, "no producer id is given out twice");
}

#[test]
fn which_ends_are_allowed_in_the_old_protocol() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    for end in [COMMIT, ABORT] {
        assert_eq!(
            bank.end("a", a, end, EndedBy::Producer),
            Err(InvalidState),
            "empty"
        );
    }
    for (end, other) in [(COMMIT, ABORT), (ABORT, COMMIT)] {
        bank.add("a", a, 0).unwrap();
        assert_eq!(bank.end("a", a, end, EndedBy::Producer), Ok(a));
        let markers = bank.partition(0).high_watermark;
        assert_eq!(
            bank.end("a", a, end, EndedBy::Producer),
            Ok(a),
            "asked again"
        );
        assert_eq!(bank.partition(0).high_watermark, markers);
        assert_eq!(
            bank.end("a", a, other, EndedBy::Producer),
            Err(InvalidState)
        );
    }
    assert_eq!(
        bank.end("zzz", a, COMMIT, EndedBy::Producer),
        Err(UnknownProducer)
    );
}

#[test]
fn which_ends_are_allowed_in_transaction_version_2() {
    let by = EndedBy::ProducerBumped;
    let mut bank = Bank::new();
    let a = bank.init("a");
    assert_eq!(bank.end("a", a, COMMIT, by), Err(InvalidState), "empty");
    assert_eq!(
        bank.end("a", a, ABORT, by),
        Ok(next(a)),
        "an abort before anything"
    );
    assert_eq!(bank.end("a", a, ABORT, by), Ok(next(a)), "asked again");
    assert_eq!(bank.end("a", a, COMMIT, by), Err(InvalidState));
    let b = next(a);
    bank.join(b, 0, 0);
    assert_eq!(
        bank.end("a", a, ABORT, by),
        Err(Fenced),
        "asked again far too late"
    );
    let c = bank.end("a", b, COMMIT, by).unwrap();
    assert_eq!(c, next(b));
    assert_eq!(bank.end("a", b, COMMIT, by), Ok(c), "asked again");
    assert_eq!(bank.end("a", b, ABORT, by), Err(InvalidState));
    assert_eq!(
        bank.end("a", c, COMMIT, by),
        Err(InvalidState),
        "nothing since"
    );
    // What the older epoch has in flight is fenced, and the newer begins at sequence 0.
    let late = bank.write(b, 0, WriteKind::JoinsTransaction, 1);
    assert_eq!(late, BatchOutcome::Rejected(BatchRejection::ProducerFenced));
    bank.join(c, 0, 0);
}

#[test]
fn a_timeout_aborts_and_fences_the_transaction_that_was_seen() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.join(a, 0, 0);
    let known = bank.driver.state.transactional_id("a").unwrap();
    let started_ms = known.ongoing.as_ref().unwrap().started_ms;
    assert!(!known.is_overdue(started_ms + 1000));
    assert!(known.is_overdue(started_ms + 1001));
    let early = EndedBy::Timeout {
        started_ms: started_ms - 1,
    };
    assert_eq!(bank.end("a", a, ABORT, early), Err(InvalidState));
    let timeout = EndedBy::Timeout { started_ms };
    assert_eq!(bank.end("a", a, ABORT, timeout), Ok(next(a)));
    assert_eq!(bank.aborted(0, 0, 9), [(a.id, 0)]);
    assert_eq!(bank.end("a", a, ABORT, timeout), Err(Fenced));
    assert_eq!(bank.end("a", a, COMMIT, EndedBy::Producer), Err(Fenced));
    assert_eq!(
        bank.init_as("a", Some(a)),
        Ok(next(a)),
        "the producer can go on"
    );
}

#[test]
fn offsets_show_when_their_transaction_commits_and_not_otherwise() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    assert_eq!(bank.commit_offset("a", a, 5, false), Err(InvalidState));
    let unstable = |bank: &Bank| bank.driver.state.group("g").unwrap().is_unstable(tp(0));
    for (offset, end, seen) in [(5, ABORT, None), (6, COMMIT, Some(6)), (7, ABORT, Some(6))] {
        let added = bank.submit(AddToTransaction {
            id: "a".into(),
            producer: a,
            partitions: vec![],
            group: Some("g".into()),
        });
        assert_eq!(added, Ok(()));
        bank.commit_offset("a", a, offset, false).unwrap();
        assert!(unstable(&bank));
        bank.end("a", a, end, EndedBy::Producer).unwrap();
        assert_eq!(bank.committed(), seen);
        assert!(!unstable(&bank));
    }
    bank.commit_offset("a", a, 8, true).unwrap();
    let successor = bank.init("a");
    assert_eq!((bank.committed(), unstable(&bank)), (Some(6), false));
    bank.commit_offset("a", successor, 9, true).unwrap();
    bank.end("a", successor, COMMIT, EndedBy::ProducerBumped)
        .unwrap();
    assert_eq!(bank.committed(), Some(9));
    bank.group_epoch += 1;
    let refused = bank.commit_offset("a", next(successor), 9, true);
    assert_eq!(refused, Err(TransactionRejection::NotCoordinator));
}

#[test]
fn markers_can_be_written_for_a_transaction_that_hangs() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.join(a, 0, 0);
    let markers = |producer| WriteMarkers {
        producer,
        end: ABORT,
        partitions: vec![tp(0), tp(77)],
    };
    let outcome = bank.submit(markers(a));
    assert_eq!(outcome, [Ok(()), Err(MarkerRejection::UnknownPartition)]);
    assert_eq!(bank.stable(0), 2);
    assert_eq!(bank.aborted(0, 0, 9), [(a.id, 0)]);
    let successor = bank.init("a");
    bank.join(successor, 0, 0);
    assert_eq!(bank.submit(markers(a))[0], Err(MarkerRejection::Fenced));
}

#[test]
fn idle_transactional_ids_are_forgotten_and_others_kept() {
    let mut bank = Bank::new();
    let (a, b) = (bank.init("a"), bank.init("b"));
    bank.init("c");
    let seen = |bank: &Bank| -> Vec<(String, i64)> {
        let ids = bank.driver.state.transactional_ids();
        ids.map(|(id, known)| (id.to_owned(), known.updated_ms))
            .collect()
    };
    let before = seen(&bank);
    bank.join(b, 0, 0);
    bank.init("c");
    assert_eq!(bank.submit(ForgetTransactionalIds { seen: before }), 1);
    let left: Vec<_> = seen(&bank).into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, ["b", "c"]);
    assert_eq!(bank.add("a", a, 0), Err(UnknownProducer));
    let now = seen(&bank);
    assert_eq!(
        bank.submit(ForgetTransactionalIds { seen: now }),
        1,
        "b is at work"
    );
}

#[test]
fn a_transaction_outlives_the_topics_it_touched() {
    let mut bank = Bank::new();
    let a = bank.init("a");
    bank.add("a", a, 77).unwrap();
    bank.join(a, 0, 0);
    bank.commit_offset("a", a, 1, true).unwrap();
    let known = bank.driver.state.transactional_id("a").unwrap();
    let touched = &known.ongoing.as_ref().unwrap().partitions;
    assert_eq!(touched.iter().collect::<Vec<_>>(), [&tp(0)]);
    bank.submit(DeleteTopic {
        id: TOPIC,
        window_ms: 0,
    })
    .unwrap();
    assert_eq!(bank.end("a", a, COMMIT, EndedBy::Producer), Ok(a));
    assert_eq!(bank.committed(), None);
}

/// A transaction that wrote to a topic which is deleted then ends there as well: what it wrote is decided when the topic
/// is there again, and so are the offsets it committed.
#[test]
fn a_transaction_ends_in_a_deleted_topic_that_comes_back() {
    for (end, committed) in [(COMMIT, Some(1)), (ABORT, None)] {
        let mut bank = Bank::new();
        let (a, b) = (bank.init("a"), bank.init("b"));
        bank.join(a, 0, 0);
        bank.join(b, 0, 0);
        bank.commit_offset("a", a, 1, true).unwrap();
        let (id, window_ms) = (TOPIC, 1_000_000);
        bank.submit(DeleteTopic { id, window_ms }).unwrap();
        let refused = bank.write(a, 0, WriteKind::JoinsTransaction, 1);
        let unknown = BatchOutcome::Rejected(BatchRejection::UnknownPartition);
        assert_eq!(refused, unknown);
        bank.end("a", a, end, EndedBy::Producer).unwrap();
        assert_eq!(bank.committed(), None, "not while it is deleted");
        bank.submit(UndeleteTopic { id, name: None }).unwrap();
        assert_eq!(bank.committed(), committed);
        assert_eq!(bank.stable(0), 1, "the other transaction is under way");
        let aborted = match end {
            COMMIT => vec![],
            ABORT => vec![(a.id, 0)],
        };
        assert_eq!(bank.aborted(0, 0, 9), aborted);
        // The other goes on where it was.
        bank.join(b, 0, 1);
        bank.end("b", b, COMMIT, EndedBy::Producer).unwrap();
        assert_eq!((bank.stable(0), bank.partition(0).high_watermark), (5, 5));
    }
}

#[test]
fn a_producer_with_a_transaction_under_way_is_not_forgotten() {
    let mut bank = Bank::new();
    let (a, b) = (bank.init("a"), bank.init("b"));
    bank.join(a, 0, 0);
    for hour in 1..=26 {
        let mut entry = bank.driver.entry(bank.agent, Heartbeat { draining: false });
        entry.time_ms = 1_000_000 + hour * 3_600_000;
        bank.driver.apply(&entry);
    }
    bank.join(b, 0, 0);
    bank.end("b", b, COMMIT, EndedBy::Producer).unwrap();
    assert_eq!(bank.stable(0), 0);
    bank.end("a", a, ABORT, EndedBy::Producer).unwrap();
    assert_eq!(bank.stable(0), 4);
    assert_eq!(bank.aborted(0, 0, 4), [(a.id, 0)]);
}

#[test]
fn deleted_records_take_their_markers_along() {
    let mut bank = Bank::new();
    let (a, b) = (bank.init("a"), bank.init("b"));
    bank.join(a, 0, 0);
    bank.end("a", a, ABORT, EndedBy::ProducerBumped).unwrap();
    bank.join(b, 0, 0);
    let before = |before_offset| DeleteRecords {
        partition: tp(0),
        before_offset,
    };
    bank.submit(before(2)).unwrap();
    assert_eq!(bank.partition(0).markers_from(0).count(), 0);
    assert_eq!(bank.aborted(0, 0, 9), []);
    bank.submit(before(3)).unwrap();
    assert_eq!(bank.stable(0), 3, "never before the log start offset");
    bank.end("b", b, ABORT, EndedBy::ProducerBumped).unwrap();
    assert_eq!(bank.stable(0), 4);
}

/// What a model remembers of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Written {
    offset: i64,
    transaction: usize,
}

/// A producer as its own client knows it.
struct Client {
    id: &'static str,
    producer: Producer,
    sequences: [i32; 2],
    transaction: usize,
    touched: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        client: usize,
        partition: u32,
    },
    End {
        client: usize,
        commit: bool,
        bumped: bool,
    },
    Init {
        client: usize,
    },
    Timeout {
        client: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..3_usize;
    prop_oneof![
        6 => (client(), 0..2_u32).prop_map(|(client, partition)| Step::Write { client, partition }),
        3 => (client(), any::<bool>(), any::<bool>())
            .prop_map(|(client, commit, bumped)| Step::End { client, commit, bumped }),
        1 => client().prop_map(|client| Step::Init { client }),
        1 => client().prop_map(|client| Step::Timeout { client }),
    ]
}

/// What a consumer of committed records delivers, filtering as Kafka's does: by the aborted ranges and the markers.
fn read_committed(partition: &Partition, written: &[(Written, i64)]) -> Vec<i64> {
    let end = partition.last_stable_offset();
    let mut aborted: Vec<_> = partition.aborted_between(0, end).copied().collect();
    aborted.sort_by_key(|a| a.first_offset);
    let mut pending = aborted.into_iter().peekable();
    let mut skipped = std::collections::BTreeSet::new();
    let mut delivered = Vec::new();
    for offset in 0..end {
        while let Some(next) = pending.next_if(|a| a.first_offset <= offset) {
            skipped.insert(next.producer_id);
        }
        if let Some((_, marker)) = partition
            .markers_from(offset)
            .next()
            .filter(|m| m.0 == offset)
        {
            skipped.remove(&marker.producer.id);
            continue;
        }
        let (_, producer_id) = written.iter().find(|(w, _)| w.offset == offset).unwrap();
        if !skipped.contains(producer_id) {
            delivered.push(offset);
        }
    }
    delivered
}

proptest! {
    #[test]
    fn readers_of_committed_records_see_all_of_a_transaction_or_nothing(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bank = Bank::new();
        let mut clients: Vec<Client> = ["a", "b", "c"].map(|id| Client {
            id,
            producer: bank.init(id),
            sequences: [0; 2],
            transaction: 0,
            touched: false,
        }).into();
        for (number, client) in clients.iter_mut().enumerate() {
            client.transaction = number;
        }
        let mut outcomes: Vec<Option<TransactionEnd>> = vec![None; 3];
        let mut written: [Vec<(Written, i64)>; 2] = [vec![], vec![]];
        for step in steps {
            let (number, end, by) = match step {
                Step::Write { client, partition } => {
                    let client = &mut clients[client];
                    let at = partition as usize;
                    let offset = bank.join(client.producer, partition, client.sequences[at]);
                    client.sequences[at] += 1;
                    client.touched = true;
                    let record = Written { offset, transaction: client.transaction };
                    written[at].push((record, client.producer.id));
                    continue;
                }
                Step::End { client, .. } | Step::Timeout { client } if !clients[client].touched => {
                    continue;
                }
                Step::End { client, commit, bumped } => (
                    client,
                    if commit { COMMIT } else { ABORT },
                    if bumped { EndedBy::ProducerBumped } else { EndedBy::Producer },
                ),
                Step::Timeout { client } => {
                    let known = bank.driver.state.transactional_id(clients[client].id).unwrap();
                    let started_ms = known.ongoing.as_ref().unwrap().started_ms;
                    (client, ABORT, EndedBy::Timeout { started_ms })
                }
                Step::Init { client } => {
                    let client = &mut clients[client];
                    client.producer = bank.init(client.id);
                    client.sequences = [0; 2];
                    if client.touched {
                        outcomes[client.transaction] = Some(ABORT);
                    }
                    outcomes.push(None);
                    (client.transaction, client.touched) = (outcomes.len() - 1, false);
                    continue;
                }
            };
            let client = &mut clients[number];
            let producer = bank.end(client.id, client.producer, end, by).unwrap();
            if producer != client.producer {
                client.sequences = [0; 2];
            }
            client.producer = producer;
            outcomes[client.transaction] = Some(end);
            outcomes.push(None);
            (client.transaction, client.touched) = (outcomes.len() - 1, false);
        }
        for (partition, written) in written.iter().enumerate() {
            let partition = bank.partition(partition as u32);
            let undecided = written.iter().find(|(w, _)| outcomes[w.transaction].is_none());
            let stable = undecided.map_or(partition.high_watermark, |(w, _)| w.offset);
            prop_assert_eq!(partition.last_stable_offset(), stable);
            let committed: Vec<i64> = written
                .iter()
                .map(|(w, _)| *w)
                .filter(|w| w.offset < stable && outcomes[w.transaction] == Some(COMMIT))
                .map(|w| w.offset)
                .collect();
            prop_assert_eq!(read_committed(partition, written), committed);
            // Every offset is a record's or a marker's.
            let covered = partition.extents.values().map(|e| e.offsets as usize).sum::<usize>();
            let markers = partition.markers_from(0).count();
            prop_assert_eq!((covered + markers) as i64, partition.high_watermark);
        }
        let bytes = bank.driver.state.to_bytes();
        prop_assert_eq!(State::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    }
}
