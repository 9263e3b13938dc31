use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::memory::InMemory;

use super::*;
use crate::store::decorators::{Fault, FaultPlan, Faults, FaultyStore, Operation};
use crate::store::{StoreOptions, open};

fn faulty() -> (Store, Faults) {
    let store = FaultyStore::new(Arc::new(InMemory::new()), Rng::from_seed(7));
    let faults = store.faults();
    (Arc::new(store), faults)
}

async fn keys(store: &Store) -> Vec<String> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    listed
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect()
}

#[tokio::test]
async fn a_good_store_passes_and_nothing_is_left_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["memory://", folder.path().to_str().unwrap()] {
        let store = open(url, &StoreOptions::default()).unwrap();
        let rng = Rng::from_seed(7);
        probe(&store, &rng).await.unwrap();
        probe(&store, &rng).await.unwrap();
        assert!(keys(&store).await.is_empty());
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let (store, faults) = faulty();
    faults.set(FaultPlan {
        ignore_conditions: true,
        ..FaultPlan::default()
    });
    let error = probe(&store, &Rng::from_seed(7)).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::IgnoresConditionalWrites { .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("ignores conditional writes (If-None-Match)"),
        "{error}"
    );
    assert!(
        keys(&store).await.is_empty(),
        "the probe is deleted all the same"
    );
}

#[tokio::test]
async fn a_store_that_returns_other_bytes_is_refused() {
    let (store, faults) = faulty();
    faults.next(Operation::Get, Fault::Corrupt);
    let error = probe(&store, &Rng::from_seed(7)).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::ReadBackDiffers { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_store_that_cannot_delete_is_refused() {
    let (store, faults) = faulty();
    faults.next(Operation::Delete, Fault::Before);
    let error = probe(&store, &Rng::from_seed(7)).await.unwrap_err();
    assert!(error.to_string().contains("deleting the probe"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_told_as_unreachable() {
    // Bound and dropped, so that the port is free for certain.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = probe(&s3(port), &Rng::from_seed(7)).await.unwrap_err();
    assert!(matches!(error, ProbeError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn what_a_server_answers_is_told_apart() {
    let code = |code: &str| format!("<Error><Code>{code}</Code></Error>");
    for (status, body, expected) in [
        ("403 Forbidden", code("AccessDenied"), "denies access"),
        (
            "401 Unauthorized",
            code("InvalidAccessKeyId"),
            "denies access",
        ),
        ("404 Not Found", code("NoSuchBucket"), "no such bucket"),
        (
            "501 Not Implemented",
            code("NotImplemented"),
            "failed while creating the probe",
        ),
    ] {
        let port = answering(status, &body).await;
        let error = probe(&s3(port), &Rng::from_seed(7))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{status}: {error}");
    }
}

#[test]
fn a_failed_search_for_a_key_is_told_as_such() {
    let source = "Error performing PUT http://169.254.169.254/latest/api/token in 1ms - refused";
    for (store, looked_for) in [
        ("S3", "AWS_ACCESS_KEY_ID"),
        ("GCS", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("MicrosoftAzure", "AZURE_STORAGE_ACCOUNT_KEY"),
    ] {
        let error = Error::Generic {
            store,
            source: source.into(),
        };
        let error = fault("creating the probe", error);
        assert!(
            matches!(error, ProbeError::NoCredentials { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(looked_for), "{error}");
    }
}

/// The wording of the client that `errors` reads is guarded here.
#[tokio::test]
async fn real_answers_are_recognised_as_throttling_or_failure() {
    for (status, throttled, retryable) in [
        ("503 Slow Down", true, true),
        ("429 Too Many Requests", true, true),
        ("500 Internal Server Error", false, true),
        ("400 Bad Request", false, false),
    ] {
        let store = s3(answering(status, "").await);
        let error = store.put(&Path::from("x"), "1".into()).await.unwrap_err();
        assert_eq!(crate::store::is_throttle(&error), throttled, "{error}");
        assert_eq!(crate::store::is_retryable(&error), retryable, "{error}");
    }
}

fn s3(port: u16) -> Store {
    let options = StoreOptions {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        access_key_id: Some("key".to_string()),
        secret_access_key: Some("secret".to_string()),
        retries: 0,
        ..StoreOptions::default()
    };
    open("s3://events", &options).unwrap()
}

/// A server that answers every request the same.
async fn answering(status: &str, body: &str) -> u16 {
    let (code, body) = (status[..3].parse::<u16>().unwrap(), body.to_string());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let status = axum::http::StatusCode::from_u16(code).unwrap();
    let routes = axum::Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}
