//! Servers that are stopped, killed and come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Address, FoundationLogOptions};
use super::live::{open, try_open};
use super::server::Server;
use crate::log::conformance::{Handle, read_from};
use crate::log::{AppendError, MetadataLog, Position, ReadError};

fn impatient() -> FoundationLogOptions {
    FoundationLogOptions {
        request_timeout: Duration::from_secs(1),
        ..FoundationLogOptions::default()
    }
}

fn address(server: &Server) -> Address {
    Address {
        cluster_file: server.cluster_file(),
        prefix: "outage".into(),
    }
}

/// The tail, once the log tells it.
async fn answered(log: &dyn MetadataLog) -> Position {
    let answer = async {
        loop {
            match log.tail().await {
                Ok(tail) => return tail,
                Err(ReadError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
    answer.expect("the log answers")
}

/// Waits until the log has an entry at this position.
async fn reaches(log: &dyn MetadataLog, at: Position) {
    let there = async { while answered(log).await < at {} };
    let there = tokio::time::timeout(Duration::from_secs(60), there).await;
    there.expect("appends go on");
}

/// Appends numbers, each until the log says that it has it, while `outage` happens. Then everything acknowledged must be
/// where it was said to be, in every view.
async fn acknowledged_survives(
    server: Server,
    outage: impl AsyncFnOnce(Server, &dyn MetadataLog) -> Server,
) {
    let address = address(&server);
    let log = Arc::new(try_open(&address, impatient()).await.unwrap());
    let follower: Handle = Arc::new(try_open(&address, impatient()).await.unwrap());
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            let mut acknowledged = BTreeMap::new();
            let mut troubles = 0;
            for number in 0u64.. {
                loop {
                    match log.append(number.to_string().into()).await {
                        Ok(at) => {
                            acknowledged.insert(at, number.to_string());
                            break;
                        }
                        Err(stale @ AppendError::Stale(_)) => panic!("{stale}"),
                        Err(_) => troubles += 1,
                    }
                }
                if *stopped.borrow_and_update() {
                    return (acknowledged, troubles);
                }
            }
            unreachable!()
        }
    });
    reaches(&*follower, Position(20)).await;
    let server = outage(server, &*follower).await;
    // It goes on by itself.
    let tail = answered(&*log).await;
    reaches(&*follower, Position(tail.0 + 20)).await;
    stop.send(true).unwrap();
    let (acknowledged, troubles) = writer.await.unwrap();
    assert!(troubles > 0, "the outage was not noticed");
    let late: Handle = Arc::new(open(&address).await);
    let all: BTreeMap<_, _> = read_from(&late, Position(0)).await.into_iter().collect();
    for (at, number) in &acknowledged {
        assert_eq!(
            all.get(at).map(|e| &e[..]),
            Some(number.as_bytes()),
            "at {at}"
        );
    }
    let seen: BTreeMap<_, _> = read_from(&follower, Position(0))
        .await
        .into_iter()
        .collect();
    assert!(seen == all, "views differ");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_for_a_while_costs_nothing_acknowledged() {
    if let Some(server) = Server::start_own() {
        acknowledged_survives(server, async |server, _| {
            server.signal("STOP");
            tokio::time::sleep(Duration::from_secs(8)).await;
            server.signal("CONT");
            server
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_that_starts_again_costs_nothing_acknowledged() {
    if let Some(server) = Server::start_own() {
        acknowledged_survives(server, async |mut server, log| {
            for _ in 0..3 {
                server.kill();
                tokio::time::sleep(Duration::from_secs(2)).await;
                server.resume();
                answered(log).await;
            }
            server
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_gone_every_call_says_so_in_time() {
    let Some(mut server) = Server::start_own() else {
        return;
    };
    let log = try_open(&address(&server), impatient()).await.unwrap();
    log.append("a".into()).await.unwrap();
    server.kill();
    let calls = async {
        assert!(log.append("b".into()).await.is_err());
        assert!(log.tail().await.is_err());
        assert!(log.wait(Position(1)).await.is_err());
        assert!(log.trim(Position(1)).await.is_err());
        let known = log.read(Position(0), 10).await.unwrap();
        assert_eq!(known[0].0, Position(1), "what is in memory can be read");
    };
    tokio::time::timeout(Duration::from_secs(20), calls)
        .await
        .unwrap();
    let age = log.shared.client.answer_age();
    assert!(age > Duration::from_secs(2), "{age:?}");
    server.resume();
    answered(&log).await;
    let age = log.shared.client.answer_age();
    assert!(age < Duration::from_secs(2), "{age:?}");
}
