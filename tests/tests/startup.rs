//! What a user sees who starts it wrongly: the fault by its name, and what to do. And that settings come from where they
//! are said to.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use tempfile::TempDir;
use tests::careless::CarelessServer;
use tests::cluster::until;
use tests::foundationdb::is_built_in;
use tests::load::{Producer, Tally, assert_kept};
use tests::place::Place;
use tests::process::Launch;
use tests::raw::{Raw, topic_name};
use tests::refusal::{Refusal, refusal};
use tests::s3::{ACCESS_KEY, BUCKET, Effect, REGION, Rule, SECRET_KEY};
use tokio::net::TcpListener;

const TOPIC: &str = "orders";

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// `millrace dev` on `store` with more flags.
async fn refused(store: &str, flags: &[&str], env: &[(String, String)]) -> Refusal {
    let mut args = vec!["dev", "--store", store];
    if !flags.contains(&"--listen") {
        args.extend(["--listen", "127.0.0.1:0"]);
    }
    args.extend(flags);
    refusal(&args, env).await.unwrap()
}

/// The same on a folder: whatever is wrong, it is not the store.
async fn refused_on_a_folder(flags: &[&str], env: &[(String, String)]) -> Refusal {
    let place = Place::folder().unwrap();
    refused(&place.url, flags, env).await
}

fn file(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("millrace.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn an_unknown_setting_is_refused_with_the_nearest_name() {
    let refusal = refused_on_a_folder(&["--num-partition", "3"], &[]).await;
    refusal.assert_says(&["--num-partition", "--num-partitions"]);

    let env = [pair("MILLRACE_STORE_URLS", "memory://")];
    let refusal = refused_on_a_folder(&[], &env).await;
    refusal.assert_says(&[
        "\"MILLRACE_STORE_URLS\"",
        "did you mean \"MILLRACE_STORE_URL\"?",
    ]);

    let folder = TempDir::new().unwrap();
    let config = file(&folder, "[message]\nmax.byte = 5\n");
    let refusal = refused_on_a_folder(&["--config", &config], &[]).await;
    refusal.assert_says(&[
        "\"message.max.byte\" (in the settings file)",
        "did you mean \"message.max.bytes\"?",
    ]);
}

#[tokio::test]
async fn bad_values_are_all_named_with_what_is_allowed() {
    let flags = ["--num-partitions", "many", "--log-format", "xml"];
    let env = [pair("MILLRACE_LINGER_MS", "soon")];
    let refusal = refused_on_a_folder(&flags, &env).await;
    refusal.assert_says(&[
        "num.partitions cannot be \"many\" (on the command line)",
        "log.format cannot be \"xml\"",
        "readable",
        "linger.ms cannot be \"soon\" (in the environment variable MILLRACE_LINGER_MS)",
    ]);
    for (flag, value, named) in [
        ("--listen", "nowhere", "nowhere"),
        (
            "--advertise",
            "no-port",
            "advertise \"no-port\" is not HOST:PORT",
        ),
        ("--admin-listen", "here", "admin.listen \"here\""),
        ("--log-filter", "broker=loud", "broker=loud"),
    ] {
        let refusal = refused_on_a_folder(&[flag, value], &[]).await;
        refusal.assert_says(&[named]);
    }
}

#[tokio::test]
async fn a_settings_file_that_cannot_be_used_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.toml").display().to_string();
    let refusal = refused_on_a_folder(&["--config", &missing], &[]).await;
    refusal.assert_says(&["cannot read the settings file", "missing.toml"]);
    let broken = file(&folder, "num.partitions = = 3");
    let refusal = refused_on_a_folder(&[], &[pair("MILLRACE_CONFIG", &broken)]).await;
    refusal.assert_says(&["millrace.toml is not TOML"]);
}

#[tokio::test]
async fn a_store_that_is_not_known_is_refused_with_the_forms_that_are() {
    refused("ftp://somewhere/else", &[], &[])
        .await
        .assert_says(&[
            "ftp://somewhere/else",
            "s3://bucket/prefix",
            "file:///folder",
        ]);
    refused("file://relative", &[], &[])
        .await
        .assert_says(&["three slashes"]);
    for role in ["broker", "compactor"] {
        let refusal = refusal(&[role], &[]).await.unwrap();
        refusal.assert_says(&["no store is named", "--store", "MILLRACE_STORE_URL"]);
    }
}

#[tokio::test]
async fn a_metadata_log_that_is_not_there_is_refused_with_those_that_are() {
    let refusal = refused_on_a_folder(&["--metadata", "fdb:/nowhere/fdb.cluster"], &[]).await;
    if is_built_in() {
        refusal.assert_says(&["no FoundationDB cluster file", "/nowhere"]);
    } else {
        refusal.assert_says(&[
            "FoundationDB",
            "not part of this build",
            "--metadata bucket",
        ]);
    }
    let refusal = refused_on_a_folder(&["--metadata", "etcd"], &[]).await;
    refusal.assert_says(&["unknown metadata log \"etcd\"", "bucket or memory"]);
}

