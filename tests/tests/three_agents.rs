//! Three agents, three processes, one bucket and nothing else: producers move between them, one is killed and its
//! partitions are writable through the others at once, and what one commits the others know without polling.

#![cfg(test)]

use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::messages::FetchRequest;
use runtime::SystemClock;
use tests::cluster::{metadata, until_all_list};
use tests::load::{Producer, Tally, assert_kept};
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::{Batch, Raw, fetch_request};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Far below the session timeout: nobody waits for the dead agent to be expired.
const WRITABLE_WITHIN: Duration = Duration::from_secs(5);

async fn start_three(place: &Place) -> Vec<Process> {
    let launches = ["a", "b", "c"].map(|id| {
        place
            .broker(id)
            .arg("--agent-session-timeout-ms", "10s")
            .arg("--agent-heartbeat-ms", "500ms")
            .allow("expired an agent that fell silent")
    });
    let started = join_all(launches.iter().map(Launch::start)).await;
    started.into_iter().map(Result::unwrap).collect()
}

async fn producers(bootstrap: &str) -> Vec<Producer> {
    let tally = Tally::default();
    let mut producers = Vec::new();
    for partition in 0..PARTITIONS {
        let name = format!("plain{partition}");
        producers.push(Producer::plain(&name, TOPIC, partition, &tally));
        let name = format!("idempotent{partition}");
        let idempotent = Producer::idempotent(&name, TOPIC, partition, &tally, bootstrap);
        producers.push(idempotent.await.unwrap());
    }
    producers
}

/// Each producer goes to another agent and has some batches acknowledged there. Idempotent ones leave with requests under
/// way, which they send again to the next agent, while the one before may still be storing them.
async fn move_on(producers: &mut [Producer], processes: &[Process], turn: usize) {
    let moves = producers.iter_mut().enumerate().map(|(n, producer)| {
        let process = &processes[(n + turn) % processes.len()];
        async move {
            producer.connect(&process.bootstrap).await.unwrap();
            producer.run(8).await.unwrap();
            if !producer.is_idempotent() {
                producer.settle().await.unwrap();
            }
        }
    });
    join_all(moves).await;
}

async fn assert_one_may_die(place: &Place) {
    let mut processes = start_three(place).await;
    until_all_list(&processes, SESSION_TIMEOUT).await;
    let mut raw = Raw::connect(&processes[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    // As clients do before they produce: an agent may not have heard of the topic yet.
    for process in &processes {
        let seen = metadata(&process.bootstrap, Some(TOPIC)).await.unwrap();
        assert_eq!(seen.topics[0].error_code, 0);
    }
    let mut producers = producers(&processes[1].bootstrap).await;
    for turn in 0..4 {
        move_on(&mut producers, &processes, turn).await;
    }

    let mut dead = processes.swap_remove(0);
    for producer in &mut producers {
        producer.connect(&dead.bootstrap).await.unwrap();
        producer.run(2).await.unwrap();
    }
    dead.kill().await;
    let died = SystemClock::shared().monotonic();
    move_on(&mut producers, &processes, 0).await;
    let took = SystemClock::shared().monotonic() - died;
    assert!(took < WRITABLE_WITHIN, "writable again after {took:?}");

    until_all_list(&processes, SESSION_TIMEOUT * 2).await;
    move_on(&mut producers, &processes, 1).await;
    for process in &processes {
        for producer in &mut producers {
            producer.settle().await.unwrap();
        }
        assert_kept(&process.bootstrap, TOPIC, &producers).await;
    }
}

#[tokio::test]
async fn producers_move_and_one_agent_dies_on_a_shared_folder() {
    assert_one_may_die(&Place::folder().unwrap()).await;
}

#[tokio::test]
async fn producers_move_and_one_agent_dies_on_a_bucket() {
    assert_one_may_die(&Place::s3().await.unwrap()).await;
}

/// Agents that look at the log by themselves only once in ten minutes.
async fn start_without_polling(place: &Place) -> [Process; 2] {
    let launch = |id| {
        place
            .broker(id)
            .arg("--metadata-poll-interval-ms", "10m")
            .arg("--agent-heartbeat-ms", "5m")
            .arg("--agent-session-timeout-ms", "30m")
    };
    let first = launch("a").start().await.unwrap();
    [first, launch("b").start().await.unwrap()]
}

#[tokio::test]
async fn a_topic_made_through_one_agent_is_usable_through_another_at_once() {
    let place = Place::folder().unwrap();
    let [first, second] = start_without_polling(&place).await;
    let mut raw = Raw::connect(&first.bootstrap).await.unwrap();
    for n in 0..5 {
        let name = format!("topic{n}");
        assert_eq!(raw.create_topic(&name, 2).await.unwrap(), 0);
        let seen = metadata(&second.bootstrap, Some(&name)).await.unwrap();
        let topic = &seen.topics[0];
        assert_eq!((topic.error_code, topic.partitions.len()), (0, 2), "{name}");
        let mut raw = Raw::connect(&second.bootstrap).await.unwrap();
        let batch = Batch::of_values(["at once"]).encode();
        let produced = raw.produce(&name, 1, batch).await.unwrap();
        assert_eq!((produced.error_code, produced.base_offset), (0, 0));
    }
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_a_commit_through_another_agent() {
    let place = Place::folder().unwrap();
    let clock = SystemClock::shared();
    let agents = start_without_polling(&place).await;
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    assert_eq!(
        metadata(&agents[1].bootstrap, Some(TOPIC))
            .await
            .unwrap()
            .topics[0]
            .error_code,
        0
    );
    for offset in 0..10 {
        let [reading, writing] = if offset % 2 == 0 {
            [&agents[1], &agents[0]]
        } else {
            [&agents[0], &agents[1]]
        };
        let mut reader = Raw::connect(&reading.bootstrap).await.unwrap();
        let request = fetch_request(TOPIC, 0, offset).with_max_wait_ms(25_000);
        let waiting = reader.send_request(11, &request).await.unwrap();
        let mut writer = Raw::connect(&writing.bootstrap).await.unwrap();
        let batch = Batch::of_values([format!("{offset}")]).encode();
        let produced = writer.produce(TOPIC, 0, batch).await.unwrap();
        assert_eq!((produced.error_code, produced.base_offset), (0, offset));
        let acknowledged = clock.monotonic();
        let response = reader
            .read_response::<FetchRequest>(11, waiting)
            .await
            .unwrap();
        let took = clock.monotonic() - acknowledged;
        let partition = &response.responses[0].partitions[0];
        let records = partition.records.clone().unwrap_or_default();
        let found = Batch::decode_all(records);
        assert_eq!(found.len(), 1, "woken with the batch at {offset}");
        assert_eq!(found[0].1[0].1, Some(format!("{offset}").into()));
        assert!(took < Duration::from_secs(3), "woken after {took:?}");
    }
}
