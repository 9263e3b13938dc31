//! Reads one block from the store, within a budget of tries and time, and lets many wait for it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use object_format::{ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use runtime::store::{RetryPolicy, retry};
use runtime::{Rng, Store};

use super::block::{Block, BlockKey};
use super::fair::FairPermits;
use super::pool::{Client, PerPool, Pool};

/// How patiently blocks are read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How often and how long a read is repeated.
    pub retry: RetryPolicy,
    /// The longest one try may take.
    pub try_timeout: Duration,
    /// Most reads under way at once.
    pub concurrency: PerPool<u64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::FOREGROUND,
            try_timeout: Duration::from_secs(10),
            concurrency: PerPool {
                tail: 32,
                catch_up: 32,
            },
        }
    }
}

/// Why a block cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The metadata names the object and the bucket does not have it.
    #[error("object {object} is not in the bucket, though the metadata names it")]
    Missing {
        /// Which object.
        object: ObjectId,
    },
    /// The object is shorter than it was when it was written.
    #[error("object {object}: {got} bytes where the metadata promises {expected}")]
    Short {
        /// Which object.
        object: ObjectId,
        /// Bytes of the block by the metadata.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The store does not answer, or refuses.
    #[error("object {object} cannot be read: {why}")]
    Store {
        /// Which object.
        object: ObjectId,
        /// What it said last.
        why: String,
    },
}

/// Reads blocks, those of each pool with a client of the store and turns of their own.
pub struct Loader {
    lanes: PerPool<Lane>,
    rng: Rng,
    options: LoadOptions,
}

struct Lane {
    store: Store,
    turns: FairPermits,
}

impl Loader {
    /// A loader from these stores.
    pub fn new(stores: PerPool<Store>, rng: Rng, options: LoadOptions) -> Self {
        let lanes = stores.map(|pool, store| {
            let reads = *options.concurrency.of(pool);
            let turns = FairPermits::new(reads, reads);
            Lane { store, turns }
        });
        Self {
            lanes,
            rng,
            options,
        }
    }

    /// Reads a block for a client.
    pub(super) async fn load(
        &self,
        key: BlockKey,
        pool: Pool,
        client: &Client,
    ) -> Result<Block, LoadError> {
        let object = key.object;
        let failed = |why: String| LoadError::Store { object, why };
        let lane = self.lanes.of(pool);
        let _turn = lane.turns.acquire(client, 1).await;
        let at = Path::from(path::data(object));
        let read = retry(&self.options.retry, &self.rng, || {
            self.try_read(&lane.store, &at, key.range())
        })
        .await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(object_store::Error::NotFound { .. }) => return Err(LoadError::Missing { object }),
            Err(error) => return Err(failed(error.to_string())),
        };
        let (expected, got) = (key.len(), bytes.len() as u64);
        if got == expected {
            Ok(Block::loaded(key, bytes))
        } else {
            Err(LoadError::Short {
                object,
                expected,
                got,
            })
        }
    }

    async fn try_read(
        &self,
        store: &Store,
        at: &Path,
        range: Range<u64>,
    ) -> object_store::Result<Bytes> {
        let limit = self.options.try_timeout;
        let read = tokio::time::timeout(limit, store.get_range(at, range)).await;
        read.unwrap_or_else(|_| {
            let source = format!("no answer within {limit:?}").into();
            Err(object_store::Error::Generic {
                store: "fetch",
                source,
            })
        })
    }
}

type Loading = BoxFuture<'static, Result<Block, LoadError>>;

/// A reader's share in a read.
pub(super) type Read = Shared<Loading>;

/// A read under way that does not keep itself alive: once its last reader has gone, it is given up.
pub(super) struct Flight(WeakShared<Loading>);

impl Flight {
    /// Begins a read, with its first reader.
    pub(super) fn start(
        load: impl Future<Output = Result<Block, LoadError>> + Send + 'static,
    ) -> (Read, Option<Self>) {
        let read = load.boxed().shared();
        let flight = read.downgrade().map(Self);
        (read, flight)
    }

    /// One more reader, unless the last one has gone.
    pub(super) fn join(&self) -> Option<Read> {
        self.0.upgrade()
    }
}
