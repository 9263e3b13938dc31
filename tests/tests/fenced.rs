//! Who was away for too long, or was replaced, is fenced (I7): it says so and exits, and nothing it says afterwards
//! counts.

#![cfg(test)]

use std::time::Duration;

use tests::cluster::{agents, registered, until};
use tests::load::{Producer, Tally, assert_kept, read_all};
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Batch, Raw};
use tests::s3::{Effect, Latency, Op, Rule};

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
        || async { registered(&other.bootstrap).await.len() == 1 },
    )
    .await;
    let stored = read_all(&other.bootstrap, TOPIC, 0).await.len();
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
    let foreign = values[stored..].iter().find(|v| !v.starts_with("moving"));
    assert_eq!(foreign, None, "stored by an agent that was expired");
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
async fn a_commit_that_reaches_the_log_after_its_agent_was_expired_does_not_count() {
    let place = Place::s3().await.unwrap();
    // It writes nothing of its own accord, and hears of the log only when it appends, which the first does itself.
    let sleeper = place
        .broker("sleeper")
        .arg("--agent-session-timeout-ms", "10m")
        .arg("--agent-heartbeat-ms", "5m")
        .arg("--metadata-poll-interval-ms", "10m")
        .arg("--peer-advertise", "127.0.0.1:1")
        .arg("--store-request-timeout-ms", "2s")
        .allow("the metadata replica stops");
    let mut sleeper = sleeper.start().await.unwrap();
    let other = place
        .broker("other")
        .arg("--agent-session-timeout-ms", "5s")
        .arg("--agent-heartbeat-ms", "1s")
        .allow("expired an agent that fell silent");
    let other = other.start().await.unwrap();
    until("the sleeper is known", Duration::from_secs(5), || async {
        registered(&other.bootstrap).await.len() == 2
    })
    .await;
    let mut raw = Raw::connect(&sleeper.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let mut producer = Producer::plain("late", TOPIC, 0, &Tally::default());
    producer.connect(&sleeper.bootstrap).await.unwrap();
    producer.run(1).await.unwrap();
    producer.settle().await.unwrap();
    let before = producer.acknowledged_records();

    // The commit is on its way to the log, and the store sits on it.
    let hang = Rule::always(&[Op::Put], Effect::Hang)
        .on("meta/log")
        .times(1);
    place.faults().reset_counts();
    place.faults().add(hang);
    producer.send().await.unwrap();
    until("the commit hangs", Duration::from_secs(5), || async {
        place.faults().counts().of(Op::Put).failed > 0
    })
    .await;
    sleeper.pause();
    until(
        "the sleeper is expired",
        Duration::from_secs(20),
        || async { registered(&other.bootstrap).await.len() == 1 },
    )
    .await;
    sleeper.resume();
    assert_exits_fenced(&mut sleeper).await;
    hear_out(&mut producer).await;
    assert_eq!(producer.acknowledged_records(), before);
    let values = read_all(&other.bootstrap, TOPIC, 0).await;
    assert_eq!(
        values.len(),
        before,
        "committed after the expiry: {values:?}"
    );
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
