//! Requests sent twice, at an S3 server that carries out what has arrived, whoever has stopped
//! waiting for it: what that gives, what it costs, and that no write is taken for another's.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig};
use runtime::store::{HedgedStore, repeatable_create};
use runtime::{Duty, Store, SystemClock};
use tests::s3::{Effect, Latency, Op, Rule, S3Server};

fn client(server: &S3Server, timeout: Duration) -> Store {
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 1,
        retry_timeout: Duration::from_secs(5),
    };
    let options = ClientOptions::new()
        .with_timeout(timeout)
        .with_allow_http(true);
    let builder = server.client().with_retry(retry);
    let builder = builder
        .with_client_options(options)
        .with_unsigned_payload(true)
        .with_conditional_put(object_store::aws::S3ConditionalPut::ETagMatch);
    Arc::new(builder.build().unwrap())
}

fn hedged(store: Store, percent: u32) -> Arc<HedgedStore> {
    let clock = SystemClock::shared();
    Arc::new(HedgedStore::new(store, Duty::Produce, clock, percent))
}

const TAIL: Latency = Latency::Tail {
    p50: Duration::from_millis(30),
    p99: Duration::from_millis(200),
    p999: Duration::from_secs(1),
};

/// Does `count` requests, six at once.
async fn all<F: Future<Output = ()>>(count: u64, request: impl Fn(u64) -> F) {
    let requests = futures::stream::iter((0..count).map(request));
    requests.buffer_unordered(6).collect::<()>().await;
}

/// What it gives is a matter of time, and so of `scripts/bench-hedging`; what it costs is counted here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_requests_are_sent_twice_and_no_more() {
    const COUNT: u64 = 1_000;
    let server = S3Server::start().await.unwrap();
    server.faults.set_latency(Op::Put, TAIL);
    server.faults.set_latency(Op::Get, TAIL);
    let store = hedged(client(&server, Duration::from_secs(20)), 5);
    let key = |n: u64| Path::from(format!("data/{n}"));
    let (store, key) = (&store, &key);
    all(COUNT, |n| async move {
        let (key, body) = (key(n), format!("object {n}").into());
        let put = store.put_opts(&key, body, repeatable_create());
        put.await.unwrap();
    })
    .await;
    let sent = server.faults.counts().of(Op::Put).requests;
    assert!(
        sent > COUNT && sent <= COUNT * 105 / 100 + 1,
        "{sent} PUTs for {COUNT}"
    );
    all(COUNT, |n| async move {
        let got = store.get_range(&key(n), 0..7).await.unwrap();
        assert_eq!(&got[..], b"object ");
    })
    .await;
    let sent = server.faults.counts().of(Op::Get).requests;
    assert!(
        sent > COUNT && sent <= COUNT * 105 / 100 + 10,
        "{sent} GETs for {COUNT}"
    );
    assert_eq!(server.objects.keys("data/").len() as u64, COUNT);
}

/// Two writers race for each key through a bad network; whoever is told that it has created the
/// object has, and nobody is told what is not so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_to_have_created_what_another_has() {
    const KEYS: u64 = 300;
    let server = S3Server::start().await.unwrap();
    let slow = Latency::LogNormal {
        median: Duration::from_millis(4),
        sigma: 1.0,
    };
    server.faults.set_latency(Op::Put, slow);
    let faults = [
        (Effect::InternalErrorAfter, 0.05),
        (Effect::DropAfter, 0.05),
        (Effect::Drop, 0.05),
        (Effect::HangAfter, 0.02),
        (Effect::Hang, 0.02),
    ];
    for (effect, chance) in faults {
        server
            .faults
            .add(Rule::always(&[Op::Put], effect).chance(chance));
    }
    let writers = ["one", "two"];
    let stores = writers.map(|_| hedged(client(&server, Duration::from_millis(300)), 100));
    let told = futures::stream::iter((0..KEYS).flat_map(|n| [(n, 0), (n, 1)]))
        .map(|(n, writer)| {
            let store = stores[writer].clone();
            async move {
                let key = Path::from(format!("meta/log/{n}"));
                let put = store.put_opts(&key, writers[writer].into(), repeatable_create());
                (n, writers[writer], put.await)
            }
        })
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    let sent_twice: u64 = stores.iter().map(|store| store.sent_twice()).sum();
    assert!(sent_twice > 20, "{sent_twice}");
    server.faults.clear();
    let reader = client(&server, Duration::from_secs(5));
    let (mut created, mut existed, mut unknown) = (0, 0, 0);
    for (n, writer, result) in told {
        let stored = reader.get(&Path::from(format!("meta/log/{n}"))).await;
        match result {
            Ok(_) => {
                let bytes = stored.unwrap().bytes().await.unwrap();
                assert_eq!(bytes, writer, "key {n}");
                created += 1;
            }
            Err(Error::AlreadyExists { .. }) => {
                assert!(stored.is_ok(), "key {n} exists");
                existed += 1;
            }
            Err(Error::Generic { .. }) => unknown += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        created > 100 && existed > 100 && unknown > 0,
        "{created} {existed} {unknown}"
    );
}
