use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

mod compaction;
mod deleted;
mod large;
mod moves;
mod transactions;

/// A state driven through entries as a process would drive it.
struct Driver {
    state: State,
    at: u64,
    sequences: BTreeMap<AgentEpoch, u64>,
}

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));

fn tp(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC,
        partition,
    }
}

fn registration(name: &str, nonce: u128) -> RegisterAgent {
    RegisterAgent {
        host: "127.0.0.1".into(),
        port: 9092,
        version_max: 1,
        ..RegisterAgent::new(Uuid::from_u128(nonce), name)
    }
}

fn topic(name: &str, partitions: u32) -> CreateTopic {
    CreateTopic {
        name: name.into(),
        id: TOPIC,
        partitions,
        configs: BTreeMap::new(),
    }
}

fn batch(records: u32, producer: Option<(i64, i16, i32)>) -> BatchMeta {
    let producer = producer.map(|(id, epoch, base_sequence)| BatchProducer {
        id,
        epoch,
        base_sequence,
        kind: WriteKind::Plain,
    });
    BatchMeta {
        bytes: records * 100,
        records,
        max_timestamp: 5,
        producer,
    }
}

impl Driver {
    fn new() -> Self {
        Self {
            state: State::new(),
            at: 0,
            sequences: BTreeMap::new(),
        }
    }

    fn apply(&mut self, entry: &Entry) -> Applied {
        self.at += 1;
        self.state
            .apply(Position(self.at), &entry.encode(1))
            .unwrap()
    }

    fn entry(&mut self, writer: AgentEpoch, command: impl Into<Command>) -> Entry {
        let sequence = self.sequences.entry(writer).or_default();
        *sequence += 1;
        let time_ms = 1_000_000 + self.at as i64;
        Entry {
            writer,
            sequence: *sequence,
            time_ms,
            commands: vec![command.into()],
        }
    }

