use bytes::Bytes;
use object_format::{TopicId, TopicPartition};
use proptest::prelude::*;
use runtime::SystemClock;

use super::super::fixture::{World, batch, fetch, limits, offsets, slices, tp};
use super::super::plan::{PartitionFetch, plan};
use super::*;

async fn read(world: &World, wanted: &[PartitionFetch], bytes_max: u64) -> Vec<PartitionRecords> {
    let reader = Reader::new(world.cache(), SystemClock::shared());
    reader
        .read(
            &plan(&world.state, wanted, limits(bytes_max)),
            &Client::default(),
        )
        .await
}

async fn ranges(world: &World, wanted: &[PartitionFetch], bytes_max: u64) -> Vec<Vec<i64>> {
    let read = read(world, wanted, bytes_max).await;
    read.iter()
        .map(|p| {
            assert_eq!(p.error, None);
            assert_eq!(p.records.bytes, p.records.to_bytes().len() as u64);
            offsets(&p.records.to_bytes())
                .iter()
                .map(|r| r.start)
                .collect()
        })
        .collect()
}

async fn world(value_bytes: usize) -> (World, TopicId) {
    let mut world = World::new();
    let topic = world.topic("t", 3);
    for _ in 0..2 {
        let batches: Vec<(TopicPartition, Bytes)> = (0..3)
            .flat_map(|p| [10, 5].map(|n| (tp(topic, p), batch(n, value_bytes))))
            .collect();
        world.write(&batches).await;
    }
    (world, topic)
}

#[tokio::test]
async fn batches_come_with_their_offsets_and_their_bytes() {
    let (world, topic) = world(1_000).await;
    let read = read(&world, &[fetch(topic, 1, 0)], 1 << 20).await;
    let got = read[0].records.to_bytes();
    assert_eq!(offsets(&got), [0..10, 10..15, 15..25, 25..30]);
    let sent = [10, 5, 10, 5].map(|n| batch(n, 1_000));
    let mut rest = got;
    for sent in sent {
        let stored = rest.split_to(sent.len());
        assert_eq!(
            stored[16..],
            sent[16..],
            "all but the stamp is as it was sent"
        );
        assert_eq!(stored[8..12], sent[8..12]);
    }
}

#[tokio::test]
async fn an_offset_within_a_batch_gives_the_whole_batch() {
    for value_bytes in [10, 1_000] {
        let (world, topic) = world(value_bytes).await;
        for (offset, first) in [(0, 0), (9, 0), (10, 10), (14, 10), (15, 15), (29, 25)] {
            let got = ranges(&world, &[fetch(topic, 0, offset)], 1 << 20).await;
            assert_eq!(got[0].first(), Some(&first), "offset {offset}");
        }
        assert!(ranges(&world, &[fetch(topic, 0, 30)], 1 << 20).await[0].is_empty());
    }
}

#[tokio::test]
async fn limits_mean_what_kafka_means() {
    let (world, topic) = world(100).await;
    let (ten, five) = (batch(10, 100).len() as u64, batch(5, 100).len() as u64);
    let wanted = |bytes_max| -> Vec<PartitionFetch> {
        (0..3)
            .map(|p| PartitionFetch {
                bytes_max,
                ..fetch(topic, p, 0)
            })
            .collect()
    };
    // A partition's limit is kept at whole batches.
    let got = ranges(&world, &wanted(ten + five), 1 << 20).await;
    assert_eq!(got, [vec![0, 10], vec![0, 10], vec![0, 10]]);
    // The first batch of the response comes however large it is, the first ones of others do not.
    let got = ranges(&world, &wanted(ten - 1), 1 << 20).await;
    assert_eq!(got, [vec![0], vec![], vec![]]);
    // The request's limit is spent in the order of the request.
    let got = ranges(&world, &wanted(1 << 20), 2 * (ten + five) + ten).await;
    assert_eq!(got, [vec![0, 10, 15, 25], vec![0], vec![]]);
    assert_eq!(
        ranges(&world, &wanted(1 << 20), 0).await,
        [vec![0], vec![], vec![]]
    );
    // Who has nothing to read does not use up the exemption.
    let mut behind = wanted(1);
    behind[0].fetch_offset = 30;
    assert_eq!(
        ranges(&world, &behind, 1 << 20).await,
        [vec![], vec![0], vec![]]
    );
}

#[tokio::test]
async fn a_damaged_batch_fails_its_partition_and_no_other() {
    let (world, topic) = world(1_000).await;
    let wanted: Vec<_> = (0..3).map(|p| fetch(topic, p, 0)).collect();
    let clean = plan(&world.state, &wanted, limits(1 << 20));
    let slice = slices(clean.partitions[1].as_ref().unwrap())[0];
    world.store.damage(slice.object, slice.position + 500).await;
    let read = read(&world, &wanted, 1 << 20).await;
    assert_eq!(read[1].error, Some(FetchError::CorruptMessage));
    assert_eq!(read[1].records.bytes, 0);
    for other in [0, 2] {
        assert_eq!(read[other].error, None);
        assert_eq!(offsets(&read[other].records.to_bytes()).len(), 4);
    }
}

