//! The metadata log is moved between the bucket and FoundationDB under load, with the mover killed on the way. Nothing
//! acknowledged is lost, nothing is there twice, and who uses the wrong log is told. Skipped without a FoundationDB.

#![cfg(test)]

use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use tests::cluster::{addresses, until};
use tests::fdb_server::{self, Server};
use tests::foundationdb::{is_built_in, metadata};
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Raw, topic_name};
use tests::tool;
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const WITHIN: Duration = Duration::from_secs(60);
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// A bucket and a FoundationDB, and the log in one of them.
struct Cluster {
    place: Place,
    env: Vec<(String, String)>,
    fdb: String,
    other_fdb: String,
    _server: Server,
}

impl Cluster {
    async fn new() -> Option<Self> {
        if !is_built_in() {
            return None;
        }
        let server = Server::start_own()?;
        let place = Place::s3().await.unwrap();
        Some(Self {
            env: place.env(),
            place,
            fdb: metadata(&server.cluster_file(), "a"),
            other_fdb: metadata(&server.cluster_file(), "b"),
            _server: server,
        })
    }

    async fn agent(&self, id: &str, log: &str) -> Process {
        let launch = self.place.broker(id).arg("--metadata", log);
        let launch = launch.arg("--metadata-checkpoint-entries", "200");
        launch.allow(" WARN ").start().await.unwrap()
    }

    async fn agents(&self, log: &str) -> Vec<Process> {
        let mut agents = Vec::new();
        for id in ["a", "b", "c"] {
            agents.push(self.agent(id, log).await);
        }
        agents
    }

    /// Moves the log.
    async fn move_log(&self, from: &str, to: &str) -> String {
        self.moving(from, to, tool::succeeds).await
    }

    async fn move_killed_after(&self, lines: usize, from: &str, to: &str) -> Vec<String> {
        let killed = move |args: &[&str], env: &[(String, String)]| {
            tool::killed_after(lines, args, env).unwrap()
        };
        self.moving(from, to, killed).await
    }

    /// Runs the command beside other work: the server of the bucket is in this process.
    async fn moving<T: Send + 'static>(
        &self,
        from: &str,
        to: &str,
        run: impl FnOnce(&[&str], &[(String, String)]) -> T + Send + 'static,
    ) -> T {
        let command = ["metadata", "move", "--fence", "--store", &self.place.url];
        let args = [&command[..], &["--metadata", from, "--to", to]].concat();
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let env = self.env.clone();
        let moved = tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(&args, &env)
        });
        moved.await.unwrap()
    }

    /// An agent that is started with this log ends at once, and says this.
    async fn refuses_agents(&self, log: &str, words: &[&str]) {
        let args = ["broker", "--store", &self.place.url, "--agent-id", "z"];
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let args = [&args[..], &listen, &["--metadata", log]].concat();
        let refusal = tests::refusal::refusal(&args, &self.env).await.unwrap();
        refusal.assert_says(words);
    }
}

/// The agents end by themselves, in failure, and say where to go.
async fn have_stopped(agents: &mut [Process], to: &str) {
    for agent in agents {
        agent.allow(" ERROR ");
        let status = agent.wait(WITHIN).await.expect("it ends");
        assert_eq!(status.code(), Some(1));
        let log = agent.log().join("\n");
        assert!(log.contains(&format!("--metadata {to}")), "{log}");
    }
}

/// Commits an offset for a consumer without a group's membership, at whichever agent coordinates it.
async fn commit(agents: &[Process], group: &'static str, offset: i64) {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(1)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    until("an offset is committed", WITHIN, async || {
        for agent in agents {
            let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
            let response = raw.call(8, &request).await.unwrap();
            if response.topics[0].partitions[0].error_code == 0 {
                return true;
            }
        }
        false
    })
    .await;
}

async fn committed(agents: &[Process], group: &'static str) -> i64 {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partition_indexes(vec![1]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str(group)))
        .with_topics(Some(vec![topic]));
    let found = Mutex::new(None);
    until("offsets are told", WITHIN, async || {
        for agent in agents {
            let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
            let response = raw.call(7, &request).await.unwrap();
            if response.error_code == 0 {
                let offset = response.topics[0].partitions[0].committed_offset;
                *found.lock() = Some(offset);
                return true;
            }
        }
        false
    })
    .await;
    found.into_inner().unwrap()
}

