//! The log in FoundationDB on a real server, where there is one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use runtime::{Rng, SystemClock};

use super::super::append::Faults;
use super::super::{Address, Claim, FoundationLog, FoundationLogOptions, OpenError};
use super::{OWNER, server};
use crate::log::conformance::{Handle, Site, conformance, read_from};
use crate::log::{AppendError, MetadataLog, Position, ReadError};

/// A log of its own on the shared server, if there is one.
pub(super) fn new_address() -> Option<Address> {
    Some(Address {
        cluster_file: server::shared()?,
        prefix: format!("test/{}", Rng::from_os().uuid()),
    })
}

pub(super) async fn try_open(
    address: &Address,
    options: FoundationLogOptions,
) -> Result<FoundationLog, OpenError> {
    let claim = Claim::Join { cluster_id: OWNER };
    let (clock, rng) = (SystemClock::shared(), Rng::from_os());
    let opened = FoundationLog::open(address, claim, clock, rng, options).await;
    super::super::network::stop_at_exit();
    opened
}

pub(super) async fn open(address: &Address) -> FoundationLog {
    let opened = try_open(address, FoundationLogOptions::default()).await;
    opened.unwrap()
}

struct FoundationSite(Address);

impl FoundationSite {
    fn new() -> Option<Self> {
        new_address().map(Self)
    }
}

#[async_trait]
impl Site for FoundationSite {
    async fn open(&self) -> Handle {
        Arc::new(open(&self.0).await)
    }

    async fn open_faulty(&self) -> Handle {
        let log = open(&self.0).await;
        *log.faults.lock() = Faults {
            unknown_kept: 0.2,
            unknown_lost: 0.2,
            refused: 0.2,
        };
        Arc::new(log)
    }

    async fn age(&self) {}

    async fn checkpoint(&self, _at: Position) {}

    async fn settle(&self) {}
}

conformance!(live FoundationSite::new());

async fn append_all(log: &FoundationLog, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let at = log.append(number.to_string().into()).await.unwrap();
        assert_eq!(at, Position(number));
    }
}

fn numbered(numbers: std::ops::RangeInclusive<u64>) -> Vec<(Position, Bytes)> {
    numbers
        .map(|n| (Position(n), Bytes::from(n.to_string())))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_counts_alike_wherever_they_begin() {
    let Some(address) = new_address() else {
        return;
    };
    let log = open(&address).await;
    append_all(&log, 1..=200).await;
    // Neither begins at the first entry: the one at an anchor, the other has kept nothing in memory.
    let late = open(&address).await;
    assert_eq!(late.tail().await.unwrap(), Position(200));
    let from_anchor = late.shared.tail.lock().stamp(Position(1));
    assert_eq!(from_anchor, None, "it begins at an anchor");
    let tiny = FoundationLogOptions {
        cache_bytes_max: 1,
        ..FoundationLogOptions::default()
    };
    let forgetful = try_open(&address, tiny).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn counting_goes_on_behind_what_was_trimmed() {
    let Some(address) = new_address() else {
        return;
    };
    let log = open(&address).await;
    append_all(&log, 1..=150).await;
    assert_eq!(log.trim(Position(140)).await.unwrap(), 140);
    let late = open(&address).await;
    assert_eq!(late.tail().await.unwrap(), Position(150));
    append_all(&late, 151..=155).await;
    for through in [142, 1_000] {
        assert!(late.trim(Position(through)).await.unwrap() > 0);
    }
    let later = open(&address).await;
    assert_eq!(later.tail().await.unwrap(), Position(155));
    let read = later.read(Position(154), 1_000).await.unwrap();
    assert_eq!(read, numbered(155..=155));
    match later.read(Position(153), 1_000).await {
        Err(ReadError::Trimmed { first_kept }) => assert_eq!(first_kept, Position(155)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_told_where_it_can_be() {
    let Some(address) = new_address() else {
        return;
    };
    let log = open(&address).await;
    log.faults.lock().unknown_kept = 1.0;
    assert_eq!(log.append("a".into()).await.unwrap(), Position(1));
    *log.faults.lock() = Faults {
        unknown_lost: 1.0,
        ..Faults::default()
    };
    let lost = log.append("b".into()).await;
    assert!(
        matches!(lost, Err(AppendError::MaybeAppended(_))),
        "{lost:?}"
    );
    *log.faults.lock() = Faults {
        refused: 1.0,
        ..Faults::default()
    };
    let refused = log.append("c".into()).await;
    assert!(
        matches!(refused, Err(AppendError::Rejected(_))),
        "{refused:?}"
    );
    *log.faults.lock() = Faults::default();
    assert_eq!(log.append("d".into()).await.unwrap(), Position(2));
    let log: Handle = Arc::new(log);
    let entries = [
        (Position(1), Bytes::from("a")),
        (Position(2), Bytes::from("d")),
    ];
    assert_eq!(read_from(&log, Position(0)).await, entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_largest_size_is_taken_and_a_larger_one_refused() {
    let Some(address) = new_address() else {
        return;
    };
    let log = open(&address).await;
    let limit = FoundationLogOptions::default().entry_bytes_max;
    let large = Bytes::from(vec![7; limit]);
    assert_eq!(log.append(large.clone()).await.unwrap(), Position(1));
    let refused = log.append(vec![7; limit + 1].into()).await;
    assert!(
        matches!(refused, Err(AppendError::Rejected(_))),
        "{refused:?}"
    );
    let read = open(&address).await.read(Position(0), 1).await.unwrap();
    assert!(read == [(Position(1), large)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_wakes_those_who_never_look() {
    let Some(address) = new_address() else {
        return;
    };
    let options = FoundationLogOptions {
        poll_interval: Duration::from_secs(3_600),
        ..FoundationLogOptions::default()
    };
    let reader = try_open(&address, options).await.unwrap();
    let writer = open(&address).await;
    for number in 1..=50 {
        append_all(&writer, number..=number).await;
        let woken = reader.wait(Position(number - 1));
        let woken = tokio::time::timeout(Duration::from_secs(20), woken).await;
        woken.expect("a watch fires").unwrap();
        let read = reader.read(Position(number - 1), 1_000).await.unwrap();
        assert_eq!(read, numbered(number..=number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_last_answer_stays_small_while_nothing_happens() {
    let Some(address) = new_address() else {
        return;
    };
    let log = open(&address).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let age = log.shared.client.answer_age();
    assert!(age < Duration::from_secs(3), "{age:?}");
}
