//! Three agents on the log of a bucket: one of them appends for all, so that they do not race for its positions, and when
//! that one is frozen or killed the others go on without it.

#![cfg(test)]

use std::time::Duration;

use tests::cluster::{addresses, until_all_list};
use tests::place::Place;
use tests::process::Process;
use tests::raw::Raw;
use tests::s3::{Latency, Op};
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const PRODUCERS: i32 = 9;

/// One after the other: the first is the one that appends.
async fn start_three(place: &Place) -> Vec<Process> {
    let mut processes = Vec::new();
    for id in ["a", "b", "c"] {
        let launch = place
            .broker(id)
            .arg("--agent-session-timeout-ms", "20s")
            .allow("expired an agent that fell silent")
            .allow("WARN");
        processes.push(launch.start().await.unwrap());
    }
    until_all_list(&processes, Duration::from_secs(20)).await;
    processes
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_do_not_race_and_go_on_without_the_one_that_appends() {
    let place = Place::s3().await.unwrap();
    let latency = Latency::LogNormal {
        median: Duration::from_millis(20),
        sigma: 0.3,
    };
    place.faults().set_latency(Op::Put, latency);
    let mut processes = start_three(&place).await;
    let mut raw = Raw::connect(&processes[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);

    let mut load = Workload::start(TOPIC, PARTITIONS, PRODUCERS, &addresses(&processes));
    load.progress(50).await;
    let before = place.faults().counts().of(Op::Put);
    load.progress(300).await;
    let after = place.faults().counts().of(Op::Put);
    let lost = after.precondition_failed - before.precondition_failed;
    let puts = after.requests - before.requests;
    // Of an object and an entry for each of 300 batches, those that race lose one in two entries.
    assert!(
        lost * 20 < puts,
        "{lost} races were lost with {puts} requests"
    );

    processes[0].pause();
    load.progress(200).await;
    processes[0].resume();
    load.progress(100).await;
    processes[0].kill().await;
    load.set_addresses(&addresses(&processes[1..]));
    load.progress(200).await;
    let acknowledged = load.finish().await;
    for process in &processes[1..] {
        workload::verify(&process.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }
}
