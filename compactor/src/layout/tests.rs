use std::collections::BTreeMap;

use control_plane::log::Position;
use control_plane::state::{
    BatchMeta, ClaimJob, Command, CommitObject, CommitRun, CreateTopic, DeleteRecords, Entry,
    JobKind, Outcome, Producer, RegisterAgent, ReplaceExtents, Replacement, State, TransactionEnd,
    Verdict, WriteMarkers,
};
use object_format::{AgentEpoch, ObjectId, TopicId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const WRITER: AgentEpoch = AgentEpoch(1);

fn limits() -> Limits {
    Limits {
        objects_min: 4,
        age_max: Duration::from_secs(600),
        run_bytes: 64 << 10,
        object_bytes: 1 << 20,
        job_bytes: 1 << 20,
        memory_bytes: 8 << 20,
    }
}

/// A state with one topic, and what is done to it.
struct Site {
    state: State,
    sequence: u64,
    objects: u64,
    now_ms: i64,
}

fn partition(n: u32) -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_u128(1)),
        partition: n,
    }
}

impl Site {
    fn new() -> Self {
        let mut site = Self {
            state: State::new(),
            sequence: 0,
            objects: 0,
            now_ms: 1_000_000,
        };
        let registration = RegisterAgent {
            version_max: 1,
            ..RegisterAgent::new(Uuid::from_u128(9), "a")
        };
        site.apply_as(AgentEpoch::default(), registration.into());
        let create = CreateTopic {
            name: "t".to_owned(),
            id: partition(0).topic,
            partitions: 3,
            configs: BTreeMap::new(),
        };
        site.apply(create.into());
        site
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.apply_as(WRITER, command)
    }

