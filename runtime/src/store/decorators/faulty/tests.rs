use futures::TryStreamExt as _;
use object_store::memory::InMemory;

use super::*;
use crate::clock::timer_now;
use crate::store::errors::{is_retryable, is_throttle};

fn faulty(seed: u64) -> (Store, Store, Faults) {
    let inner: Store = Arc::new(InMemory::new());
    let store = FaultyStore::new(Arc::clone(&inner), Rng::from_seed(seed));
    let faults = store.faults();
    (Arc::new(store), inner, faults)
}

async fn exists(store: &Store, key: &str) -> bool {
    store.head(&Path::from(key)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_the_effect_it_says() {
    let (store, inner, faults) = faulty(7);
    let put = |key: &'static str| {
        let store = Arc::clone(&store);
        async move { store.put(&Path::from(key), "bytes".into()).await }
    };
    faults.next(Operation::Put, Fault::Before);
    let error = put("before").await.unwrap_err();
    assert!(is_retryable(&error) && !is_throttle(&error) && !exists(&inner, "before").await);

    faults.next(Operation::Put, Fault::After);
    let error = put("after").await.unwrap_err();
    assert!(is_retryable(&error) && exists(&inner, "after").await);

    faults.next(Operation::Put, Fault::Throttle);
    let error = put("throttle").await.unwrap_err();
    assert!(is_throttle(&error) && !exists(&inner, "throttle").await);

    faults.next(Operation::Put, Fault::Hang);
    let hung = tokio::time::timeout(Duration::from_secs(60), put("hang")).await;
    assert!(hung.is_err() && !exists(&inner, "hang").await);

    faults.next(Operation::Put, Fault::Delay(Duration::from_secs(5)));
    let began = timer_now();
    put("delay").await.unwrap();
    assert_eq!(timer_now() - began, Duration::from_secs(5));

    faults.next(Operation::Get, Fault::Corrupt);
    let read = async || {
        store
            .get(&Path::from("delay"))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    };
    assert_ne!(read().await.as_ref(), b"bytes");
    assert_eq!(read().await.as_ref(), b"bytes");
    assert_eq!(faults.injected(), 6);
}

#[tokio::test]
async fn deletes_and_listings_fail_too() {
    let (store, inner, faults) = faulty(7);
    store.put(&Path::from("x"), "".into()).await.unwrap();
    faults.next(Operation::Delete, Fault::Before);
    store.delete(&Path::from("x")).await.unwrap_err();
    assert!(exists(&inner, "x").await);
    faults.next(Operation::Delete, Fault::After);
    store.delete(&Path::from("x")).await.unwrap_err();
    assert!(!exists(&inner, "x").await);
    faults.next(Operation::List, Fault::Throttle);
    let listed = store.list(None).try_collect::<Vec<_>>().await;
    assert!(is_throttle(&listed.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_run() {
    async fn run(seed: u64) -> (Vec<bool>, u64) {
        let (store, _, faults) = faulty(seed);
        let delay_max = Duration::from_millis(10);
        let plan = FaultPlan {
            before: 0.2,
            after: 0.1,
            throttle: 0.1,
            delay: 0.5,
            delay_max,
            ..FaultPlan::default()
        };
        faults.set(plan);
        let mut succeeded = Vec::new();
        for n in 0..200 {
            let key = Path::from(format!("data/{n}"));
            succeeded.push(store.put(&key, "".into()).await.is_ok());
        }
        (succeeded, faults.injected())
    }
    let (succeeded, injected) = run(7).await;
    assert_eq!((succeeded.clone(), injected), run(7).await);
    assert_ne!(succeeded, run(8).await.0);
    let failed = succeeded.iter().filter(|succeeded| !**succeeded).count();
    assert!(
        (40..110).contains(&failed),
        "about a third fails: {failed} of 200"
    );
}

#[tokio::test]
async fn only_the_keys_of_the_plan_are_touched_until_it_is_cleared() {
    let (store, _, faults) = faulty(7);
    let put = async |key: &str| store.put(&Path::from(key), "".into()).await;
    faults.set(FaultPlan {
        before: 1.0,
        under: "data/".to_string(),
        ..FaultPlan::default()
    });
    put("data/x").await.unwrap_err();
    put("meta/x").await.unwrap();
    faults.clear();
    put("data/x").await.unwrap();
}

#[tokio::test]
async fn conditions_can_be_ignored() {
    let (store, _, faults) = faulty(7);
    let create = async || {
        store
            .put_opts(&Path::from("x"), "".into(), PutMode::Create.into())
            .await
            .map(|_| ())
    };
    create().await.unwrap();
    assert!(matches!(create().await, Err(Error::AlreadyExists { .. })));
    faults.set(FaultPlan {
        ignore_conditions: true,
        ..FaultPlan::default()
    });
    create().await.unwrap();
}

#[tokio::test]
async fn uploads_in_parts_fail_at_completion() {
    let (store, inner, faults) = faulty(7);
    let mut upload = store.put_multipart(&Path::from("x")).await.unwrap();
    upload.put_part("part".into()).await.unwrap();
    faults.next(Operation::Put, Fault::After);
    upload.complete().await.unwrap_err();
    assert!(
        exists(&inner, "x").await,
        "it was completed, and the answer was lost"
    );
}
