//! Partitions in which transactions end and nothing, or next to nothing, is written: what the metadata keeps of them is
//! bounded, and readers see what they saw.

use compactor::layout::MARKERS_MIN;
use control_plane::state::{Producer, TransactionEnd, WriteMarkers};
use object_format::TopicPartition;
use object_format::batch::control_batch;
use runtime::Clock;

use crate::world::{World, config};

impl World {
    /// Ends so many transactions of a producer that has not written.
    async fn end_empty_transactions(&mut self, of: TopicPartition, count: usize) {
        for n in 0..count {
            let producer = Producer { id: 7, epoch: 1 };
            let end = match n % 3 {
                0 => TransactionEnd::Abort,
                _ => TransactionEnd::Commit,
            };
            let partitions = vec![of];
            let write = WriteMarkers {
                producer,
                end,
                partitions,
            };
            let written = self.agent.submit(write).await.unwrap();
            assert_eq!(written, [Ok(())]);
            let commit = end == TransactionEnd::Commit;
            let now_ms = self.clock.wall_ms();
            let expected = self.expected(of);
            let at = expected.end;
            let marker = control_batch(at, producer.id, producer.epoch, commit, now_ms);
            expected.batches.insert(at, marker);
            expected.end += 1;
        }
    }

    /// Writes a record, in an object of its own.
    async fn commit_to(&mut self, of: TopicPartition) {
        let mut builder = self.batch_of(of, None, 1);
        builder.push(self.clock.wall_ms(), None, Some(b"value"), &[]);
        self.commit(vec![(of, builder.build())]).await;
    }

    /// How many markers the metadata holds of a partition, and how many runs.
    fn kept(&self, of: TopicPartition) -> (usize, usize) {
        self.agent.replica().read(|state| {
            let partition = state.partition(of).unwrap();
            (partition.markers_count(), partition.extents.len())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn many_markers_without_records_become_runs() {
    let mut world = World::new(1).await;
    let compactor = world.compactor(0, false).await;
    let [first, second, ..] = world.partitions()[..] else {
        panic!("there are several");
    };
    let mut written = 0;
    for _ in 0..20 {
        world.end_empty_transactions(first, MARKERS_MIN + 5).await;
        world.end_empty_transactions(second, 1).await;
        written += MARKERS_MIN + 5;
        compactor.session.replica().barrier().await.unwrap();
        compactor::drain(&config(), &compactor).await.unwrap();
        world.agent.replica().barrier().await.unwrap();
        world.check().await;
        let (markers, runs) = world.kept(first);
        assert!(markers < MARKERS_MIN, "{markers} of {written} are left");
        // Runs are of 4 KiB here, which is some fifty markers.
        assert!(runs <= written / 30, "{runs} runs for {written}");
    }
    assert_eq!(world.kept(second), (20, 0), "few are not worth a run");
    // Records take the others along.
    world.commit_to(first).await;
    world.commit_to(second).await;
    compactor.session.replica().barrier().await.unwrap();
    compactor::drain(&config(), &compactor).await.unwrap();
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    assert_eq!(world.kept(second), (0, 1));
    assert_eq!(world.kept(first).0, 0);
}
