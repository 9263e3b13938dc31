use std::sync::Arc;

use control_plane::log::memory::MemoryLog;
use object_format::TopicId;
use uuid::Uuid;

use super::super::fetcher::{FetchOptions, FetchParts};
use super::super::fixture::{Agent, TestStore, batch, fetch, tp};
use super::super::pool::PerPool;
use super::super::session::{FINAL_EPOCH, SessionRequest};
use super::*;

const MIB: u64 = 1 << 20;

fn partition(index: u32) -> TopicPartition {
    tp(TopicId(Uuid::from_u128(1)), index)
}

fn given(index: u32, from: i64, bytes: u64) -> Given {
    Given {
        partition: partition(index),
        from,
        to: from + 10,
        bytes,
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn who_reads_in_order_is_read_ahead_of_as_fast_as_it_reads() {
    let (mut readers, client) = (Readers::new(32 * MIB, 1_000 * MIB), Client::default());
    let mut ahead =
        |millis, from, bytes| readers.ahead(at(millis), &client, &given(0, from, bytes));
    assert_eq!(ahead(0, 0, MIB), 0, "nobody knows yet");
    assert_eq!(ahead(1_000, 10, MIB), 4 * MIB, "a slow one: a block");
    let fast = ahead(1_050, 20, MIB);
    assert!((4 * MIB..6 * MIB).contains(&fast), "{fast}");
    let mut last = fast;
    for n in 3..20 {
        let next = ahead(1_000 + n * 20, n as i64 * 10, MIB);
        assert!(next >= last);
        last = next;
    }
    assert!((23 * MIB..26 * MIB).contains(&last), "50 MiB/s: {last}");
    assert_eq!(ahead(1_400, 7_000, MIB), 0, "it went elsewhere");
}

#[test]
fn readers_share_what_there_is_and_too_many_get_nothing() {
    let (mut readers, client) = (Readers::new(32 * MIB, 16 * MIB), Client::default());
    for index in 0..4 {
        readers.ahead(at(0), &client, &given(index, 0, 8 * MIB));
    }
    for index in 0..4 {
        let ahead = readers.ahead(at(10), &client, &given(index, 10, 8 * MIB));
        assert_eq!(ahead, 4 * MIB);
    }
    readers.ahead(at(20), &client, &given(4, 0, MIB));
    assert_eq!(readers.ahead(at(30), &client, &given(4, 10, MIB)), 0);
    assert_eq!(readers.sweep(at(7_000)).len(), 5);
    assert!(readers.readers.is_empty());
}

/// An agent, a partition with 40 MiB of old records in one large object, and the store they are in.
async fn history() -> (Agent, Arc<TestStore>, TopicId) {
    let old = TestStore::new();
    let stores = PerPool {
        tail: TestStore::new(),
        catch_up: old.clone(),
    };
    let agent = Agent::start_on("a", MemoryLog::new(), stores, FetchOptions::default()).await;
    let topic = agent.topic("t", 2).await;
    let batches: Vec<_> = (0..40).map(|_| (tp(topic, 0), batch(1, 1 << 20))).collect();
    old.put_object(&agent.write(&batches).await).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    agent.write(&[(tp(topic, 1), batch(1, 100))]).await;
    (agent, old, topic)
}

/// Fetches a batch or two from an offset on; the offset after them.
async fn fetch_at(agent: &Agent, topic: TopicId, offset: i64) -> i64 {
    let mut wanted = fetch(topic, 0, offset);
    wanted.bytes_max = 5 << 19;
    let parts = FetchParts {
        session: SessionRequest {
            epoch: FINAL_EPOCH,
            uses_ids: true,
            partitions: vec![wanted],
            ..SessionRequest::default()
        },
        bytes_min: 1,
        bytes_max: 64 << 20,
        ..FetchParts::default()
    };
    let mut outcome = agent.fetcher.fetch(parts).await;
    let records = outcome.partitions.remove(0).records.to_bytes();
    let batches = super::super::fixture::offsets(&records);
    batches.last().expect("records").end
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_finds_what_was_read_ahead_and_each_block_is_read_once() {
    let (agent, old, topic) = history().await;
    let mut offset = 0;
    let mut late = 0;
    while offset < 40 {
        let before = old.gets();
        offset = fetch_at(&agent, topic, offset).await;
        let waited = old.gets() > before;
        late += usize::from(waited);
        settle().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(old.gets(), 11, "40 MiB in blocks of 4");
    assert!(late <= 3, "it waited {late} times");
}

#[tokio::test(start_paused = true)]
async fn who_jumps_about_is_not_read_ahead_of() {
    let (agent, old, topic) = history().await;
    for offset in [0, 20, 8, 36] {
        fetch_at(&agent, topic, offset).await;
        settle().await;
    }
    let planned = old.gets();
    for offset in [0, 20, 8, 36] {
        fetch_at(&agent, topic, offset).await;
        settle().await;
    }
    assert_eq!(old.gets(), planned);
    assert!(agent.fetcher.reads_ahead().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_is_given_up_when_the_reader_goes_elsewhere() {
    let (agent, old, topic) = history().await;
    let next = fetch_at(&agent, topic, 0).await;
    old.hold();
    let next = fetch_at(&agent, topic, next).await;
    settle().await;
    assert!(!agent.fetcher.reads_ahead().is_empty());
    assert!(next < 10);
    fetch_at(&agent, topic, 0).await;
    assert!(agent.fetcher.reads_ahead().is_empty());
    settle().await;
    assert_eq!(agent.fetcher.cache().under_way(), 0);
}

/// Also when nobody else reads, which is when who has stopped is noticed otherwise.
#[tokio::test(start_paused = true)]
async fn what_was_begun_is_given_up_when_the_reader_stops() {
    let (agent, old, topic) = history().await;
    let next = fetch_at(&agent, topic, 0).await;
    old.hold();
    fetch_at(&agent, topic, next).await;
    settle().await;
    assert!(agent.fetcher.cache().under_way() > 0);
    tokio::time::sleep(STOPPED + Duration::from_secs(1)).await;
    assert_eq!(agent.fetcher.cache().under_way(), 0);
}

/// What is read ahead may lie in many objects of which it is a small part: all of each is read, and so not all at once.
#[tokio::test(start_paused = true)]
async fn reads_ahead_together_stay_within_the_memory_for_them() {
    let old = TestStore::new();
    let stores = PerPool {
        tail: TestStore::new(),
        catch_up: old.clone(),
    };
    let mut options = FetchOptions::default();
    options.cache.bytes_max = 48 * MIB;
    assert_eq!(
        memory_bytes_max(24 * MIB, options.ahead_bytes_max) / MIB,
        12
    );
    let agent = Agent::start_on("a", MemoryLog::new(), stores, options).await;
    let topic = agent.topic("t", 2).await;
    for _ in 0..8 {
        let wanted = (tp(topic, 0), batch(1, 100));
        let beside = (tp(topic, 1), batch(1, 5 << 20));
        old.put_object(&agent.write(&[wanted, beside]).await).await;
    }
    tokio::time::sleep(Duration::from_secs(90)).await;
    agent.write(&[(tp(topic, 1), batch(1, 100))]).await;
    let ahead = ReadAhead::new(
        agent.fetcher.cache().clone(),
        agent.fetcher.replica().clone(),
        Arc::new(runtime::SimClock::default()),
        32 * MIB,
    );
    let of = |from| Given {
        partition: tp(topic, 0),
        from,
        to: from + 1,
        bytes: 100,
    };
    old.hold();
    ahead.given(&Client::default(), [of(0)]);
    ahead.given(&Client::default(), [of(1)]);
    settle().await;
    assert_eq!(ahead.blocks().len(), 6, "all that follow are wanted");
    assert_eq!(old.gets(), 2, "two of 5 MiB fit into 12");
    old.let_through(100);
    settle().await;
    assert_eq!(old.gets(), 6);
}
