//! What every backend of the metadata log must do, as one suite. A backend gives a [`Site`] and calls
//! `conformance!`; each check then runs on a new log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;

use super::{AppendError, MetadataLog, Position, ReadError};

/// A handle, as one process holds it.
pub(crate) type Handle = Arc<dyn MetadataLog>;

/// One log that several processes can open.
#[async_trait]
pub(crate) trait Site: Send + Sync {
    /// Opens the log as one more process.
    async fn open(&self) -> Handle;
    /// Opens the log as a process whose requests often fail, some of them with unknown outcome.
    async fn open_faulty(&self) -> Handle;
    /// Makes everything in the log old enough to be trimmed, once something newer is there.
    async fn age(&self);
    /// Makes a durable checkpoint of everything up to and including `at`.
    async fn checkpoint(&self, at: Position);
    /// Returns once whatever was still on its way to the log has landed.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

/// Makes one test of each check, run on `$site` in a runtime whose time is paused; on a `live` site, which is an
/// `Option`, in real time and not at all if there is none.
macro_rules! conformance {
    (live $site:expr) => {
        $crate::log::conformance::conformance!(@all live $site);
    };
    ($site:expr) => {
        $crate::log::conformance::conformance!(@all $site);
    };
    (@all $($site:tt)*) => {
        $crate::log::conformance::conformance!(
            $($site)*,
            [
                an_empty_log_begins_at_one,
                entries_come_back_in_order_and_whole,
                entries_are_there_for_whoever_opens_the_log_later,
                concurrent_writers_share_one_order,
                reads_keep_to_their_limit,
                a_wait_ends_when_another_handle_appends,
                the_tail_is_never_older_than_a_finished_append,
                trimmed_entries_are_gone_and_said_to_be,
                trimming_keeps_the_newest_and_the_young,
                faults_neither_lose_nor_invent_entries,
            ]
        );
    };
    (live $site:expr, [$($check:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                if let Some(site) = $site {
                    $crate::log::conformance::$check(&site).await;
                }
            }
        )*
    };
    ($site:expr, [$($check:ident),* $(,)?]) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $check() {
                $crate::log::conformance::$check(&$site).await;
            }
        )*
    };
}
pub(crate) use conformance;

