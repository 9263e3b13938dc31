//! Who was away for too long, or was replaced, is fenced (I7): it says so and exits, and nothing it says afterwards
//! counts.

#![cfg(test)]

use std::time::Duration;

use tests::cluster::{agents, until};
use tests::load::{Producer, Tally, assert_kept, read_all};
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Batch, Raw};
use tests::s3::{Latency, Op};

const TOPIC: &str = "orders";
const FENCED: &str = "was fenced";
const WORDS_WITHIN: Duration = Duration::from_secs(5);

async fn assert_exits_fenced(process: &mut Process) {
    let status = process.wait(Duration::from_secs(15)).await;
    let status = status.expect("a fenced agent exits");
    assert_eq!(status.code(), Some(1));
    // Its last words may arrive after the news of its end.
    let said = |line: &String| line.starts_with("millrace: ") && line.contains(FENCED);
    until("it says that it was fenced", WORDS_WITHIN, || async {
        process.log().iter().any(said)
    })
    .await;
}

async fn start(place: &Place, id: &str) -> Process {
    let launch = place
        .broker(id)
        .arg("--agent-session-timeout-ms", "3s")
        .arg("--agent-heartbeat-ms", "300ms")
        .allow("expired an agent that fell silent");
    launch.start().await.unwrap()
}

/// Takes what is still answered on the connection to a broker that is gone.
async fn hear_out(producer: &mut Producer) {
    while producer.under_way() > 0 && producer.receive().await.is_ok() {}
}

async fn assert_a_sleeper_is_fenced(place: &Place) {
    let mut sleeper = start(place, "sleeper").await;
    let other = start(place, "other").await;
    let mut raw = Raw::connect(&other.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let tally = Tally::default();
    let mut moving = Producer::idempotent("moving", TOPIC, 0, &tally, &sleeper.bootstrap)
        .await
        .unwrap();
    let mut staying = Producer::plain("staying", TOPIC, 0, &tally);
    let mut late = Producer::plain("late", TOPIC, 0, &tally);
    moving.connect(&sleeper.bootstrap).await.unwrap();
    staying.connect(&sleeper.bootstrap).await.unwrap();
    late.connect(&sleeper.bootstrap).await.unwrap();
    tokio::try_join!(moving.run(10), staying.run(10)).unwrap();
    tokio::try_join!(moving.send(), staying.send()).unwrap();

    sleeper.pause();
    // What it holds unacknowledged is sent again to the other, and goes on there.
    moving.connect(&other.bootstrap).await.unwrap();
    moving.run(10).await.unwrap();
    until(
        "the sleeper is expired",
        Duration::from_secs(20),
        || async { agents(&other.bootstrap).await.unwrap().len() == 1 },
    )
    .await;
    for _ in 0..3 {
        late.send().await.unwrap();
    }
    moving.run(10).await.unwrap();
    moving.settle().await.unwrap();

    for trouble in ["the metadata replica stops", "metadata log", "upload"] {
        sleeper.allow(trouble);
    }
    sleeper.resume();
    assert_exits_fenced(&mut sleeper).await;
    hear_out(&mut staying).await;
    hear_out(&mut late).await;
    assert_eq!(
        late.acknowledged(),
        0,
        "acknowledged by an agent that was expired"
    );
    // More is written after its end: nothing of it may come between.
    moving.run(5).await.unwrap();
    moving.settle().await.unwrap();
    let values = read_all(&other.bootstrap, TOPIC, 0).await;
    assert!(
        !values.iter().any(|value| value.starts_with("late")),
        "stored by an agent that was expired: {values:?}"
    );
    assert_kept(&other.bootstrap, TOPIC, &[moving, staying, late]).await;
}

#[tokio::test]
async fn an_agent_that_slept_past_its_expiry_exits_and_nothing_it_says_counts_in_a_folder() {
    assert_a_sleeper_is_fenced(&Place::folder().unwrap()).await;
}

#[tokio::test]
async fn an_agent_that_slept_past_its_expiry_exits_and_nothing_it_says_counts_in_a_bucket() {
    let place = Place::s3().await.unwrap();
    // It is put to sleep with uploads and appends under way.
    let latency = Latency::Fixed(Duration::from_millis(50));
    place.faults().set_latency(Op::Put, latency);
    assert_a_sleeper_is_fenced(&place).await;
}

#[tokio::test]
async fn a_second_process_of_the_same_agent_id_takes_the_place_of_the_first() {
    let place = Place::folder().unwrap();
    let mut first = start(&place, "one").await;
    first.allow("the metadata replica stops");
    let mut raw = Raw::connect(&first.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let batch = Batch::of_values(["before"]).encode();
    assert_eq!(raw.produce(TOPIC, 0, batch).await.unwrap().error_code, 0);

    let second = start(&place, "one").await;
    assert_exits_fenced(&mut first).await;
    let listed = agents(&second.bootstrap).await.unwrap();
    assert_eq!(listed, [second.bootstrap.clone()].into());
    let mut raw = Raw::connect(&second.bootstrap).await.unwrap();
    let batch = Batch::of_values(["after"]).encode();
    let produced = raw.produce(TOPIC, 0, batch).await.unwrap();
    assert_eq!((produced.error_code, produced.base_offset), (0, 1));
    assert_eq!(
        read_all(&second.bootstrap, TOPIC, 0).await,
        ["before", "after"]
    );
}
