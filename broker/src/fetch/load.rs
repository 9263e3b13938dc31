//! Reads one block from the store, within a budget of tries and time, and lets many wait for it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use object_format::{ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use runtime::{Rng, Store};
use tokio::sync::Semaphore;

use super::cache::{Block, BlockKey};

/// How patiently blocks are read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Tries, the first included.
    pub tries: u32,
    /// The longest one try may take.
    pub try_timeout: Duration,
    /// About how long to wait before the second try; doubled for each one after.
    pub pause: Duration,
    /// Most reads under way at once.
    pub concurrency: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            tries: 4,
            try_timeout: Duration::from_secs(10),
            pause: Duration::from_millis(50),
            concurrency: 32,
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

/// Reads blocks.
pub struct Loader {
    store: Store,
    rng: Rng,
    options: LoadOptions,
    reads: Arc<Semaphore>,
}

impl Loader {
    /// A loader from this store.
    pub fn new(store: Store, rng: Rng, options: LoadOptions) -> Self {
        let reads = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Self {
            store,
            rng,
            options,
            reads,
        }
    }

    /// Reads a block.
    pub(super) async fn load(&self, key: BlockKey) -> Result<Block, LoadError> {
        let object = key.object;
        let gone = |_| LoadError::Store {
            object,
            why: "shutting down".into(),
        };
        let _turn = self.reads.acquire().await.map_err(gone)?;
        let mut pause = self.options.pause;
        let mut tried = 1;
        loop {
            let error = match self.read(key).await {
                Err(error @ LoadError::Store { .. }) => error,
                other => return other,
            };
            if tried >= self.options.tries {
                return Err(error);
            }
            tracing::debug!(%error, tried, "reading a block again");
            tokio::time::sleep(self.rng.jitter(pause)).await;
            pause *= 2;
            tried += 1;
        }
    }

    async fn read(&self, key: BlockKey) -> Result<Block, LoadError> {
        let object = key.object;
        let at = Path::from(path::data(object));
        let read = self.store.get_range(&at, key.range());
        let bytes = match tokio::time::timeout(self.options.try_timeout, read).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(object_store::Error::NotFound { .. })) => {
                return Err(LoadError::Missing { object });
            }
            Ok(Err(error)) => {
                return Err(LoadError::Store {
                    object,
                    why: error.to_string(),
                });
            }
            Err(_) => {
                let why = format!("no answer within {:?}", self.options.try_timeout);
                return Err(LoadError::Store { object, why });
            }
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
