use bytes::Bytes;
use control_plane::log::memory::{Faults, MemoryLog};
use control_plane::state::{DeleteRecords, TransactionEnd};
use object_format::TopicId;
use object_format::batch::{BatchBuilder, Codec, compressed, with_log_append_time};
use proptest::prelude::*;
use runtime::Rng;

use super::super::fixture::{Agent, TestStore, agent, batch_at, tp};
use super::*;

async fn ask(agent: &Agent, topic: TopicId, timestamp: i64) -> (i64, i64) {
    ask_as(agent, topic, timestamp, Isolation::ReadUncommitted).await
}

async fn ask_as(agent: &Agent, topic: TopicId, timestamp: i64, isolation: Isolation) -> (i64, i64) {
    let query = OffsetQuery {
        topic: TopicRef::Id(topic),
        partition: 0,
        timestamp,
        current_leader_epoch: -1,
    };
    let found = agent.fetcher.list_offsets(vec![query], isolation).await;
    let found = found[0].unwrap();
    assert_eq!(found.leader_epoch, if found.offset < 0 { -1 } else { 0 });
    (found.offset, found.timestamp)
}

async fn write(agent: &Agent, topic: TopicId, batch: Bytes) {
    agent.write(&[(tp(topic, 0), batch)]).await;
}

