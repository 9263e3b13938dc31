//! SIGTERM under load: no new connections, everything accepted is acknowledged, the exit code is 0, and soon. What is
//! stored afterwards is what was acknowledged, no more and no less.

#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tests::cluster::{admin_get, until};
use tests::load::{Producer, Tally, assert_kept};
use tests::place::Place;
use tests::process::{Process, binary, command_of};
use tests::raw::Raw;
use tests::s3::{Effect, Latency, Op, Rule};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const EXIT_WITHIN: Duration = Duration::from_secs(10);

async fn start_producers(process: &Process, tally: &Tally) -> Vec<Producer> {
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    let mut producers = Vec::new();
    for partition in 0..PARTITIONS {
        let name = format!("plain{partition}");
        let mut producer = Producer::plain(&name, TOPIC, partition, tally);
        producer.connect(&process.bootstrap).await.unwrap();
        producers.push(producer);
    }
    producers
}

/// Lets them produce until the connection ends, and takes every answer that still comes.
fn produce_to_the_end(producers: Vec<Producer>) -> JoinSet<Producer> {
    let mut running = JoinSet::new();
    for mut producer in producers {
        running.spawn(async move {
            assert!(producer.run(usize::MAX / 2).await.is_err());
            while producer.under_way() > 0 && producer.receive().await.is_ok() {}
            producer
        });
    }
    running
}

/// After an orderly end: `producers` find what they were promised, and nothing else is there.
async fn assert_only_what_was_acknowledged(place: &Place, producers: &[Producer]) {
    let process = place.dev().start().await.unwrap();
    let stored = assert_kept(&process.bootstrap, TOPIC, producers).await;
    let promised: usize = producers.iter().map(Producer::acknowledged_records).sum();
    assert_eq!(
        stored, promised,
        "records stored, and records acknowledged before the end"
    );
}

async fn assert_drains_under_load(place: &Place) {
    let mut process = place.dev().start().await.unwrap();
    let tally = Tally::default();
    let producers = start_producers(&process, &tally).await;
    let running = produce_to_the_end(producers);
    tally.reached(60).await;
    process.stop(EXIT_WITHIN).await;
    let producers = running.join_all().await;
    assert_only_what_was_acknowledged(place, &producers).await;
}

#[tokio::test]
async fn everything_accepted_is_acknowledged_before_the_exit_in_a_folder() {
    assert_drains_under_load(&Place::folder().unwrap()).await;
}

#[tokio::test]
async fn everything_accepted_is_acknowledged_before_the_exit_in_a_bucket() {
    let place = Place::s3().await.unwrap();
    let latency = Latency::Fixed(Duration::from_millis(30));
    place.faults().set_latency(Op::Put, latency);
    assert_drains_under_load(&place).await;
}

#[tokio::test]
async fn while_draining_it_is_not_ready_takes_no_connections_and_answers_what_it_took() {
    let place = Place::s3().await.unwrap();
    let mut process = place.dev().start().await.unwrap();
    let tally = Tally::default();
    let mut producers = start_producers(&process, &tally).await;
    let admin = process.admin.clone().unwrap();
    assert_eq!(admin_get(&admin, "/readyz").await.unwrap().0, 200);

    // The store takes so long that the drain can be watched.
    let slow = Latency::Fixed(Duration::from_millis(1_500));
    place.faults().set_latency(Op::Put, slow);
    let before = place.faults().counts().of(Op::Put).requests;
    for producer in &mut producers {
        producer.send().await.unwrap();
    }
    until("an upload is under way", EXIT_WITHIN, || async {
        place.faults().counts().of(Op::Put).requests > before
    })
    .await;
    process.terminate();
    until("it accepts no connection", EXIT_WITHIN, || async {
        TcpStream::connect(&process.bootstrap).await.is_err()
    })
    .await;
    assert_eq!(tally.count(), 0, "it is still draining");
    let (status, why) = admin_get(&admin, "/readyz").await.unwrap();
    assert_eq!(status, 503);
    assert!(why.contains("shutdown"), "{why}");
    assert_eq!(admin_get(&admin, "/healthz").await.unwrap().0, 200);
    for producer in &mut producers {
        assert_eq!(producer.receive().await.unwrap(), 0);
    }
    let status = process.wait(EXIT_WITHIN).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    place.faults().clear();
    assert_only_what_was_acknowledged(&place, &producers).await;
}

#[tokio::test]
async fn a_store_that_hangs_does_not_keep_it_longer_than_the_drain_timeout() {
    let place = Place::s3().await.unwrap();
    let launch = place
        .dev()
        .arg("--drain-timeout-ms", "2s")
        .allow("not everything was settled")
        .allow("metadata log")
        .allow("cannot upload objects");
    let mut process = launch.start().await.unwrap();
    let tally = Tally::default();
    let mut producers = start_producers(&process, &tally).await;
    for producer in &mut producers {
        producer.run(2).await.unwrap();
        producer.settle().await.unwrap();
    }
    place.faults().add(Rule::always(&[], Effect::Hang));
    for producer in &mut producers {
        producer.send().await.unwrap();
    }
    process.stop(EXIT_WITHIN).await;
    place.faults().clear();
    assert_only_what_was_acknowledged(&place, &producers).await;
}

/// `millrace dev 2>&1 | head`: nobody reads on, and every line of the log is in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_nobody_reads_any_more_serves_and_ends_when_told() {
    let place = Place::folder().unwrap();
    let mut child = command_of(&binary().unwrap())
        .args(["dev", "--listen", "127.0.0.1:0", "--store", &place.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = lines.map_while(Result::ok);
    let mut addresses =
        printed.filter_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
    let bootstrap = addresses.next().expect("it listens");
    drop((addresses, child.stderr.take()));
    let ended = tokio::task::spawn_blocking(move || child.wait());

    // What is no request is worth a line.
    let mut nonsense = Raw::connect(&bootstrap).await.unwrap();
    nonsense.send(&[0xff; 64]).await.unwrap();
    assert!(nonsense.is_closed_by_peer().await);
    let mut raw = Raw::connect(&bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    kill_process(pid, Signal::TERM).unwrap();
    let status = timeout(EXIT_WITHIN, ended).await;
    if status.is_err() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let status = status.expect("it ends").unwrap().unwrap();
    assert!(status.success(), "{status}");
}
