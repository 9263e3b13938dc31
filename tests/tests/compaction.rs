//! Compactors as processes, killed while they rewrite what producers write and readers read: whatever was acknowledged
//! is there, once, where it was acknowledged, and in the end little is left to be rewritten or deleted.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use object_format::batch::BatchBuilder;
use tempfile::TempDir;
use tests::cluster::{metric, until};
use tests::process::Launch;
use tests::raw::Raw;
use tests::s3::{Effect, Op, Rule, S3Server};
use tests::tool;
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
/// What ListOffsets is asked for the log start offset.
const EARLIEST: i64 = -2;
const EXIT_WITHIN: Duration = Duration::from_secs(60);

/// Limits that make a compactor rewrite all the time.
fn eager(launch: Launch) -> Launch {
    launch
        .arg("--compaction-interval-ms", "50")
        .arg("--compaction-objects-min", "8")
        .arg("--compaction-age-max-ms", "2s")
        .arg("--compaction-run-bytes", "8KiB")
        .arg("--compaction-object-bytes", "64KiB")
        .arg("--log-retention-check-interval-ms", "200ms")
        .arg("--garbage-grace-ms", "60s")
        .arg("--garbage-interval-ms", "1s")
        .arg("--scrub-period-ms", "10s")
        // Of processes that were killed before, and of jobs that are given up.
        .allow("WARN")
}

async fn rewrites_under_kills(store: &str, env: &[(String, String)]) {
    let with_env = |launch: Launch| launch.env(env.iter().cloned());
    let broker = |id: &str| with_env(Launch::broker(store).agent_id(id).allow("WARN"));
    let compactor = |id: &str| with_env(eager(Launch::compactor(store).agent_id(id)));
    let agents = [
        broker("a").start().await.unwrap(),
        broker("b").start().await.unwrap(),
    ];
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    // The records of this workload are older than any retention.
    let forever = [("retention.ms", "-1")];
    let created = raw.create_topic_with(TOPIC, PARTITIONS, &forever).await;
    assert_eq!(created.unwrap(), 0);
    let addresses = [agents[0].bootstrap.as_str(), agents[1].bootstrap.as_str()];
    let mut load = Workload::start(TOPIC, PARTITIONS, 8, &addresses);

    let mut first = compactor("x").start().await.unwrap();
    let mut second = compactor("y").start().await.unwrap();
    for round in 0..6 {
        load.progress(150).await;
        let (victim, name) = match round % 2 {
            0 => (&mut first, "x"),
            _ => (&mut second, "y"),
        };
        victim.kill().await;
        *victim = compactor(name).start().await.unwrap();
    }
    let acknowledged = load.finish().await;
    for agent in &agents {
        workload::verify(&agent.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }

    let backlog = "millrace_compaction_backlog_objects";
    until("few small objects are left", EXIT_WITHIN, || async {
        metric(&first, backlog).await < 2.0 && metric(&second, backlog).await < 2.0
    })
    .await;
    let written = metric(&first, "millrace_compaction_written_bytes_total").await
        + metric(&second, "millrace_compaction_written_bytes_total").await;
    assert!(written > 0.0, "something was rewritten after the last kill");
    assert_eq!(raw.create_topic("old", 1).await.unwrap(), 0);
    let batch = BatchBuilder::new()
        .record(1, None, Some(b"of 1970"))
        .build();
    let produced = raw.produce("old", 0, batch).await.unwrap();
    assert_eq!((produced.error_code, produced.base_offset), (0, 0));
    until(
        "what is past its retention is deleted",
        EXIT_WITHIN,
        || async {
            let mut raw = Raw::connect(&agents[1].bootstrap).await.unwrap();
            raw.list_offset("old", 0, EARLIEST).await.unwrap() == (0, 1)
        },
    )
    .await;
    for compactor in [&mut first, &mut second] {
        compactor.stop(EXIT_WITHIN).await;
    }
    for agent in &agents {
        workload::verify(&agent.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_compactors_are_killed_on_files() {
    let directory = TempDir::new().unwrap();
    let store = format!("file://{}/data", directory.path().display());
    rewrites_under_kills(&store, &[]).await;

    // Once more from the command line, after everybody has gone.
    let millrace = |args: &[&str]| {
        let args = tool::on_log(&[args, &["--store", &store]].concat());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        tool::succeeds(&args, &[])
    };
    let said = millrace(&["compactor", "--once", "--scrub-period-ms", "1s"]);
    assert!(said.contains(", 0 damaged"), "{said}");
    let status = millrace(&["compactor", "status"]);
    let small = status
        .lines()
        .find(|line| line.starts_with("small objects:"))
        .unwrap();
    assert!(small.contains(" 0,") || small.contains(" 1,"), "{status}");
    assert!(status.contains("jobs:           none"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_compactors_are_killed_on_an_s3_that_fails() {
    let server = S3Server::start().await.unwrap();
    for (op, effect) in [
        (Op::Get, Effect::InternalErrorAfter),
        (Op::Put, Effect::DropAfter),
        (Op::Put, Effect::SlowDown),
        (Op::Get, Effect::Drop),
    ] {
        server.faults.add(Rule::always(&[op], effect).chance(0.02));
    }
    rewrites_under_kills("s3://millrace/compaction", &server.env()).await;
}

#[test]
fn a_metadata_log_in_memory_is_refused() {
    let args = ["compactor", "--store", "memory://", "--metadata", "memory"];
    tool::refuses(&args, &[], &["seen by no other process"]);
}
