//! Three agents in one zone and an S3 server that counts: whoever reads where, each part of an object is read from the
//! bucket once for the zone; and when the agent that has read it for the others is killed, they go to the bucket.

#![cfg(test)]

use std::ops::Range;
use std::time::Duration;

use futures::future::join_all;
use runtime::{Clock, SystemClock};
use tests::cluster::{self, metric, until, until_all_list};
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Batch, Raw};
use tests::s3::Get;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
/// Batches of each partition.
const BATCHES: i64 = 40;
const READERS: usize = 2;
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Three agents of one zone, each of which knows the others.
async fn start(place: &Place, settings: &[(&str, &str)]) -> Vec<Process> {
    let agents = ["a", "b", "c"].map(|name| {
        let launch = place.broker(name).arg("--zone", "zone-a");
        // So that what is counted is what readers ask for.
        let launch = launch.arg("--store-hedge-percent", "0");
        let set =
            |launch: tests::process::Launch, (name, value): &(&str, &str)| launch.arg(name, value);
        let launch = settings.iter().fold(launch, set);
        async move { launch.start().await.unwrap() }
    });
    let agents = join_all(agents).await;
    until_all_list(&agents, SEEN_WITHIN).await;
    agents
}

fn value(partition: i32, number: i64) -> Vec<u8> {
    let mut value = format!("{partition}:{number}:").into_bytes();
    value.resize(20_000, b'.');
    value
}

/// Writes batches of every partition, the one after the other at another agent.
async fn produce(agents: &[&Process], numbers: Range<i64>) {
    let writers = (0..PARTITIONS).map(|partition| {
        let numbers = numbers.clone();
        async move {
            let connect = agents.iter().map(|agent| Raw::connect(&agent.bootstrap));
            let mut raws: Vec<Raw> = join_all(connect)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect();
            let count = raws.len() as i64;
            for number in numbers {
                let raw = &mut raws[((number + i64::from(partition)) % count) as usize];
                let batch = Batch::of_values([value(partition, number)]).encode();
                let answer = raw.produce(TOPIC, partition, batch).await.unwrap();
                assert_eq!((answer.error_code, answer.base_offset), (0, number));
            }
        }
    });
    join_all(writers).await;
}

/// Reads a partition from an offset to the end that it will have, and sees that all of it is there. Whenever the agent
/// fails, the next is asked.
async fn consume(bootstraps: &[String], partition: i32) {
    let mut agents = bootstraps.iter().cycle();
    let mut raw = None;
    let mut next = 0;
    while next < BATCHES {
        if raw.is_none() {
            raw = Raw::connect(agents.next().unwrap()).await.ok();
        }
        let Some(connected) = &mut raw else { continue };
        match connected.fetch(TOPIC, partition, next).await {
            Ok((0, _, records)) => {
                for (base_offset, records) in Batch::decode_all(records) {
                    assert_eq!(base_offset, next, "an offset is missing");
                    assert_eq!(records[0].1.as_deref(), Some(&value(partition, next)[..]));
                    next += 1;
                }
            }
            Ok((error, ..)) => panic!("error {error} at {next} of {partition}"),
            Err(_) => raw = None,
        }
    }
}

/// Several readers of everything at each agent.
async fn consume_everywhere(agents: &[Process]) {
    let readers = agents.iter().flat_map(|agent| {
        let partitions = (0..PARTITIONS).cycle().take(READERS * PARTITIONS as usize);
        partitions.map(move |partition| async move {
            consume(std::slice::from_ref(&agent.bootstrap), partition).await;
        })
    });
    join_all(readers).await;
}

/// How many parts of objects were read from the bucket, and with how many GETs.
fn gets(place: &Place) -> (u64, u64) {
    let gets: Vec<(Get, u64)> = place.faults().gets("/data/").into_iter().collect();
    (gets.len() as u64, gets.iter().map(|(_, count)| count).sum())
}

async fn create_topic(agents: &[Process]) {
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    for agent in agents {
        until("the topic is known", SEEN_WITHIN, || async {
            let seen = cluster::metadata(&agent.bootstrap, Some(TOPIC)).await;
            seen.is_ok_and(|seen| seen.topics[0].error_code == 0)
        })
        .await;
    }
}

