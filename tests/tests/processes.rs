//! Processes that die, freeze, and lose their store. I1: what was acknowledged is there. I2: offsets
//! are dense. I4: nothing is there twice. I7: who was away for too long is fenced.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use tempfile::TempDir;
use tests::cluster::{agents, fenced, registered, until};
use tests::process::{Launch, Process};
use tests::raw::Raw;
use tests::s3::{Effect, Latency, Op, Rule, S3Server};
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const PRODUCERS: i32 = 6;
const EXIT_WITHIN: Duration = Duration::from_secs(60);
/// What a broker may say of a store that fails, and of one that was killed before.
const STORE_TROUBLE: &[&str] = &["WARN"];

fn allowing(launch: Launch, texts: &[&str]) -> Launch {
    texts.iter().fold(launch, |launch, text| launch.allow(text))
}

async fn create_topic(broker: &Process) {
    let mut raw = Raw::connect(&broker.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
}

/// Kills and restarts while producers are at it, then drains, restarts and checks.
async fn survives_kills(launch: Launch) {
    let mut broker = launch.start().await.unwrap();
    create_topic(&broker).await;
    let mut load = Workload::start(TOPIC, PARTITIONS, PRODUCERS, &[&broker.bootstrap]);
    for _ in 0..4 {
        load.progress(60).await;
        broker.kill().await;
        broker = launch.start().await.unwrap();
        load.set_addresses(&[&broker.bootstrap]);
    }
    load.progress(60).await;
    broker.stop(EXIT_WITHIN).await;
    let broker = launch.start().await.unwrap();
    load.set_addresses(&[&broker.bootstrap]);
    load.progress(60).await;
    let acknowledged = load.finish().await;
    workload::verify(&broker.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_survive_kill_9_on_files() {
    let directory = TempDir::new().unwrap();
    let store = format!("file://{}/data", directory.path().display());
    survives_kills(Launch::dev(&store).agent_id("a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_survive_kill_9_on_an_s3_that_fails() {
    let server = S3Server::start().await.unwrap();
    let median = Duration::from_millis(5);
    server
        .faults
        .set_latency(Op::Put, Latency::LogNormal { median, sigma: 0.5 });
    let launch = Launch::dev("s3://millrace/crash")
        .agent_id("a")
        .env(server.env());
    for effect in [
        Effect::SlowDown,
        Effect::DropAfter,
        Effect::InternalErrorAfter,
        Effect::Drop,
    ] {
        server.faults.add(
            Rule::always(&[Op::Put], effect)
                .on("/crash/data/")
                .chance(0.02),
        );
        server.faults.add(
            Rule::always(&[Op::Put], effect)
                .on("/crash/meta/log/")
                .chance(0.02),
        );
    }
    survives_kills(allowing(launch, STORE_TROUBLE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_agents_one_is_killed_and_a_frozen_one_is_fenced() {
    let server = S3Server::start().await.unwrap();
    let launch = Launch::broker("s3://millrace/agents")
        .arg("--agent-heartbeat-ms", "500ms")
        .arg("--agent-session-timeout-ms", "3s")
        .env(server.env());
    let launch = allowing(launch, STORE_TROUBLE);
    let mut killed = launch.clone().agent_id("killed").start().await.unwrap();
    let frozen = launch
        .clone()
        .agent_id("frozen")
        .allow("ERROR")
        .start()
        .await;
    let mut frozen = frozen.unwrap();
    let staying = launch.clone().agent_id("staying").start().await.unwrap();
    create_topic(&staying).await;
    let all = [
        killed.bootstrap.as_str(),
        &frozen.bootstrap,
        &staying.bootstrap,
    ];
    let mut load = Workload::start(TOPIC, PARTITIONS, PRODUCERS, &all);
    load.progress(60).await;
    killed.kill().await;
    load.progress(60).await;
    frozen.pause();
    load.progress(60).await;
    until("the frozen one is fenced", EXIT_WITHIN, || async {
        let known = registered(&staying.bootstrap).await;
        !known.is_empty() && !known.contains(&frozen.bootstrap)
    })
    .await;
    frozen.resume();
    let status = frozen
        .wait(EXIT_WITHIN)
        .await
        .expect("a fenced agent exits");
    assert!(!status.success(), "{status} of a fenced agent");
    let said = frozen.log().join("\n");
    assert!(
        said.contains("fenced"),
        "it does not say that it was fenced:\n{said}"
    );
    load.progress(60).await;
    let acknowledged = load.finish().await;
    workload::verify(&staying.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_missed_long_before_its_session_ends_and_a_frozen_one_is_not() {
    let directory = TempDir::new().unwrap();
    let store = format!("file://{}/data", directory.path().display());
    let launch = Launch::broker(&store)
        .arg("--agent-heartbeat-ms", "500ms")
        .arg("--agent-session-timeout-ms", "10m")
        .allow("expired an agent");
    let staying = launch.clone().agent_id("staying").start().await.unwrap();
    let frozen = launch.clone().agent_id("frozen").start().await.unwrap();
    let mut killed = launch.clone().agent_id("killed").start().await.unwrap();
    let agents = || async { agents(&staying.bootstrap).await.unwrap_or_default() };
    let missed_within = Duration::from_secs(60);
    until("all are there", missed_within, || async {
        agents().await.len() == 3
    })
    .await;
    frozen.pause();
    killed.kill().await;
    until(
        "one is missed, and clients are steered away from the other",
        missed_within,
        || async {
            let gone = fenced(&staying.bootstrap).await == [frozen.bootstrap.clone()].into();
            gone && agents().await == [staying.bootstrap.clone()].into()
        },
    )
    .await;
    frozen.resume();
    until("the other is heard again", missed_within, || async {
        agents().await.len() == 2
    })
    .await;
}

/// A store that fails for a while costs time, not records and not the process.
async fn recovers_from(effect: Effect) {
    let server = S3Server::start().await.unwrap();
    let launch = Launch::dev("s3://millrace/outage")
        .arg("--store-request-timeout-ms", "1s")
        .env(server.env());
    let mut broker = allowing(launch, &["WARN", "ERROR"]).start().await.unwrap();
    create_topic(&broker).await;
    let mut load = Workload::start(TOPIC, PARTITIONS, PRODUCERS, &[&broker.bootstrap]);
    load.progress(60).await;
    let before = server.faults.counts().of(Op::Put).failed;
    server.faults.add(Rule::always(&[], effect));
    until("writes fail", EXIT_WITHIN, || async {
        server.faults.counts().of(Op::Put).failed >= before + 10
    })
    .await;
    server.faults.clear();
    load.progress(60).await;
    assert!(broker.wait(Duration::ZERO).await.is_none(), "it exited");
    let complaints = broker
        .log()
        .iter()
        .filter(|line| line.contains(" WARN "))
        .count();
    assert!(
        complaints < 20,
        "{complaints} warnings:\n{}",
        broker.log().join("\n")
    );
    let acknowledged = load.finish().await;
    workload::verify(&broker.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_throttles_is_waited_for() {
    recovers_from(Effect::SlowDown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_credentials_is_waited_for() {
    recovers_from(Effect::AccessDenied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_waited_for() {
    recovers_from(Effect::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_drops_connections_after_storing_is_waited_for() {
    recovers_from(Effect::DropAfter).await;
}
