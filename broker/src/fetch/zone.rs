//! The other agents of the zone, as the block cache sees them: whom a block is read from instead of the bucket.

use async_trait::async_trait;
use futures::future::BoxFuture;
use object_format::AgentEpoch;

use super::block::{Block, BlockKey};
use super::load::LoadError;
use super::pool::Pool;

/// Reads a block from the bucket, once it is awaited.
pub type FromBucket = BoxFuture<'static, Result<Block, LoadError>>;

/// Who reads each object from the bucket, for the whole zone.
#[async_trait]
pub trait Neighbours: Send + Sync {
    /// The agent to which a block belongs, if that is another than this and can be asked.
    fn owner(&self, key: &BlockKey) -> Option<AgentEpoch>;

    /// A block from its owner, or from the bucket if the owner does not give it soon.
    ///
    /// # Errors
    /// Those of the bucket: that the owner does not give it is no error.
    async fn read(
        &self,
        owner: AgentEpoch,
        key: BlockKey,
        pool: Pool,
        from_bucket: FromBucket,
    ) -> Result<Block, LoadError>;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use runtime::{Rng, SimClock, SystemClock};

    use super::super::cache::{BlockCache, CacheOptions};
    use super::super::fixture::{World, batch, both, fetch, limits, offsets, tp};
    use super::super::load::{LoadOptions, Loader};
    use super::super::plan::plan;
    use super::super::pool::Client;
    use super::super::read::Reader;
    use super::*;

    fn cache(world: &World, neighbours: Arc<dyn Neighbours>) -> BlockCache {
        let loader = Loader::new(
            both(&world.store),
            Rng::from_seed(1),
            LoadOptions::default(),
        );
        let clock = Arc::new(SimClock::default());
        BlockCache::with_neighbours(loader, Some(neighbours), clock, CacheOptions::default())
    }

    /// One to whom everything belongs, and what it does when it is asked.
    struct Owner<F>(F);

    #[async_trait]
    impl<F: Fn(BlockKey, Pool, FromBucket) -> FromBucket + Send + Sync> Neighbours for Owner<F> {
        fn owner(&self, _: &BlockKey) -> Option<AgentEpoch> {
            Some(AgentEpoch(9))
        }

        async fn read(
            &self,
            _: AgentEpoch,
            key: BlockKey,
            pool: Pool,
            from_bucket: FromBucket,
        ) -> Result<Block, LoadError> {
            (self.0)(key, pool, from_bucket).await
        }
    }

    /// Reads a partition of three batches through somebody who changes the byte at this place of the object.
    async fn read_twice(at: usize) {
        let mut world = World::new();
        let topic = world.topic("t", 1);
        let object = world
            .write(&[10, 5, 7].map(|n| (tp(topic, 0), batch(n, 100))))
            .await;
        let at = at % object.len as usize;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let corrupt = Owner(
            move |key: BlockKey, _: Pool, from_bucket: FromBucket| -> FromBucket {
                count.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move {
                    let mut bytes = from_bucket.await?.chunks().concat();
                    bytes[at] ^= 0x10;
                    Ok(Block::lent(key, bytes.into()))
                })
            },
        );
        let cache = cache(&world, Arc::new(corrupt));
        let reader = Reader::new(cache, SystemClock::shared());
        for _ in 0..2 {
            let plan = plan(&world.state, &[fetch(topic, 0, 0)], limits(1 << 20));
            let read = reader.read(&plan, &Client::default()).await;
            assert_eq!(read[0].error, None, "byte {at}");
            let got = read[0].records.to_bytes();
            assert_eq!(offsets(&got), [0..10, 10..15, 15..22], "byte {at}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    /// What takes the other for the owner of everything.
    fn believing(other: Arc<OnceLock<BlockCache>>) -> Arc<dyn Neighbours> {
        let read = move |key: BlockKey, pool: Pool, _: FromBucket| -> FromBucket {
            let other = other.get().unwrap().clone();
            Box::pin(async move {
                // Long enough for the other to begin as well.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let client = Client::default();
                other.block_from_bucket(key, pool, &client).await.1
            })
        };
        Arc::new(Owner(read))
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_take_each_other_for_the_owner_do_not_wait_for_each_other() {
        let mut world = World::new();
        let topic = world.topic("t", 1);
        let object = world.write(&[(tp(topic, 0), batch(3, 100))]).await;
        let key = BlockKey {
            object: object.id,
            index: 0,
            object_bytes: object.len,
        };
        let others: [Arc<OnceLock<BlockCache>>; 2] = Default::default();
        let caches = others.clone().map(|other| cache(&world, believing(other)));
        others[0].set(caches[1].clone()).unwrap();
        others[1].set(caches[0].clone()).unwrap();
        let client = Client::default();
        let both = futures::future::join_all(
            caches
                .iter()
                .flat_map(|cache| (0..5).map(|_| cache.block(key, Pool::Tail, &client))),
        );
        let both = tokio::time::timeout(Duration::from_secs(3_600), both);
        for block in both.await.expect("nobody waits for ever") {
            assert_eq!(block.unwrap().chunks().concat(), object.to_bytes());
        }
        assert!((1..=2).contains(&world.store.gets()));
    }

    #[tokio::test]
    async fn what_another_agent_has_damaged_hurts_nobody() {
        for at in (0..4_000).step_by(37) {
            read_twice(at).await;
        }
    }
}