#[tokio::test]
async fn what_is_in_front_of_a_damaged_batch_is_given_first() {
    let (world, topic) = world(1_000).await;
    let clean = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
    let slice = slices(clean.partitions[0].as_ref().unwrap())[1];
    world.store.damage(slice.object, slice.position + 300).await;
    assert_eq!(
        ranges(&world, &[fetch(topic, 0, 0)], 1 << 20).await,
        [[0, 10]]
    );
    let at_it = read(&world, &[fetch(topic, 0, 15)], 1 << 20).await;
    assert_eq!(at_it[0].error, Some(FetchError::CorruptMessage));
    let after_it = ranges(&world, &[fetch(topic, 0, 25)], 1 << 20).await;
    assert_eq!(after_it, [[25]], "a reader may go on behind it");
}

#[tokio::test]
async fn damaged_headers_are_no_way_out_of_the_extent() {
    for at in 0..61 {
        let (world, topic) = world(200).await;
        let clean = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
        let slice = slices(clean.partitions[0].as_ref().unwrap())[0];
        world.store.damage(slice.object, slice.position + at).await;
        let read = read(&world, &[fetch(topic, 0, 0)], 1 << 20).await;
        let stamped = at < 8 || (12..16).contains(&at);
        let expected = (!stamped).then_some(FetchError::CorruptMessage);
        assert_eq!(read[0].error, expected, "byte {at}");
    }
}

#[tokio::test]
async fn a_lost_object_fails_the_partitions_in_it() {
    let (mut world, topic) = world(100).await;
    let other = world.topic("u", 1);
    world.write(&[(tp(other, 0), batch(1, 100))]).await;
    let clean = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
    world
        .store
        .lose(slices(clean.partitions[0].as_ref().unwrap())[0].object)
        .await;
    let read = read(&world, &[fetch(topic, 0, 0), fetch(other, 0, 0)], 1 << 20).await;
    assert_eq!(read[0].error, Some(FetchError::Storage));
    assert_eq!(offsets(&read[1].records.to_bytes()).len(), 1);
}

#[tokio::test]
async fn batches_that_cross_blocks_are_whole() {
    let mut world = World::new();
    let topic = world.topic("t", 1);
    let batches: Vec<_> = (0..30).map(|_| (tp(topic, 0), batch(1, 700_000))).collect();
    world.write(&batches).await;
    let wanted = PartitionFetch {
        bytes_max: 1 << 30,
        ..fetch(topic, 0, 0)
    };
    let expected: Vec<i64> = (0..30).collect();
    assert_eq!(ranges(&world, &[wanted], 1 << 30).await, [expected]);
    assert_eq!(world.store.gets(), 6);
}

#[tokio::test]
async fn records_written_here_are_served_from_the_producers_own_bytes() {
    let mut world = World::new();
    let topic = world.topic("t", 1);
    let sent = batch(10, 1_000);
    let object = world.write(&[(tp(topic, 0), sent.clone())]).await;
    let reader = Reader::new(world.cache(), SystemClock::shared());
    reader.cache().insert_written(&object);
    let plan = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
    let read = reader.read(&plan, &Client::default()).await;
    let chunks = &read[0].records.chunks;
    assert_eq!(chunks.len(), 2, "stamp and the rest");
    assert_eq!(chunks[1].as_ptr(), sent[16..].as_ptr());
    assert_eq!(world.store.gets(), 0);
}

#[tokio::test]
async fn a_few_records_do_not_keep_a_block_in_memory() {
    let mut world = World::new();
    let topic = world.topic("t", 2);
    let filler = (tp(topic, 1), batch(1, 4 << 20));
    world
        .write(&[(tp(topic, 0), batch(10, 1_000)), filler])
        .await;
    let reader = Reader::new(world.cache(), SystemClock::shared());
    let small = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
    let block = reader
        .cache()
        .block(small.blocks[0].0, small.blocks[0].1, &Client::default())
        .await
        .unwrap();
    let lies_in = |chunk: &Bytes| {
        let whole = block.slices(0..block.len()).next().unwrap();
        whole.as_ptr_range().contains(&chunk.as_ptr())
    };
    let read = reader.read(&small, &Client::default()).await;
    assert!(!read[0].records.chunks.iter().any(lies_in));
    let large = PartitionFetch {
        bytes_max: 8 << 20,
        ..fetch(topic, 1, 0)
    };
    let large = plan(&world.state, &[large], limits(8 << 20));
    let read = reader.read(&large, &Client::default()).await;
    assert!(
        read[0].records.chunks.iter().any(lies_in),
        "most of a block is not copied"
    );
}

