//! This log's own logic on a database in memory that fails on demand, and all of it on a real FoundationDB where there is
//! one.

#[cfg(feature = "foundationdb")]
mod live;
#[cfg(feature = "foundationdb")]
mod outages;
#[cfg(feature = "foundationdb")]
mod refusals;
#[cfg(feature = "foundationdb")]
#[path = "../../../../tests/src/fdb_server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use runtime::{Rng, SimClock};

use super::client::Client;
use super::fake::{Fake, FakeFaults};
use super::{Address, Claim, FoundationLog, FoundationLogOptions, OpenError};
use crate::log::conformance::{
    Handle, Site, conformance, faults_neither_lose_nor_invent_entries as check_faults, read_from,
};
use crate::log::{AppendError, MetadataLog, Position, ReadError};

const OWNER: &str = "11111111-2222-3333-4444-555555555555";

fn address(prefix: &str) -> Address {
    Address {
        cluster_file: "/fake".into(),
        prefix: prefix.into(),
    }
}

async fn open_with(
    fake: &Fake,
    claim: Claim<'_>,
    options: FoundationLogOptions,
) -> Result<FoundationLog, OpenError> {
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let client = Client::new(fake.clone(), "p", options.request_timeout, clock);
    let rng = Rng::from_os();
    FoundationLog::open_on(client, &address("p"), "fake", claim, rng, options).await
}

async fn open(fake: &Fake) -> FoundationLog {
    let claim = Claim::Join { cluster_id: OWNER };
    let opened = open_with(fake, claim, FoundationLogOptions::default()).await;
    opened.unwrap()
}

struct FakeSite {
    fake: Fake,
    faults: FakeFaults,
}

impl FakeSite {
    fn new(seed: u64) -> Self {
        Self {
            fake: Fake::new(seed),
            faults: FakeFaults {
                read_failed: 0.1,
                refused: 0.1,
                lost: 0.1,
                kept: 0.1,
                late: 0.1,
                deaf: 0.3,
            },
        }
    }
}

#[async_trait]
impl Site for FakeSite {
    async fn open(&self) -> Handle {
        Arc::new(open(&self.fake).await)
    }

    async fn open_faulty(&self) -> Handle {
        let fake = self.fake.with_faults(FakeFaults::default());
        let log = open(&fake).await;
        *fake.faults.lock() = self.faults;
        Arc::new(log)
    }

    async fn age(&self) {}

    async fn checkpoint(&self, _at: Position) {}
}

conformance!(FakeSite::new(1));

#[tokio::test(start_paused = true)]
async fn faults_of_many_seeds_neither_lose_nor_invent_entries() {
    for seed in 0..20 {
        check_faults(&FakeSite::new(seed)).await;
    }
}

fn numbered(numbers: std::ops::RangeInclusive<u64>) -> Vec<(Position, Bytes)> {
    numbers
        .map(|n| (Position(n), Bytes::from(n.to_string())))
        .collect()
}

