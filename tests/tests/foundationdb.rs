//! Agents whose metadata log is in FoundationDB: the server is killed, stands still and comes back, agents and compactors
//! are killed in turn. Nothing acknowledged is lost, nothing is there twice, and nobody needs a hand. And what is refused
//! at start. Skipped without a FoundationDB.

#![cfg(test)]

use std::time::Duration;

use tests::cluster::{addresses, until};
use tests::fdb_server::{self, Server};
use tests::foundationdb::{is_built_in, metadata};
use tests::place::Place;
use tests::process::{Launch, Process};
use tests::raw::{Batch, Raw, produce_request};
use tests::refusal::refusal;
use tests::s3::{Effect, Op, Rule};
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const PRODUCERS: i32 = 6;
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// A server of one's own, if there is one and the binary can use it.
fn server() -> Option<Server> {
    if is_built_in() {
        Server::start_own()
    } else {
        None
    }
}

struct Cluster {
    place: Place,
    server: Server,
}

impl Cluster {
    fn on_it(&self, launch: Launch) -> Launch {
        launch
            .arg("--metadata", &metadata(&self.server.cluster_file(), "a"))
            .arg("--metadata-checkpoint-entries", "200")
            .allow(" WARN ")
    }

    async fn agent(&self, id: &str) -> Process {
        self.on_it(self.place.broker(id)).start().await.unwrap()
    }

    async fn compactor(&self, id: &str) -> Process {
        let launch = self.on_it(self.place.compactor(id));
        let often = launch
            .arg("--compaction-interval-ms", "200ms")
            .arg("--compaction-objects-min", "4");
        often.start().await.unwrap()
    }
}

/// Three agents and two compactors under load; `trouble` is what happens to them.
async fn keeps_its_word(trouble: impl AsyncFnOnce(&mut Cluster, &mut Vec<Process>, &mut Workload)) {
    let Some(server) = server() else { return };
    let mut cluster = Cluster {
        place: Place::s3().await.unwrap(),
        server,
    };
    let mut agents = Vec::new();
    for id in ["a", "b", "c"] {
        agents.push(cluster.agent(id).await);
    }
    let mut compactors = vec![cluster.compactor("x").await, cluster.compactor("y").await];
    let mut raw = Raw::connect(&agents[0].bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    let mut load = Workload::start(TOPIC, PARTITIONS, PRODUCERS, &addresses(&agents));
    load.progress(60).await;
    trouble(&mut cluster, &mut agents, &mut load).await;
    load.progress(60).await;
    for process in agents.iter_mut().chain(&mut compactors) {
        let ended = process.wait(Duration::ZERO).await;
        assert!(ended.is_none(), "a process exited: {ended:?}");
    }
    let acknowledged = load.finish().await;
    for agent in &agents {
        workload::verify(&agent.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_killed_in_turn_lose_nothing() {
    keeps_its_word(async |cluster, agents, load| {
        for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
            agents[at].kill().await;
            load.progress(40).await;
            agents[at] = cluster.agent(id).await;
            load.set_addresses(&addresses(agents));
            load.progress(40).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foundationdb_that_restarts_loses_nothing() {
    keeps_its_word(async |cluster, _, load| {
        for _ in 0..2 {
            cluster.server.kill();
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster.server.resume();
            load.progress(40).await;
        }
    })
    .await;
}

/// Longer than a session of an agent lasts: nobody may be taken for dead because nobody could write.
#[tokio::test(flavor = "multi_thread")]
async fn a_foundationdb_that_stands_still_for_a_minute_loses_nothing() {
    keeps_its_word(async |cluster, _, load| {
        cluster.server.signal("STOP");
        tokio::time::sleep(Duration::from_secs(60)).await;
        cluster.server.signal("CONT");
        load.progress(40).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foundationdb_that_is_gone_for_a_minute_loses_nothing() {
    keeps_its_word(async |cluster, _, load| {
        cluster.server.kill();
        tokio::time::sleep(Duration::from_secs(60)).await;
        cluster.server.resume();
        load.progress(40).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_an_agent_at_once_and_in_order() {
    if !is_built_in() {
        return;
    }
    let Some(file) = fdb_server::shared() else {
        return;
    };
    for round in 0..5 {
        let place = Place::s3().await.unwrap();
        let log = metadata(&file, &format!("signals/{}/{round}", std::process::id()));
        let launch = place.broker("a").arg("--metadata", &log).allow(" WARN ");
        let mut agent = launch.start().await.unwrap();
        let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
        assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
        // What it has accepted and cannot store keeps it from ending.
        place.faults().reset_counts();
        place.faults().add(Rule::always(&[], Effect::Hang));
        let batch = Batch::of_values(["waits"]).encode();
        let request = produce_request(TOPIC, 0, -1, batch);
        raw.send_request(9, &request).await.unwrap();
        until("it is accepted", SEEN_WITHIN, async || {
            place.faults().counts().of(Op::Put).requests > 0
        })
        .await;
        agent.terminate();
        let begun = || {
            agent
                .log()
                .iter()
                .any(|line| line.contains("shutting down"))
        };
        until("it drains", SEEN_WITHIN, async || begun()).await;
        agent.terminate();
        let status = agent.wait(Duration::from_secs(5)).await;
        assert_eq!(status.and_then(|status| status.code()), Some(128 + 15));
    }
}

async fn refused(place: &Place, log: &str, words: &[&str]) {
    let args = [
        "broker",
        "--store",
        &place.url,
        "--agent-id",
        "other",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--metadata",
        log,
    ];
    let refusal = refusal(&args, &place.env()).await.unwrap();
    refusal.assert_says(words);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_than_its_own_is_refused_to_a_cluster() {
    if !is_built_in() {
        return;
    }
    let Some(file) = fdb_server::shared() else {
        return;
    };
    let log = |name: &str| metadata(&file, &format!("refused/{}/{name}", std::process::id()));
    let place = Place::folder().unwrap();
    let mut first = place
        .broker("a")
        .arg("--metadata", &log("own"))
        .start()
        .await
        .unwrap();
    first.stop(Duration::from_secs(30)).await;

    refused(&place, &log("wrong"), &["no metadata log", "prefix"]).await;
    refused(&place, "bucket", &["in FoundationDB", "--metadata fdb:"]).await;
    let other = Place::folder().unwrap();
    let foreign = ["holds the metadata log of cluster", "another cluster"];
    refused(&other, &log("own"), &foreign).await;
    refused(&place, "fdb:relative", &["absolute path"]).await;
    refused(&place, "fdb:/nowhere/fdb.cluster", &["cannot be read"]).await;
    let folder = tempfile::tempdir().unwrap();
    let nobody = fdb_server::nobody(folder.path());
    refused(&place, &metadata(&nobody, "own"), &["does not answer"]).await;

    let in_bucket = Place::folder().unwrap();
    let agent = in_bucket.broker("a").arg("--metadata", "bucket");
    drop(agent.start().await.unwrap());
    let words = ["in the bucket", "--metadata bucket"];
    refused(&in_bucket, &log("late"), &words).await;
}