    fn apply_as(&mut self, writer: AgentEpoch, command: Command) -> Outcome {
        self.sequence += 1;
        let entry = Entry {
            writer,
            sequence: self.sequence,
            time_ms: self.now_ms,
            commands: vec![command],
        };
        let bytes = entry.encode(1);
        let applied = self.state.apply(Position(self.sequence), &bytes).unwrap();
        match applied.verdict {
            Verdict::Done(mut outcomes) => outcomes.pop().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Commits an object with a run of so many bytes for each of these partitions.
    fn produce(&mut self, runs: &[(u32, u32)]) -> ObjectId {
        let object = self.next_object();
        let mut position = 40;
        let runs = runs.iter().map(|&(n, bytes)| {
            let batch = BatchMeta {
                bytes,
                records: 1,
                max_timestamp: self.now_ms,
                producer: None,
            };
            position += u64::from(bytes);
            CommitRun {
                partition: partition(n),
                position: position - u64::from(bytes),
                batches: vec![batch],
            }
        });
        let runs: Vec<CommitRun> = runs.collect();
        let bytes = position + 100;
        self.apply(
            CommitObject {
                object,
                bytes,
                runs,
            }
            .into(),
        );
        object
    }

    fn next_object(&mut self) -> ObjectId {
        self.objects += 1;
        ObjectId {
            writer: WRITER,
            sequence: self.objects - 1,
        }
    }

    /// Rewrites stretches as a job does.
    fn rewrite(&mut self, stretches: Vec<Stretch>) -> u64 {
        let claim = ClaimJob {
            kind: JobKind::Layout,
            bytes: 0,
            objects: vec![],
            partitions: vec![partition(0)],
        };
        let Outcome::ClaimJob(Ok(job)) = self.apply(claim.into()) else {
            panic!("the claim is refused");
        };
        let mut position = 40;
        let run = |stretch: &Stretch| {
            let (first, last) = (
                stretch.parts.first().unwrap(),
                stretch.parts.last().unwrap(),
            );
            let (from, to) = (first.base_offset(), last.end_offset());
            let was = self.state.partition(stretch.partition).unwrap();
            let length = stretch.bytes();
            position += length;
            Replacement {
                partition: stretch.partition,
                base_offset: from,
                end_offset: to,
                records_end: to,
                was: was.digest_between(from, to).unwrap(),
                position: position - length,
                length,
                max_timestamp: self.now_ms,
                is_stamped: !stretch.is_dense(),
                cleaned_to: None,
                aborts_gone: vec![],
            }
        };
        let runs: Vec<Replacement> = stretches.iter().map(run).collect();
        let object = self.next_object();
        let bytes = position + 100;
        let replace = ReplaceExtents {
            job,
            object,
            bytes,
            runs,
        };
        let Outcome::ReplaceExtents(Ok(applied)) = self.apply(replace.into()) else {
            panic!("the swap is refused");
        };
        assert!(applied.iter().all(|applied| *applied));
        self.apply(control_plane::state::FinishJob { job }.into());
        stretches.iter().map(Stretch::bytes).sum()
    }

    /// Does all there is to do; gives the bytes that were rewritten.
    fn compact(&mut self, at_once: bool) -> u64 {
        let mut rewritten = 0;
        loop {
            let all: Vec<TopicPartition> = self.state.partitions().map(|(of, _)| of).collect();
            let stretches: Vec<Stretch> = match choose(&self.state, &limits(), at_once) {
                Some(chosen) => {
                    let of = |of: &TopicPartition| {
                        gather(*of, self.state.partition(*of).unwrap(), &chosen)
                    };
                    all.iter().flat_map(of).collect()
                }
                None => {
                    let of = |of: &TopicPartition| {
                        merge(
                            &self.state,
                            *of,
                            self.state.partition(*of).unwrap(),
                            &limits(),
                        )
                    };
                    all.iter().filter_map(of).collect()
                }
            };
            if stretches.is_empty() {
                return rewritten;
            }
            rewritten += self.rewrite(stretches);
        }
    }

    fn extents(&self, n: u32) -> Vec<(i64, Extent)> {
        let partition = self.state.partition(partition(n)).unwrap();
        partition
            .extents
            .iter()
            .map(|(&base, extent)| (base, *extent))
            .collect()
    }
}

#[test]
fn a_few_small_objects_wait_until_they_are_many_or_old() {
    let mut site = Site::new();
    for _ in 0..3 {
        site.produce(&[(0, 100)]);
    }
    assert_eq!(choose(&site.state, &limits(), false), None);
    assert_eq!(
        choose(&site.state, &limits(), true).unwrap().objects.len(),
        3
    );
    site.now_ms += 600_000;
    site.produce(&[(1, 100)]);
    assert_eq!(
        choose(&site.state, &limits(), false).unwrap().objects.len(),
        4
    );
}

#[test]
fn one_object_alone_and_long_runs_are_left_as_they_are() {
    let mut site = Site::new();
    site.produce(&[(0, 100)]);
    for _ in 0..10 {
        site.produce(&[(0, 40 << 10)]);
    }
    assert_eq!(choose(&site.state, &limits(), true), None);
    assert_eq!(site.compact(true), 0);
}

#[test]
fn what_somebody_rewrites_is_left_to_them() {
    let mut site = Site::new();
    let objects: Vec<ObjectId> = (0..6).map(|_| site.produce(&[(0, 100)])).collect();
    let claim = ClaimJob {
        kind: JobKind::Layout,
        bytes: 0,
        objects: objects[..4].to_vec(),
        partitions: vec![],
    };
    site.apply(claim.into());
    let chosen = choose(&site.state, &limits(), true).unwrap();
    assert_eq!(chosen.objects, objects[4..].iter().copied().collect());
}

#[test]
fn an_object_that_is_mostly_unused_is_rewritten() {
    let mut site = Site::new();
    site.produce(&[(0, 40 << 10), (1, 80 << 10)]);
    assert_eq!(choose(&site.state, &limits(), true), None);
    let delete = DeleteRecords {
        partition: partition(1),
        before_offset: -1,
    };
    site.apply(delete.into());
    assert_eq!(
        choose(&site.state, &limits(), true).unwrap().objects.len(),
        1
    );
    site.compact(true);
    assert_eq!(site.state.objects().count(), 1);
    assert_eq!(choose(&site.state, &limits(), true), None);
}

#[test]
fn damaged_objects_are_left_alone() {
    let mut site = Site::new();
    let objects: Vec<ObjectId> = (0..4).map(|_| site.produce(&[(0, 100)])).collect();
    let report = control_plane::state::ReportScrub {
        verified: vec![],
        damaged: vec![(objects[1], "torn".to_owned())],
    };
    site.apply(report.into());
    let chosen = choose(&site.state, &limits(), true).unwrap();
    assert!(!chosen.objects.contains(&objects[1]));
    let stretches = gather(
        partition(0),
        site.state.partition(partition(0)).unwrap(),
        &chosen,
    );
    assert_eq!(stretches.len(), 2, "what lies around it is rewritten apart");
}

#[test]
fn markers_become_a_run_where_enough_of_them_follow_one_another() {
    let mut site = Site::new();
    let mark = |site: &mut Site, count: usize| {
        for _ in 0..count {
            let write = WriteMarkers {
                producer: Producer { id: 1, epoch: 0 },
                end: TransactionEnd::Commit,
                partitions: vec![partition(0)],
            };
            site.apply(write.into());
        }
    };
    let found = |site: &Site| {
        let found = site.state.partition(partition(0)).unwrap();
        let stretch = markers(partition(0), found)?;
        assert!(stretch.is_dense());
        let offsets = stretch.parts.first()?.base_offset()..stretch.parts.last()?.end_offset();
        Some(offsets)
    };
    mark(&mut site, MARKERS_MIN - 1);
    assert_eq!(found(&site), None);
    site.produce(&[(0, 100)]);
    mark(&mut site, MARKERS_MIN - 1);
    assert_eq!(found(&site), None, "there is a record between them");
    mark(&mut site, 1);
    assert_eq!(found(&site), Some(64..128));
    // What is before the log start offset is gone with it.
    let delete = DeleteRecords {
        partition: partition(0),
        before_offset: 65,
    };
    site.apply(delete.into());
    assert_eq!(found(&site), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However runs come, there is an end to rewriting, no offset is lost, few short runs are left, and each byte was
    /// rewritten few times.
    #[test]
    fn rewriting_ends_and_leaves_little_to_be_asked_for(
        objects in prop::collection::vec(
            prop::collection::btree_map(0u32..3, 1u32..6_000, 1..3), 1..400),
    ) {
        let mut site = Site::new();
        let (mut written, mut rewritten) = (0, 0);
        for runs in &objects {
            let runs: Vec<(u32, u32)> = runs.iter().map(|(n, bytes)| (*n, *bytes)).collect();
            written += runs.iter().map(|(_, bytes)| u64::from(*bytes)).sum::<u64>();
            site.produce(&runs);
            rewritten += site.compact(false);
        }
        rewritten += site.compact(true);
        let mut bytes = 0;
        for n in 0..3 {
            let (extents, mut next) = (site.extents(n), 0);
            for (base, extent) in &extents {
                prop_assert_eq!(*base, next);
                next = extent.end_offset(*base);
                bytes += extent.bytes;
            }
            prop_assert_eq!(next, site.state.partition(partition(n)).unwrap().high_watermark);
            let short = extents.iter().filter(|(_, e)| e.bytes < limits().short_bytes()).count();
            prop_assert!(short <= 3 * FAN_IN, "{short} short runs");
        }
        prop_assert_eq!(bytes, written);
        prop_assert!(rewritten <= 5 * written, "{rewritten} for {written}");
    }
}
