//! Processes that sleep past a trim. What they write then lands where nothing is any more, and must count for nobody.

use std::sync::Arc;
use std::time::Duration;

use runtime::SimClock;

use super::site::{BucketSite, Client};
use crate::log::conformance::{Handle, Site, read_from};
use crate::log::{AppendError, Position, ReadError};

const LONG: Duration = Duration::from_secs(2 * 3_600);

/// A process that can be put to sleep.
struct Process {
    client: Arc<Client>,
    clock: Arc<SimClock>,
    log: Handle,
}

impl Process {
    async fn start(site: &BucketSite) -> Self {
        let (client, clock) = (site.client(), Arc::new(SimClock::default()));
        let log = site.log(&client, &clock).await;
        Self { client, clock, log }
    }
}

async fn fill(log: &Handle, count: u64) {
    for _ in 0..count {
        log.append("x".into()).await.unwrap();
    }
}

async fn positions(log: &Handle, after: u64) -> Vec<u64> {
    read_from(log, Position(after))
        .await
        .iter()
        .map(|(at, _)| at.0)
        .collect()
}

/// A bucket with ten entries, and a writer that falls asleep with its write of the eleventh under way. Meanwhile the
/// log grows to 21 and, if asked, is trimmed through a position.
async fn sleep_while_writing(through: Option<u64>) -> (Arc<BucketSite>, Process, Process) {
    let site = Arc::new(BucketSite::in_memory());
    let (sleeper, reader) = (Process::start(&site).await, Process::start(&site).await);
    fill(&sleeper.log, 10).await;
    assert_eq!(positions(&reader.log, 0).await.len(), 10);
    assert_eq!(reader.log.read(Position(10), 1_000).await.unwrap(), []);

    let (world, asleep, also_asleep) = (
        Arc::clone(&site),
        Arc::clone(&sleeper.clock),
        Arc::clone(&reader.clock),
    );
    sleeper.client.before_next_put(async move {
        also_asleep.suspend(LONG);
        let Some(through) = through else {
            return world.suspend(&asleep, LONG);
        };
        let awake = world.open().await;
        fill(&awake, 10).await;
        world.suspend(&asleep, LONG);
        let awake = world.open().await;
        fill(&awake, 1).await;
        world.checkpoint(Position(through)).await;
        assert_eq!(awake.trim(Position(through)).await.unwrap(), through);
        world.suspend(&asleep, Duration::from_secs(10));
    });
    (site, sleeper, reader)
}