/// Everything after `after`, read as a replica reads it.
pub(crate) async fn read_from(log: &Handle, after: Position) -> Vec<(Position, Bytes)> {
    let mut found: Vec<(Position, Bytes)> = Vec::new();
    loop {
        let from = found.last().map_or(after, |(at, _)| *at);
        let more = log.read(from, 1 << 16).await.unwrap();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

async fn append_numbered(log: &Handle, numbers: std::ops::RangeInclusive<u64>) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in numbers {
        positions.push(log.append(number.to_string().into()).await.unwrap());
    }
    positions
}

pub(crate) async fn an_empty_log_begins_at_one(site: &impl Site) {
    let log = site.open().await;
    assert_eq!(log.tail().await.unwrap(), Position(0));
    assert_eq!(log.read(Position(0), 1_000).await.unwrap(), []);
    assert_eq!(log.append("a".into()).await.unwrap(), Position(1));
    assert_eq!(log.tail().await.unwrap(), Position(1));
}

pub(crate) async fn entries_come_back_in_order_and_whole(site: &impl Site) {
    let (log, other) = (site.open().await, site.open().await);
    let sizes = [0usize, 1, 100, 1 << 20, 17];
    let entries: Vec<Bytes> = sizes.iter().map(|size| vec![b'x'; *size].into()).collect();
    let mut appended = Vec::new();
    for (turn, entry) in entries.iter().enumerate() {
        let writer = if turn % 2 == 0 { &log } else { &other };
        appended.push((writer.append(entry.clone()).await.unwrap(), entry.clone()));
    }
    assert!(
        appended.is_sorted_by(|(a, _), (b, _)| a < b),
        "positions rise"
    );
    for reader in [&log, &other, &site.open().await] {
        assert!(read_from(reader, Position(0)).await == appended);
        assert!(read_from(reader, appended[2].0).await == appended[3..]);
    }
}

pub(crate) async fn entries_are_there_for_whoever_opens_the_log_later(site: &impl Site) {
    let positions = append_numbered(&site.open().await, 1..=40).await;
    let reopened = site.open().await;
    assert_eq!(reopened.tail().await.unwrap(), positions[39]);
    let read = read_from(&reopened, Position(0)).await;
    assert_eq!(
        read.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        positions
    );
    assert_eq!(read[39].1, "40");
    assert!(reopened.append("41".into()).await.unwrap() > positions[39]);
}

pub(crate) async fn concurrent_writers_share_one_order(site: &impl Site) {
    const WRITERS: u64 = 8;
    const ENTRIES: u64 = 50;
    let handles = join_all((0..WRITERS).map(|_| site.open())).await;
    let writing = handles.iter().enumerate().map(|(writer, log)| async move {
        let mut appended = BTreeMap::new();
        for number in 0..ENTRIES {
            let entry = Bytes::from(format!("{writer}:{number}"));
            appended.insert(log.append(entry.clone()).await.unwrap(), entry);
        }
        appended
    });
    let appended = join_all(writing).await;
    let mut all = BTreeMap::new();
    for (writer, own) in appended.into_iter().enumerate() {
        let order: Vec<_> = own.values().cloned().collect();
        let sent: Vec<_> = (0..ENTRIES)
            .map(|n| Bytes::from(format!("{writer}:{n}")))
            .collect();
        assert_eq!(
            order, sent,
            "what a writer appended in turn is in that order"
        );
        all.extend(own);
    }
    let all: Vec<_> = all.into_iter().collect();
    assert_eq!(
        all.len() as u64,
        WRITERS * ENTRIES,
        "each at a position of its own"
    );
    for reader in handles.iter().chain([&site.open().await]) {
        assert!(
            read_from(reader, Position(0)).await == all,
            "all readers see the same"
        );
    }
}

pub(crate) async fn reads_keep_to_their_limit(site: &impl Site) {
    let (writer, reader) = (site.open().await, site.open().await);
    for _ in 0..20 {
        writer.append(vec![b'x'; 1_000].into()).await.unwrap();
    }
    for log in [&writer, &reader] {
        let found = log.read(Position(0), 5_000).await.unwrap();
        assert!((1..=5).contains(&found.len()), "{} entries", found.len());
        let found = log.read(Position(0), 0).await.unwrap();
        assert_eq!(found.len(), 1, "at least one, whatever the limit");
    }
}

pub(crate) async fn a_wait_ends_when_another_handle_appends(site: &impl Site) {
    let (writer, reader) = (site.open().await, site.open().await);
    for round in 0..3 {
        let tail = writer.tail().await.unwrap();
        let waiting = async {
            let mut after = tail;
            while after == tail {
                reader.wait(after).await.unwrap();
                after = read_from(&reader, after)
                    .await
                    .last()
                    .map_or(after, |(at, _)| *at);
            }
            after
        };
        let appending = async {
            tokio::time::sleep(Duration::from_secs(round)).await;
            writer.append("x".into()).await.unwrap()
        };
        let both = async { tokio::join!(waiting, appending) };
        let (seen, appended) = tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .unwrap();
        assert_eq!(seen, appended);
    }
    let there = reader.wait(Position(0));
    tokio::time::timeout(Duration::from_secs(60), there)
        .await
        .unwrap()
        .unwrap();
}

pub(crate) async fn the_tail_is_never_older_than_a_finished_append(site: &impl Site) {
    let (writer, reader) = (site.open().await, site.open().await);
    let finished = std::sync::atomic::AtomicU64::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    let writing = async {
        for _ in 0..50 {
            let at = writer.append("x".into()).await.unwrap();
            finished.store(at.0, order);
            tokio::task::yield_now().await;
        }
    };
    let asking = join_all((0..8).map(|_| async {
        while finished.load(order) < 50 {
            let before = finished.load(order);
            let tail = reader.tail().await.unwrap();
            assert!(tail.0 >= before, "tail {tail} after {before} was appended");
            tokio::task::yield_now().await;
        }
    }));
    tokio::join!(writing, asking);
    assert_eq!(reader.tail().await.unwrap(), writer.tail().await.unwrap());
}

pub(crate) async fn trimmed_entries_are_gone_and_said_to_be(site: &impl Site) {
    let (log, idle) = (site.open().await, site.open().await);
    let old = append_numbered(&log, 1..=10).await;
    site.age().await;
    let young = append_numbered(&log, 11..=12).await;
    site.checkpoint(old[7]).await;
    assert_eq!(log.trim(old[7]).await.unwrap(), 8);
    assert_eq!(log.trim(old[7]).await.unwrap(), 0);
    let late = site.open().await;
    for reader in [&idle, &late] {
        // What a process read ahead it may still give until it looks again.
        reader.tail().await.unwrap();
        for after in [Position(0), old[3], old[6]] {
            match reader.read(after, 1_000).await {
                Err(ReadError::Trimmed { first_kept }) => assert_eq!(first_kept, old[8]),
                other => panic!("reading after {after} gave {other:?}"),
            }
        }
        let kept: Vec<_> = read_from(reader, old[7])
            .await
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(kept, [old[8], old[9], young[0], young[1]]);
        assert_eq!(reader.tail().await.unwrap(), young[1]);
    }
    assert!(late.append("13".into()).await.unwrap() > young[1]);
}

pub(crate) async fn trimming_keeps_the_newest_and_the_young(site: &impl Site) {
    let log = site.open().await;
    assert_eq!(log.trim(Position(100)).await.unwrap(), 0, "an empty log");
    let positions = append_numbered(&log, 1..=5).await;
    site.checkpoint(positions[4]).await;
    site.age().await;
    log.trim(positions[4]).await.unwrap();
    let reopened = site.open().await;
    assert_eq!(reopened.tail().await.unwrap(), positions[4]);
    let newest = reopened.read(positions[3], 1_000).await.unwrap();
    assert_eq!(newest, [(positions[4], Bytes::from("5"))]);
    assert!(reopened.append("6".into()).await.unwrap() > positions[4]);
}

pub(crate) async fn faults_neither_lose_nor_invent_entries(site: &impl Site) {
    #[derive(Default)]
    struct Said {
        taken: Option<Position>,
        unknown: u64,
        rejected: u64,
    }
    let handles = join_all((0..4).map(|_| site.open_faulty())).await;
    let writing = handles.iter().enumerate().map(|(writer, log)| async move {
        let mut said = Vec::new();
        for number in 0..40 {
            let entry = Bytes::from(format!("{writer}:{number}"));
            let mut outcome = Said::default();
            for _ in 0..3 {
                match log.append(entry.clone()).await {
                    Ok(at) => outcome.taken = Some(at),
                    Err(AppendError::Rejected(_)) => {
                        outcome.rejected += 1;
                        continue;
                    }
                    Err(AppendError::MaybeAppended(_)) => {
                        outcome.unknown += 1;
                        continue;
                    }
                    Err(stale @ AppendError::Stale(_)) => panic!("{stale}"),
                }
                break;
            }
            said.push((entry, outcome));
        }
        said
    });
    let said: Vec<_> = join_all(writing).await.into_iter().flatten().collect();
    site.settle().await;

    let read = read_from(&site.open().await, Position(0)).await;
    assert!(read.is_sorted_by(|(a, _), (b, _)| a < b));
    let mut places: BTreeMap<Bytes, BTreeSet<Position>> = BTreeMap::new();
    for (at, entry) in read {
        places.entry(entry).or_default().insert(at);
    }
    for (entry, outcome) in &said {
        let found = places.remove(entry).unwrap_or_default();
        let sure = u64::from(outcome.taken.is_some());
        let count = found.len() as u64;
        assert!(
            (sure..=sure + outcome.unknown).contains(&count),
            "{entry:?} is there {count} times, {sure} of them sure, {} unknown",
            outcome.unknown
        );
        assert!(
            outcome.taken.is_none_or(|at| found.contains(&at)),
            "{entry:?} is elsewhere"
        );
    }
    assert!(places.is_empty(), "nobody appended {places:?}");
    let failed = said
        .iter()
        .filter(|(_, outcome)| outcome.unknown + outcome.rejected > 0)
        .count();
    assert!(
        failed > 0,
        "the faults did nothing, so this checked nothing"
    );
}