/// GETs of live readers, then parts and GETs of readers from the beginning after all agents have forgotten everything.
async fn count(settings: &[(&str, &str)]) -> (u64, u64, u64) {
    let place = Place::s3().await.unwrap();
    let agents = start(&place, settings).await;
    create_topic(&agents).await;
    place.faults().reset_counts();
    let writers: Vec<&Process> = agents.iter().collect();
    futures::join!(produce(&writers, 0..BATCHES), consume_everywhere(&agents));
    drop(writers);
    let (_, live) = gets(&place);
    for agent in &agents {
        agent.terminate();
    }
    for mut agent in agents {
        assert!(agent.wait(Duration::from_secs(60)).await.is_some());
    }
    let agents = start(&place, settings).await;
    place.faults().reset_counts();
    consume_everywhere(&agents).await;
    let (parts, cold) = gets(&place);
    let objects = place
        .server
        .as_ref()
        .unwrap()
        .objects
        .keys("cluster/data/")
        .len() as u64;
    println!(
        "{settings:?}: {objects} objects; live {live} GETs; from the beginning {cold} GETs of {parts} parts"
    );
    assert_eq!(parts, objects, "each object is one part, and all are read");
    (objects, live, cold)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_object_is_read_once_for_the_zone() {
    let (objects, live, cold) = count(&[]).await;
    // What was just written is in its writer's memory. A slow machine may be late now and then.
    assert!(
        live <= objects / 10 + 2,
        "{live} GETs of {objects} objects by live readers"
    );
    let most = objects + objects / 10 + 2;
    assert!(
        cold <= most,
        "{cold} GETs of {objects} objects from the beginning"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_each_agent_reads_for_itself() {
    let (objects, live, cold) = count(&[("--fetch-zone-cache-enable", "false")]).await;
    assert!(
        live > objects,
        "{live} GETs of {objects} objects by live readers"
    );
    assert_eq!(cold, 3 * objects);
}

/// Agents that do not believe each other read for themselves, and say that they do.
#[tokio::test(flavor = "multi_thread")]
async fn agents_with_different_secrets_give_each_other_nothing() {
    let place = Place::s3().await.unwrap();
    let objects = place.server.as_ref().unwrap().objects.clone();
    let mut agents = start(&place, &[]).await;
    create_topic(&agents).await;
    produce(&agents.iter().collect::<Vec<_>>(), 0..BATCHES).await;
    // The secret is lost, and one agent starts again.
    let secret = objects.keys("cluster/meta/peer-secret");
    assert_eq!(secret.len(), 1, "{secret:?}");
    assert!(objects.remove(&secret[0]));
    for agent in &agents {
        agent.allow("does not know the secret");
        agent.allow("was refused");
    }
    let mut old = agents.remove(0);
    old.terminate();
    assert!(old.wait(Duration::from_secs(60)).await.is_some());
    let launch = place.broker("a").arg("--zone", "zone-a");
    let fresh = launch
        .allow("does not know the secret")
        .allow("was refused");
    agents.push(fresh.start().await.unwrap());
    until_all_list(&agents, SEEN_WITHIN).await;
    let done = tokio::time::timeout(Duration::from_secs(120), consume_everywhere(&agents)).await;
    assert!(done.is_ok(), "a consumer does not get everything");
    let name = "millrace_zone_connections_refused_total";
    let refused = metric(&agents[2], name).await + metric(&agents[0], name).await;
    assert!(refused > 0.0, "nobody was refused");
}

/// An owner that is there and does not answer costs time, and no records.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_agent_that_reads_for_the_others_is_frozen_they_read_from_the_bucket() {
    let place = Place::s3().await.unwrap();
    // It is not noticed otherwise while the test lasts.
    let patient = [
        ("--agent-session-timeout-ms", "10m"),
        ("--agent-heartbeat-ms", "1m"),
    ];
    let agents = start(&place, &patient).await;
    create_topic(&agents).await;
    produce(&agents.iter().collect::<Vec<_>>(), 0..BATCHES).await;
    let [frozen, second, third] = <[Process; 3]>::try_from(agents).ok().unwrap();
    let others = [second, third];
    frozen.pause();
    let (clock, began) = (SystemClock, SystemClock.monotonic());
    let done = tokio::time::timeout(Duration::from_secs(60), consume_everywhere(&others)).await;
    assert!(done.is_ok(), "a consumer does not get everything");
    println!(
        "with a frozen owner all was read in {:?}",
        clock.monotonic() - began
    );
    frozen.resume();
    let (_, gets) = gets(&place);
    assert!(gets > 0, "the frozen one has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_agent_that_reads_for_the_others_is_killed_they_read_from_the_bucket() {
    let place = Place::s3().await.unwrap();
    let agents = start(&place, &[]).await;
    create_topic(&agents).await;
    let [mut killed, second, third] = <[Process; 3]>::try_from(agents).ok().unwrap();
    let bootstraps = [&second, &third].map(|agent| agent.bootstrap.clone());
    let others = [second, third];
    others
        .iter()
        .for_each(|agent| agent.allow("expired an agent that fell silent"));
    let readers = (0..PARTITIONS).flat_map(|partition| {
        let bootstraps = &bootstraps;
        (0..2).map(move |first| consume(&bootstraps[first..=first], partition))
    });
    let killing = async {
        // In the midst of it: the killed one has written a part of what is read.
        let half = BATCHES / 2;
        produce(&[&killed, &others[0], &others[1]], 0..half).await;
        killed.kill().await;
        produce(&[&others[0], &others[1]], half..BATCHES).await;
    };
    let all = async { futures::join!(join_all(readers), killing) };
    let done = tokio::time::timeout(Duration::from_secs(120), all).await;
    assert!(done.is_ok(), "a consumer does not get everything");
}
