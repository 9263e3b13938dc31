//! FoundationDB by its client library.

use async_trait::async_trait;
use bytes::Bytes;
use foundationdb::options::{DatabaseOption, MutationType, StreamingMode};
use foundationdb::{FdbError, KeySelector, RangeOption};

use super::database::{Answer, CallError, Database, Page, Transaction, Watch};

/// Most keys of a range read at once.
const ROWS_MAX: usize = 4_096;

impl From<FdbError> for CallError {
    fn from(error: FdbError) -> Self {
        Self::Said {
            code: error.code(),
            message: error.message().to_owned(),
            // From 2000 on a call was wrong and was never sent.
            is_refusal: error.is_retryable_not_committed()
                || (2_000..3_000).contains(&error.code()),
        }
    }
}

/// The database of a cluster.
pub(super) struct Cluster(foundationdb::Database);

impl Cluster {
    /// The database of the cluster that `cluster_file` names. Nobody is asked yet.
    pub fn new(cluster_file: &str, timeout: std::time::Duration) -> Answer<Self> {
        let database = foundationdb::Database::from_path(cluster_file)?;
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        database.set_option(DatabaseOption::TransactionTimeout(millis))?;
        Ok(Self(database))
    }
}

impl Database for Cluster {
    fn begin(&self) -> Answer<Box<dyn Transaction>> {
        Ok(Box::new(Real(self.0.create_trx()?)))
    }
}

struct Real(foundationdb::Transaction);

#[async_trait]
impl Transaction for Real {
    fn read_at(&self, version: i64) {
        self.0.set_read_version(version);
    }

    async fn read_version(&self) -> Answer<i64> {
        Ok(self.0.get_read_version().await?)
    }

    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>> {
        let value = self.0.get(key, snapshot).await?;
        Ok(value.map(|value| value.to_vec()))
    }

    async fn page(&self, after: &[u8], end: &[u8], bytes_max: usize) -> Answer<Page> {
        let range = RangeOption {
            limit: Some(ROWS_MAX),
            target_bytes: bytes_max.max(1),
            mode: StreamingMode::Exact,
            ..RangeOption::from((
                KeySelector::first_greater_than(after),
                KeySelector::first_greater_or_equal(end),
            ))
        };
        let found = self.0.get_range(&range, 1, true).await?;
        let row = |row: &foundationdb::future::FdbKeyValue| {
            (row.key().to_vec(), Bytes::copy_from_slice(row.value()))
        };
        Ok(Page {
            rows: found.iter().map(row).collect(),
            more: found.more(),
        })
    }

    async fn last(&self, from: &[u8], through: &[u8]) -> Answer<Option<(Vec<u8>, Vec<u8>)>> {
        let range = RangeOption {
            limit: Some(1),
            reverse: true,
            ..RangeOption::from((
                KeySelector::first_greater_or_equal(from),
                KeySelector::first_greater_than(through),
            ))
        };
        let found = self.0.get_range(&range, 1, true).await?;
        let last = found.first();
        Ok(last.map(|row| (row.key().to_vec(), row.value().to_vec())))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.set(key, value);
    }

    fn set_stamped_key(&self, key: &[u8], value: &[u8]) {
        self.0
            .atomic_op(key, value, MutationType::SetVersionstampedKey);
    }

    fn set_stamped_value(&self, key: &[u8], value: &[u8]) {
        self.0
            .atomic_op(key, value, MutationType::SetVersionstampedValue);
    }

    fn clear(&self, from: &[u8], to: &[u8]) {
        self.0.clear_range(from, to);
    }

    fn watch(&self, key: &[u8]) -> Watch {
        let watch = self.0.watch(key);
        Box::pin(async { Ok(watch.await?) })
    }

    async fn commit(self: Box<Self>) -> Answer<i64> {
        let committed = self.0.commit().await.map_err(|error| *error)?;
        Ok(committed.committed_version()?)
    }
}
