use bytes::Bytes;
use proptest::prelude::*;

use super::super::fixture::{World, batch, fetch, limits, slices, tp};
use super::*;

fn only(plan: &Plan) -> &Readable {
    plan.partitions[0].as_ref().unwrap()
}

async fn world() -> (World, TopicId) {
    let mut world = World::new();
    let topic = world.topic("t", 4);
    for _ in 0..3 {
        let batches: Vec<_> = (0..4).map(|p| (tp(topic, p), batch(10, 100))).collect();
        world.write(&batches).await;
    }
    (world, topic)
}

fn error(world: &World, fetch: PartitionFetch) -> Option<FetchError> {
    plan(&world.state, [&fetch], limits(1 << 20)).partitions[0]
        .clone()
        .err()
}

#[tokio::test]
async fn what_is_wrong_with_a_partition_has_kafkas_names() {
    let (world, topic) = world().await;
    let good = fetch(topic, 0, 0);
    assert_eq!(error(&world, good.clone()), None);
    assert_eq!(
        error(&world, fetch(topic, 0, 30)),
        None,
        "the high watermark is in range"
    );
    assert_eq!(
        error(&world, fetch(topic, 0, 31)),
        Some(FetchError::OffsetOutOfRange)
    );
    assert_eq!(
        error(&world, fetch(topic, 0, -1)),
        Some(FetchError::OffsetOutOfRange)
    );
    assert_eq!(
        error(&world, fetch(topic, 4, 0)),
        Some(FetchError::UnknownTopicOrPartition)
    );
    assert_eq!(
        error(&world, fetch(topic, -1, 0)),
        Some(FetchError::UnknownTopicOrPartition)
    );
    let nowhere = fetch(TopicId::default(), 0, 0);
    assert_eq!(error(&world, nowhere), Some(FetchError::UnknownTopicId));
    for (name, expected) in [
        ("t", None),
        ("u", Some(FetchError::UnknownTopicOrPartition)),
    ] {
        let named = PartitionFetch {
            topic: TopicRef::Name(name.into()),
            ..good.clone()
        };
        assert_eq!(error(&world, named), expected);
    }
    let epochs = [
        (0, None),
        (1, Some(FetchError::UnknownLeaderEpoch)),
        (-2, Some(FetchError::FencedLeaderEpoch)),
    ];
    for (current_leader_epoch, expected) in epochs {
        let fetch = PartitionFetch {
            current_leader_epoch,
            ..good.clone()
        };
        assert_eq!(error(&world, fetch), expected);
    }
}

#[tokio::test]
async fn deleted_records_are_out_of_range() {
    let (mut world, topic) = world().await;
    let partition = tp(topic, 0);
    world.submit(control_plane::state::DeleteRecords {
        partition,
        before_offset: 15,
    });
    assert_eq!(
        error(&world, fetch(topic, 0, 14)),
        Some(FetchError::OffsetOutOfRange)
    );
    let plan = plan(&world.state, [&fetch(topic, 0, 15)], limits(1 << 20));
    assert_eq!(only(&plan).log_start_offset, 15);
    assert_eq!(
        slices(only(&plan))[0].base_offset,
        10,
        "the batch that holds the offset"
    );
}

#[tokio::test]
async fn a_fetch_at_the_end_has_nothing_to_read_and_knows_the_end() {
    let (world, topic) = world().await;
    let plan = plan(&world.state, [&fetch(topic, 0, 30)], limits(1 << 20));
    let ends = (only(&plan).high_watermark, only(&plan).last_stable_offset);
    assert_eq!(ends, (30, 30));
    assert!(only(&plan).parts.is_empty() && plan.blocks.is_empty());
    assert_eq!(plan.available, 0);
}

#[tokio::test]
async fn partitions_of_one_object_share_its_block() {
    let (world, topic) = world().await;
    let wanted: Vec<_> = (0..4).map(|p| fetch(topic, p, 0)).collect();
    let plan = plan(&world.state, &wanted, limits(1 << 20));
    assert_eq!(plan.blocks.len(), 3, "three objects");
    let parts: usize = plan
        .partitions
        .iter()
        .map(|p| p.as_ref().unwrap().parts.len())
        .sum();
    assert_eq!(parts, 12);
}