#[tokio::test]
async fn blocks_of_zones_that_are_none_are_named() {
    for (blocks, why) in [
        ("10.0.0.0/19=a,10.0.32.1/19=b", "10.0.32.1/19=b"),
        ("10.0.0.0/40=a", "0 to 32"),
        ("10.0.0.0/19", "names no zone"),
    ] {
        let refusal = refused_on_a_folder(&["--client-zone-cidrs", blocks], &[]).await;
        refusal.assert_says(&["client.zone.cidrs", why, "ADDRESS/PREFIX=ZONE"]);
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal = refused_on_a_folder(&["--listen", &address], &[]).await;
    let fault = format!("cannot listen on {address}: Address already in use");
    refusal.assert_says(&[&fault]);
    let refusal = refused_on_a_folder(&["--admin-listen", &address], &[]).await;
    refusal.assert_says(&[&address, "Address already in use"]);
}

#[tokio::test]
async fn a_store_that_ignores_conditional_puts_is_refused() {
    let server = CarelessServer::start().await.unwrap();
    let env = [
        pair("AWS_ENDPOINT_URL", &server.url),
        pair("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        pair("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        pair("AWS_REGION", REGION),
    ];
    let refusal = refused(&format!("s3://{BUCKET}"), &[], &env).await;
    refusal.assert_says(&[
        "ignores conditional writes (If-None-Match)",
        "data would be lost",
    ]);
    assert_eq!(
        server.paths(),
        Vec::<String>::new(),
        "nothing is left in it"
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_refused_with_what_to_check() {
    let place = Place::s3().await.unwrap();
    place.faults().add(Rule::always(&[], Effect::AccessDenied));
    refused(&place.url, &[], &place.env())
        .await
        .assert_says(&["denies access", "get, put, list and delete"]);
    place.faults().clear();
    refused("s3://another", &[], &place.env())
        .await
        .assert_says(&["no such bucket", "create it first"]);
    let mut env = place.env();
    env.push(pair("AWS_SECRET_ACCESS_KEY", "wrong"));
    refused(&place.url, &[], &env)
        .await
        .assert_says(&["denies access"]);

    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let endpoint = format!("http://{address}");
    refused(&place.url, &["--store-endpoint", &endpoint], &place.env())
        .await
        .assert_says(&["cannot be reached", &address.to_string()]);
}

#[tokio::test]
async fn a_bucket_that_is_another_programs_is_refused() {
    let place = Place::folder().unwrap();
    let identity = place.path().join("meta/cluster");
    fs::create_dir_all(identity.parent().unwrap()).unwrap();
    fs::write(&identity, "mine").unwrap();
    refused(&place.url, &[], &[])
        .await
        .assert_says(&["meta/cluster", "another program's bucket"]);
    assert_eq!(fs::read_to_string(&identity).unwrap(), "mine");
}

/// How many partitions a topic gets that is created by asking for it.
async fn partitions_by_default(launch: &Launch) -> usize {
    let process = launch.start().await.unwrap();
    let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(TOPIC)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(true);
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    let response = raw.call(12, &request).await.unwrap();
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].partitions.len()
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = TempDir::new().unwrap();
    let config = file(
        &folder,
        "num.partitions = 3\n[auto.create.topics]\nenable = true\n",
    );
    let launch = || Launch::dev("memory://").arg("--metadata", "memory");
    assert_eq!(partitions_by_default(&launch()).await, 1);
    let with_file = launch().arg("--config", &config);
    assert_eq!(partitions_by_default(&with_file).await, 3);
    let with_env = with_file.env([pair("MILLRACE_NUM_PARTITIONS", "4")]);
    assert_eq!(partitions_by_default(&with_env).await, 4);
    let with_flag = with_env.arg("--num-partitions", "5");
    assert_eq!(partitions_by_default(&with_flag).await, 5);
}

fn manifests(checkpoints: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(checkpoints).into_iter().flatten();
    let manifests = folders.map(|folder| folder.unwrap().path().join("manifest"));
    manifests.filter(|manifest| manifest.exists()).collect()
}

/// Flips the first byte of every chunk of a checkpoint. What a killed process left half written stays as it is: it may
/// be the same file under another name.
fn damage(checkpoint: &Path) {
    for file in fs::read_dir(checkpoint).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name.starts_with('0') && !name.contains('#') {
            let mut bytes = fs::read(&path).unwrap();
            bytes[0] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_is_passed_over_and_refused_if_nothing_else_is_left() {
    let place = Place::folder().unwrap();
    let first = place.dev().arg("--metadata-checkpoint-entries", "3");
    let mut process = first.start().await.unwrap();
    let mut raw = Raw::connect(&process.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let mut producer = Producer::plain("plain", TOPIC, 0, &Tally::default());
    producer.connect(&process.bootstrap).await.unwrap();
    producer.run(10).await.unwrap();
    producer.settle().await.unwrap();
    let checkpoints = place.path().join("meta/checkpoint");
    until(
        "a checkpoint is written",
        Duration::from_secs(20),
        || async { !manifests(&checkpoints).is_empty() },
    )
    .await;
    process.kill().await;
    let written = manifests(&checkpoints);
    written
        .iter()
        .for_each(|manifest| damage(manifest.parent().unwrap()));

    let again = place
        .dev()
        .arg("--metadata-checkpoint-entries", "1000000")
        .allow("a metadata checkpoint is damaged")
        .allow("the log is still whole and is replayed");
    let mut process = again.start().await.unwrap();
    let told = process.log();
    let told = told
        .iter()
        .filter(|line| line.contains("is damaged"))
        .count();
    assert_eq!(told, written.len(), "each is told once");
    producer.connect(&process.bootstrap).await.unwrap();
    producer.run(3).await.unwrap();
    producer.settle().await.unwrap();
    assert_kept(&process.bootstrap, TOPIC, &[producer]).await;
    process.kill().await;

    // As if the log had been trimmed behind the checkpoint.
    let first_entry = place.path().join("meta/log/00000000000000000001");
    if !first_entry.exists() {
        eprintln!("the rest skipped: the log is not in the bucket");
        return;
    }
    fs::remove_file(first_entry).unwrap();
    refused(&place.url, &[], &[]).await.assert_says(&[
        "no checkpoint can be read",
        "meta/checkpoint/",
        "checksum",
    ]);
}
