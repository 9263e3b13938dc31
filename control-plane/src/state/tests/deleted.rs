//! Deleted topics: what is kept of them, who brings them back, and how they go for good.

use super::*;

const HOUR_MS: i64 = 60 * 60 * 1000;
const OTHER: TopicId = TopicId(Uuid::from_u128(8));

/// Deleting and undeleting, without ever purging.
pub fn commands() -> impl Strategy<Value = Vec<Command>> {
    let id = TOPIC;
    let command = prop_oneof![
        // The log's time passes in these histories, but never this far.
        Just(
            DeleteTopic {
                id,
                window_ms: i64::MAX
            }
            .into()
        ),
        Just(UndeleteTopic { id, name: None }.into()),
        Just(PurgeTopic { id, at_once: false }.into()),
    ];
    prop::collection::vec(command, 1..4)
}

/// A topic `t` of two partitions, the first with three extents of 2, 3 and 4 offsets.
struct Site {
    driver: Driver,
    agent: AgentEpoch,
}

impl Site {
    fn new() -> Self {
        let (mut driver, agent) = Driver::with_topic();
        for records in [2, 3, 4] {
            driver.commit(agent, vec![batch(records, None)]);
        }
        Self { driver, agent }
    }

    fn submit<C: Submit>(&mut self, command: C) -> C::Outcome {
        self.driver.submit(self.agent, command)
    }

    fn state(&self) -> &State {
        &self.driver.state
    }

    fn delete(&mut self, window_ms: i64) {
        let delete = DeleteTopic {
            id: TOPIC,
            window_ms,
        };
        self.submit(delete).unwrap();
    }

    fn undelete(&mut self, name: Option<&str>) -> Result<String, UndeleteRejection> {
        let name = name.map(str::to_owned);
        self.submit(UndeleteTopic { id: TOPIC, name })
    }

    fn purge(&mut self, at_once: bool) -> Result<bool, PurgeRejection> {
        self.submit(PurgeTopic { id: TOPIC, at_once })
    }

    fn create(&mut self, name: &str, id: TopicId) -> Result<(), TopicRejection> {
        self.submit(CreateTopic {
            id,
            ..topic(name, 1)
        })
    }

    /// Lets the log's time pass.
    fn pass(&mut self, ms: i64) {
        let heartbeat = Heartbeat { draining: false };
        let mut entry = self.driver.entry(self.agent, heartbeat);
        entry.time_ms = self.state().log_time_ms() + ms;
        self.driver.apply(&entry);
    }

    fn objects(&self) -> (usize, usize) {
        (
            self.state().objects().count(),
            self.state().garbage().count(),
        )
    }
}

#[test]
fn a_deleted_topic_is_gone_for_clients_and_comes_back_as_it_was() {
    let mut site = Site::new();
    let configs = AlterConfigs {
        resource: ConfigResource::Topic(TOPIC),
        changes: vec![("retention.ms".to_owned(), Some("5".to_owned()))],
    };
    site.submit(configs).unwrap();
    let before = site.state().partition(tp(0)).unwrap().clone();
    let topic_before = site.state().topic(TOPIC).unwrap().clone();
    site.delete(HOUR_MS);
    assert!(site.state().topic_named("t").is_none());
    assert!(site.state().topic(TOPIC).is_none());
    assert_eq!(site.state().partitions().count(), 0);
    assert_eq!(site.objects(), (3, 0), "its objects are kept");
    let gone = site.driver.commit(site.agent, vec![batch(1, None)]);
    let unknown = BatchOutcome::Rejected(BatchRejection::UnknownPartition);
    assert_eq!(gone, [unknown]);

    let epoch = site.state().topics_epoch();
    assert_eq!(site.undelete(None), Ok("t".to_owned()));
    assert!(
        site.state().topics_epoch() > epoch,
        "agents look at topics anew"
    );
    assert_eq!(site.state().topic_named("t"), Some((TOPIC, &topic_before)));
    assert_eq!(site.state().partition(tp(0)), Some(&before));
    assert_eq!(site.state().deleted_topics().count(), 0);
    let next = site.driver.commit(site.agent, vec![batch(1, None)]);
    assert_eq!(next, [BatchOutcome::Accepted(9)], "offsets go on");
    assert_eq!(site.undelete(None), Err(UndeleteRejection::Unknown));
}

