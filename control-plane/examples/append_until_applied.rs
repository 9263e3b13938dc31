//! How long a commit takes from append until it has been applied, by agents that share a log.
//!
//!     cargo run --release -p control-plane --example append_until_applied -- LOG AGENTS PARTITIONS [SECONDS] [EVERY_MS]
//!
//! LOG is `memory`, a URL of a store for the bucket log (`file:///tmp/x`, `s3://..`), or, with `--features
//! foundationdb`, `fdb:/path/to/fdb.cluster?prefix=NAME`. Each agent has a handle on the log, a replica that applies
//! everything, and a session, all in this process; it commits an object with a run in each partition every EVERY_MS
//! (250; 0 is back to back), all agents in the same partitions. Agents tell each other positions, as real ones do.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use control_plane::checkpoint::CheckpointStore;
use control_plane::log::MetadataLog;
use control_plane::log::bucket::{BucketLog, BucketLogOptions};
use control_plane::log::memory::MemoryLog;
use control_plane::replica::{Replica, ReplicaParts, Session};
use control_plane::state::{BatchMeta, CommitObject, CommitRun, CreateTopic, RegisterAgent};
use object_format::{TopicId, TopicPartition};
use runtime::store::{self, StoreOptions};
use runtime::{Rng, SharedClock, Shutdown, SystemClock};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Bench {
    url: String,
    memory: MemoryLog,
    clock: SharedClock,
    rng: Rng,
    shutdown: Shutdown,
}

impl Bench {
    async fn log(&self) -> Result<Arc<dyn MetadataLog>, Failure> {
        let (clock, rng) = (self.clock.clone(), self.rng.fork("log"));
        match self.url.as_str() {
            "memory" => Ok(Arc::new(self.memory.clone())),
            #[cfg(feature = "foundationdb")]
            url if url.starts_with("fdb:") => {
                use control_plane::log::foundationdb::{Address, Claim, FoundationLog};
                let claim = Claim::Join {
                    cluster_id: "bench",
                };
                let address = Address::parse(url)?;
                let options = Default::default();
                let log = FoundationLog::open(&address, claim, clock, rng, options).await?;
                Ok(Arc::new(log))
            }
            url => {
                let store = store::open(url, &StoreOptions::default())?;
                let options = BucketLogOptions::default();
                Ok(Arc::new(BucketLog::open(store, clock, rng, options).await?))
            }
        }
    }

    async fn agent(&self, name: String) -> Result<Session, Failure> {
        let parts = ReplicaParts {
            log: self.log().await?,
            checkpoints: CheckpointStore::new(store::open("memory://", &StoreOptions::default())?),
            clock: self.clock.clone(),
            rng: self.rng.fork("replica"),
        };
        let registration = RegisterAgent::new(self.rng.uuid(), name);
        let replica = Replica::open(parts, &self.shutdown).await?;
        Ok(replica.join(registration, &self.shutdown).await?)
    }
}

/// Tells the others of each new position that this agent has applied, as agents do over their connections.
async fn tell(session: Session, others: Vec<Session>) {
    let mut appended = session.appended();
    while appended.changed().await.is_ok() {
        let at = *appended.borrow_and_update();
        for other in &others {
            other.replica().log().hint(at);
        }
    }
}

/// One agent's commits until the given time of the clock; gives how long each took.
struct Committer {
    session: Session,
    topic: TopicId,
    partitions: u32,
    every: Duration,
    until: Duration,
    clock: SharedClock,
}

impl Committer {
    async fn run(self, first_after: Duration) -> Vec<Duration> {
        tokio::time::sleep(first_after).await;
        let mut ticks = tokio::time::interval(self.every.max(Duration::from_nanos(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut times = Vec::new();
        while self.clock.monotonic() < self.until {
            ticks.tick().await;
            let object = self.object();
            let began = self.clock.monotonic();
            if self.session.submit(object).await.is_err() {
                break;
            }
            times.push(self.clock.monotonic() - began);
        }
        times
    }

    fn object(&self) -> CommitObject {
        let batch = BatchMeta {
            bytes: 1_000,
            records: 1,
            max_timestamp: 0,
            producer: None,
        };
        let runs = (0..self.partitions).map(|partition| CommitRun {
            partition: TopicPartition {
                topic: self.topic,
                partition,
            },
            position: u64::from(partition) * 1_000,
            batches: vec![batch],
        });
        CommitObject {
            object: self.session.next_object(),
            bytes: u64::from(self.partitions) * 1_000,
            runs: runs.collect(),
        }
    }
}

async fn run(args: &[String]) -> Result<(), Failure> {
    let [url, agents, partitions, rest @ ..] = args else {
        return Err(
            "usage: append_until_applied LOG AGENTS PARTITIONS [SECONDS] [EVERY_MS]".into(),
        );
    };
    let number = |at: usize, default| rest.get(at).map_or(Ok(default), |text| text.parse());
    let (agents, partitions) = (agents.parse::<u32>()?, partitions.parse::<u32>()?);
    let seconds = Duration::from_secs(number(0, 15)?);
    let every = Duration::from_millis(number(1, 250)?);
    let bench = Bench {
        url: url.clone(),
        memory: MemoryLog::new(),
        clock: SystemClock::shared(),
        rng: Rng::from_os(),
        shutdown: Shutdown::default(),
    };
    let mut sessions = Vec::new();
    for agent in 0..agents {
        sessions.push(bench.agent(format!("agent{agent}")).await?);
    }
    for (at, session) in sessions.iter().enumerate() {
        let mut others = sessions.clone();
        others.remove(at);
        tokio::spawn(tell(session.clone(), others));
    }
    let topic = TopicId(bench.rng.uuid());
    let created = CreateTopic {
        name: format!("bench-{}", topic.0),
        id: topic,
        partitions,
        configs: BTreeMap::new(),
    };
    sessions
        .first()
        .ok_or("no agents")?
        .submit(created)
        .await??;
    for session in &sessions {
        session.replica().barrier().await?;
    }
    let began = bench.clock.monotonic();
    let committing = sessions.into_iter().map(|session| {
        let committer = Committer {
            session,
            topic,
            partitions,
            every,
            until: began + seconds,
            clock: bench.clock.clone(),
        };
        let most = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        let first_after = Duration::from_nanos(bench.rng.below(most.max(1)));
        tokio::spawn(committer.run(first_after))
    });
    let mut times = Vec::new();
    for done in futures::future::join_all(committing).await {
        times.extend(done?);
    }
    let took = (bench.clock.monotonic() - began).as_secs_f64();
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1));
    let millis = |share| at(share).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let rate = times.len() as f64 / took;
    println!(
        "{agents} agents x {partitions}: p50 {:.1} ms, p99 {:.1} ms, {} commits, {rate:.0}/s, {:.0} runs/s",
        millis(50),
        millis(99),
        times.len(),
        rate * f64::from(partitions)
    );
    Ok(())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = run(&args).await;
    #[cfg(feature = "foundationdb")]
    control_plane::log::foundationdb::stop();
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            std::process::ExitCode::FAILURE
        }
    }
}
