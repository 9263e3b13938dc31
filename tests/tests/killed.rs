//! `kill -9` in the middle of producing, again and again on the same store: every acknowledged record is there after
//! the restart, at its offset (I1); offsets are dense (I2); producers that send again what was not acknowledged, with
//! the same sequences, leave no duplicate (I4).

#![cfg(test)]

use std::time::Duration;

use runtime::Rng;
use tests::load::{Producer, Tally, assert_kept};
use tests::place::Place;
use tests::raw::Raw;
use tests::s3::{Latency, Op};
use tokio::task::JoinSet;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;
const KILLS: u64 = 10;

async fn producers(bootstrap: &str, tally: &Tally) -> Vec<Producer> {
    let mut producers = Vec::new();
    for partition in 0..PARTITIONS {
        let name = format!("plain{partition}");
        producers.push(Producer::plain(&name, TOPIC, partition, tally));
        let name = format!("idempotent{partition}");
        let idempotent = Producer::idempotent(&name, TOPIC, partition, tally, bootstrap);
        producers.push(idempotent.await.unwrap());
    }
    producers
}

/// Lets all produce until the broker is gone. The second part gives the producers back.
fn produce(producers: Vec<Producer>) -> JoinSet<Producer> {
    let mut running = JoinSet::new();
    for mut producer in producers {
        running.spawn(async move {
            let ended = producer.run(usize::MAX / 2).await;
            assert!(ended.is_err(), "the broker was to be killed");
            producer
        });
    }
    running
}

async fn assert_kills_lose_nothing(place: &Place, seed: u64) {
    let rng = Rng::from_seed(seed);
    let launch = place.dev();
    let mut process = launch.start().await.unwrap();
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    let tally = Tally::default();
    let mut producers = producers(&process.bootstrap, &tally).await;
    let mut unacknowledged = 0;
    for _ in 0..KILLS {
        for producer in &mut producers {
            producer.connect(&process.bootstrap).await.unwrap();
        }
        let enough = tally.count() + 1 + rng.below(100) as usize;
        let running = produce(producers);
        tally.reached(enough).await;
        process.kill().await;
        producers = running.join_all().await;

        process = launch.start().await.unwrap();
        for producer in &mut producers {
            unacknowledged += producer.under_way();
            producer.connect(&process.bootstrap).await.unwrap();
            producer.settle().await.unwrap();
        }
        let stored = assert_kept(&process.bootstrap, TOPIC, &producers).await;
        assert!(stored >= enough, "{stored} records of {enough} batches");
    }
    assert!(unacknowledged > 0, "no kill met a request under way");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_doubled_in_a_folder() {
    let place = Place::folder().unwrap();
    assert_kills_lose_nothing(&place, 1).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_doubled_in_a_bucket() {
    let place = Place::s3().await.unwrap();
    // Slow enough that a kill meets uploads and appends under way.
    let latency = Latency::LogNormal {
        median: Duration::from_millis(10),
        sigma: 0.7,
    };
    place.faults().set_latency(Op::Put, latency);
    assert_kills_lose_nothing(&place, 2).await;
}
