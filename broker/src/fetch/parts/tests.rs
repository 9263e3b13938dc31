use control_plane::state::TransactionEnd::{Abort, Commit};
use object_format::batch::verify_crc;

use super::super::fixture::{World, batch, tp};
use super::*;

/// Records at 0..3 and 4..6, markers at 3, 6 and 7.
async fn world() -> (World, object_format::TopicPartition) {
    let mut world = World::new();
    let of = tp(world.topic("t", 1), 0);
    let (mut a, mut b) = (world.producer("a"), world.producer("b"));
    let batches = [(of, a.batch(of, 2, 10)), (of, batch(1, 10))];
    world.write(&batches).await;
    world.end(&mut a, Commit);
    let batches = [(of, a.batch(of, 1, 10)), (of, b.batch(of, 1, 10))];
    world.write(&batches).await;
    world.end(&mut b, Abort);
    world.end(&mut a, Commit);
    (world, of)
}

fn ranges(world: &World, of: object_format::TopicPartition, from: i64, to: i64) -> Vec<(i64, i64)> {
    let partition = world.state.partition(of).unwrap();
    let parts = parts_between(&world.state, partition, from, to);
    parts
        .map(|part| (part.base_offset(), part.end_offset()))
        .collect()
}

#[tokio::test]
async fn records_and_markers_come_in_the_order_of_their_offsets() {
    let (world, of) = world().await;
    let all = [(0, 3), (3, 4), (4, 6), (6, 7), (7, 8)];
    assert_eq!(ranges(&world, of, 0, 8), all);
    for from in 0..=8 {
        for to in 0..=8 {
            let touched = |&(base, end): &(i64, i64)| end > from && base < to;
            let expected: Vec<_> = all.iter().copied().filter(touched).collect();
            let expected = if from < to { expected } else { vec![] };
            assert_eq!(ranges(&world, of, from, to), expected);
        }
    }
}

#[tokio::test]
async fn a_marker_is_rendered_for_its_offset() {
    let (world, of) = world().await;
    let partition = world.state.partition(of).unwrap();
    let told: Vec<_> = partition
        .markers_from(0)
        .map(|(offset, marker)| {
            let batch = render(offset, marker);
            assert_eq!(batch.len() as u64, MARKER_BYTES);
            let header = verify_crc(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            // Length, attributes and deltas come before the key: version, and commit or not.
            let key = [batch[66], batch[67], batch[68], batch[69]];
            (header.base_offset, header.producer_epoch, key)
        })
        .collect();
    let expected = [
        (3, 1, [0, 0, 0, 1]),
        (6, 1, [0, 0, 0, 0]),
        (7, 2, [0, 0, 0, 1]),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn bytes_are_shared_out_by_offsets() {
    let (world, of) = world().await;
    let partition = world.state.partition(of).unwrap();
    let parts: Vec<Part> = parts_between(&world.state, partition, 0, 8).collect();
    let whole = parts[0].bytes_between(0, 8);
    assert_eq!(whole, partition.extents[&0].bytes);
    assert_eq!(parts[0].bytes_between(1, 8), whole * 2 / 3);
    assert_eq!(parts[0].bytes_between(1, 2), whole / 3);
    assert_eq!(parts[1].bytes_between(0, 8), MARKER_BYTES);
}