#[test]
fn the_name_is_free_at_once_and_the_old_topic_takes_another() {
    let mut site = Site::new();
    site.delete(HOUR_MS);
    assert_eq!(site.create("t", TOPIC), Err(TopicRejection::IdTaken));
    site.create("t", OTHER).unwrap();
    let (id, _) = site.state().topic_named("t").unwrap();
    assert_eq!(id, OTHER);
    assert_eq!(site.state().partitions().count(), 1);
    let taken = || Err(UndeleteRejection::NameTaken("t".to_owned()));
    assert_eq!(site.undelete(None), taken());
    assert_eq!(site.undelete(Some("t")), taken());
    let bad = Err(UndeleteRejection::BadName("a b".to_owned()));
    assert_eq!(site.undelete(Some("a b")), bad);
    assert_eq!(site.undelete(Some("t-old")), Ok("t-old".to_owned()));
    assert_eq!(site.state().topic_named("t-old").unwrap().0, TOPIC);
    assert_eq!(site.state().topic(TOPIC).unwrap().name, "t-old");
    assert_eq!(site.state().topic_named("t").unwrap().0, OTHER);
}

/// Clients number their batches by the names of topics: under another name they begin at 0, and where another topic had
/// the name in between they have gone on.
#[test]
fn idempotent_producers_go_on_under_the_same_name_and_begin_anew_under_another() {
    let write = |site: &mut Site, sequence| {
        let batch = batch(1, Some((1000, 0, sequence)));
        site.driver.commit(site.agent, vec![batch]).remove(0)
    };
    let deleted = || {
        let mut site = Site::new();
        site.submit(AllocateProducerId {});
        for sequence in 0..2 {
            write(&mut site, sequence);
        }
        site.delete(HOUR_MS);
        site
    };
    let out_of_order = BatchOutcome::Rejected(BatchRejection::OutOfOrderSequence);
    let mut site = deleted();
    site.undelete(None).unwrap();
    assert_eq!(write(&mut site, 1), BatchOutcome::Duplicate(10));
    assert_eq!(write(&mut site, 5), out_of_order);
    assert_eq!(write(&mut site, 2), BatchOutcome::Accepted(11));

    let mut site = deleted();
    site.undelete(Some("other")).unwrap();
    assert_eq!(write(&mut site, 0), BatchOutcome::Accepted(11));
    assert_eq!(write(&mut site, 0), BatchOutcome::Duplicate(11));
    assert_eq!(write(&mut site, 2), out_of_order);

    let mut site = deleted();
    site.create("t", OTHER).unwrap();
    let (id, window_ms) = (OTHER, 0);
    site.submit(DeleteTopic { id, window_ms }).unwrap();
    site.undelete(None).unwrap();
    assert_eq!(write(&mut site, 7), BatchOutcome::Accepted(11));
    assert_eq!(write(&mut site, 9), out_of_order);
}

#[test]
fn when_its_time_is_over_it_stays_deleted_and_may_be_purged() {
    let mut site = Site::new();
    site.delete(HOUR_MS);
    site.pass(HOUR_MS - 1);
    assert_eq!(site.purge(false), Err(PurgeRejection::TooEarly));
    assert!(site.state().deleted_topic(TOPIC).is_some());
    site.pass(1);
    assert_eq!(site.undelete(None), Err(UndeleteRejection::TooLate));
    assert_eq!(site.objects(), (3, 0), "nobody has purged it");
    assert_eq!(site.purge(false), Ok(true));
    assert_eq!(site.objects(), (0, 3));
    assert_eq!(site.purge(false), Err(PurgeRejection::Unknown));
    assert_eq!(site.undelete(None), Err(UndeleteRejection::Unknown));
}

#[test]
fn it_can_be_purged_at_once_and_without_a_window_goes_at_once() {
    let mut site = Site::new();
    site.delete(HOUR_MS);
    assert_eq!(site.purge(true), Ok(true));
    assert_eq!(site.objects(), (0, 3));
    for window_ms in [0, -1, i64::MIN] {
        let mut site = Site::new();
        site.delete(window_ms);
        assert_eq!(site.objects(), (0, 3));
        assert_eq!(site.undelete(None), Err(UndeleteRejection::Unknown));
    }
    let mut site = Site::new();
    site.delete(i64::MAX);
    site.pass(HOUR_MS);
    assert_eq!(
        site.undelete(None),
        Ok("t".to_owned()),
        "there is no overflow"
    );
}

#[test]
fn a_purge_is_done_in_bounded_steps_and_cannot_be_undone() {
    let mut site = Site::new();
    let extents = PURGE_MAX + 5;
    for _ in 0..extents - 3 {
        site.driver.commit(site.agent, vec![batch(1, None)]);
    }
    site.delete(HOUR_MS);
    assert_eq!(site.purge(true), Ok(false));
    assert_eq!(site.objects(), (5, PURGE_MAX));
    assert_eq!(site.undelete(None), Err(UndeleteRejection::TooLate));
    assert_eq!(site.purge(false), Ok(true), "the rest needs nobody's wish");
    assert_eq!(site.objects(), (0, extents));
    assert_eq!(site.state().stored_partitions_from(tp(0)).count(), 0);
    site.create("t", TOPIC).unwrap();
}