/// Who only looks for something holds the blocks that a batch is in, and not all that it has come through.
#[tokio::test]
async fn who_passes_through_a_run_keeps_a_block_or_two() {
    let mut world = World::new();
    let topic = world.topic("t", 1);
    let batches: Vec<_> = (0..30).map(|_| (tp(topic, 0), batch(1, 1 << 20))).collect();
    world.write(&batches).await;
    let plan = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
    let slice = slices(plan.partitions[0].as_ref().unwrap())[0];
    let (cache, client) = (world.cache(), Client::default());
    for passing in [true, false] {
        let mut blocks = match passing {
            true => Blocks::passing(&cache, &client),
            false => Blocks::load(&cache, &client, &[]).await,
        };
        let (mut walk, mut count) = (Walk::new(&slice, &mut blocks), 0);
        while let Some(batch) = walk.next().await.unwrap() {
            walk.verify(&batch).unwrap();
            count += 1;
        }
        assert_eq!(count, 30);
        let held = blocks.held();
        assert!(if passing { held <= 2 } else { held == 8 }, "{held}");
    }
}

/// What Kafka would give: for each partition the batches (base offset, length).
fn naive(
    logs: &[Vec<(i64, i64, u64)>],
    wanted: &[PartitionFetch],
    bytes_max: u64,
) -> Vec<Vec<i64>> {
    let mut left = bytes_max;
    let mut one_at_least = true;
    let mut all = vec![];
    for fetch in wanted {
        let log = &logs[fetch.partition as usize];
        let batches = log.iter().filter(|(_, end, _)| *end > fetch.fetch_offset);
        let limit = left.min(fetch.bytes_max);
        let mut sum = 0;
        let mut got = vec![];
        for (base, _, bytes) in batches {
            if sum + bytes > limit && !(one_at_least && got.is_empty()) {
                break;
            }
            sum += bytes;
            got.push(*base);
        }
        one_at_least &= got.is_empty();
        left = left.saturating_sub(sum);
        all.push(got);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Over any cluster and request a read never gives what Kafka's limits forbid, gives batches in
    /// order and without holes, and gives something if there is anything; with whole extents from
    /// their first batch it gives exactly what Kafka would.
    #[test]
    fn a_read_is_what_kafka_would_give(
        objects in prop::collection::vec(
            prop::collection::vec((0u32..3, 1usize..6, 0usize..1_500), 1..10), 1..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 3),
        partition_max in 0u64..9_000,
        bytes_max in 0u64..20_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let topic = world.topic("t", 3);
            let mut logs = vec![vec![]; 3];
            let mut ends = [0i64; 3];
            for object in &objects {
                let mut batches = vec![];
                for &(partition, records, value_bytes) in object {
                    let batch = batch(records, value_bytes);
                    let base = ends[partition as usize];
                    ends[partition as usize] += records as i64;
                    let end = ends[partition as usize];
                    logs[partition as usize].push((base, end, batch.len() as u64));
                    batches.push((tp(topic, partition), batch));
                }
                world.write(&batches).await;
            }
            let offset = |p: usize| at[p].index(ends[p] as usize + 1) as i64;
            let wanted: Vec<_> = (0..3)
                .map(|p| PartitionFetch {
                    bytes_max: partition_max,
                    ..fetch(topic, p as i32, offset(p))
                })
                .collect();
            let got = ranges(&world, &wanted, bytes_max).await;
            let full = naive(&logs, &wanted, bytes_max);
            for (p, (got, full)) in got.iter().zip(&full).enumerate() {
                if p == 0 {
                    prop_assert!(full.starts_with(got) || got.starts_with(full));
                }
                let log = logs[p].iter().filter(|(_, end, _)| *end > wanted[p].fetch_offset);
                let in_order: Vec<i64> = log.map(|(base, _, _)| *base).take(got.len()).collect();
                prop_assert_eq!(got, &in_order);
            }
            let nothing = |all: &[Vec<i64>]| all.iter().all(Vec::is_empty);
            prop_assert_eq!(nothing(&got), nothing(&full));
            let bytes = |p: usize, got: &[i64]| -> u64 {
                let one = |b: &i64| logs[p].iter().find(|(base, _, _)| base == b).unwrap().2;
                got.iter().map(one).sum()
            };
            let mut exempt = true;
            let mut sum = 0;
            for (p, got) in got.iter().enumerate() {
                let bytes = bytes(p, got);
                prop_assert!(bytes <= partition_max || (exempt && got.len() == 1));
                sum += bytes;
                prop_assert!(sum <= bytes_max || got.is_empty() || (exempt && got.len() == 1));
                exempt &= got.is_empty();
            }
            Ok(())
        })?;
    }
}
