//! Jobs, swaps and what scrubbing says, one test per rule.

use super::*;

/// What a job may do, most of it at the wrong time or senseless.
pub fn commands() -> impl Strategy<Value = Vec<Command>> {
    let number = || prop_oneof![4 => 0i64..20, 1 => Just(i64::MAX), 1 => any::<i64>()];
    let length = || prop_oneof![4 => 0u64..300, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let object = (1u64..4, 0u64..8).prop_map(|(writer, sequence)| ObjectId {
        writer: AgentEpoch(writer),
        sequence,
    });
    let run = (
        number(),
        number(),
        any::<bool>(),
        length(),
        length(),
        number(),
    )
        .prop_map(
            |(base_offset, end_offset, is_empty, position, length, other)| Replacement {
                partition: tp(0),
                base_offset,
                end_offset,
                records_end: end_offset,
                // That of nothing, which a partition has where it was compacted away.
                was: match is_empty {
                    true => digest_of([].into_iter(), [].into_iter()),
                    false => 1,
                },
                position,
                length,
                max_timestamp: other,
                is_stamped: is_empty,
                cleaned_to: Some(other),
                aborts_gone: vec![other],
            },
        );
    let command = prop_oneof![
        object.clone().prop_map(|id| {
            ClaimJob {
                kind: JobKind::Layout,
                bytes: u64::MAX,
                objects: vec![id],
                partitions: vec![],
            }
            .into()
        }),
        (0u64..3).prop_map(|job| RenewJob { job }.into()),
        (0u64..3).prop_map(|job| FinishJob { job }.into()),
        object
            .clone()
            .prop_map(|id| AbandonObjects { objects: vec![id] }.into()),
        object.clone().prop_map(|id| {
            ReportScrub {
                verified: vec![id],
                damaged: vec![(id, "\u{e9}".repeat(600))],
            }
            .into()
        }),
        (0u64..3, object, length(), prop::collection::vec(run, 0..3)).prop_map(
            |(job, object, bytes, runs)| {
                ReplaceExtents {
                    job,
                    object,
                    bytes,
                    runs,
                }
                .into()
            }
        ),
    ];
    prop::collection::vec(command, 1..6)
}

struct Site {
    driver: Driver,
    agent: AgentEpoch,
    other: AgentEpoch,
}

impl Site {
    /// Two processes, and a partition with three extents of 2, 3 and 4 offsets.
    fn new() -> Self {
        let (mut driver, agent) = Driver::with_topic();
        let other = driver.register("b");
        for records in [2, 3, 4] {
            driver.commit(agent, vec![batch(records, None)]);
        }
        Self {
            driver,
            agent,
            other,
        }
    }

    fn claim(&mut self, by: AgentEpoch) -> Result<u64, JobRejection> {
        let claim = ClaimJob {
            kind: JobKind::Merge,
            bytes: 1,
            objects: vec![],
            partitions: vec![tp(0)],
        };
        self.driver.submit(by, claim)
    }

    fn partition(&self) -> &Partition {
        self.driver.state.partition(tp(0)).unwrap()
    }

    /// A swap of what lies between two offsets, as it is now.
    fn replacement(&self, base_offset: i64, end_offset: i64) -> Replacement {
        let was = self.partition().digest_between(base_offset, end_offset);
        Replacement {
            partition: tp(0),
            base_offset,
            end_offset,
            records_end: end_offset,
            was: was.unwrap_or_default(),
            position: 40,
            length: 10,
            max_timestamp: 5,
            is_stamped: false,
            cleaned_to: None,
            aborts_gone: vec![],
        }
    }

    fn replace(
        &mut self,
        by: AgentEpoch,
        job: u64,
        runs: Vec<Replacement>,
    ) -> Result<Vec<bool>, ReplaceRejection> {
        let sequence = self.driver.state.agent(by).unwrap().object_next;
        let object = ObjectId {
            writer: by,
            sequence,
        };
        let replace = ReplaceExtents {
            job,
            object,
            bytes: 100,
            runs,
        };
        self.driver.submit(by, replace)
    }

    fn bases(&self) -> Vec<i64> {
        self.partition().extents.keys().copied().collect()
    }
}

#[test]
fn a_job_is_one_process_s_until_it_ends_or_falls_silent() {
    let mut site = Site::new();
    let (agent, other) = (site.agent, site.other);
    let job = site.claim(agent).unwrap();
    assert_eq!(site.claim(other), Err(JobRejection::Claimed(job)));
    let renew = RenewJob { job };
    assert_eq!(
        site.driver.submit(other, renew.clone()),
        Err(JobRejection::NotYours)
    );
    assert!(!site.driver.submit(other, FinishJob { job }));
    assert!(site.driver.submit(agent, FinishJob { job }));
    let second = site.claim(other).unwrap();
    assert_ne!(second, job, "numbers are not used again");

    let witness = site.driver.register("witness");
    let pass = |site: &mut Site, time_ms: i64| {
        for says in [witness, agent] {
            let mut later = site.driver.entry(says, Heartbeat { draining: false });
            later.time_ms += time_ms;
            site.driver.apply(&later);
        }
    };
    pass(&mut site, JOB_TIMEOUT_MS - 1000);
    assert_eq!(
        site.claim(agent),
        Err(JobRejection::Claimed(second)),
        "not silent for long enough"
    );
    pass(&mut site, JOB_TIMEOUT_MS + 1000);
    let third = site.claim(agent).unwrap();
    assert_eq!(
        site.replace(other, second, vec![]),
        Err(ReplaceRejection::Job(JobRejection::NotYours))
    );
    site.driver.submit(agent, DeregisterAgent {});
    assert!(
        site.claim(other).unwrap() > third,
        "its holder is gone, and it with it"
    );
}

#[test]
fn a_job_names_something_and_not_too_much() {
    let mut site = Site::new();
    let claim = |n: u64| ClaimJob {
        kind: JobKind::Layout,
        bytes: 0,
        objects: (0..n)
            .map(|sequence| ObjectId {
                writer: AgentEpoch(1),
                sequence,
            })
            .collect(),
        partitions: vec![],
    };
    for n in [0, JOB_CLAIMS_MAX as u64 + 1] {
        let refused = site.driver.submit(site.agent, claim(n));
        assert_eq!(refused, Err(JobRejection::BadClaim));
    }
}

#[test]
fn extents_are_replaced_if_they_are_what_was_read() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    let first_two = site.replacement(0, 5);
    assert_eq!(
        site.replace(agent, job, vec![first_two.clone()]),
        Ok(vec![true])
    );
    assert_eq!(site.bases(), [0, 5]);
    assert_eq!(site.driver.state.garbage().count(), 2, "what they lay in");
    assert_eq!(site.partition().extents[&0].offsets, 5);

    let again = site.replace(agent, job, vec![first_two]);
    assert_eq!(again, Ok(vec![false]), "they are no more");
    assert_eq!(site.bases(), [0, 5]);
    assert_eq!(
        site.driver.state.garbage().count(),
        3,
        "nothing names the second object"
    );
}