#[test]
fn only_so_many_are_kept_and_the_oldest_go_first() {
    let mut site = Site::new();
    site.delete(HOUR_MS);
    let id = |n: usize| TopicId(Uuid::from_u128(1000 + n as u128));
    for n in 0..DELETED_TOPICS_MAX {
        assert_eq!(site.state().deleted_topics().count(), n + 1);
        assert_eq!(site.objects(), (3, 0));
        site.create("t", id(n)).unwrap();
        let window_ms = HOUR_MS;
        site.submit(DeleteTopic {
            id: id(n),
            window_ms,
        })
        .unwrap();
    }
    assert_eq!(site.state().deleted_topics().count(), DELETED_TOPICS_MAX);
    assert_eq!(site.objects(), (0, 3));
    assert_eq!(site.undelete(None), Err(UndeleteRejection::Unknown));

    // Of partitions likewise: one that has as many as may be kept pushes all others out.
    let large = CreateTopic {
        id: OTHER,
        ..topic("large", PARTITIONS_MAX)
    };
    site.submit(large).unwrap();
    let delete = DeleteTopic {
        id: OTHER,
        window_ms: HOUR_MS,
    };
    site.submit(delete).unwrap();
    let kept: Vec<_> = site.state().deleted_topics().map(|(id, _)| id).collect();
    assert_eq!(kept, [OTHER]);
    assert_eq!(
        site.state()
            .stored_partitions_from(TopicPartition::default())
            .count(),
        100_000
    );
}

#[test]
fn where_groups_were_comes_back_also_of_groups_that_were_forgotten() {
    let mut site = Site::new();
    for group in ["stays", "goes"] {
        let group = group.to_owned();
        let acquire = AcquireGroup {
            group: group.clone(),
        };
        let epoch = site.submit(acquire).epoch;
        let offset = |partition, offset| OffsetToCommit {
            partition,
            offset,
            leader_epoch: -1,
            metadata: "m".to_owned(),
            retention_ms: None,
        };
        let commit = CommitOffsets {
            group,
            epoch,
            offsets: vec![offset(tp(0), 5), offset(tp(1), 0)],
        };
        site.submit(commit).unwrap();
    }
    let committed = |site: &Site, group| site.state().group(group).map(|g| g.offsets.clone());
    let before = ["stays", "goes"].map(|group| (group, committed(&site, group)));
    site.delete(HOUR_MS);
    assert!(site.state().group("stays").unwrap().offsets.is_empty());
    let forget = DeleteGroup {
        group: "goes".to_owned(),
        epoch: site.state().coordinator("goes").unwrap().epoch,
    };
    site.submit(forget).unwrap();
    site.undelete(Some("other")).unwrap();
    for (group, offsets) in before {
        assert_eq!(committed(&site, group), offsets, "{group}");
    }
    let coordinator = site.state().coordinator("stays").unwrap();
    assert_eq!(coordinator.agent, site.agent);
    assert_eq!(site.state().coordinator("goes"), None);
}

#[test]
fn share_partitions_come_back_and_whoever_led_them_before_does_not_any_more() {
    let mut site = Site::new();
    let group = || "g".to_owned();
    site.submit(AcquireGroup { group: group() });
    let acquire = AcquireShare {
        group: group(),
        partition: tp(0),
    };
    let lease = site.submit(acquire.clone()).unwrap();
    let save = |epoch, start| SaveShare {
        group: group(),
        partition: tp(0),
        epoch,
        start,
        runs: vec![],
    };
    site.submit(save(lease.epoch, 4)).unwrap();
    site.delete(HOUR_MS);
    assert_eq!(site.state().shares_of("g").count(), 0);
    let unknown = Err(ShareRejection::UnknownPartition);
    assert_eq!(site.submit(acquire.clone()), unknown);
    site.undelete(None).unwrap();
    assert_eq!(site.state().share("g", tp(0)).unwrap().start, Some(4));
    assert_eq!(site.state().share_leader("g", tp(0)), None);
    let anew = site.submit(acquire).unwrap();
    assert!(anew.epoch > lease.epoch);
    let stale = site.submit(save(lease.epoch, 5));
    assert_eq!(stale, Err(ShareRejection::NotLeader));
}

