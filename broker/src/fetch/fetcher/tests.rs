use control_plane::log::memory::{Faults, MemoryLog};
use control_plane::state::{DeleteRecords, DeleteTopic, TransactionEnd};
use object_format::TopicId;

use super::super::fixture::{Agent, TestStore, agent, batch, fetch, offsets, tp};
use super::super::load::LoadOptions;
use super::*;

fn parts(partitions: &[PartitionFetch], wait_ms: u64, bytes_min: u64) -> FetchParts {
    let session = SessionRequest {
        epoch: super::super::session::FINAL_EPOCH,
        uses_ids: true,
        partitions: partitions.to_vec(),
        ..SessionRequest::default()
    };
    FetchParts {
        client: Client::default(),
        nearer: None,
        session,
        wait_max: Duration::from_millis(wait_ms),
        bytes_min,
        bytes_max: 1 << 20,
        isolation: Isolation::ReadUncommitted,
    }
}

fn bases(outcome: &FetchOutcome) -> Vec<Vec<i64>> {
    let bases = |partition: &PartitionOutcome| {
        let batches = offsets(&partition.records.to_bytes());
        batches.iter().map(|batch| batch.start).collect()
    };
    outcome.partitions.iter().map(bases).collect()
}

async fn parked(agent: &Agent, count: usize) {
    while agent.fetcher.waiting() < count {
        tokio::task::yield_now().await;
    }
}

fn spawn(agent: &Agent, parts: FetchParts) -> tokio::task::JoinHandle<FetchOutcome> {
    let fetcher = agent.fetcher.clone();
    tokio::spawn(async move { fetcher.fetch(parts).await })
}

#[tokio::test(start_paused = true)]
async fn records_come_at_once_when_they_are_there() {
    let (agent, topic) = agent(2).await;
    agent
        .write(&[(tp(topic, 0), batch(3, 100)), (tp(topic, 1), batch(2, 100))])
        .await;
    let wanted = [fetch(topic, 0, 0), fetch(topic, 1, 0)];
    let outcome = agent.fetcher.fetch(parts(&wanted, 60_000, 1)).await;
    assert_eq!(bases(&outcome), [[0], [0]]);
    let ends: Vec<i64> = outcome
        .partitions
        .iter()
        .map(|p| p.high_watermark)
        .collect();
    assert_eq!(ends, [3, 2]);
    assert_eq!(agent.fetcher.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_a_commit_and_no_longer_than_it_may() {
    let (agent, topic) = agent(2).await;
    let began = tokio::time::Instant::from_std(std_now());
    let outcome = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 0)], 500, 1))
        .await;
    assert_eq!(bases(&outcome), [[0; 0]]);
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    let waiting = spawn(
        &agent,
        parts(&[fetch(topic, 0, 0), fetch(topic, 1, 0)], 3_600_000, 1),
    );
    parked(&agent, 1).await;
    agent.write(&[(tp(topic, 1), batch(3, 100))]).await;
    let outcome = tokio::time::timeout(Duration::from_secs(1), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bases(&outcome), [vec![], vec![0]]);
}

