//! Memory for a block that is given to another agent, and the read of it.
//!
//! Neighbours take from the memory for responses as clients do, but only what nobody has to wait for, and all of them
//! together no more than a part of it: they have the bucket, clients have nobody else.

use super::block::{Block, BlockKey};
use super::cache::BlockCache;
use super::fair::{FairPermit, FairPermits};
use super::load::LoadError;
use super::metrics::Found;
use super::pool::{Client, PerPool, Pool};

/// The memory that may be lent.
pub(super) struct Lending {
    /// That of all responses.
    memory: PerPool<FairPermits>,
    /// The part of it that may be lent.
    lent: PerPool<FairPermits>,
}

impl Lending {
    /// Of `memory`, of which there are `bytes`, at most so many percent.
    pub(super) fn new(memory: PerPool<FairPermits>, bytes: PerPool<u64>, percent: u64) -> Self {
        let part = |_, bytes: u64| {
            let part = bytes / 100 * percent;
            FairPermits::new(part, part)
        };
        Self {
            memory,
            lent: bytes.map(part),
        }
    }

    /// A loan of a block; none if there is no memory for it now.
    pub(super) fn lend(
        &self,
        cache: &BlockCache,
        key: BlockKey,
        pool: Pool,
        client: &Client,
    ) -> Option<Loan> {
        let lent = self.lent.of(pool).try_acquire(client, key.len())?;
        let memory = self.memory.of(pool).try_acquire(client, key.len())?;
        Some(Loan {
            cache: cache.clone(),
            key,
            pool,
            client: client.clone(),
            _permits: (lent, memory),
        })
    }
}

/// A block that is lent. The memory is given back when this is dropped.
pub(crate) struct Loan {
    cache: BlockCache,
    key: BlockKey,
    pool: Pool,
    client: Client,
    _permits: (FairPermit, FairPermit),
}

impl Loan {
    /// The block, from memory or from the bucket, and how it was found.
    pub(crate) async fn read(&self) -> (Found, Result<Block, LoadError>) {
        let (key, pool) = (self.key, self.pool);
        self.cache.block_from_bucket(key, pool, &self.client).await
    }
}
