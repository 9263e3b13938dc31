//! The S3 server of the tests keeps the promises that the broker builds on, and fails as told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
};
use tests::s3::{Effect, Latency, Op, Rule, S3Server};

fn impatient(server: &S3Server) -> impl ObjectStore {
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 0,
        retry_timeout: Duration::from_secs(5),
    };
    let options = object_store::ClientOptions::new()
        .with_timeout(Duration::from_millis(500))
        .with_allow_http(true);
    let builder = server
        .client()
        .with_retry(retry)
        .with_client_options(options);
    builder
        .with_unsigned_payload(true)
        .build()
        .expect("a client")
}

fn create() -> PutOptions {
    PutOptions {
        mode: PutMode::Create,
        ..Default::default()
    }
}

#[tokio::test]
async fn one_of_many_concurrent_creates_wins() {
    let server = S3Server::start().await.unwrap();
    let store = Arc::new(impatient(&server));
    let path = Path::from("meta/log/1");
    let puts = (0..32).map(|n| {
        let (store, path) = (store.clone(), path.clone());
        async move {
            store
                .put_opts(&path, format!("writer {n}").into(), create())
                .await
        }
    });
    let results: Vec<_> = futures::stream::iter(puts)
        .buffer_unordered(32)
        .collect()
        .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .flat_map(|result| result.as_ref().err())
            .all(|error| matches!(error, Error::AlreadyExists { .. }))
    );
    let put = server.faults.counts().of(Op::Put);
    assert_eq!((put.requests, put.precondition_failed), (32, 31));
}

#[tokio::test]
async fn objects_come_back_whole_in_ranges_and_in_lists() {
    let server = S3Server::start().await.unwrap();
    let store = impatient(&server);
    let body = Bytes::from(
        (0..100_000u32)
            .flat_map(u32::to_be_bytes)
            .collect::<Vec<_>>(),
    );
    let path = Path::from("data/abc/large");
    store
        .put(&path, PutPayload::from(body.clone()))
        .await
        .unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), body);
    assert_eq!(
        store.get_range(&path, 1000..2000).await.unwrap(),
        body.slice(1000..2000)
    );
    assert_eq!(store.head(&path).await.unwrap().size, body.len() as u64);

    for n in 0..2500 {
        server
            .objects
            .put(&format!("many/{n:05}"), Bytes::from_static(b"x"));
    }
    let prefix = Path::from("many");
    let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2500);
    assert!(listed.is_sorted_by_key(|meta| meta.location.clone()));
    assert_eq!(server.faults.counts().of(Op::List).requests, 3);
    let after = Path::from("many/02000");
    let rest: Vec<_> = store
        .list_with_offset(Some(&prefix), &after)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rest.len(), 499);
    let folders = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(
        folders.common_prefixes,
        [Path::from("data"), Path::from("many")]
    );

    let all = store
        .list(Some(&prefix))
        .map_ok(|meta| meta.location)
        .boxed();
    let deleted: Vec<_> = store.delete_stream(all).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 2500);
    assert_eq!(server.objects.keys("many/").len(), 0);
    assert!(matches!(
        store.get(&after).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn multipart_uploads_appear_at_once() {
    let server = S3Server::start().await.unwrap();
    let store = impatient(&server);
    let path = Path::from("multi");
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(vec![1; 5 << 20].into()).await.unwrap();
    upload.put_part(vec![2; 10].into()).await.unwrap();
    assert!(server.objects.get("multi").is_none());
    upload.complete().await.unwrap();
    let bytes = server.objects.get("multi").unwrap();
    assert_eq!(
        (bytes.len(), bytes[0], bytes[5 << 20]),
        ((5 << 20) + 10, 1, 2)
    );
}

#[tokio::test]
async fn faults_strike_as_often_as_told_and_say_what_s3_says() {
    let server = S3Server::start().await.unwrap();
    let store = impatient(&server);
    let path = Path::from("a");
    let put = async || store.put_opts(&path, "1".into(), create()).await;

    server
        .faults
        .add(Rule::always(&[Op::Put], Effect::SlowDown).times(1));
    assert!(put().await.unwrap_err().to_string().contains("SlowDown"));
    server
        .faults
        .add(Rule::always(&[Op::Put], Effect::AccessDenied).times(1));
    assert!(matches!(put().await, Err(Error::PermissionDenied { .. })));
    server
        .faults
        .add(Rule::always(&[Op::Put], Effect::Drop).times(1));
    assert!(put().await.is_err());
    server
        .faults
        .add(Rule::always(&[Op::Put], Effect::Hang).times(1));
    assert!(put().await.is_err());
    assert!(
        server.objects.get("a").is_none(),
        "none of these has an effect"
    );

    server.faults.add(
        Rule::always(&[Op::Put], Effect::DropAfter)
            .on("/a")
            .times(1),
    );
    assert!(put().await.is_err());
    assert!(
        server.objects.get("a").is_some(),
        "this one is stored, though the client cannot know"
    );
    assert!(matches!(put().await, Err(Error::AlreadyExists { .. })));
    assert_eq!(server.faults.counts().of(Op::Put).requests, 6);
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let server = S3Server::start().await.unwrap();
    let store = server
        .client()
        .with_secret_access_key("wrong")
        .build()
        .unwrap();
    assert!(store.put(&Path::from("a"), "1".into()).await.is_err());
    assert!(server.objects.get("a").is_none());
}

#[tokio::test]
async fn delays_are_added_to_one_operation_only() {
    let server = S3Server::start().await.unwrap();
    let store = impatient(&server);
    server
        .faults
        .set_latency(Op::Put, Latency::Fixed(Duration::from_secs(3600)));
    let path = Path::from("a");
    assert!(
        store.put(&path, "1".into()).await.is_err(),
        "longer than the client waits"
    );
    assert!(matches!(
        store.head(&path).await,
        Err(Error::NotFound { .. })
    ));
    server.faults.clear();
    store.put(&path, "1".into()).await.unwrap();
}

#[test]
fn rules_are_read_from_text() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(S3Server::start()).unwrap();
    for good in [
        "put-delay-ms=30&put-delay-sigma=0.5",
        "slow-down=put:0.5:3:/data/",
        "clear=",
    ] {
        assert_eq!(server.faults.configure(good), Ok(()), "{good}");
    }
    for bad in [
        "slow=put",
        "slow-down=putt",
        "put-delay-ms=x",
        "slow-down=put:often",
    ] {
        assert!(server.faults.configure(bad).is_err(), "{bad}");
    }
}