#[allow(clippy::disallowed_methods)]
fn std_now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_until_there_is_as_much_as_it_wants() {
    let (agent, topic) = agent(1).await;
    let bytes = batch(1, 1_000).len() as u64;
    let waiting = spawn(&agent, parts(&[fetch(topic, 0, 0)], 3_600_000, 3 * bytes));
    for n in 0..3 {
        parked(&agent, 1).await;
        assert!(!waiting.is_finished(), "after {n} of 3");
        agent.write(&[(tp(topic, 0), batch(1, 1_000))]).await;
    }
    let outcome = tokio::time::timeout(Duration::from_secs(1), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bases(&outcome), [[0, 1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_by_another_agent_ends_the_wait() {
    let (log, store) = (MemoryLog::new(), TestStore::new());
    let reader = Agent::start("a", log.clone(), store.clone()).await;
    let writer = Agent::start("bb", log, store).await;
    let topic = writer.topic("t", 1).await;
    reader.fetcher.replica().barrier().await.unwrap();
    let waiting = spawn(&reader, parts(&[fetch(topic, 0, 0)], 3_600_000, 1));
    parked(&reader, 1).await;
    writer.write(&[(tp(topic, 0), batch(3, 100))]).await;
    let outcome = tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bases(&outcome), [[0]]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_told_at_once() {
    let (agent, topic) = agent(2).await;
    let wanted = [fetch(topic, 0, 0), fetch(topic, 1, 7)];
    let outcome = agent.fetcher.fetch(parts(&wanted, 3_600_000, 1)).await;
    assert_eq!(outcome.partitions[0].error, None);
    assert_eq!(
        outcome.partitions[1].error,
        Some(FetchError::OffsetOutOfRange)
    );
    assert_eq!(outcome.partitions[1].high_watermark, -1);
    let nowhere = [fetch(TopicId::default(), 0, 0)];
    let outcome = agent.fetcher.fetch(parts(&nowhere, 3_600_000, 1)).await;
    assert_eq!(
        outcome.partitions[0].error,
        Some(FetchError::UnknownTopicId)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_beside_a_known_one_does_not_make_a_consumer_spin() {
    let (agent, topic) = agent(1).await;
    let wanted = [fetch(topic, 0, 0), fetch(TopicId::default(), 0, 0)];
    let waiting = spawn(&agent, parts(&wanted, 500, 1));
    parked(&agent, 1).await;
    let outcome = waiting.await.unwrap();
    assert_eq!(
        outcome.partitions[1].error,
        Some(FetchError::UnknownTopicId)
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_a_topic_ends_the_wait_for_it() {
    let (agent, topic) = agent(1).await;
    let waiting = spawn(&agent, parts(&[fetch(topic, 0, 0)], 3_600_000, 1));
    parked(&agent, 1).await;
    agent
        .session
        .submit(DeleteTopic {
            id: topic,
            window_ms: 0,
        })
        .await
        .unwrap()
        .unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(1), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        outcome.partitions[0].error,
        Some(FetchError::UnknownTopicId)
    );
}

/// A consumer that read from another agent is ahead of what this one has applied. It must not be
/// told that its offset is out of range: it would start over from its reset policy.
#[tokio::test(start_paused = true)]
async fn an_offset_that_another_agent_committed_is_not_out_of_range() {
    let (log, store) = (MemoryLog::new(), TestStore::new());
    let writer = Agent::start("bb", log.clone(), store.clone()).await;
    let topic = writer.topic("t", 1).await;
    let slow = log.with_faults(Rng::from_seed(1), Faults::default());
    let reader = Agent::start("a", slow.clone(), store).await;
    slow.set_faults(Faults::unreachable());
    writer.write(&[(tp(topic, 0), batch(3, 100))]).await;
    let outcome = reader
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 3)], 0, 1))
        .await;
    let error = outcome.partitions[0].error;
    assert!(
        matches!(error, None | Some(FetchError::OffsetNotAvailable)),
        "{error:?}"
    );
    slow.set_faults(Faults::default());
    let outcome = reader
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 3)], 0, 1))
        .await;
    assert_eq!(outcome.partitions[0].error, None);
    let outcome = reader
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 4)], 0, 1))
        .await;
    assert_eq!(
        outcome.partitions[0].error,
        Some(FetchError::OffsetOutOfRange)
    );
}

#[tokio::test(start_paused = true)]
async fn the_brokers_own_limit_holds_for_every_response() {
    let options = FetchOptions {
        response_bytes_max: 3_000,
        ..FetchOptions::default()
    };
    let agent = Agent::start_with("a", MemoryLog::new(), TestStore::new(), options).await;
    let topic = agent.topic("t", 1).await;
    for _ in 0..5 {
        agent.write(&[(tp(topic, 0), batch(1, 1_000))]).await;
    }
    // More than the response may have is not waited for.
    let outcome = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 0)], 3_600_000, 1 << 30))
        .await;
    assert_eq!(bases(&outcome), [[0, 1]]);
}

