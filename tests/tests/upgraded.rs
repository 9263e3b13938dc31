//! A rolling upgrade: agents of an older build are replaced one after the other under load, then the metadata version is
//! raised. Clients see retries and nothing else. What an older build does in a cluster that has gone beyond it.
//!
//! `MILLRACE_TEST_OLDER_BIN` may name a binary that knows metadata version 1 only; else the one under test is told to
//! take part in that alone.

#![cfg(test)]

use std::time::Duration;

use tests::cluster::addresses;
use tests::place::Place;
use tests::process::Launch;
use tests::raw::Raw;
use tests::tool;
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const OLD: u16 = 1;
const EXIT_WITHIN: Duration = Duration::from_secs(40);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn agent(place: &Place, id: &str) -> Launch {
    let agent = place.broker(id).arg("--metadata", "bucket");
    agent
        .arg("--metadata-checkpoint-entries", "50")
        .arg("--drain-notice-ms", "500")
        .arg("--agent-heartbeat-ms", "500ms")
}

fn compactor(place: &Place) -> Launch {
    let compactor = place.compactor("x").arg("--metadata", "bucket");
    compactor.arg("--compaction-interval-ms", "500ms")
}

fn on(place: &Place, command: &[&str]) -> Vec<String> {
    let args = [command, &["--store", &place.url]].concat();
    args.into_iter().map(str::to_owned).collect()
}

fn succeeds(place: &Place, command: &[&str]) -> String {
    let args = on(place, command);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tool::succeeds(&args, &[])
}

fn refuses(place: &Place, command: &[&str], words: &[&str]) {
    let args = on(place, command);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tool::refuses(&args, &[], words);
}

/// The version in force, as `metadata status` tells it.
fn version(place: &Place) -> String {
    let status = succeeds(place, &["metadata", "status"]);
    let line = status.lines().find(|line| line.starts_with("version:"));
    let line = line.and_then(|line| line.split_once(';'));
    let (version, _) = line.unwrap_or_else(|| panic!("no version in {status}"));
    version.trim_start_matches("version:").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_replaced_by_a_newer_build_under_load_and_the_version_is_raised() {
    let place = Place::folder().unwrap();
    let mut agents = Vec::new();
    for id in NAMES {
        agents.push(agent(&place, id).older(OLD).start().await.unwrap());
    }
    let mut duties = compactor(&place).older(OLD).start().await.unwrap();
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    let mut load = Workload::start(TOPIC, PARTITIONS, 6, &addresses(&agents));
    load.progress(60).await;
    for (at, id) in NAMES.into_iter().enumerate() {
        refuses(
            &place,
            &["metadata", "upgrade"],
            &["versions up to 1 only", "upgrade it first"],
        );
        let newer = agent(&place, id);
        agents[at].stop(EXIT_WITHIN).await;
        agents[at] = newer.start().await.unwrap();
        load.set_addresses(&addresses(&agents));
        load.progress(60).await;
        assert_eq!(version(&place), "1");
    }
    // The last of the older build is the compactor.
    refuses(&place, &["metadata", "upgrade"], &["agent x knows"]);
    duties.stop(EXIT_WITHIN).await;
    let mut duties = compactor(&place).start().await.unwrap();
    let raised = succeeds(&place, &["metadata", "upgrade"]);
    assert!(raised.contains("from 1 to 2"), "{raised}");
    assert_eq!(version(&place), "2");
    load.progress(120).await;
    let again = succeeds(&place, &["metadata", "upgrade"]);
    assert!(again.contains("2 already"), "{again}");
    refuses(
        &place,
        &["metadata", "upgrade", "--to", "1"],
        &["never lowered"],
    );
    refuses(&place, &["metadata", "upgrade", "--to", "3"], &["up to 2"]);
    let acknowledged = load.finish().await;
    for agent in &agents {
        workload::verify(&agent.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }
    for process in agents.iter_mut().chain([&mut duties]) {
        process.stop(EXIT_WITHIN).await;
    }
    // There is no way back.
    let late = agent(&place, "a").older(OLD).start().await;
    let said = late
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(said.contains("metadata version 2"), "{said}");
    assert!(said.contains("upgrade"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_begins_at_what_its_first_process_knows_and_is_raised_by_nobody_unasked() {
    for (first, founded_at) in [(true, "1"), (false, "2")] {
        let place = Place::folder().unwrap();
        let launch = agent(&place, "a");
        let launch = if first { launch.older(OLD) } else { launch };
        launch.start().await.unwrap().stop(EXIT_WITHIN).await;
        assert_eq!(version(&place), founded_at);
        agent(&place, "a")
            .start()
            .await
            .unwrap()
            .stop(EXIT_WITHIN)
            .await;
        assert_eq!(version(&place), founded_at);
    }
}
