//! Owns the requests made to the store: their time limits, their bounded repetition, and which of their failures leave
//! the outcome of a write unknown.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_format::path;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use runtime::Rng;
use runtime::store::repeatable_create;

use super::keys;
use crate::log::{Position, ReadError};

/// How often a request is made before it counts as failed.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; it doubles.
const BACKOFF: Duration = Duration::from_millis(50);

/// The store, spoken to within limits.
#[derive(Debug)]
pub(super) struct Requests {
    store: Arc<dyn ObjectStore>,
    rng: Rng,
    timeout: Duration,
}

/// What became of one attempt to create an entry.
#[derive(Debug)]
pub(super) enum Create {
    Created,
    /// Something is there already.
    Exists,
    /// The store refused; nothing was written by this attempt.
    Refused(String),
    /// It may have been written, now or later.
    Unknown(String),
}

/// When the store says an entry was written, in milliseconds since the epoch by the store's clock.
pub(super) type Listing = BTreeMap<Position, i64>;

impl Requests {
    pub fn new(store: Arc<dyn ObjectStore>, rng: Rng, timeout: Duration) -> Self {
        Self {
            store,
            rng,
            timeout,
        }
    }

    /// The object of the entry at `at`.
    pub async fn get(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let path = keys::entry(at);
        self.repeat(&path, || async {
            let got = async { self.store.get(&path).await?.bytes().await };
            match self.within(got).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// One attempt to create the entry at `at`.
    pub async fn create(&self, at: Position, body: Bytes) -> Create {
        let path = keys::entry(at);
        // May be sent twice: whoever finds something there reads whose it is.
        let put = self.store.put_opts(&path, body.into(), repeatable_create());
        match self.within(put).await {
            Ok(_) => Create::Created,
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Create::Exists,
            Err(error) if is_refusal(&error) => Create::Refused(error.to_string()),
            Err(error) => Create::Unknown(error.to_string()),
        }
    }

    /// Every entry after `after`.
    ///
    /// SUBTLE: a directory read while entries are added may miss one and yet show a later one (`file://`). What was
    /// missed existed before the listing ended, so a second listing shows it, and a gap in both is real.
    pub async fn list_after(&self, after: Position) -> Result<Listing, ReadError> {
        let mut listing = self.list_once(after).await?;
        let dense = listing
            .keys()
            .zip(listing.keys().skip(1))
            .all(|(a, b)| a.0 + 1 == b.0);
        let begins = listing
            .keys()
            .next()
            .is_none_or(|first| first.0 == after.0 + 1);
        if !(dense && begins) {
            listing.extend(self.list_once(after).await?);
        }
        Ok(listing)
    }

    /// Every entry after `after`, but for some of those added or deleted while this goes on.
    pub async fn list_once(&self, after: Position) -> Result<Listing, ReadError> {
        let prefix = Path::from(path::LOG);
        let offset = keys::entry(after);
        self.repeat(&prefix, || async {
            let mut pages = self.store.list_with_offset(Some(&prefix), &offset);
            let mut listing = Listing::new();
            while let Some(meta) = self.within(pages.try_next()).await? {
                if let Some(at) = keys::entry_position(&meta.location) {
                    listing.insert(at, meta.last_modified.timestamp_millis());
                }
            }
            Ok(listing)
        })
        .await
    }

    /// Position of the newest checkpoint, complete or not; 0 without one. A checkpoint, even one cut off while it was
    /// written, shows that the log reached its position.
    pub async fn newest_checkpoint(&self) -> Result<Position, ReadError> {
        let prefix = Path::from(path::CHECKPOINT);
        let folders = self
            .repeat(&prefix, || {
                self.within(self.store.list_with_delimiter(Some(&prefix)))
            })
            .await?
            .common_prefixes;
        Ok(folders
            .iter()
            .filter_map(keys::checkpoint_position)
            .max()
            .unwrap_or_default())
    }

    /// Deletes entries, in bulk where the store can. Returns how many are gone.
    pub async fn delete(&self, entries: Vec<Position>) -> Result<u64, ReadError> {
        let paths = entries.into_iter().map(|at| Ok(keys::entry(at)));
        let mut replies = self
            .store
            .delete_stream(futures::stream::iter(paths).boxed());
        let mut deleted = 0;
        loop {
            match self.within(async { Ok(replies.next().await) }).await {
                Ok(None) => return Ok(deleted),
                Ok(Some(Ok(_) | Err(Error::NotFound { .. }))) => deleted += 1,
                Ok(Some(Err(error))) | Err(error) => return Err(unavailable(path::LOG, &error)),
            }
        }
    }

    /// Waits before a failed request is made again, longer each time.
    pub async fn back_off(&self, attempt: u32) {
        tokio::time::sleep(self.rng.jitter(BACKOFF * (1 << attempt.min(6)))).await;
    }

    async fn within<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(result) => result,
            Err(elapsed) => Err(Error::Generic {
                store: "metadata log",
                source: elapsed.into(),
            }),
        }
    }

    async fn repeat<T, F>(&self, what: &Path, request: impl Fn() -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempt = 0;
        loop {
            match request().await {
                Ok(value) => return Ok(value),
                Err(error) if is_refusal(&error) || attempt + 1 == ATTEMPTS => {
                    return Err(unavailable(what.as_ref(), &error));
                }
                Err(_) => self.back_off(attempt).await,
            }
            attempt += 1;
        }
    }
}

fn unavailable(what: &str, error: &Error) -> ReadError {
    ReadError::Unavailable(format!("{what}: {error}"))
}

/// Whether `error` is a clear no, which asking again at once will not change and which wrote nothing.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}