#[tokio::test(start_paused = true)]
async fn responses_together_stay_within_the_memory_for_them() {
    let options = FetchOptions {
        memory_bytes: PerPool {
            tail: 14_000,
            catch_up: 14_000,
        },
        ..FetchOptions::default()
    };
    let agent = Agent::start_with("a", MemoryLog::new(), TestStore::new(), options).await;
    let topic = agent.topic("t", 1).await;
    agent.write(&[(tp(topic, 0), batch(6, 1_000))]).await;
    let first = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 0)], 0, 1))
        .await;
    assert_eq!(bases(&first), [[0]]);
    let kept = first.memory.as_ref().map(|memory| memory.amount());
    assert_eq!(kept, Some(first.partitions[0].records.bytes));
    let second = spawn(&agent, parts(&[fetch(topic, 0, 0)], 0, 1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!second.is_finished(), "the first response is not sent yet");
    drop(first);
    assert_eq!(bases(&second.await.unwrap()), [[0]]);
}

/// A fetch of many partitions, each in a block of its own: with little memory it takes few of them, and the rest later.
#[tokio::test(start_paused = true)]
async fn one_fetch_needs_no_more_blocks_than_its_memory_holds() {
    let memory = 8 << 20;
    let options = FetchOptions {
        memory_bytes: PerPool {
            tail: memory,
            catch_up: memory,
        },
        ..FetchOptions::default()
    };
    let agent = Agent::start_with("a", MemoryLog::new(), TestStore::new(), options).await;
    let topic = agent.topic("t", 20).await;
    for partition in 0..20 {
        agent
            .write(&[(tp(topic, partition), batch(1, 1_000_000))])
            .await;
    }
    let mut next = 0;
    while next < 20 {
        let wanted: Vec<_> = (next..20).map(|p| fetch(topic, p, 0)).collect();
        let before = agent.store.gets();
        let mut parts = parts(&wanted, 0, 1);
        parts.bytes_max = 50 << 20;
        let given = bases(&agent.fetcher.fetch(parts).await);
        let given = given.iter().filter(|batches| !batches.is_empty()).count();
        let read = agent.store.gets() - before;
        assert!(
            (1..=3).contains(&given) && read == given,
            "{given} of {read}"
        );
        next += given as i32;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_where_to_read_instead_as_often_as_it_is_asked() {
    let (agent, topic) = agent(1).await;
    agent.write(&[(tp(topic, 0), batch(3, 100))]).await;
    let nearer = || Some(Nearer::new(|partition| 40 + partition.partition as i32));
    let mut first = parts(&[fetch(topic, 0, 0)], 60_000, 1);
    first.session.epoch = super::super::session::INITIAL_EPOCH;
    first.nearer = nearer();
    let sent = agent.fetcher.fetch(first).await;
    for epoch in 1..4 {
        let mut next = parts(&[], 60_000, 1);
        next.session.session_id = sent.session_id;
        next.session.epoch = epoch;
        next.nearer = nearer();
        let again = agent.fetcher.fetch(next).await;
        let told: Vec<_> = again.partitions.iter().map(|p| p.preferred).collect();
        assert_eq!(told, [Some(40)], "epoch {epoch}");
        assert_eq!(again.partitions[0].records.bytes, 0);
        assert_eq!(again.partitions[0].high_watermark, 3);
    }
    let mut here = parts(&[], 60_000, 1);
    here.session.session_id = sent.session_id;
    here.session.epoch = 4;
    let read = agent.fetcher.fetch(here).await;
    assert_eq!(bases(&read), [[0]]);
    assert_eq!(read.partitions[0].preferred, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_from_what_it_told() {
    let (agent, topic) = agent(2).await;
    let mut first = parts(&[fetch(topic, 0, 0), fetch(topic, 1, 0)], 0, 1);
    first.session.epoch = super::super::session::INITIAL_EPOCH;
    let id = agent.fetcher.fetch(first).await.session_id;
    assert!(id > 0);
    let mut next = parts(&[], 3_600_000, 1);
    next.session.session_id = id;
    next.session.epoch = 1;
    let waiting = spawn(&agent, next.clone());
    parked(&agent, 1).await;
    agent.write(&[(tp(topic, 1), batch(3, 100))]).await;
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome.partitions.len(), 1, "the other one has no news");
    assert_eq!(
        (outcome.partitions[0].partition, outcome.session_id),
        (1, id)
    );
    let again = agent.fetcher.fetch(next).await;
    assert_eq!(again.error, Some(FetchError::InvalidSessionEpoch));
    assert!(again.partitions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn records_that_were_deleted_are_out_of_range_and_the_start_is_told() {
    let (agent, topic) = agent(1).await;
    agent.write(&[(tp(topic, 0), batch(5, 10))]).await;
    let partition = tp(topic, 0);
    let cut = DeleteRecords {
        partition,
        before_offset: 2,
    };
    agent.session.submit(cut).await.unwrap().unwrap();
    let outcome = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 1)], 0, 1))
        .await;
    assert_eq!(
        outcome.partitions[0].error,
        Some(FetchError::OffsetOutOfRange)
    );
    let outcome = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 2)], 0, 1))
        .await;
    assert_eq!(outcome.partitions[0].log_start_offset, 2);
    assert_eq!(bases(&outcome), [[0]]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_waiting_fetches_are_all_answered() {
    let (agent, topic) = agent(100).await;
    let readers: Vec<_> = (0..10_000)
        .map(|n| spawn(&agent, parts(&[fetch(topic, n % 100, 0)], 3_600_000, 1)))
        .collect();
    parked(&agent, 10_000).await;
    let batches: Vec<_> = (0..100).map(|p| (tp(topic, p), batch(1, 100))).collect();
    let object = agent.write(&batches).await;
    for reader in readers {
        let outcome = reader.await.unwrap();
        assert_eq!(
            outcome.partitions[0].records.bytes,
            batch(1, 100).len() as u64
        );
    }
    assert_eq!(
        agent.store.gets(),
        1,
        "all of them from one GET of {}",
        object.id
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_agent_that_ends() {
    let (agent, topic) = agent(1).await;
    let waiting = spawn(&agent, parts(&[fetch(topic, 0, 0)], 3_600_000, 1));
    parked(&agent, 1).await;
    agent.fetcher.end_waits();
    let outcome = tokio::time::timeout(Duration::from_secs(1), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(outcome.partitions[0].error, None);
    let late = agent
        .fetcher
        .fetch(parts(&[fetch(topic, 0, 0)], 3_600_000, 1));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), late)
            .await
            .is_ok()
    );
}

/// Readers follow a partition, each fetch allowed to wait for an hour, while it is written to in
/// other threads: a commit that no fetch was woken by would leave them behind for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_slept_through() {
    const COMMITS: i64 = 300;
    let (agent, topic) = agent(1).await;
    let follow = |_| {
        let fetcher = agent.fetcher.clone();
        tokio::spawn(async move {
            let mut at = 0;
            while at < COMMITS {
                let outcome = fetcher
                    .fetch(parts(&[fetch(topic, 0, at)], 3_600_000, 1))
                    .await;
                let batches = offsets(&outcome.partitions[0].records.to_bytes());
                assert_eq!(batches.first().map(|batch| batch.start), Some(at));
                at = batches.last().map_or(at, |batch| batch.end);
            }
        })
    };
    let readers: Vec<_> = (0..4).map(follow).collect();
    for _ in 0..COMMITS {
        agent.write(&[(tp(topic, 0), batch(1, 10))]).await;
    }
    let all = futures::future::join_all(readers);
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    all.expect("a reader sleeps")
        .into_iter()
        .for_each(|reader| reader.unwrap());
}

