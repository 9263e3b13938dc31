use futures::TryStreamExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt as _, PutMode};

use super::*;
use crate::clock::SystemClock;

fn metered() -> MeteredStore {
    MeteredStore::new(
        Arc::new(InMemory::new()),
        Duty::Produce,
        SystemClock::shared(),
    )
}

#[tokio::test]
async fn requests_and_bytes_are_counted() {
    let store = metered();
    let key = Path::from("data/x");
    store.put(&key, "0123456789".into()).await.unwrap();
    store.get_range(&key, 2..6).await.unwrap();
    store.get_ranges(&key, &[0..1, 9..10]).await.unwrap();
    store.head(&key).await.unwrap();
    store.copy(&key, &Path::from("data/y")).await.unwrap();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(listed.len(), 2);
    let counted = store.meter().snapshot();
    let expected = StoreCounters {
        puts: 2,
        gets: 2,
        lists: 1,
        deletes: 1,
        heads: 1,
        bytes_put: 10,
        // Two ranges close together are read as one, with what lies between.
        bytes_got: 4 + 10,
    };
    assert_eq!(counted, expected);
}

#[tokio::test]
async fn a_refused_request_counts_and_a_long_listing_counts_by_page() {
    let store = metered();
    let create = |n: u32| {
        let key = Path::from(format!("data/{n}"));
        let store = &store;
        async move {
            store
                .put_opts(&key, "".into(), PutMode::Create.into())
                .await
        }
    };
    for n in 0..1_001 {
        create(n).await.unwrap();
    }
    create(0).await.unwrap_err();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let counted = store.meter().snapshot();
    assert_eq!(
        (listed.len(), counted.puts, counted.lists),
        (1_001, 1_002, 2)
    );
}

#[tokio::test]
async fn an_upload_in_parts_counts_each_request() {
    let store = metered();
    let mut upload = store.put_multipart(&Path::from("data/x")).await.unwrap();
    upload.put_part("01234".into()).await.unwrap();
    upload.put_part("56789".into()).await.unwrap();
    upload.complete().await.unwrap();
    let counted = store.meter().snapshot();
    assert_eq!((counted.puts, counted.bytes_put), (4, 10));
}

#[tokio::test]
async fn outcomes_are_shown_by_duty_and_operation() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // The runtime of this test has one thread, so the recorder of this thread sees everything.
    let _guard = metrics::set_default_local_recorder(&recorder);
    let store = metered();
    let key = Path::from("data/x");
    store.put(&key, "0123456789".into()).await.unwrap();
    store
        .put_opts(&key, "".into(), PutMode::Create.into())
        .await
        .unwrap_err();
    store.get(&Path::from("data/none")).await.unwrap_err();
    drop(store.list(None));
    let text = handle.render();
    for (operation, outcome) in [
        ("put", "ok"),
        ("put", "condition_failed"),
        ("get", "not_found"),
        ("list", "cancelled"),
    ] {
        let line = format!(
            "millrace_store_requests_total{{duty=\"produce\",operation=\"{operation}\",\
             outcome=\"{outcome}\"}} 1"
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(
        text.contains("millrace_store_put_bytes_total{duty=\"produce\"} 10"),
        "{text}"
    );
}