#[tokio::test(start_paused = true)]
async fn ends_are_told_without_reading() {
    let (agent, topic) = agent(1).await;
    for timestamp in [LATEST, EARLIEST, EARLIEST_LOCAL] {
        assert_eq!(ask(&agent, topic, timestamp).await, (0, -1));
    }
    assert_eq!(ask(&agent, topic, MAX_TIMESTAMP).await, (-1, -1));
    assert_eq!(ask(&agent, topic, 0).await, (-1, -1));
    write(&agent, topic, batch_at(1_000, 10, 100)).await;
    let cut = DeleteRecords {
        partition: tp(topic, 0),
        before_offset: 4,
    };
    agent.session.submit(cut).await.unwrap().unwrap();
    assert_eq!(ask(&agent, topic, LATEST).await, (10, -1));
    assert_eq!(ask(&agent, topic, EARLIEST).await, (4, -1));
    assert_eq!(ask(&agent, topic, EARLIEST_LOCAL).await, (4, -1));
    assert_eq!(ask(&agent, topic, LATEST_TIERED).await, (-1, -1));
    assert_eq!(agent.store.gets(), 0);
    assert_eq!(
        ask(&agent, topic, 0).await,
        (4, 1_004),
        "not what was deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_gives_the_first_record_at_or_after_it() {
    let (agent, topic) = agent(1).await;
    for start in [1_000, 5_000, 3_000, 9_000] {
        write(&agent, topic, batch_at(start, 10, 100)).await;
    }
    let expected = [
        (0, (0, 1_000)),
        (1_003, (3, 1_003)),
        (1_010, (10, 5_000)),
        (5_009, (19, 5_009)),
        (5_010, (30, 9_000)),
        (9_009, (39, 9_009)),
        (9_010, (-1, -1)),
        (i64::MAX, (-1, -1)),
    ];
    for (timestamp, found) in expected {
        assert_eq!(ask(&agent, topic, timestamp).await, found, "{timestamp}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_greatest_timestamp_is_found_wherever_it_is() {
    let (agent, topic) = agent(1).await;
    for start in [1_000, 9_000, 3_000, 9_000] {
        write(&agent, topic, batch_at(start, 10, 100)).await;
    }
    assert_eq!(ask(&agent, topic, MAX_TIMESTAMP).await, (19, 9_009));
}

#[tokio::test(start_paused = true)]
async fn compressed_batches_are_looked_into() {
    let (agent, topic) = agent(1).await;
    let mut builder = BatchBuilder::new();
    (0..100).for_each(|n| builder.push(1_000 + n, None, Some(&[7; 100]), &[]));
    let batch = builder.build_with(Codec::Zstd, |plain| compressed(plain, Codec::Zstd).unwrap());
    write(&agent, topic, batch).await;
    assert_eq!(ask(&agent, topic, 1_042).await, (42, 1_042));
    assert_eq!(ask(&agent, topic, MAX_TIMESTAMP).await, (99, 1_099));
}

#[tokio::test(start_paused = true)]
async fn batches_with_the_brokers_time_begin_at_their_first_record() {
    let (agent, topic) = agent(1).await;
    let batch = with_log_append_time(&batch_at(1_000, 10, 100), 7_000).unwrap();
    write(&agent, topic, batch).await;
    assert_eq!(ask(&agent, topic, 6_000).await, (0, 7_000));
    assert_eq!(ask(&agent, topic, MAX_TIMESTAMP).await, (0, 7_000));
    assert_eq!(ask(&agent, topic, 7_001).await, (-1, -1));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_for_each_partition() {
    let (agent, topic) = agent(2).await;
    let query = |partition, timestamp, current_leader_epoch| OffsetQuery {
        topic: TopicRef::Id(topic),
        partition,
        timestamp,
        current_leader_epoch,
    };
    let queries = [
        query(0, LATEST, 0),
        query(1, LATEST, 1),
        query(2, LATEST, -1),
        query(0, -99, -1),
        OffsetQuery {
            topic: TopicRef::Name("none".into()),
            ..query(0, LATEST, -1)
        },
    ];
    let answers = agent
        .fetcher
        .list_offsets(queries.to_vec(), Isolation::ReadCommitted)
        .await;
    let errors: Vec<_> = answers.iter().map(|answer| answer.err()).collect();
    let unknown = Some(FetchError::UnknownTopicOrPartition);
    let epoch = Some(FetchError::UnknownLeaderEpoch);
    assert_eq!(
        errors,
        [
            None,
            epoch,
            unknown,
            Some(FetchError::UnsupportedVersion),
            unknown
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_latest_offset_counts_what_other_agents_have_committed() {
    let (log, store) = (MemoryLog::new(), TestStore::new());
    let writer = Agent::start("bb", log.clone(), store.clone()).await;
    let topic = writer.topic("t", 1).await;
    let view = log.with_faults(Rng::from_seed(1), Faults::default());
    let reader = Agent::start("a", view.clone(), store).await;
    for n in 1..=20 {
        write(&writer, topic, batch_at(1_000, 1, 10)).await;
        assert_eq!(ask(&reader, topic, LATEST).await, (n, -1));
    }
    view.set_faults(Faults::unreachable());
    let query = OffsetQuery {
        topic: TopicRef::Id(topic),
        partition: 0,
        timestamp: LATEST,
        current_leader_epoch: -1,
    };
    let found = reader
        .fetcher
        .list_offsets(vec![query], Isolation::ReadUncommitted)
        .await;
    assert_eq!(found, [Err(FetchError::OffsetNotAvailable)]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_batch_is_an_error_and_not_a_wrong_offset() {
    let (agent, topic) = agent(1).await;
    let object = agent
        .write(&[(tp(topic, 0), batch_at(1_000, 10, 100))])
        .await;
    agent
        .store
        .damage(object.id, object.runs[0].index.position + 100)
        .await;
    let query = OffsetQuery {
        topic: TopicRef::Id(topic),
        partition: 0,
        timestamp: 1_005,
        current_leader_epoch: -1,
    };
    let found = agent
        .fetcher
        .list_offsets(vec![query], Isolation::ReadUncommitted)
        .await;
    assert_eq!(found, [Err(FetchError::CorruptMessage)]);
}

#[tokio::test(start_paused = true)]
async fn readers_of_committed_records_are_told_the_last_stable_offset() {
    use Isolation::{ReadCommitted, ReadUncommitted};
    let (agent, topic) = agent(1).await;
    let mut producer = agent.producer("p").await;
    let of = tp(topic, 0);
    let (plain, undecided) = (batch_at(500, 2, 10), producer.batch(of, 3, 10));
    // In one extent, whose greatest timestamp is an undecided record's.
    agent.write(&[(of, plain), (of, undecided)]).await;
    let both = async |timestamp| {
        let committed = ask_as(&agent, topic, timestamp, ReadCommitted).await;
        (
            committed,
            ask_as(&agent, topic, timestamp, ReadUncommitted).await,
        )
    };
    assert_eq!(both(LATEST).await, ((2, -1), (5, -1)));
    assert_eq!(both(EARLIEST).await, ((0, -1), (0, -1)));
    assert_eq!(both(501).await, ((1, 501), (1, 501)));
    assert_eq!(both(900).await, ((-1, -1), (2, 1_000)));
    assert_eq!(both(MAX_TIMESTAMP).await, ((-1, -1), (4, 1_002)));
    agent.end(&mut producer, TransactionEnd::Commit).await;
    assert_eq!(both(LATEST).await, ((6, -1), (6, -1)));
    assert_eq!(both(900).await, ((2, 1_000), (2, 1_000)));
}

/// As in Kafka, which does not look for the greatest timestamp but one.
#[tokio::test(start_paused = true)]
async fn an_undecided_record_may_be_the_newest() {
    let (agent, topic) = agent(1).await;
    let mut producer = agent.producer("p").await;
    let of = tp(topic, 0);
    write(&agent, topic, batch_at(500, 2, 10)).await;
    let newest = async || ask_as(&agent, topic, MAX_TIMESTAMP, Isolation::ReadCommitted).await;
    assert_eq!(newest().await, (1, 501));
    write(&agent, topic, producer.batch(of, 3, 10)).await;
    assert_eq!(newest().await, (-1, -1));
}

/// As in Kafka, whose index of times does not tell markers from records.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_transaction_has_a_time_like_any_record() {
    let (agent, topic) = agent(1).await;
    let mut producer = agent.producer("p").await;
    let of = tp(topic, 0);
    agent.write(&[(of, producer.batch(of, 2, 10))]).await;
    agent.end(&mut producer, TransactionEnd::Abort).await;
    let replica = agent.fetcher.replica();
    let marked_ms = replica.read(|state| {
        let marker = state.partition(of).unwrap().markers_from(0).next();
        marker.unwrap().1.timestamp_ms
    });
    write(&agent, topic, batch_at(marked_ms + 1_000, 1, 10)).await;
    let cases = [
        (1_001, (1, 1_001)),
        (1_002, (2, marked_ms)),
        (marked_ms, (2, marked_ms)),
        (marked_ms + 1, (3, marked_ms + 1_000)),
        (marked_ms + 1_001, (-1, -1)),
    ];
    for (timestamp, found) in cases {
        assert_eq!(ask(&agent, topic, timestamp).await, found, "{timestamp}");
    }
    assert_eq!(
        ask(&agent, topic, MAX_TIMESTAMP).await,
        (3, marked_ms + 1_000)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the times of the records: the first at or after any time, as if all were read.
    #[test]
    fn lookups_by_time_agree_with_reading_everything(
        batches in prop::collection::vec(prop::collection::vec(0i64..60, 1..5), 1..8),
        asked in prop::collection::vec(0i64..62, 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (agent, topic) = agent(1).await;
            for times in &batches {
                let mut builder = BatchBuilder::new();
                times.iter().for_each(|&time| builder.push(time, None, Some(b"v"), &[]));
                write(&agent, topic, builder.build()).await;
            }
            let all: Vec<i64> = batches.concat();
            for time in asked {
                let first = all.iter().position(|&t| t >= time);
                let expected = first.map_or((-1, -1), |at| (at as i64, all[at]));
                prop_assert_eq!(ask(&agent, topic, time).await, expected);
            }
            let max = *all.iter().max().unwrap();
            let first = all.iter().position(|&t| t == max).unwrap() as i64;
            prop_assert_eq!(ask(&agent, topic, MAX_TIMESTAMP).await, (first, max));
            Ok(())
        })?;
    }
}