/// That a move has closed the old log, and says where.
fn assert_closed(moved: &str) {
    let closed = "closed the old log at position ";
    assert!(moved.lines().any(|l| l.starts_with(closed)), "{moved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_moved_there_and_back_under_load() {
    let Some(cluster) = Cluster::new().await else {
        return;
    };
    let mut agents = cluster.agents("bucket").await;
    assert_eq!(create_topic(&agents[0]).await, 0);
    let mut load = Workload::start(TOPIC, PARTITIONS, 6, &addresses(&agents));
    load.progress(60).await;
    commit(&agents, "billing", 17).await;
    // There, to another prefix, and back.
    let (bucket, fdb, other) = ("bucket", cluster.fdb.as_str(), cluster.other_fdb.as_str());
    for (from, to) in [(bucket, fdb), (fdb, other), (other, bucket), (bucket, fdb)] {
        assert_closed(&cluster.move_log(from, to).await);
        have_stopped(&mut agents, to).await;
        agents = cluster.agents(to).await;
        load.set_addresses(&addresses(&agents));
        load.progress(60).await;
        assert_eq!(committed(&agents, "billing").await, 17, "{from} to {to}");
        let created = create_topic(&agents[1]).await;
        assert_eq!(created, TOPIC_ALREADY_EXISTS);
    }
    cluster.refuses_agents(bucket, &["in FoundationDB"]).await;
    cluster
        .refuses_agents(other, &["not its present one"])
        .await;
    let again = cluster.move_log(bucket, fdb).await;
    assert!(again.contains("already"), "{again}");
    let acknowledged = load.finish().await;
    for agent in &agents {
        workload::verify(&agent.bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
    }
}

async fn create_topic(agent: &Process) -> i16 {
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    raw.create_topic(TOPIC, PARTITIONS).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_that_is_killed_anywhere_is_run_again() {
    let Some(cluster) = Cluster::new().await else {
        return;
    };
    let (bucket, fdb) = ("bucket", cluster.fdb.as_str());
    let mut agents = vec![cluster.agent("a", bucket).await];
    assert_eq!(create_topic(&agents[0]).await, 0);
    let mut load = Workload::start(TOPIC, PARTITIONS, 3, &addresses(&agents));
    let (mut here, mut there) = (bucket, fdb);
    for lines in 1..=4 {
        load.progress(20).await;
        let printed = cluster.move_killed_after(lines, here, there).await;
        assert_closed(&printed.join("\n"));
        have_stopped(&mut agents, there).await;
        let moved = cluster.move_log(here, there).await;
        assert!(
            moved.contains("start every process") || moved.contains("already"),
            "{moved}"
        );
        cluster
            .refuses_agents(here, &["the metadata log of this cluster"])
            .await;
        agents = vec![cluster.agent("a", there).await];
        load.set_addresses(&addresses(&agents));
        (here, there) = (there, here);
    }
    load.progress(20).await;
    let acknowledged = load.finish().await;
    workload::verify(&agents[0].bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_work_changes_nothing() {
    if !is_built_in() {
        return;
    }
    let Some(file) = fdb_server::shared() else {
        return;
    };
    let log = |name: &str| metadata(&file, &format!("moved/{}/{name}", std::process::id()));
    let (place, other) = (Place::folder().unwrap(), Place::folder().unwrap());
    let foreign = log("foreign");
    let owner = other.broker("a").arg("--metadata", &foreign);
    drop(owner.start().await.unwrap());
    let agent = place.broker("a").arg("--metadata", "bucket");
    let mut agent = agent.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nobody = metadata(&fdb_server::nobody(folder.path()), "x");
    let own = log("own");
    let refused = |from: &str, to: &str, words: &[&str]| {
        let args = ["metadata", "move", "--store", &place.url];
        let args = [&args[..], &["--metadata", from, "--to", to]].concat();
        tool::refuses(&args, &[], words);
    };
    refused("bucket", &own, &["registered", ": a", "--fence"]);
    refused("bucket", &foreign, &["of cluster", "prefix"]);
    refused("bucket", &nobody, &["does not answer"]);
    refused("bucket", "fdb:/nowhere/fdb.cluster", &["cannot be read"]);
    refused("bucket", "fdb:relative", &["absolute path"]);
    refused(&own, &own, &["both are"]);
    refused(&own, &log("elsewhere"), &["in the bucket"]);
    let args = ["metadata", "move", "--dry-run", "--store", &place.url];
    let planned = tool::succeeds(&[&args[..], &["--to", &own]].concat(), &[]);
    assert!(planned.contains("have ended: a"), "{planned}");
    // Nothing of all that has stopped it.
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    agent.stop(WITHIN).await;
    let args = ["metadata", "move", "--store", &place.url, "--to", &own];
    tool::succeeds(&args, &[]);
}