fn committed(mut parts: FetchParts) -> FetchParts {
    parts.isolation = Isolation::ReadCommitted;
    parts
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_transaction_ends_the_wait_of_who_reads_committed_records() {
    for (end, aborted) in [
        (TransactionEnd::Commit, vec![]),
        (TransactionEnd::Abort, vec![0]),
    ] {
        let (agent, topic) = agent(1).await;
        let mut producer = agent.producer("p").await;
        let batch = producer.batch(tp(topic, 0), 3, 100);
        let bytes = batch.len() as u64;
        let wanted = [fetch(topic, 0, 0)];
        let waiting = spawn(&agent, committed(parts(&wanted, 3_600_000, bytes)));
        parked(&agent, 1).await;
        agent.write(&[(tp(topic, 0), batch)]).await;
        // Whatever is undecided does not count as something to read, nor does what comes after it.
        let half = committed(parts(&wanted, 500, 1));
        assert_eq!(bases(&agent.fetcher.fetch(half).await), [[0; 0]]);
        assert!(!waiting.is_finished());
        agent.end(&mut producer, end).await;
        let answered = tokio::time::timeout(Duration::from_secs(1), waiting).await;
        let outcome = answered.unwrap().unwrap();
        assert_eq!(bases(&outcome), [[0, 3]]);
        let partition = &outcome.partitions[0];
        assert_eq!(
            (partition.last_stable_offset, partition.high_watermark),
            (4, 4)
        );
        let told = partition.aborted_transactions.as_ref().unwrap();
        let told: Vec<i64> = told.iter().map(|t| t.first_offset).collect();
        assert_eq!(told, aborted);
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_shown_counts_as_enough() {
    let (agent, topic) = agent(1).await;
    let mut producer = agent.producer("p").await;
    let of = tp(topic, 0);
    let (plain, undecided) = (batch(1, 1_000), producer.batch(of, 9, 1_000));
    let bytes = plain.len() as u64;
    // In one extent.
    agent.write(&[(of, plain), (of, undecided)]).await;
    let wanted = [fetch(topic, 0, 0)];
    let waiting = spawn(&agent, committed(parts(&wanted, 3_600_000, bytes + 500)));
    parked(&agent, 1).await;
    let uncommitted = agent.fetcher.fetch(parts(&wanted, 0, bytes + 500)).await;
    assert_eq!(bases(&uncommitted), [[0, 1]]);
    assert_eq!(uncommitted.partitions[0].aborted_transactions, None);
    assert!(!waiting.is_finished());
    agent.end(&mut producer, TransactionEnd::Commit).await;
    assert_eq!(bases(&waiting.await.unwrap()), [[0, 1, 10]]);
}

/// What tells which records were aborted is trimmed with the records: a reader that has them gets it all the same.
#[tokio::test(start_paused = true)]
async fn aborted_records_deleted_while_they_are_read_are_told_as_aborted() {
    let (agent, topic) = agent(1).await;
    let mut producer = agent.producer("p").await;
    let of = tp(topic, 0);
    agent.write(&[(of, producer.batch(of, 2, 100))]).await;
    agent.end(&mut producer, TransactionEnd::Abort).await;
    agent.store.hold();
    let reading = spawn(&agent, committed(parts(&[fetch(topic, 0, 0)], 0, 1)));
    agent.store.asked().await;
    let cut = DeleteRecords {
        partition: of,
        before_offset: 3,
    };
    agent.session.submit(cut).await.unwrap().unwrap();
    agent.store.let_through(1);
    let outcome = reading.await.unwrap();
    assert_eq!(bases(&outcome), [[0, 2]]);
    let told = outcome.partitions[0].aborted_transactions.as_ref().unwrap();
    assert_eq!((told.len(), told[0].first_offset), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_tells_of_no_aborted_transactions() {
    let (agent, topic) = agent(1).await;
    let wanted = [fetch(topic, 0, 7), fetch(topic, 0, 0)];
    let outcome = agent.fetcher.fetch(committed(parts(&wanted, 0, 1))).await;
    let told: Vec<_> = outcome
        .partitions
        .iter()
        .map(|p| p.aborted_transactions.clone())
        .collect();
    assert_eq!(told, [None, Some(vec![])]);
}

/// A fetch looks at so many extents and no more: if there are more, it has as much as it will ever have.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_has_looked_at_all_it_may_does_not_wait() {
    let (agent, topic) = agent(1).await;
    for _ in 0..600 {
        agent.write(&[(tp(topic, 0), batch(1, 1))]).await;
    }
    let greedy = parts(&[fetch(topic, 0, 0)], 3_600_000, 1 << 20);
    let outcome = tokio::time::timeout(Duration::from_secs(1), agent.fetcher.fetch(greedy)).await;
    assert!(bases(&outcome.unwrap())[0].len() >= 500);
}

/// An agent whose store for older records can be held back, and a topic with two partitions: what
/// is in the first is old, what is in the second is new.
async fn old_and_new(options: FetchOptions) -> (Agent, Arc<TestStore>, TopicId) {
    let old = TestStore::new();
    let stores = PerPool {
        tail: TestStore::new(),
        catch_up: old.clone(),
    };
    let agent = Agent::start_on("a", MemoryLog::new(), stores, options).await;
    let topic = agent.topic("t", 2).await;
    for n in 0..4 {
        let object = agent.write(&[(tp(topic, 0), batch(1, 5_000 + n))]).await;
        old.put_object(&object).await;
    }
    tokio::time::sleep(Duration::from_secs(90)).await;
    agent.write(&[(tp(topic, 1), batch(1, 5_000))]).await;
    (agent, old, topic)
}

#[tokio::test(start_paused = true)]
async fn who_keeps_up_does_not_wait_for_those_who_are_behind() {
    let options = FetchOptions {
        memory_bytes: PerPool {
            tail: 20_000,
            catch_up: 20_000,
        },
        load: LoadOptions {
            concurrency: PerPool {
                tail: 1,
                catch_up: 1,
            },
            ..LoadOptions::default()
        },
        ..FetchOptions::default()
    };
    let (agent, old, topic) = old_and_new(options).await;
    old.hold();
    let behind: Vec<_> = (0..20)
        .map(|n| spawn(&agent, parts(&[fetch(topic, 0, n % 4)], 0, 1)))
        .collect();
    old.asked().await;
    let new = agent.fetcher.fetch(parts(&[fetch(topic, 1, 0)], 0, 1));
    let new = tokio::time::timeout(Duration::from_secs(1), new).await;
    assert_eq!(bases(&new.expect("it does not wait")), [[0]]);
    assert_eq!(agent.store.gets(), 1, "with the store client of the tail");
    assert!(behind.iter().all(|fetch| !fetch.is_finished()));
    old.let_through(1_000);
    for (n, fetch) in behind.into_iter().enumerate() {
        let first = bases(&fetch.await.unwrap())[0][0];
        assert_eq!(first, n as i64 % 4);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_behind_take_turns() {
    let options = FetchOptions {
        memory_bytes: PerPool {
            tail: 10_000,
            catch_up: 10_000,
        },
        ..FetchOptions::default()
    };
    let (agent, old, topic) = old_and_new(options).await;
    old.hold();
    let finished = Arc::new(Mutex::new(vec![]));
    let fetch_as = |name: &'static str| {
        let mut parts = parts(&[fetch(topic, 0, 3)], 0, 1);
        parts.client = Client::group(name);
        let (fetcher, finished) = (agent.fetcher.clone(), finished.clone());
        tokio::spawn(async move {
            let outcome = fetcher.fetch(parts).await;
            finished.lock().push(name);
            drop(outcome);
        })
    };
    let mut fetches: Vec<_> = (0..50).map(|_| fetch_as("greedy")).collect();
    old.asked().await;
    fetches.push(fetch_as("modest"));
    tokio::task::yield_now().await;
    old.let_through(1_000);
    futures::future::join_all(fetches).await;
    let place = finished.lock().iter().position(|name| *name == "modest");
    assert!(place.unwrap() < 4, "{place:?} of 51");
}
