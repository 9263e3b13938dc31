use std::time::Duration;

use object_format::{TopicId, TopicPartition};
use uuid::Uuid;

use super::*;

fn tp(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_u128(7)),
        partition,
    }
}

async fn is_woken(waiter: &Waiter) -> bool {
    tokio::time::timeout(Duration::from_millis(1), waiter.woken())
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_those_who_wait_for_it_and_nobody_else() {
    let waiters = Waiters::default();
    let (a, b) = (waiters.enter([tp(1), tp(2)]), waiters.enter([tp(3)]));
    waiters.wake(&[tp(2)]);
    assert!(is_woken(&a).await);
    assert!(!is_woken(&b).await);
    waiters.wake(&[tp(4)]);
    assert!(!is_woken(&a).await);
}

#[tokio::test(start_paused = true)]
async fn many_changes_before_the_wait_are_one_wakeup() {
    let waiters = Waiters::default();
    let waiter = waiters.enter([tp(1), tp(2)]);
    waiters.wake(&[tp(1), tp(2)]);
    waiters.wake(&[tp(1)]);
    assert!(is_woken(&waiter).await);
    assert!(!is_woken(&waiter).await);
    waiters.wake(&[tp(2)]);
    assert!(is_woken(&waiter).await, "it can be woken again");
}

#[tokio::test]
async fn whoever_leaves_leaves_nothing_behind() {
    let waiters = Waiters::default();
    let kept = waiters.enter([tp(1)]);
    drop(waiters.enter((0..1_000).map(tp)));
    let entered = waiters.0.entered.lock();
    assert_eq!((entered.alarms.len(), entered.by_partition.len()), (1, 1));
    drop(entered);
    assert_eq!(waiters.count(), 1);
    drop(kept);
    assert_eq!(waiters.count(), 0);
    assert!(waiters.0.entered.lock().by_partition.is_empty());
}

/// Commits go on in one thread while readers enter, look, and wait in others: none may sleep
/// through the commit it waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wakeup_is_lost() {
    const COMMITS: usize = 2_000;
    let waiters = Waiters::default();
    let end = Arc::new(AtomicUsize::new(0));
    let read = |reader: u32| {
        let (waiters, end) = (waiters.clone(), Arc::clone(&end));
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < COMMITS {
                let waiter = waiters.enter([tp(1), tp(100 + reader)]);
                while end.load(Ordering::SeqCst) == seen {
                    waiter.woken().await;
                }
                seen = end.load(Ordering::SeqCst);
            }
        })
    };
    let readers: Vec<_> = (0..8).map(read).collect();
    for _ in 0..COMMITS {
        end.fetch_add(1, Ordering::SeqCst);
        waiters.wake(&[tp(1)]);
        tokio::task::yield_now().await;
    }
    let all = futures::future::join_all(readers);
    let all = tokio::time::timeout(Duration::from_secs(30), all).await;
    assert!(
        all.is_ok(),
        "a reader sleeps though there is something to read"
    );
}

/// Ten thousand wait for one partition, and all leave: quick, and not the square of it.
#[tokio::test]
async fn a_crowd_on_one_partition_is_cheap() {
    let waiters = Waiters::default();
    let crowd: Vec<_> = (0..10_000).map(|_| waiters.enter([tp(1)])).collect();
    waiters.wake(&[tp(1)]);
    for waiter in &crowd {
        waiter.woken().await;
    }
    drop(crowd);
    assert_eq!(waiters.count(), 0);
}