#[test]
fn what_was_read_before_the_deletion_is_swapped_after_it_and_back_again() {
    let mut site = Site::new();
    let claim = ClaimJob {
        kind: JobKind::Layout,
        bytes: 1,
        objects: vec![],
        partitions: vec![tp(0)],
    };
    let job = site.submit(claim).unwrap();
    let replacement = |site: &Site, from, to| {
        let partition = site.state().stored_partition(tp(0)).unwrap();
        Replacement {
            partition: tp(0),
            base_offset: from,
            end_offset: to,
            records_end: to,
            was: partition.digest_between(from, to).unwrap(),
            position: 0,
            length: 10,
            max_timestamp: 5,
            is_stamped: false,
            cleaned_to: None,
            aborts_gone: vec![],
        }
    };
    let replace = |site: &mut Site, run| {
        let sequence = site.state().agent(site.agent).unwrap().object_next;
        let object = ObjectId {
            writer: site.agent,
            sequence,
        };
        let runs = vec![run];
        let bytes = 10;
        site.submit(ReplaceExtents {
            job,
            object,
            bytes,
            runs,
        })
    };
    let first = replacement(&site, 0, 5);
    site.delete(HOUR_MS);
    assert_eq!(replace(&mut site, first), Ok(vec![true]));
    assert_eq!(
        site.objects(),
        (2, 2),
        "objects of others are not kept for it"
    );
    let all = replacement(&site, 0, 9);
    site.undelete(None).unwrap();
    assert_eq!(replace(&mut site, all.clone()), Ok(vec![true]));
    assert_eq!(site.objects(), (1, 4));
    site.delete(HOUR_MS);
    let rest = replacement(&site, 0, 9);
    site.purge(true).unwrap();
    assert_eq!(replace(&mut site, rest), Ok(vec![false]));
    assert_eq!(site.state().objects().count(), 0);
}

/// What may happen to two topics that share objects.
#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Commit(usize),
    Delete(usize, i64),
    Undelete(usize, bool),
    Purge(usize, bool),
    Trim(usize),
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0usize..2;
    prop_oneof![
        2 => which().prop_map(Step::Create),
        6 => which().prop_map(Step::Commit),
        3 => (which(), 0i64..100).prop_map(|(n, window)| Step::Delete(n, window)),
        3 => (which(), any::<bool>()).prop_map(|(n, other)| Step::Undelete(n, other)),
        2 => (which(), any::<bool>()).prop_map(|(n, at_once)| Step::Purge(n, at_once)),
        1 => which().prop_map(Step::Trim),
        2 => (0i64..60).prop_map(Step::Pass),
    ]
}

/// An object is named by just the extents that name it, whatever is deleted, undeleted and purged.
fn check_names(state: &State) {
    let mut named: BTreeMap<ObjectId, (u64, u64)> = BTreeMap::new();
    for (_, partition) in state.stored_partitions_from(TopicPartition::default()) {
        for extent in partition.extents.values() {
            let of_object = named.entry(extent.object).or_default();
            of_object.0 += 1;
            of_object.1 += extent.bytes;
        }
    }
    let said = state
        .objects()
        .map(|(id, o)| (id, (o.extents, o.live_bytes)));
    assert_eq!(said.collect::<BTreeMap<_, _>>(), named);
    assert!(state.garbage().all(|(id, _)| !named.contains_key(&id)));
    for (id, deleted) in state.deleted_topics() {
        assert!(
            state.topic(id).is_none(),
            "{deleted:?} is deleted and is not"
        );
    }
}

proptest! {
    #[test]
    fn objects_are_kept_for_as_long_as_something_may_come_back(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut driver = Driver::new();
        let agent = driver.register("a");
        let id = |n: usize| TopicId(Uuid::from_u128(n as u128 + 7));
        let of = |n| TopicPartition { topic: id(n), partition: 0 };
        let mut passed = 0;
        for step in steps {
            match step {
                Step::Create(n) => {
                    let create = CreateTopic { id: id(n), ..topic(&format!("t{n}"), 1) };
                    let _ = driver.submit(agent, create);
                }
                Step::Commit(n) => {
                    let sequence = driver.state.agent(agent).unwrap().object_next;
                    let object = ObjectId { writer: agent, sequence };
                    let run = |n| CommitRun { partition: of(n), position: 0, batches: vec![batch(1, None)] };
                    let runs = match sequence % 2 {
                        0 => vec![run(n)],
                        _ => vec![run(0), run(1)],
                    };
                    driver.submit(agent, CommitObject { object, bytes: 1000, runs }).unwrap();
                }
                Step::Delete(n, window_ms) => {
                    let _ = driver.submit(agent, DeleteTopic { id: id(n), window_ms });
                }
                Step::Undelete(n, is_renamed) => {
                    let name = is_renamed.then(|| "t0".to_owned());
                    let _ = driver.submit(agent, UndeleteTopic { id: id(n), name });
                }
                Step::Purge(n, at_once) => {
                    let _ = driver.submit(agent, PurgeTopic { id: id(n), at_once });
                }
                Step::Trim(n) => {
                    let _ = driver.submit(agent, DeleteRecords { partition: of(n), before_offset: -1 });
                }
                Step::Pass(ms) => {
                    passed += ms;
                    let mut entry = driver.entry(agent, Heartbeat { draining: false });
                    entry.time_ms += passed;
                    driver.apply(&entry);
                }
            }
            check_names(&driver.state);
        }
    }
}