#[tokio::test]
async fn limits_bound_what_is_planned_and_never_the_first_extent() {
    let (world, topic) = world().await;
    let bytes = batch(10, 100).len() as u64;
    let counts = |bytes_max: u64, partition_max: u64| -> Vec<usize> {
        let small = |p| PartitionFetch {
            bytes_max: partition_max,
            ..fetch(topic, p, 0)
        };
        let wanted: Vec<_> = (0..4).map(small).collect();
        let plan = plan(&world.state, &wanted, limits(bytes_max));
        plan.partitions
            .iter()
            .map(|p| p.as_ref().unwrap().parts.len())
            .collect()
    };
    assert_eq!(counts(1 << 20, 1 << 20), [3, 3, 3, 3]);
    assert_eq!(counts(1 << 20, bytes), [1, 1, 1, 1]);
    assert_eq!(counts(4 * bytes, 1 << 20), [3, 1, 0, 0]);
    assert_eq!(counts(0, 0), [1, 0, 0, 0]);
}

#[tokio::test]
async fn what_is_available_counts_up_to_each_partitions_limit() {
    let (world, topic) = world().await;
    let bytes = batch(10, 100).len() as u64;
    let available = |offset, bytes_max| {
        let wanted = PartitionFetch {
            bytes_max,
            ..fetch(topic, 0, offset)
        };
        plan(&world.state, [&wanted], limits(1 << 20)).available
    };
    assert_eq!(available(0, 1 << 20), 3 * bytes);
    assert_eq!(available(0, bytes + 1), bytes + 1);
    assert_eq!(available(10, 1 << 20), 2 * bytes);
    let middle = available(15, 1 << 20);
    assert!(middle > bytes && middle < 2 * bytes, "{middle}");
    assert!(
        available(29, 1 << 20) > 0,
        "one record left is something to read"
    );
}

#[tokio::test]
async fn a_deleted_topic_does_not_end_the_wait_for_the_others() {
    let (mut world, topic) = world().await;
    let gone = world.topic("gone", 1);
    let wanted = [fetch(topic, 0, 30), fetch(gone, 0, 0)];
    assert_eq!(plan(&world.state, &wanted, limits(1)).unknown(), 0);
    world.delete_topic(gone);
    let plan = plan(&world.state, &wanted, limits(1));
    assert_eq!((plan.unknown(), plan.has_error()), (1, false));
}

proptest! {
    /// Whatever the batches, offsets and limits: the slices are the partition's records from the
    /// offset on, without holes, and end only where a limit or the partition does.
    #[test]
    fn slices_cover_the_records_from_the_offset_on(
        writes in prop::collection::vec((1usize..20, 0usize..400), 1..12),
        at in any::<prop::sample::Index>(),
        partition_max in 0u64..6_000,
        bytes_max in 0u64..6_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut world = World::new();
        let topic = world.topic("t", 1);
        let mut log: Vec<(i64, Bytes)> = vec![];
        let mut end = 0;
        for (records, value_bytes) in writes {
            let batch = batch(records, value_bytes);
            log.push((end, batch.clone()));
            end += records as i64;
            runtime.block_on(world.write(&[(tp(topic, 0), batch)]));
        }
        let offset = at.index(end as usize + 1) as i64;
        let wanted = PartitionFetch { bytes_max: partition_max, ..fetch(topic, 0, offset) };
        let plan = plan(&world.state, [&wanted], limits(bytes_max));
        let slices = slices(only(&plan));

        let after = log.partition_point(|(base, _)| *base <= offset);
        let expected = if offset == end { &[][..] } else { &log[after - 1..] };
        prop_assert!(slices.len() <= expected.len());
        for (slice, (base, batch)) in slices.iter().zip(expected) {
            prop_assert_eq!(slice.base_offset, *base);
            prop_assert_eq!(slice.bytes, batch.len() as u64);
        }
        let planned: u64 = slices.iter().map(|s| s.bytes).sum();
        if slices.len() < expected.len() {
            prop_assert!(planned >= partition_max.min(bytes_max), "stopped before any limit");
        }
        prop_assert_eq!(slices.is_empty(), offset == end);
    }
}
