//! What is refused at start, and how it is said.

use std::time::Duration;

use runtime::{Rng, SystemClock};

use super::super::keys::Keys;
use super::super::{Address, Claim, FoundationLog, FoundationLogOptions, OpenError};
use super::live::{new_address, open, try_open};
use super::{OWNER, server};

async fn refused(address: &Address, claim: Claim<'_>) -> String {
    let options = FoundationLogOptions {
        open_timeout: Duration::from_secs(2),
        ..FoundationLogOptions::default()
    };
    let (clock, rng) = (SystemClock::shared(), Rng::from_os());
    let opened = FoundationLog::open(address, claim, clock, rng, options).await;
    super::super::network::stop_at_exit();
    opened.unwrap_err().to_string()
}

#[track_caller]
fn assert_says(refusal: &str, words: &[&str]) {
    for word in words {
        assert!(refusal.contains(word), "{word:?} is not in {refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clusters_prefix_is_refused_with_both_names() {
    let Some(address) = new_address() else {
        return;
    };
    open(&address).await;
    let other = Claim::Join {
        cluster_id: "99999999",
    };
    let refusal = refused(&address, other).await;
    assert_says(&refusal, &[OWNER, "99999999", &address.prefix, "?prefix="]);
    let look = Claim::Look {
        cluster_id: "99999999",
    };
    assert_says(&refused(&address, look).await, &[OWNER, "99999999"]);
    open(&address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_must_be_there_is_not_made() {
    let Some(address) = new_address() else {
        return;
    };
    let look = Claim::Look { cluster_id: OWNER };
    let refusal = refused(&address, look).await;
    assert_says(&refusal, &["no metadata log", &address.prefix]);
    let refusal = refused(&address, look).await;
    assert_says(&refusal, &["no metadata log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_something_else_are_not_touched() {
    let Some(address) = new_address() else {
        return;
    };
    super::super::network::start().unwrap();
    let file = address.cluster_file.to_str().unwrap();
    let database = foundationdb::Database::from_path(file).unwrap();
    let transaction = database.create_trx().unwrap();
    transaction.set(&Keys::new(&address.prefix).bell(), b"x");
    transaction.commit().await.unwrap();
    let join = Claim::Join { cluster_id: OWNER };
    assert_says(
        &refused(&address, join).await,
        &["not those of a metadata log", "another prefix"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_future_is_refused() {
    let Some(address) = new_address() else {
        return;
    };
    drop(open(&address).await);
    let file = address.cluster_file.to_str().unwrap();
    let database = foundationdb::Database::from_path(file).unwrap();
    let transaction = database.create_trx().unwrap();
    let keys = Keys::new(&address.prefix);
    let place = super::super::Place {
        position: crate::log::Position(5),
        stamp: super::super::Stamp([0x70; 10]),
    };
    transaction.set(&keys.base(), &place.encode());
    transaction.commit().await.unwrap();
    let join = Claim::Join { cluster_id: OWNER };
    assert_says(&refused(&address, join).await, &["advanceversion"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_refused_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address {
        cluster_file: server::nobody(folder.path()),
        prefix: "p".into(),
    };
    let join = Claim::Join { cluster_id: OWNER };
    let refusal = refused(&address, join);
    let refusal = tokio::time::timeout(Duration::from_secs(10), refusal).await;
    let connection = std::fs::read_to_string(&address.cluster_file).unwrap();
    assert_says(
        &refusal.unwrap(),
        &["does not answer", connection.trim(), "7.3"],
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_refused() {
    let address = Address {
        cluster_file: "/nowhere/fdb.cluster".into(),
        prefix: "p".into(),
    };
    let refused = try_open(&address, FoundationLogOptions::default()).await;
    assert!(matches!(refused, Err(OpenError::ClusterFile { .. })));
}
