//! What `millrace metadata move` refuses where there is nothing to move, or nowhere to move it.

#![cfg(test)]

use tests::place::Place;
use tests::raw::Raw;
use tests::tool;

#[test]
fn what_is_no_move_is_refused() {
    let place = Place::folder().unwrap();
    let store = place.url.as_str();
    let refused = |args: &[&str], words: &[&str]| {
        tool::refuses(&[&["metadata", "move"], args].concat(), &[], words);
    };
    refused(&["--store", store], &["--to"]);
    refused(
        &["--store", store, "--to", "bucket"],
        &["there is no folder"],
    );
    std::fs::create_dir_all(place.path()).unwrap();
    refused(
        &["--store", store, "--to", "bucket"],
        &["no cluster in this bucket"],
    );
    refused(
        &["--store", store, "--to", "memory"],
        &["seen by no other process"],
    );
    let from_memory = ["--store", store, "--metadata", "memory", "--to", "bucket"];
    refused(&from_memory, &["seen by no other process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_stays_where_it_is_if_that_is_all_there_is() {
    let place = Place::folder().unwrap();
    let agent = place.broker("a").arg("--metadata", "bucket");
    let agent = agent.start().await.unwrap();
    let command = ["metadata", "move", "--store", &place.url, "--to"];
    let refused = |to: &str, words: &[&str]| {
        tool::refuses(&[&command[..], &[to]].concat(), &[], words);
    };
    refused("bucket", &["both are bucket"]);
    refused("the moon", &["unknown metadata log \"the moon\""]);
    let mut raw = Raw::connect(&agent.bootstrap).await.unwrap();
    assert_eq!(raw.create_topic("orders", 1).await.unwrap(), 0);
}
