//! What the log asks of the bucket, and what it makes of bad answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime::{Clock, Rng, SimClock};

use super::site::{BucketSite, Client, StoreFaults};
use crate::log::bucket::{BucketLog, BucketLogOptions};
use crate::log::conformance::{Handle, Site, read_from};
use crate::log::{AppendError, Position, ReadError};

async fn open(site: &BucketSite) -> (Arc<Client>, Handle) {
    let client = site.client();
    let log = site.log(&client, &Arc::new(SimClock::default())).await;
    for kind in ["get", "list", "put"] {
        client.take_count(kind);
    }
    (client, log)
}

fn faults(client: &Client, faults: StoreFaults) {
    *client.faults.lock() = faults;
}

async fn contents(site: &BucketSite) -> Vec<Bytes> {
    read_from(&site.open().await, Position(0))
        .await
        .into_iter()
        .map(|(_, entry)| entry)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_process_has_written_or_looked_for_is_not_fetched_again() {
    let site = BucketSite::in_memory();
    let ((writing, writer), (reading, reader)) = (open(&site).await, open(&site).await);
    for number in 1..=10u64 {
        let at = writer.append("x".into()).await.unwrap();
        assert_eq!(
            writer.read(Position(number - 1), 100).await.unwrap().len(),
            1
        );
        reader.hint(at);
        reader.wait(Position(number - 1)).await.unwrap();
        assert_eq!(
            reader.read(Position(number - 1), 100).await.unwrap().len(),
            1
        );
    }
    assert_eq!(
        (writing.take_count("put"), writing.take_count("get")),
        (10, 0)
    );
    assert_eq!(reading.take_count("get"), 10);
    assert_eq!(writing.take_count("list") + reading.take_count("list"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_process_is_told_is_not_fetched_in_whatever_order_it_is_told() {
    let site = BucketSite::in_memory();
    let ((_, writer), (reading, reader)) = (open(&site).await, open(&site).await);
    let entry = |number: u64| Bytes::from(format!("entry {number}"));
    for number in 1..=5 {
        writer.append(entry(number)).await.unwrap();
    }
    for number in [1, 3, 2, 5, 4, 2] {
        reader.told(Position(number), entry(number));
    }
    reader.wait(Position(0)).await.unwrap();
    let told = reader.read(Position(0), 1_000).await.unwrap();
    let expected: Vec<_> = (1..=5).map(|n| (Position(n), entry(n))).collect();
    assert_eq!(told, expected);
    assert_eq!(reading.take_count("get"), 0);

    // What is missing between is looked for.
    for number in 6..=8 {
        writer.append(entry(number)).await.unwrap();
    }
    reader.told(Position(8), entry(8));
    let mut after = Position(5);
    while after < Position(8) {
        reader.wait(after).await.unwrap();
        for (at, found) in reader.read(after, 1_000).await.unwrap() {
            assert_eq!(found, entry(at.0));
            after = at;
        }
    }
    assert_eq!(reading.take_count("get"), 2);
}

#[tokio::test(start_paused = true)]
async fn who_was_told_the_winner_of_a_race_does_not_fetch_it() {
    let site = BucketSite::in_memory();
    let ((_, winner), (losing, loser)) = (open(&site).await, open(&site).await);
    winner.append("first".into()).await.unwrap();
    loser.append("second".into()).await.unwrap();
    losing.take_count("get");
    let at = winner.append("third".into()).await.unwrap();
    loser.told(at, "third".into());
    assert_eq!(
        loser.append("fourth".into()).await.unwrap(),
        Position(at.0 + 1)
    );
    assert_eq!(losing.take_count("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_follower_asks_once_an_interval_and_never_lists() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    let idle = log.wait(Position(0));
    assert!(
        tokio::time::timeout(Duration::from_secs(3_600), idle)
            .await
            .is_err()
    );
    assert_eq!(client.take_count("list"), 0);
    let gets = client.take_count("get");
    assert!(
        (13_000..16_000).contains(&gets),
        "{gets} in an hour of quarters of a second"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_way_is_caught_up_in_parallel() {
    let site = BucketSite::in_memory().slow();
    let writer = site.open().await;
    let (asleep, behind) = open(&site).await;
    for _ in 0..500 {
        writer.append(vec![b'x'; 100].into()).await.unwrap();
    }
    let (starting, new) = open(&site).await;
    for (client, log) in [(starting, new), (asleep, behind)] {
        let clock = SimClock::default();
        assert_eq!(read_from(&log, Position(0)).await.len(), 500);
        let (took, gets) = (clock.monotonic(), client.take_count("get"));
        assert!(
            took < Duration::from_secs(2),
            "{took:?}, one by one it takes ten seconds"
        );
        assert!(gets <= 540, "{gets} requests");
        assert!(client.take_count("list") <= 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_ends_a_wait_at_once_and_a_wrong_one_costs_one_request() {
    let site = BucketSite::in_memory();
    let ((_, writer), (client, reader)) = (open(&site).await, open(&site).await);
    let clock = SimClock::default();
    let hinting = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        reader.hint(writer.append("x".into()).await.unwrap());
    };
    let (waited, ()) = tokio::join!(reader.wait(Position(0)), hinting);
    waited.unwrap();
    assert_eq!(
        clock.monotonic(),
        Duration::from_millis(1),
        "no poll was waited for"
    );

    client.take_count("get");
    reader.hint(Position(1_000));
    let waiting = reader.wait(Position(1));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), waiting)
            .await
            .is_err()
    );
    assert_eq!(client.take_count("get"), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_for_the_tail_together_share_a_request() {
    let site = BucketSite::in_memory().slow();
    let (client, log) = open(&site).await;
    let tails = futures::future::join_all((0..50).map(|_| log.tail())).await;
    assert!(tails.into_iter().all(|tail| tail.unwrap() == Position(0)));
    let gets = client.take_count("get");
    assert!(gets <= 2, "{gets} requests");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_the_tail_later_does_not_share_an_earlier_look() {
    let site = BucketSite::in_memory();
    let ((_, writer), (client, log)) = (open(&site).await, open(&site).await);
    *client.answer_delay.lock() = Duration::from_millis(100);
    let later = async {
        // By now the first look has seen an empty log, and its answer is on the way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let at = writer.append("x".into()).await.unwrap();
        (at, log.tail().await.unwrap())
    };
    let (earlier, (appended, later)) = tokio::join!(log.tail(), later);
    assert_eq!(
        (earlier.unwrap(), appended, later),
        (Position(0), Position(1), Position(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_recognised() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    faults(
        &client,
        StoreFaults {
            put_kept: 1.0,
            ..StoreFaults::default()
        },
    );
    for number in 1..=5 {
        assert_eq!(log.append("x".into()).await.unwrap(), Position(number));
    }
    assert_eq!(contents(&site).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_nobody_knows_leaves_the_log_in_order() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    log.append("a".into()).await.unwrap();
    for (kept, expected) in [(1.0, vec!["a", "b", "c"]), (0.0, vec!["a", "b", "c", "c"])] {
        let bad = StoreFaults {
            put_kept: kept,
            put_lost: 1.0 - kept,
            read_failed: 1.0,
            ..StoreFaults::default()
        };
        faults(&client, bad);
        let unknown = log.append("b".into()).await;
        assert!(
            matches!(unknown, Err(AppendError::MaybeAppended(_))),
            "{unknown:?}"
        );
        faults(&client, StoreFaults::default());
        let at = log.append("c".into()).await.unwrap();
        assert_eq!(at, Position(expected.len() as u64));
        assert_eq!(contents(&site).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_write_never_displaces_another() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    let late_max = Duration::from_secs(600);
    faults(
        &client,
        StoreFaults {
            put_late: 1.0,
            late_max,
            ..StoreFaults::default()
        },
    );
    let unknown = log.append("late".into()).await;
    assert!(
        matches!(unknown, Err(AppendError::MaybeAppended(_))),
        "{unknown:?}"
    );
    faults(&client, StoreFaults::default());
    assert_eq!(log.append("prompt".into()).await.unwrap(), Position(1));
    tokio::time::sleep(late_max * 2).await;
    assert_eq!(contents(&site).await, ["prompt"]);
    assert_eq!(log.append("next".into()).await.unwrap(), Position(2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_from_an_unknown_outcome() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    faults(
        &client,
        StoreFaults {
            put_refused: 1.0,
            ..StoreFaults::default()
        },
    );
    let refused = log.append("x".into()).await;
    assert!(
        matches!(refused, Err(AppendError::Rejected(_))),
        "{refused:?}"
    );
    faults(&client, StoreFaults::default());
    let large = log.append(vec![0; (8 << 20) + 1].into()).await;
    assert!(matches!(large, Err(AppendError::Rejected(_))), "{large:?}");
    assert_eq!(log.append("y".into()).await.unwrap(), Position(1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_decides_nothing() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    let no_answers = StoreFaults {
        read_failed: 1.0,
        ..StoreFaults::default()
    };
    faults(
        &client,
        StoreFaults {
            put_kept: 1.0,
            ..no_answers.clone()
        },
    );
    let refusing = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        faults(
            &client,
            StoreFaults {
                put_refused: 1.0,
                ..no_answers
            },
        );
    };
    let (unknown, ()) = tokio::join!(log.append("x".into()), refusing);
    assert!(
        matches!(unknown, Err(AppendError::MaybeAppended(_))),
        "{unknown:?}"
    );
    assert_eq!(contents(&site).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_without_a_winner_is_tried_again() {
    let site = BucketSite::in_memory();
    let (client, log) = open(&site).await;
    faults(
        &client,
        StoreFaults {
            put_conflict: 0.5,
            ..StoreFaults::default()
        },
    );
    for number in 1..=20 {
        assert_eq!(log.append("x".into()).await.unwrap(), Position(number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_named_and_nothing_after_it_is_read() {
    let site = BucketSite::in_memory();
    let writer = site.open().await;
    for _ in 0..5 {
        writer.append("entry".into()).await.unwrap();
    }
    let mut damaged = site.raw(Position(3)).await.unwrap().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    site.overwrite(Position(3), damaged.into()).await;
    let (_, reader) = open(&site).await;
    assert_eq!(reader.read(Position(0), 1_000).await.unwrap().len(), 2);
    let error = reader.read(Position(2), 1_000).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)));
    assert!(
        error.to_string().contains("meta/log/00000000000000000003"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_append_given_up_half_way_leaves_the_handle_whole() {
    let site = BucketSite::in_memory().slow();
    let (_, log) = open(&site).await;
    for _ in 0..20 {
        let given_up = log.append("given up".into());
        assert!(
            tokio::time::timeout(Duration::from_millis(5), given_up)
                .await
                .is_err()
        );
    }
    let at = log.append("x".into()).await.unwrap();
    assert_eq!(
        read_from(&log, Position(at.0 - 1)).await,
        [(at, "x".into())]
    );
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused() {
    let hour = Duration::from_secs(3_600);
    let options = BucketLogOptions {
        trust_window: hour,
        trim_age_min: hour,
        ..BucketLogOptions::default()
    };
    let (store, clock) = (
        BucketSite::in_memory().client(),
        Arc::new(SimClock::default()),
    );
    let opened = BucketLog::open(store, clock, Rng::from_seed(1), options).await;
    assert!(opened.unwrap_err().to_string().contains("trust_window"));
}

/// A writer that went after a busy log one position at a time never arrived at its end, and an agent could not join.
#[tokio::test(start_paused = true)]
async fn regression_a_writer_far_behind_jumps_to_the_end() {
    let site = BucketSite::in_memory();
    let ((behind, late), (_, busy)) = (open(&site).await, open(&site).await);
    for _ in 0..200 {
        busy.append("x".into()).await.unwrap();
    }
    assert_eq!(late.append("late".into()).await.unwrap(), Position(201));
    let puts = behind.take_count("put");
    assert!(puts <= 4, "{puts} positions tried for one entry");
}

/// Its end had moved on whenever the listing of a large log was over, so that an agent could not join a busy cluster.
#[tokio::test(start_paused = true)]
async fn regression_a_writer_reaches_the_end_of_a_busy_log_although_listing_takes_long() {
    let site = BucketSite::in_memory().slow();
    let mut busy = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (_, log) = open(&site).await;
        busy.spawn(async move {
            loop {
                log.append("x".into()).await.unwrap();
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (client, late) = open(&site).await;
    *client.list_delay.lock() = Duration::from_millis(500);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut appended = late.append("late".into());
    for _ in 0..10 {
        let within = tokio::time::timeout(Duration::from_secs(5), appended).await;
        within.expect("an append in time").unwrap();
        appended = late.append("late".into());
    }
    let tail = tokio::time::timeout(Duration::from_secs(5), late.tail()).await;
    tail.expect("the end of the log in time").unwrap();
}