async fn append_all(log: &FoundationLog, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let at = log.append(number.to_string().into()).await.unwrap();
        assert_eq!(at, Position(number));
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_counts_alike_wherever_they_begin() {
    let fake = Fake::new(2);
    let log = open(&fake).await;
    append_all(&log, 1..=200).await;
    let late = open(&fake).await;
    let from_anchor = late.shared.tail.lock().stamp(Position(1));
    assert_eq!(from_anchor, None, "it begins at an anchor");
    let tiny = FoundationLogOptions {
        cache_bytes_max: 1,
        ..FoundationLogOptions::default()
    };
    let claim = Claim::Look { cluster_id: OWNER };
    let forgetful = open_with(&fake, claim, tiny).await.unwrap();
    for reader in [late, forgetful] {
        let reader: Handle = Arc::new(reader);
        for after in [0, 1, 63, 64, 65, 150, 199] {
            let read = read_from(&reader, Position(after)).await;
            assert!(read == numbered(after + 1..=200), "after {after}");
        }
        let one = reader.read(Position(70), 0).await.unwrap();
        assert_eq!(one, numbered(71..=71));
    }
}

/// A process that cannot reach the database counts nothing meanwhile, and must not count on over what was trimmed.
#[tokio::test(start_paused = true)]
async fn who_was_away_past_a_trim_counts_on_behind_it() {
    let fake = Fake::new(3);
    let log = open(&fake).await;
    append_all(&log, 1..=10).await;
    let cut_off = fake.with_faults(FakeFaults::default());
    let away = open(&cut_off).await;
    assert_eq!(away.tail().await.unwrap(), Position(10));
    cut_off.faults.lock().read_failed = 1.0;
    append_all(&log, 11..=150).await;
    assert!(away.tail().await.is_err());
    assert_eq!(log.trim(Position(140)).await.unwrap(), 140);
    append_all(&log, 151..=155).await;
    *cut_off.faults.lock() = FakeFaults::default();
    assert_eq!(away.tail().await.unwrap(), Position(155));
    match away.read(Position(10), 1_000).await {
        Err(ReadError::Trimmed { first_kept }) => assert_eq!(first_kept, Position(141)),
        other => panic!("{other:?}"),
    }
    let read = away.read(Position(140), 1_000).await.unwrap();
    assert_eq!(read, numbered(141..=155));
    assert_eq!(away.append("156".into()).await.unwrap(), Position(156));
    assert_eq!(log.tail().await.unwrap(), Position(156));
}

#[tokio::test(start_paused = true)]
async fn counting_goes_on_behind_what_was_trimmed() {
    let fake = Fake::new(4);
    let log = open(&fake).await;
    append_all(&log, 1..=150).await;
    assert_eq!(log.trim(Position(140)).await.unwrap(), 140);
    let late = open(&fake).await;
    assert_eq!(late.tail().await.unwrap(), Position(150));
    append_all(&late, 151..=155).await;
    assert_eq!(late.trim(Position(142)).await.unwrap(), 2);
    assert_eq!(late.trim(Position(1_000)).await.unwrap(), 12);
    let later = open(&fake).await;
    assert_eq!(later.tail().await.unwrap(), Position(155));
    let read = later.read(Position(154), 1_000).await.unwrap();
    assert_eq!(read, numbered(155..=155));
}

async fn with_one_fault(faults: FakeFaults) -> (Fake, Result<Position, AppendError>) {
    let fake = Fake::new(5);
    let log = open(&fake).await;
    *fake.faults.lock() = faults;
    let said = log.append("a".into()).await;
    *fake.faults.lock() = FakeFaults::default();
    (fake, said)
}

async fn contents(fake: &Fake) -> Vec<(Position, Bytes)> {
    let log: Handle = Arc::new(open(fake).await);
    read_from(&log, Position(0)).await
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_told_where_it_can_be() {
    let none = FakeFaults::default();
    let (fake, said) = with_one_fault(FakeFaults { kept: 1.0, ..none }).await;
    assert_eq!(said.unwrap(), Position(1));
    assert_eq!(contents(&fake).await.len(), 1);

    let (fake, said) = with_one_fault(FakeFaults { lost: 1.0, ..none }).await;
    assert!(
        matches!(said, Err(AppendError::MaybeAppended(_))),
        "{said:?}"
    );
    assert_eq!(contents(&fake).await.len(), 0);

    let (fake, said) = with_one_fault(FakeFaults { late: 1.0, ..none }).await;
    assert!(
        matches!(said, Err(AppendError::MaybeAppended(_))),
        "{said:?}"
    );
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(contents(&fake).await.len(), 1);

    let refused = FakeFaults {
        refused: 1.0,
        ..none
    };
    let (fake, said) = with_one_fault(refused).await;
    assert!(matches!(said, Err(AppendError::Rejected(_))), "{said:?}");
    assert_eq!(contents(&fake).await.len(), 0);

    let unreadable = FakeFaults {
        read_failed: 1.0,
        ..none
    };
    let (fake, said) = with_one_fault(unreadable).await;
    assert!(
        matches!(said, Err(AppendError::MaybeAppended(_))),
        "{said:?}"
    );
    assert_eq!(contents(&fake).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_wakes_at_once_and_without_one_time_does() {
    for (deaf, within) in [(0.0, 50), (1.0, 3_000)] {
        let fake = Fake::new(6);
        let reader = fake.with_faults(FakeFaults {
            deaf,
            ..FakeFaults::default()
        });
        let (writer, reader) = (open(&fake).await, open(&reader).await);
        for number in 1..=20 {
            append_all(&writer, number..=number).await;
            let woken = reader.wait(Position(number - 1));
            let woken = tokio::time::timeout(Duration::from_millis(within), woken).await;
            woken.expect("woken in time").unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_log_is_looked_at_about_once_a_second() {
    let fake = Fake::new(10);
    let log = open(&fake).await;
    log.append("a".into()).await.unwrap();
    let before = fake.reads.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reads = fake.reads.load(Ordering::Relaxed) - before;
    // Version, base and tail each time.
    assert!((150..=190).contains(&reads), "{reads} reads in a minute");
    drop(log);
}

#[tokio::test(start_paused = true)]
async fn of_two_clusters_that_find_a_new_prefix_one_gets_it() {
    for seed in 0..20 {
        let fake = Fake::new(seed);
        let other = fake.with_faults(FakeFaults::default());
        let options = FoundationLogOptions::default;
        let (one, other) = tokio::join!(
            open_with(&fake, Claim::Join { cluster_id: "one" }, options()),
            open_with(
                &other,
                Claim::Join {
                    cluster_id: "other"
                },
                options()
            ),
        );
        match (one, other) {
            (Ok(_), Err(OpenError::Foreign { owner, .. })) => assert_eq!(owner, "one"),
            (Err(OpenError::Foreign { owner, .. }), Ok(_)) => assert_eq!(owner, "other"),
            both => panic!("{both:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_wakes_those_whose_watch_is_deaf() {
    let fake = Fake::new(7);
    let reader = fake.with_faults(FakeFaults {
        deaf: 1.0,
        ..FakeFaults::default()
    });
    let options = FoundationLogOptions {
        poll_interval: Duration::from_secs(3_600),
        ..FoundationLogOptions::default()
    };
    let claim = Claim::Look { cluster_id: OWNER };
    let writer = open(&fake).await;
    let reader = open_with(&reader, claim, options).await.unwrap();
    let at = writer.append("a".into()).await.unwrap();
    reader.hint(at);
    let woken = tokio::time::timeout(Duration::from_secs(1), reader.wait(Position(0))).await;
    woken.expect("woken in time").unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_who_find_a_new_prefix_share_it_and_a_foreign_one_is_refused() {
    let fake = Fake::new(8);
    let look = Claim::Look { cluster_id: OWNER };
    let options = FoundationLogOptions::default;
    let absent = open_with(&fake, look, options()).await;
    assert!(matches!(absent, Err(OpenError::Absent { .. })));
    let (one, other) = tokio::join!(open(&fake), open(&fake));
    one.append("a".into()).await.unwrap();
    assert_eq!(other.tail().await.unwrap(), Position(1));
    for claim in [
        Claim::Join { cluster_id: "x" },
        Claim::Look { cluster_id: "x" },
    ] {
        match open_with(&fake, claim, options()).await {
            Err(OpenError::Foreign { owner, .. }) => assert_eq!(owner, OWNER),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(contents(&fake).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_went_back_is_refused() {
    let fake = Fake::new(9);
    let log = open(&fake).await;
    append_all(&log, 1..=70).await;
    fake.set_back();
    let why = log.tail().await.unwrap_err().to_string();
    assert!(why.contains("advanceversion"), "{why}");
    let claim = Claim::Join { cluster_id: OWNER };
    let refused = open_with(&fake, claim, FoundationLogOptions::default()).await;
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("advanceversion"), "{why}");
}
