//! Calls to FoundationDB: each with a time-out, each counted for the health of the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foundationdb::options::{DatabaseOption, StreamingMode};
use foundationdb::{
    Database, FdbError, KeySelector, RangeOption, Transaction, TransactionCommitted,
};
use runtime::SharedClock;

use super::keys::Keys;

/// How much longer than FoundationDB's own time-out a call may take, should its thread hang.
const GRACE: Duration = Duration::from_secs(1);

/// Most keys of a range read at once.
const ROWS_MAX: usize = 4_096;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// What FoundationDB says.
    #[error("{message} (FoundationDB error {code})", message = .0.message(), code = .0.code())]
    Said(FdbError),
    /// It says nothing.
    #[error("FoundationDB did not answer within {0:?}")]
    Silent(Duration),
    /// What is stored is not what this program stores.
    #[error("{0}")]
    Nonsense(String),
}

impl From<FdbError> for CallError {
    fn from(error: FdbError) -> Self {
        Self::Said(error)
    }
}

impl CallError {
    /// Whether a commit that failed so has certainly had no effect, now or later.
    pub fn is_refusal(&self) -> bool {
        match self {
            // From 2000 on a call was wrong and was never sent.
            Self::Said(error) => {
                error.is_retryable_not_committed() || (2_000..3_000).contains(&error.code())
            }
            Self::Silent(_) | Self::Nonsense(_) => false,
        }
    }
}

/// A part of a range: keys and values.
#[derive(Debug)]
pub(super) struct Page {
    pub rows: Vec<(Vec<u8>, bytes::Bytes)>,
    /// Whether the range goes on.
    pub more: bool,
}

/// The part of a FoundationDB cluster that belongs to one Millrace cluster.
pub(super) struct Client {
    database: Database,
    pub keys: Keys,
    pub timeout: Duration,
    clock: SharedClock,
    /// When a call last succeeded, in milliseconds of the monotonic clock.
    answered_ms: AtomicU64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the cluster that `cluster_file` names. Nothing is asked yet.
    pub fn new(
        cluster_file: &str,
        keys: Keys,
        timeout: Duration,
        clock: SharedClock,
    ) -> Result<Self, CallError> {
        let database = Database::from_path(cluster_file)?;
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        database.set_option(DatabaseOption::TransactionTimeout(millis))?;
        let client = Self {
            database,
            keys,
            timeout,
            answered_ms: AtomicU64::new(0),
            clock,
        };
        client.answered();
        Ok(client)
    }

    /// A new transaction. Without calls to FoundationDB.
    pub fn begin(&self) -> Result<Transaction, CallError> {
        Ok(self.database.create_trx()?)
    }

    /// Awaits one answer.
    pub async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, FdbError>>,
    ) -> Result<T, CallError> {
        let answer = tokio::time::timeout(self.timeout + GRACE, answer).await;
        let answer = answer.map_err(|_| CallError::Silent(self.timeout))?;
        let answer = answer?;
        self.answered();
        Ok(answer)
    }

    /// Commits.
    pub async fn commit(
        &self,
        transaction: Transaction,
    ) -> Result<TransactionCommitted, CallError> {
        let committed = transaction.commit();
        self.call(async { committed.await.map_err(|error| *error) })
            .await
    }

    /// The version at which `transaction` reads.
    pub async fn read_version(&self, transaction: &Transaction) -> Result<i64, CallError> {
        self.call(transaction.get_read_version()).await
    }

    /// The value of a key; `snapshot` says that it may change before the commit.
    pub async fn get(
        &self,
        transaction: &Transaction,
        key: &[u8],
        snapshot: bool,
    ) -> Result<Option<Vec<u8>>, CallError> {
        let value = self.call(transaction.get(key, snapshot)).await?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// The first of what is stored after `after` and before `end`, about `bytes_max` bytes of it.
    pub async fn page(
        &self,
        transaction: &Transaction,
        after: Vec<u8>,
        end: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Page, CallError> {
        let range = RangeOption {
            limit: Some(ROWS_MAX),
            target_bytes: bytes_max.max(1),
            mode: StreamingMode::Exact,
            ..RangeOption::from((
                KeySelector::first_greater_than(after),
                KeySelector::first_greater_or_equal(end),
            ))
        };
        let found = self.call(transaction.get_range(&range, 1, true)).await?;
        let rows = found
            .iter()
            .map(|row| {
                (
                    row.key().to_vec(),
                    bytes::Bytes::copy_from_slice(row.value()),
                )
            })
            .collect();
        Ok(Page {
            rows,
            more: found.more(),
        })
    }

    /// The last of what is stored from `from` up to and including `through`.
    pub async fn last(
        &self,
        transaction: &Transaction,
        from: Vec<u8>,
        through: Vec<u8>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, CallError> {
        let range = RangeOption {
            limit: Some(1),
            reverse: true,
            ..RangeOption::from((
                KeySelector::first_greater_or_equal(from),
                KeySelector::first_greater_than(through),
            ))
        };
        let found = self.call(transaction.get_range(&range, 1, true)).await?;
        let last = found.first();
        Ok(last.map(|row| (row.key().to_vec(), row.value().to_vec())))
    }

    /// How long ago a call last succeeded.
    pub fn answer_age(&self) -> Duration {
        let answered = Duration::from_millis(self.answered_ms.load(Ordering::Relaxed));
        self.clock.monotonic().saturating_sub(answered)
    }

    fn answered(&self) {
        let now = self.clock.monotonic().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.answered_ms.fetch_max(now, Ordering::Relaxed);
    }
}
