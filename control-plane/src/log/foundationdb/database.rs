//! What this log needs of a database: FoundationDB's transactions, at the level of bytes. There are two: FoundationDB
//! ([`real`](super::real)), and one in memory for tests ([`fake`](super::fake)).

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// What FoundationDB says.
    #[error("{message} (FoundationDB error {code})")]
    Said {
        /// Its number.
        code: i32,
        /// Its text.
        message: String,
        /// Whether a commit that failed so has certainly had no effect, now or later.
        is_refusal: bool,
    },
    /// It says nothing.
    #[error("FoundationDB did not answer within {0:?}")]
    Silent(std::time::Duration),
    /// What is stored is not what this program stores.
    #[error("{0}")]
    Nonsense(String),
}

impl CallError {
    /// Whether a commit that failed so has certainly had no effect, now or later.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Said { is_refusal, .. } if *is_refusal)
    }
}

pub(super) type Answer<T> = Result<T, CallError>;

/// Ends when a key has another value than it had at the version its transaction read.
pub(super) type Watch = Pin<Box<dyn Future<Output = Answer<()>> + Send>>;

/// A part of a range: keys and values.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub rows: Vec<(Vec<u8>, Bytes)>,
    /// Whether the range goes on.
    pub more: bool,
}

/// A database.
pub(super) trait Database: Send + Sync {
    /// A new transaction, without asking anybody.
    fn begin(&self) -> Answer<Box<dyn Transaction>>;
}

/// A transaction: it reads at one version, and what it writes is there at once or not at all.
#[async_trait]
pub(super) trait Transaction: Send + Sync {
    /// Reads at a version that is known to be committed.
    fn read_at(&self, version: i64);

    /// The version it reads at: everything that was committed before this was asked for is in it.
    async fn read_version(&self) -> Answer<i64>;

    /// The value of a key. Unless it is a `snapshot`, the commit fails if the key has changed meanwhile.
    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>>;

    /// The first of what is stored after `after` and before `end`, about `bytes_max` bytes of it, as a snapshot.
    async fn page(&self, after: &[u8], end: &[u8], bytes_max: usize) -> Answer<Page>;

    /// The last of what is stored from `from` up to and including `through`, as a snapshot.
    async fn last(&self, from: &[u8], through: &[u8]) -> Answer<Option<(Vec<u8>, Vec<u8>)>>;

    /// Writes a value.
    fn set(&self, key: &[u8], value: &[u8]);

    /// Writes a value under a key with a place for the commit's stamp, which the last four bytes name.
    fn set_stamped_key(&self, key: &[u8], value: &[u8]);

    /// Writes a value with a place for the commit's stamp, which the last four bytes name.
    fn set_stamped_value(&self, key: &[u8], value: &[u8]);

    /// Deletes what is stored from `from` up to, without, `to`.
    fn clear(&self, from: &[u8], to: &[u8]);

    /// Watches a key from the version on that it reads at. Set by the commit.
    fn watch(&self, key: &[u8]) -> Watch;

    /// Commits. Gives the version of the commit, if anything was written.
    async fn commit(self: Box<Self>) -> Answer<i64>;
}