#[tokio::test(start_paused = true)]
async fn what_is_written_after_sleeping_past_a_trim_counts_for_nobody() {
    // Through 11: nothing but the store's times tells the left-over from the entry that was there.
    for through in [11, 15, 19] {
        let (site, sleeper, reader) = sleep_while_writing(Some(through)).await;
        let result = sleeper.log.append("ghost".into()).await;
        assert!(matches!(result, Err(AppendError::Stale(_))), "{result:?}");
        assert!(
            site.raw(Position(11)).await.is_some(),
            "the write did land, or this tests nothing"
        );

        sleeper.client.take_count("put");
        assert_eq!(
            sleeper.log.tail().await.unwrap(),
            Position(21),
            "it may see the log again"
        );
        let result = sleeper.log.append("again".into()).await;
        assert!(matches!(result, Err(AppendError::Stale(_))), "{result:?}");
        assert_eq!(sleeper.client.take_count("put"), 0, "it stays fenced");

        let first_kept = Position(through + 1);
        let new = site.open().await;
        for log in [&sleeper.log, &reader.log, &new] {
            match log.read(Position(10), 1_000).await {
                Err(ReadError::Trimmed { first_kept: said }) => assert_eq!(said, first_kept),
                other => panic!("trimmed through {through}, reading gave {other:?}"),
            }
            let kept: Vec<u64> = (through + 1..=21).collect();
            assert_eq!(positions(log, through).await, kept);
            assert_eq!(log.tail().await.unwrap(), Position(21));
        }
        assert_eq!(new.append("y".into()).await.unwrap(), Position(22));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_that_loses_to_another_sleeper_does_not_believe_it() {
    for through in [11, 15] {
        let (site, first, reader) = sleep_while_writing(Some(through)).await;
        let second = Process::start(&site).await;
        let (asleep, overtaking) = (Arc::clone(&second.clock), Arc::clone(&first.log));
        second.client.before_next_put(async move {
            asleep.suspend(LONG);
            let result = overtaking.append("ghost".into()).await;
            assert!(matches!(result, Err(AppendError::Stale(_))), "{result:?}");
        });
        match second.log.append("x".into()).await {
            Err(AppendError::Stale(_)) => {}
            Ok(at) => assert_eq!(
                positions(&reader.log, 21).await,
                [at.0],
                "in the log for real"
            ),
            other => panic!("{other:?}"),
        }
        let read = second.log.read(Position(10), 1_000).await;
        assert!(matches!(read, Err(ReadError::Trimmed { .. })), "{read:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_finds_itself_stale_even_if_the_stores_times_lie() {
    let site = Arc::new(BucketSite::in_memory());
    let sleeper = Process::start(&site).await;
    fill(&sleeper.log, 10).await;
    let (world, asleep) = (Arc::clone(&site), Arc::clone(&sleeper.clock));
    sleeper.client.before_next_put(async move {
        let awake = world.open().await;
        fill(&awake, 2).await;
        world.suspend(&asleep, LONG);
        let awake = world.open().await;
        fill(&awake, 1).await;
        world.checkpoint(Position(11)).await;
        assert_eq!(awake.trim(Position(11)).await.unwrap(), 11);
        world.set_back(LONG);
    });
    let result = sleeper.log.append("ghost".into()).await;
    assert!(matches!(result, Err(AppendError::Stale(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_slept_while_nothing_happened_is_trusted() {
    let (_site, sleeper, reader) = sleep_while_writing(None).await;
    assert_eq!(
        sleeper.log.append("slow".into()).await.unwrap(),
        Position(11)
    );
    assert_eq!(positions(&reader.log, 10).await, [11]);
    assert_eq!(
        sleeper.log.append("next".into()).await.unwrap(),
        Position(12)
    );
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_wakes_past_a_trim_writes_nothing() {
    let site = BucketSite::in_memory();
    let sleeper = Process::start(&site).await;
    fill(&site.open().await, 10).await;
    site.suspend(&sleeper.clock, LONG);
    let awake = site.open().await;
    fill(&awake, 1).await;
    site.checkpoint(Position(5)).await;
    assert_eq!(awake.trim(Position(5)).await.unwrap(), 5);

    let result = sleeper.log.append("x".into()).await;
    assert!(matches!(result, Err(AppendError::Stale(_))), "{result:?}");
    assert_eq!(sleeper.client.take_count("put"), 0);
    assert_eq!(awake.tail().await.unwrap(), Position(11));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_slept_catches_up_with_what_was_not_trimmed() {
    let site = BucketSite::in_memory();
    let sleeper = Process::start(&site).await;
    fill(&site.open().await, 10).await;
    site.suspend(&sleeper.clock, LONG);
    let awake = site.open().await;
    fill(&awake, 10).await;
    site.checkpoint(Position(5)).await;
    assert_eq!(awake.trim(Position(5)).await.unwrap(), 5);
    assert_eq!(
        positions(&sleeper.log, 5).await,
        (6..=20).collect::<Vec<u64>>()
    );
    assert_eq!(sleeper.log.append("x".into()).await.unwrap(), Position(21));
}

#[tokio::test(start_paused = true)]
async fn an_entry_stays_until_its_successor_is_old() {
    let site = BucketSite::in_memory();
    let log = site.open().await;
    fill(&log, 10).await;
    site.age().await;
    fill(&log, 2).await;
    site.checkpoint(Position(12)).await;
    assert_eq!(
        log.trim(Position(12)).await.unwrap(),
        9,
        "the successor of the tenth is young"
    );
}

#[tokio::test(start_paused = true)]
async fn no_clock_of_a_process_makes_an_entry_old() {
    let site = BucketSite::in_memory();
    let hasty = Process::start(&site).await;
    fill(&hasty.log, 10).await;
    hasty.clock.suspend(LONG * 100);
    site.checkpoint(Position(10)).await;
    assert_eq!(hasty.log.trim(Position(10)).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_may_begin_at_a_checkpoint_newer_than_its_handle() {
    let site = BucketSite::in_memory();
    let late = Process::start(&site).await;
    let writer = site.open().await;
    fill(&writer, 20).await;
    site.age().await;
    fill(&writer, 1).await;
    site.checkpoint(Position(15)).await;
    assert_eq!(writer.trim(Position(15)).await.unwrap(), 15);
    assert_eq!(
        positions(&late.log, 15).await,
        (16..=21).collect::<Vec<u64>>()
    );
    assert_eq!(late.log.tail().await.unwrap(), Position(21));
    assert!(
        late.log.read(Position(50), 1).await.is_err(),
        "no checkpoint can reach there"
    );
}