#[test]
fn a_range_that_cuts_an_extent_or_is_none_is_not_replaced() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    for (from, to) in [(0, 4), (1, 5), (5, 20), (5, 5), (5, 2), (-3, 2)] {
        let run = site.replacement(from.min(to), to.max(from));
        let run = Replacement {
            base_offset: from,
            end_offset: to,
            records_end: to,
            ..run
        };
        assert_eq!(
            site.replace(agent, job, vec![run]),
            Ok(vec![false]),
            "{from} to {to}"
        );
    }
    let outside = Replacement {
        position: 95,
        ..site.replacement(0, 5)
    };
    assert_eq!(
        site.replace(agent, job, vec![outside]),
        Ok(vec![false]),
        "past the object's end"
    );
    assert_eq!(site.bases(), [0, 2, 5]);
}

#[test]
fn what_was_deleted_meanwhile_stays_deleted() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    let all = site.replacement(0, 9);
    let delete = DeleteRecords {
        partition: tp(0),
        before_offset: 2,
    };
    site.driver.submit(agent, delete).unwrap();
    assert_eq!(site.replace(agent, job, vec![all]), Ok(vec![false]));
    assert_eq!(site.bases(), [2, 5]);
    let rest = site.replacement(2, 9);
    site.driver
        .submit(
            agent,
            DeleteTopic {
                id: TOPIC,
                window_ms: 0,
            },
        )
        .unwrap();
    assert_eq!(site.replace(agent, job, vec![rest]), Ok(vec![false]));
}

