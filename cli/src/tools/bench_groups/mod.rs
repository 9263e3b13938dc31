//! `millrace bench-groups`: many groups or a large one, on any Kafka-protocol broker.
//!
//! [`member`] is one consumer as its coordinator sees it, with a connection of its own; [`progress`]
//! tells when all groups are stable.

mod args;
mod member;
mod progress;

pub use args::Args;

use std::sync::Arc;
use std::time::Duration;

use runtime::{Rng, SystemClock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::member::{Common, Member};
use self::progress::Progress;
use super::bench::probe::{Counters, Probe, resident_bytes};
use super::bench::stats::{Flow, Gauge};
use super::{Error, Result};
use crate::client::{ClientError, NewTopic};

/// Members that connect at once.
const CONNECTING_MAX: usize = 128;

/// Does it. Fails if the groups do not become stable, or do not stay so.
pub async fn run(args: Args) -> Result<()> {
    args.check()?;
    let client = args.bootstrap.client();
    let rng = Rng::from_os();
    let topic = NewTopic {
        name: format!("millrace-bench-groups-{:016x}", rng.u64()),
        partitions: args.partitions,
        replication: -1,
        ..NewTopic::default()
    };
    client.create_topic(&topic).await?;
    client.topic(&topic.name).await?;
    let (mut heartbeats, mut commits) = (Gauge::default(), Gauge::default());
    let common = Arc::new(Common {
        bootstrap: client.any().await?.broker().to_owned(),
        topic: topic.name.clone(),
        partitions: args.partitions,
        heartbeat: args.heartbeat,
        session: args.session,
        commit: args.commit,
        clock: SystemClock::shared(),
        rng,
        connecting: Semaphore::new(CONNECTING_MAX),
        progress: Progress::new(args.groups, args.members),
        heartbeats: heartbeats.meter(),
        commits: commits.meter(),
        steady: CancellationToken::new(),
        stop: CancellationToken::new(),
    });
    let mut members = JoinSet::new();
    let measured = measure(&args, &common, &mut members, &mut heartbeats, &mut commits).await;
    common.stop.cancel();
    while members.join_next().await.is_some() {}
    client.delete_topic(&topic.name).await?;
    measured
}

async fn measure(
    args: &Args,
    common: &Arc<Common>,
    members: &mut JoinSet<std::result::Result<(), ClientError>>,
    heartbeats: &mut Gauge,
    commits: &mut Gauge,
) -> Result<()> {
    let probe = Probe {
        pid: args.broker_pid,
        admin: Vec::new(),
    };
    let bare = sample(args, &probe).await?;
    let began = common.clock.monotonic();
    for group in 0..args.groups {
        for _ in 0..args.members {
            members.spawn(Member::new(common.clone(), group).run());
        }
    }
    let stable_at = tokio::select! {
        stable = common.progress.all_stable() => stable,
        error = first_failure(members) => return Err(error),
        () = tokio::time::sleep(args.patience) => {
            let stable = common.progress.stable();
            let trouble = common.progress.trouble().unwrap_or_default();
            let text = format!("only {stable} of {} groups are stable: {trouble}", args.groups);
            return Err(Error::Failed(text));
        }
    };
    let stable = sample(args, &probe).await?;
    println!(
        "{} groups of {} members stable after {:.2} s{}",
        args.groups,
        args.members,
        (stable_at - began).as_secs_f64(),
        spent(&stable, &bare)
    );
    heartbeats.tick();
    commits.tick();
    common.steady.cancel();
    tokio::select! {
        error = first_failure(members) => return Err(error),
        () = tokio::time::sleep(args.duration) => {}
    }
    let (beats, commits) = (heartbeats.tick(), commits.tick());
    let after = sample(args, &probe).await?;
    println!(
        "{:.0} s of it{}",
        args.duration.as_secs_f64(),
        spent(&after, &stable)
    );
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>10}",
        "", "each s", "p50 ms", "p99", "max"
    );
    println!(
        "{}",
        line("heartbeats", beats.records, &beats, args.duration)
    );
    if args.commit.is_some() {
        println!(
            "{}",
            line("commits", commits.records, &commits, args.duration)
        );
        println!(
            "{}",
            line("offsets", commits.bytes, &commits, args.duration)
        );
    }
    match common.progress.interruptions() {
        0 => Ok(()),
        n => Err(Error::Failed(format!(
            "{n} times a stable group rebalanced"
        ))),
    }
}

/// What the broker's process used so far, and its memory.
struct Sample {
    counters: Counters,
    resident: Option<u64>,
}

async fn sample(args: &Args, probe: &Probe) -> Result<Sample> {
    let counters = probe.read().await.map_err(Error::Failed)?;
    let resident = args.broker_pid.map(resident_bytes).transpose();
    Ok(Sample {
        counters,
        resident: resident.map_err(Error::Failed)?,
    })
}

fn spent(now: &Sample, before: &Sample) -> String {
    let cpu = now.counters.since(&before.counters, None).broker_cpu;
    let mib = |sample: &Sample| sample.resident.map(|bytes| bytes >> 20);
    match (cpu, mib(before), mib(now)) {
        (Some(cpu), Some(before), Some(now)) => {
            format!("; broker: {cpu:.2} s of CPU, {before} MiB before and {now} MiB after")
        }
        _ => String::new(),
    }
}

fn line(name: &str, count: u64, flow: &Flow, time: Duration) -> String {
    let rate = count as f64 / time.as_secs_f64();
    match flow.percentiles() {
        Some(p) => format!(
            "{name:>12} {rate:>10.0} {:>10.2} {:>10.2} {:>10.2}",
            p.p50, p.p99, p.max
        ),
        None => format!(
            "{name:>12} {rate:>10.0} {:>10} {:>10} {:>10}",
            "-", "-", "-"
        ),
    }
}

async fn first_failure(members: &mut JoinSet<std::result::Result<(), ClientError>>) -> Error {
    while let Some(ended) = members.join_next().await {
        match ended {
            Ok(Err(error)) => return Error::Client(error),
            Ok(Ok(())) => {}
            Err(error) => return Error::Failed(error.to_string()),
        }
    }
    std::future::pending().await
}