    fn submit<C: Submit>(&mut self, writer: AgentEpoch, command: C) -> C::Outcome {
        let entry = self.entry(writer, command);
        match self.apply(&entry).verdict {
            Verdict::Done(mut outcomes) => C::outcome(outcomes.remove(0)).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, name: &str) -> AgentEpoch {
        let nonce = u128::from(self.at) + 100;
        self.submit(AgentEpoch(0), registration(name, nonce))
            .unwrap()
            .epoch
    }

    fn with_topic() -> (Self, AgentEpoch) {
        let mut driver = Self::new();
        let agent = driver.register("a");
        driver.submit(agent, topic("t", 2)).unwrap();
        (driver, agent)
    }

    fn commit(&mut self, agent: AgentEpoch, batches: Vec<BatchMeta>) -> Vec<BatchOutcome> {
        let sequence = self.state.agent(agent).map_or(0, |a| a.object_next);
        let object = ObjectId {
            writer: agent,
            sequence,
        };
        let runs = vec![CommitRun {
            partition: tp(0),
            position: 64,
            batches,
        }];
        self.submit(
            agent,
            CommitObject {
                object,
                bytes: 1000,
                runs,
            },
        )
        .unwrap()
        .remove(0)
        .batches
    }
}

#[test]
fn offsets_are_dense_over_agents_and_objects() {
    let (mut driver, a) = Driver::with_topic();
    let b = driver.register("b");
    assert_eq!(
        driver.commit(a, vec![batch(3, None)]),
        [BatchOutcome::Accepted(0)]
    );
    let two = driver.commit(b, vec![batch(2, None), batch(4, None)]);
    assert_eq!(two, [BatchOutcome::Accepted(3), BatchOutcome::Accepted(5)]);
    assert_eq!(
        driver.commit(a, vec![batch(1, None)]),
        [BatchOutcome::Accepted(9)]
    );
    let partition = driver.state.partition(tp(0)).unwrap();
    assert_eq!(partition.high_watermark, 10);
    let bases: Vec<_> = partition
        .extents_from(4)
        .map(|(base, e)| (base, e.offsets))
        .collect();
    assert_eq!(
        bases,
        [(3, 6), (9, 1)],
        "one run is one extent; the read begins inside of it"
    );
}

#[test]
fn a_retry_within_five_batches_is_answered_with_its_first_offset() {
    let (mut driver, agent) = Driver::with_topic();
    for i in 0..6 {
        driver.commit(agent, vec![batch(10, Some((1000, 0, i * 10)))]);
    }
    let retries: Vec<_> = (0..6)
        .map(|i| driver.commit(agent, vec![batch(10, Some((1000, 0, i * 10)))])[0])
        .collect();
    assert_eq!(
        retries[0],
        BatchOutcome::Rejected(BatchRejection::OutOfOrderSequence)
    );
    let duplicates: Vec<_> = (1..6).map(|i| BatchOutcome::Duplicate(i * 10)).collect();
    assert_eq!(retries[1..], duplicates);
    assert_eq!(driver.state.partition(tp(0)).unwrap().high_watermark, 60);
}

#[test]
fn sequences_gaps_epochs_and_wrap() {
    use BatchOutcome::{Accepted, Duplicate, Rejected};
    use BatchRejection::{OutOfOrderSequence, ProducerFenced};
    let (mut driver, agent) = Driver::with_topic();
    let strict = driver.submit(agent, AllocateProducerId {});
    let mut say = |epoch, sequence, records| {
        driver.commit(agent, vec![batch(records, Some((strict, epoch, sequence)))])[0]
    };
    assert_eq!(
        say(0, 1, 1),
        Rejected(OutOfOrderSequence),
        "a fresh producer begins at 0"
    );
    assert_eq!(say(0, 0, 1), Accepted(0));
    assert_eq!(say(0, 2, 1), Rejected(OutOfOrderSequence), "a gap");
    assert_eq!(
        say(0, 0, 2),
        Rejected(OutOfOrderSequence),
        "same start, another end"
    );
    assert_eq!(
        say(1, 1, 1),
        Rejected(OutOfOrderSequence),
        "a new epoch begins at 0"
    );
    assert_eq!(say(1, 0, 1), Accepted(1));
    assert_eq!(say(0, 1, 1), Rejected(ProducerFenced));
    let (mut driver, agent) = Driver::with_topic();
    let mut say =
        |sequence, records| driver.commit(agent, vec![batch(records, Some((5, 0, sequence)))])[0];
    assert_eq!(
        say(i32::MAX - 1, 2),
        Accepted(0),
        "older than the topic: any sequence"
    );
    assert_eq!(say(0, 3), Accepted(2), "sequences wrap to 0");
    assert_eq!(say(i32::MAX - 1, 2), Duplicate(0));
}

#[test]
fn a_rejected_batch_leaves_its_neighbours_offsets_dense() {
    let (mut driver, agent) = Driver::with_topic();
    let gap = batch(5, Some((2000, 0, 9)));
    let outcomes = driver.commit(agent, vec![batch(1, None), gap, batch(2, None)]);
    use BatchOutcome::{Accepted, Rejected};
    let expected = [
        Accepted(0),
        Rejected(BatchRejection::OutOfOrderSequence),
        Accepted(1),
    ];
    assert_eq!(outcomes, expected);
    let partition = driver.state.partition(tp(0)).unwrap();
    let found: Vec<_> = partition
        .extents
        .iter()
        .map(|(&b, e)| (b, e.position, e.bytes))
        .collect();
    assert_eq!(found, [(0, 64, 100), (1, 64 + 100 + 500, 200)]);
}

#[test]
fn a_repeated_entry_has_no_second_effect() {
    let (mut driver, agent) = Driver::with_topic();
    let object = ObjectId {
        writer: agent,
        sequence: 0,
    };
    let runs = vec![CommitRun {
        partition: tp(1),
        position: 0,
        batches: vec![batch(3, None)],
    }];
    let entry = driver.entry(
        agent,
        CommitObject {
            object,
            bytes: 9,
            runs: runs.clone(),
        },
    );
    assert!(matches!(driver.apply(&entry).verdict, Verdict::Done(_)));
    assert_eq!(driver.apply(&entry).verdict, Verdict::Repeated);
    let again = driver.submit(
        agent,
        CommitObject {
            object,
            bytes: 9,
            runs,
        },
    );
    assert_eq!(
        again,
        Err(CommitRejection::NotYours),
        "nor has the same object in another entry"
    );
    assert_eq!(driver.state.partition(tp(1)).unwrap().high_watermark, 3);
}

#[test]
fn a_fenced_agent_changes_nothing() {
    let (mut driver, a) = Driver::with_topic();
    let b = driver.register("b");
    let seen = driver.state.agent(a).unwrap().entry_last;
    driver.submit(a, Heartbeat { draining: false });
    let stale = ExpireAgent {
        agent: a,
        entry_last_seen: seen,
    };
    assert!(!driver.submit(b, stale.clone()), "a newer entry came first");
    assert!(driver.submit(
        b,
        ExpireAgent {
            entry_last_seen: seen + 1,
            ..stale
        }
    ));
    let late = driver.entry(a, topic("late", 1));
    assert_eq!(driver.apply(&late).verdict, Verdict::Fenced);
    assert!(driver.state.topic_named("late").is_none());
    assert_eq!(
        driver.state.departed().map(|(e, _)| e).collect::<Vec<_>>(),
        [a]
    );
}

#[test]
fn registering_again_fences_the_older_and_keeps_the_node_id() {
    let mut driver = Driver::new();
    let first = driver.submit(AgentEpoch(0), registration("x", 1)).unwrap();
    let other = driver.submit(AgentEpoch(0), registration("y", 2)).unwrap();
    assert_eq!((first.node_id, other.node_id), (1, 2));
    assert_eq!(
        driver.submit(AgentEpoch(0), registration("x", 1)).unwrap(),
        first,
        "a repeat"
    );
    let second = driver.submit(AgentEpoch(0), registration("x", 3)).unwrap();
    assert_eq!(second.node_id, 1);
    assert!(driver.state.agent(first.epoch).is_none() && second.epoch > other.epoch);
}

#[test]
fn only_the_coordinator_of_the_newest_epoch_saves() {
    let (mut driver, a) = Driver::with_topic();
    let b = driver.register("b");
    let group = || "g".to_owned();
    let held = driver.submit(a, AcquireGroup { group: group() });
    assert_eq!(
        driver.submit(b, AcquireGroup { group: group() }),
        held,
        "a came first"
    );
    let save = |epoch| SaveGroup {
        group: group(),
        epoch,
        part: 0,
        is_last: true,
        puts: vec![("r".to_owned(), Bytes::from_static(b"s"))],
        removed: vec![],
    };
    assert_eq!(
        driver.submit(b, save(held.epoch)),
        Err(GroupRejection::NotCoordinator)
    );
    assert_eq!(driver.submit(a, save(held.epoch)), Ok(()));
    let entry_last_seen = driver.state.agent(a).unwrap().entry_last;
    driver.submit(
        b,
        ExpireAgent {
            agent: a,
            entry_last_seen,
        },
    );
    let taken = driver.submit(b, AcquireGroup { group: group() });
    assert_eq!((taken.agent, taken.epoch), (b, held.epoch + 1));
    assert_eq!(
        driver.submit(b, save(held.epoch)),
        Err(GroupRejection::NotCoordinator)
    );
    assert_eq!(
        &driver.state.group("g").unwrap().saved["r"][..],
        b"s",
        "what was saved survives"
    );
}

#[test]
fn a_save_in_parts_has_an_effect_once_its_last_part_is_there() {
    let (mut driver, a) = Driver::with_topic();
    let group = || "g".to_owned();
    let epoch = driver.submit(a, AcquireGroup { group: group() }).epoch;
    let part = |part, is_last, put: &str, removed: &[&str]| SaveGroup {
        group: group(),
        epoch,
        part,
        is_last,
        puts: vec![(put.to_owned(), Bytes::from_static(b"x"))],
        removed: removed.iter().map(|&name| name.to_owned()).collect(),
    };
    let names = |driver: &Driver| {
        let saved = &driver.state.group("g").unwrap().saved;
        saved.keys().cloned().collect::<Vec<_>>().concat()
    };
    assert_eq!(driver.submit(a, part(0, true, "a", &[])), Ok(()));
    assert_eq!(driver.submit(a, part(0, false, "b", &["a"])), Ok(()));
    assert_eq!(names(&driver), "a");
    assert_eq!(driver.submit(a, part(1, true, "c", &[])), Ok(()));
    assert_eq!(names(&driver), "bc");
    // One that is never finished leaves nothing.
    assert_eq!(driver.submit(a, part(0, false, "d", &["b"])), Ok(()));
    assert_eq!(driver.submit(a, part(0, true, "e", &[])), Ok(()));
    let missing = driver.submit(a, part(1, true, "f", &[]));
    assert_eq!(missing, Err(GroupRejection::PartMissing));
    assert_eq!(names(&driver), "bce");
}

#[test]
fn deleted_data_becomes_garbage_once_nothing_names_it() {
    let (mut driver, agent) = Driver::with_topic();
    driver.commit(agent, vec![batch(10, None)]);
    driver.commit(agent, vec![batch(10, None)]);
    let delete = |before_offset| DeleteRecords {
        partition: tp(0),
        before_offset,
    };
    assert_eq!(driver.submit(agent, delete(9)), Ok(9));
    assert_eq!(
        driver.state.garbage().count(),
        0,
        "offset 9 is still to be read"
    );
    assert_eq!(driver.submit(agent, delete(10)), Ok(10));
    assert_eq!(driver.state.garbage().count(), 1);
    let beyond = driver.submit(agent, delete(21));
    assert_eq!(beyond, Err(DeleteRecordsRejection::OffsetOutOfRange));
    driver
        .submit(
            agent,
            DeleteTopic {
                id: TOPIC,
                window_ms: 0,
            },
        )
        .unwrap();
    assert_eq!(
        (
            driver.state.garbage().count(),
            driver.state.objects().count()
        ),
        (2, 0)
    );
    let gone = driver.commit(agent, vec![batch(1, None)]);
    assert_eq!(
        gone,
        [BatchOutcome::Rejected(BatchRejection::UnknownPartition)]
    );
    assert_eq!(
        driver.state.garbage().count(),
        3,
        "an object that nothing came to name"
    );
}

#[test]
fn orphans_are_the_sequences_that_were_skipped() {
    let (mut driver, agent) = Driver::with_topic();
    let mut commit = |sequence| {
        let object = ObjectId {
            writer: agent,
            sequence,
        };
        driver.submit(
            agent,
            CommitObject {
                object,
                bytes: 1,
                runs: vec![],
            },
        )
    };
    assert!(commit(2).is_ok());
    assert!(commit(1).is_ok(), "late, but for the first time");
    assert!(commit(1).is_err());
    assert!(
        commit(4 + UPLOADS_MAX).is_err(),
        "further ahead than anybody uploads"
    );
    let agent = driver.state.agent(agent).unwrap();
    assert_eq!(
        agent.objects_missing.iter().copied().collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn log_time_is_a_running_maximum_in_bounded_steps() {
    let mut state = State::new();
    let alone = AgentEpoch(1);
    assert_eq!(state.tick(alone, 1_000), 1_000);
    assert_eq!(state.tick(alone, 500), 1_000);
    assert_eq!(state.tick(alone, i64::MAX), 1_000 + LOG_TIME_STEP_MAX_MS);
}

#[test]
fn it_takes_two_clocks_to_move_the_log_time_far() {
    fn say(driver: &mut Driver, who: AgentEpoch, time_ms: i64) -> i64 {
        let mut entry = driver.entry(who, Heartbeat { draining: false });
        entry.time_ms = time_ms;
        driver.apply(&entry);
        driver.state.log_time_ms()
    }
    let mut driver = Driver::new();
    let (sane, mad) = (driver.register("sane"), driver.register("mad"));
    let began = driver.state.log_time_ms();
    let century = 100 * 365 * 24 * 3_600_000;
    for n in 1..1_000 {
        let told = say(&mut driver, mad, began + century + n);
        assert!(told <= began + n + CLOCK_SKEW_MAX_MS, "{told}");
        say(&mut driver, sane, began + n);
    }
    // Everybody slept: the first to wake waits for the second, and a clock that is behind holds nobody up.
    let morning = began + 24 * 3_600_000;
    driver.submit(mad, DeregisterAgent {});
    let (late, behind) = (driver.register("late"), driver.register("behind"));
    say(&mut driver, behind, 0);
    assert!(say(&mut driver, sane, morning) < morning);
    assert_eq!(say(&mut driver, late, morning), morning);
}

#[test]
fn a_newer_metadata_version_stops_the_process_and_changes_nothing() {
    let mut state = State::new();
    let entry = Entry {
        writer: AgentEpoch(1),
        sequence: 1,
        time_ms: 0,
        commands: vec![],
    };
    let stopped = state.apply(Position(1), &entry.encode(METADATA_VERSION_MAX + 1));
    assert_eq!(
        stopped.unwrap_err(),
        EntryError::NewerVersion(METADATA_VERSION_MAX + 1)
    );
    assert_eq!(state, State::new());
}

#[test]
fn a_metadata_version_that_somebody_does_not_know_is_not_raised() {
    let (mut driver, agent) = Driver::with_topic();
    let raised = driver.submit(agent, RaiseMetadataVersion { to: 2 });
    assert!(matches!(
        raised,
        Err(VersionRejection::NotKnownByAll { version_max: 1, .. })
    ));
}

/// What may be said of a share group, most of it at the wrong time or senseless.
fn share_commands() -> impl Strategy<Value = Vec<Command>> {
    let group = || "g".to_owned();
    let offset = || prop_oneof![4 => 0i64..20, 1 => Just(i64::MAX), 1 => any::<i64>()];
    let run = (offset(), offset(), 0u16..3).prop_map(|(first, last, deliveries)| ShareRun {
        first,
        last,
        state: ShareState::Available,
        deliveries,
    });
    let (partition, epoch) = (tp(0), 1u64..3);
    let command = prop_oneof![
        Just(AcquireGroup { group: group() }.into()),
        Just(
            AcquireShare {
                group: group(),
                partition
            }
            .into()
        ),
        (epoch.clone(), offset(), prop::collection::vec(run, 0..3)).prop_map(
            move |(epoch, start, runs)| {
                SaveShare {
                    group: group(),
                    partition,
                    epoch,
                    start,
                    runs,
                }
                .into()
            }
        ),
        (epoch.clone(), prop::option::of(offset())).prop_map(move |(group_epoch, start)| {
            ResetShare {
                group: group(),
                group_epoch,
                partition,
                start,
            }
            .into()
        }),
        epoch.prop_map(move |epoch| {
            ReleaseShare {
                group: group(),
                partition,
                epoch,
            }
            .into()
        }),
    ];
    let first = topic("t", 2);
    prop::collection::vec(command, 1..5).prop_map(move |commands: Vec<Command>| {
        let mut all = vec![first.clone().into()];
        all.extend(commands);
        all
    })
}

/// Histories of entries, some of them nonsense.
fn history() -> impl Strategy<Value = Vec<Bytes>> {
    let producer = prop::option::of((1000i64..1003, 0i16..2, 0i32..20));
    let batches = prop::collection::vec((0u32..5, producer), 0..4);
    let step = prop_oneof![
        4 => (1u64..4, 0u64..12, 0u64..8, batches).prop_map(|(writer, sequence, object, batches)| {
            let writer = AgentEpoch(writer);
            let batches = batches.into_iter().map(|(n, p)| batch(n, p)).collect();
            let runs = vec![CommitRun { partition: tp(object as u32 % 3), position: 0, batches }];
            let object = ObjectId { writer, sequence: object };
            let commands = vec![CommitObject { object, bytes: 1, runs }.into()];
            Entry { writer, sequence, time_ms: sequence as i64 * 1000, commands }.encode(1)
        }),
        1 => (0u128..4).prop_map(|n| {
            let commands = vec![registration(&format!("agent-{}", n % 2), n).into()];
            Entry { writer: AgentEpoch(0), sequence: n as u64, time_ms: 5, commands }.encode(1)
        }),
        1 => (1u64..4, 0u64..12, 0i64..30).prop_map(|(writer, sequence, before_offset)| {
            let commands = vec![
                topic("t", 2).into(),
                DeleteRecords { partition: tp(0), before_offset }.into(),
            ];
            Entry { writer: AgentEpoch(writer), sequence, time_ms: -1, commands }.encode(1)
        }),
        2 => (1u64..4, 0u64..12, share_commands()).prop_map(|(writer, sequence, commands)| {
            Entry { writer: AgentEpoch(writer), sequence, time_ms: 7, commands }.encode(1)
        }),
        2 => (1u64..4, 0u64..12, compaction::commands()).prop_map(|(writer, sequence, commands)| {
            Entry { writer: AgentEpoch(writer), sequence, time_ms: 7, commands }.encode(1)
        }),
        1 => (1u64..4, 0u64..12, deleted::commands()).prop_map(|(writer, sequence, commands)| {
            Entry { writer: AgentEpoch(writer), sequence, time_ms: 7, commands }.encode(1)
        }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| {
            if let Some(first) = bytes.first_mut() { *first = 1; }
            if let Some(second) = bytes.get_mut(1) { *second = 0; }
            bytes.into()
        }),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn any_history_gives_the_same_bytes_and_dense_offsets(history in history()) {
        let mut one = State::new();
        let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        for (i, entry) in history.iter().enumerate() {
            let applied = one.apply(Position(i as u64 + 1), entry).unwrap();
            let Verdict::Done(outcomes) = applied.verdict else { continue };
            let commands = Entry::decode(entry).unwrap().1.commands;
            for (command, outcome) in commands.into_iter().zip(outcomes) {
                let Command::CommitObject(commit) = command else { continue };
                let Some(Ok(runs)) = CommitObject::outcome(outcome) else { continue };
                for (run, outcome) in commit.runs.iter().zip(runs) {
                    let end = ends.entry(run.partition).or_default();
                    for (batch, outcome) in run.batches.iter().zip(outcome.batches) {
                        if let BatchOutcome::Accepted(base) = outcome {
                            prop_assert_eq!(base, *end);
                            *end += i64::from(batch.records);
                        }
                    }
                }
            }
        }
        // Half from a checkpoint, half from the log: the same bytes.
        let half = history.len() / 2;
        let mut other = State::new();
        for (i, entry) in history.iter().enumerate() {
            if i == half {
                other = State::from_bytes(&other.to_bytes()).unwrap();
            }
            other.apply(Position(i as u64 + 1), entry).unwrap();
        }
        prop_assert_eq!(one.to_bytes(), other.to_bytes());
        prop_assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn no_bytes_make_apply_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut state = State::new();
        let _ = state.apply(Position(1), &bytes);
        let mut versioned = vec![1, 0];
        versioned.extend(bytes);
        let _ = state.apply(Position(2), &versioned);
    }
}

#[test]
fn an_offset_that_was_committed_anew_does_not_expire() {
    let (mut driver, a) = Driver::with_topic();
    let group = || "g".to_owned();
    let epoch = driver.submit(a, AcquireGroup { group: group() }).epoch;
    let commit = |offset| CommitOffsets {
        group: group(),
        epoch,
        offsets: vec![OffsetToCommit {
            partition: tp(0),
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            retention_ms: None,
        }],
    };
    let seen = |driver: &Driver| {
        let group = driver.state.group("g").unwrap();
        group.expired_offsets(0, i64::MAX).collect::<Vec<_>>()
    };
    let expire = |epoch, seen: &[(TopicPartition, i64)]| ExpireOffsets {
        group: group(),
        epoch,
        seen: seen.to_vec(),
    };
    driver.submit(a, commit(1)).unwrap();
    let before = seen(&driver);
    driver.submit(a, commit(2)).unwrap();
    assert_eq!(driver.submit(a, expire(epoch, &before)), Ok(()));
    assert_eq!(seen(&driver).len(), 1, "it was committed since");
    let now = seen(&driver);
    let fenced = driver.submit(a, expire(epoch + 1, &now));
    assert_eq!(fenced, Err(GroupRejection::NotCoordinator));
    assert_eq!(driver.submit(a, expire(epoch, &now)), Ok(()));
    assert_eq!(seen(&driver), []);
}
