//! What a large state costs: memory, checkpoint, start, and applying a commit that names many partitions.
//!
//!     cargo run --release -p control-plane --example large_state -- [PARTITIONS] [ROUNDS] [RUNS]
//!
//! PARTITIONS (100,000) in topics of 1,000, ROUNDS (3) batches of an idempotent producer in each, committed by objects of
//! RUNS (1,000) runs.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use control_plane::log::Position;
use control_plane::state::{
    BatchMeta, BatchProducer, CommitObject, CommitRun, CreateTopic, Entry, RegisterAgent, State,
    Submit, WriteKind,
};
use object_format::{AgentEpoch, ObjectId, TopicId, TopicPartition};
use runtime::{Clock, SystemClock};

const WRITER: AgentEpoch = AgentEpoch(1);
const TOPIC_PARTITIONS: u32 = 1_000;

type Failure = Box<dyn std::error::Error>;

struct Bench {
    state: State,
    clock: SystemClock,
    sequence: u64,
    at: u64,
    spent: Vec<Duration>,
}

impl Bench {
    /// Encodes and applies one command, and notes how long applying took.
    fn apply(&mut self, writer: AgentEpoch, command: impl Submit) -> Result<(), Failure> {
        self.at += 1;
        self.sequence += 1;
        let entry = Entry {
            writer,
            sequence: self.sequence,
            time_ms: 1_000,
            commands: vec![command.into()],
        };
        let bytes = entry.encode(1);
        let began = self.clock.monotonic();
        self.state.apply(Position(self.at), &bytes)?;
        self.spent.push(self.clock.monotonic() - began);
        Ok(())
    }

    fn commit(&mut self, object: u64, round: i32, runs: &[TopicPartition]) -> Result<(), Failure> {
        let run = |&partition| CommitRun {
            partition,
            position: 0,
            batches: vec![BatchMeta {
                bytes: 100,
                records: 1,
                max_timestamp: 1_000,
                producer: Some(BatchProducer {
                    id: 1_000,
                    epoch: 0,
                    base_sequence: round,
                    kind: WriteKind::Plain,
                }),
            }],
        };
        let commit = CommitObject {
            object: ObjectId {
                writer: WRITER,
                sequence: object,
            },
            bytes: 100 * runs.len() as u64,
            runs: runs.iter().map(run).collect(),
        };
        self.apply(WRITER, commit)
    }

    fn timed<R>(&self, what: &str, work: impl FnOnce(&State) -> R) -> R {
        let began = self.clock.monotonic();
        let result = work(&self.state);
        println!("{what}: {:.1?}", self.clock.monotonic() - began);
        result
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let mut number = |otherwise| args.next().unwrap_or(Ok(otherwise));
    let (partitions, rounds, runs) = (number(100_000)?, number(3)?, number(1_000)?);
    let mut bench = Bench {
        state: State::new(),
        clock: SystemClock,
        sequence: 0,
        at: 0,
        spent: vec![],
    };
    let register = RegisterAgent {
        host: "127.0.0.1".into(),
        port: 1,
        version_max: 1,
        ..RegisterAgent::new(uuid::Uuid::from_u128(1), "bench")
    };
    bench.apply(AgentEpoch::default(), register)?;
    let mut all = vec![];
    for topic in 0..partitions.div_ceil(TOPIC_PARTITIONS) {
        let id = TopicId(uuid::Uuid::from_u128(u128::from(topic) << 64 | 1));
        let create = CreateTopic {
            name: format!("topic-{topic}"),
            id,
            partitions: TOPIC_PARTITIONS,
            configs: BTreeMap::new(),
        };
        bench.apply(WRITER, create)?;
        all.extend((0..TOPIC_PARTITIONS).map(|partition| TopicPartition {
            topic: id,
            partition,
        }));
    }
    println!("{} partitions: {} MiB resident", all.len(), resident_mib());
    bench.spent.clear();
    let mut object = 0;
    for round in 0..rounds {
        for runs in all.chunks(runs as usize) {
            object += 1;
            bench.commit(object, round as i32, runs)?;
        }
    }
    bench.spent.sort_unstable();
    let (count, spent) = (bench.spent.len(), &bench.spent);
    println!(
        "{count} commits of {runs} runs: p50 {:.1?}, p99 {:.1?}, longest {:.1?}; {} MiB resident",
        spent[count / 2],
        spent[count * 99 / 100],
        spent[count - 1],
        resident_mib()
    );
    let bytes = bench.timed("serialise", State::to_bytes);
    println!("checkpoint: {} bytes", bytes.len());
    let again = bench.timed("read back", |_| State::from_bytes(&bytes))?;
    println!("equal: {}", again == bench.state);
    bench.timed("copy of the state", State::clone);
    Ok(())
}