#[test]
fn where_nothing_is_left_there_is_a_gap() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    let run = Replacement {
        length: 0,
        records_end: 2,
        cleaned_to: Some(5),
        ..site.replacement(2, 5)
    };
    assert_eq!(site.replace(agent, job, vec![run]), Ok(vec![true]));
    assert_eq!(site.bases(), [0, 5]);
    assert_eq!(site.partition().cleaned_to, 5);
    let after: Vec<i64> = site.partition().extents_from(3).map(|(b, _)| b).collect();
    assert_eq!(after, [5], "a reader goes on behind it");
}

#[test]
fn after_a_run_that_does_not_apply_no_later_one_of_its_partition_does() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    let good = site.replacement(5, 9);
    let outdated = Replacement {
        was: 1,
        ..site.replacement(0, 5)
    };
    let both = vec![outdated, good.clone()];
    assert_eq!(site.replace(agent, job, both), Ok(vec![false, false]));
    assert_eq!(site.replace(agent, job, vec![good]), Ok(vec![true]));
}

#[test]
fn a_reader_is_not_sent_to_an_extent_that_has_nothing_left_for_it() {
    let mut site = Site::new();
    let (agent, job) = (site.agent, site.claim(site.agent).unwrap());
    let run = Replacement {
        records_end: 3,
        is_stamped: true,
        ..site.replacement(0, 5)
    };
    assert_eq!(site.replace(agent, job, vec![run.clone()]), Ok(vec![true]));
    let after = |at| -> Vec<i64> { site.partition().extents_from(at).map(|(b, _)| b).collect() };
    assert_eq!(after(2), [0, 5]);
    assert_eq!(after(3), [5]);
    let senseless = Replacement {
        records_end: 6,
        was: site.partition().digest_between(0, 5).unwrap(),
        ..run
    };
    assert_eq!(site.replace(agent, job, vec![senseless]), Ok(vec![false]));
}

#[test]
fn another_s_objects_are_neither_swapped_in_nor_abandoned() {
    let mut site = Site::new();
    let (agent, other) = (site.agent, site.other);
    let job = site.claim(other).unwrap();
    let object = ObjectId {
        writer: agent,
        sequence: 50,
    };
    let runs = vec![site.replacement(0, 5)];
    let bytes = 100;
    let replace = ReplaceExtents {
        job,
        object,
        bytes,
        runs,
    };
    let refused = site.driver.submit(other, replace);
    assert_eq!(refused, Err(ReplaceRejection::NotYours));
    let abandon = AbandonObjects {
        objects: vec![object],
    };
    assert_eq!(site.driver.submit(other, abandon.clone()), 0);
    assert_eq!(site.driver.submit(agent, abandon.clone()), 1);
    assert_eq!(site.driver.submit(agent, abandon), 0, "once");
    assert_eq!(site.driver.state.garbage().count(), 1);
}

#[test]
fn a_damage_is_known_until_the_object_is_good_or_gone() {
    let mut site = Site::new();
    let agent = site.agent;
    let first = site.partition().extents[&0].object;
    let damaged = ReportScrub {
        verified: vec![],
        damaged: vec![
            (first, "torn".to_owned()),
            (ObjectId::default(), String::new()),
        ],
    };
    assert_eq!(site.driver.submit(agent, damaged.clone()), 1);
    assert!(site.driver.state.is_damaged(first));
    let verified = ReportScrub {
        verified: vec![first],
        damaged: vec![],
    };
    site.driver.submit(agent, verified);
    assert!(!site.driver.state.is_damaged(first));
    site.driver.submit(agent, damaged);
    let delete = DeleteRecords {
        partition: tp(0),
        before_offset: 2,
    };
    site.driver.submit(agent, delete).unwrap();
    assert_eq!(site.driver.state.damaged().count(), 0);
}
