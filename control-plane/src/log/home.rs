//! Where a cluster's metadata log is, kept in its bucket: a cluster that is started with another log than its own would
//! begin anew and take all its data for garbage.

use futures::StreamExt;
use object_format::path;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use runtime::Store;

/// What is stored for a log in FoundationDB.
const FOUNDATIONDB: &str = "the metadata log is in foundationdb\n";

/// Why a cluster's log may not be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The store does not answer.
    #[error("cannot tell where the metadata log of the cluster is: {0}")]
    Store(#[from] object_store::Error),
    /// It is in FoundationDB.
    #[error(
        "the metadata log of this cluster is in FoundationDB, not in the bucket: use --metadata \
         fdb:/path/to/fdb.cluster"
    )]
    InFoundationDb,
    /// It is in the bucket.
    #[error(
        "the metadata log of this cluster is in the bucket, not in FoundationDB: use --metadata bucket"
    )]
    InBucket,
    /// A later version wrote it.
    #[error(
        "{key} in the bucket says that the metadata log is at a place this version does not know",
        key = path::LOG_HOME
    )]
    Unknown,
}

/// Refuses unless the log may be in the bucket `store`.
pub async fn check_bucket(store: &Store) -> Result<(), HomeError> {
    match is_foundationdb(store).await? {
        true => Err(HomeError::InFoundationDb),
        false => Ok(()),
    }
}

/// Refuses unless the log may be in FoundationDB. Gives whether it must exist there already.
pub async fn check_foundationdb(store: &Store) -> Result<bool, HomeError> {
    if is_foundationdb(store).await? {
        return Ok(true);
    }
    for prefix in [path::LOG, path::CHECKPOINT] {
        if let Some(found) = store.list(Some(&Path::from(prefix))).next().await {
            found?;
            return Err(HomeError::InBucket);
        }
    }
    Ok(false)
}

/// Notes that the log of the cluster whose bucket `store` is, is in FoundationDB.
pub async fn set_foundationdb(store: &Store) -> Result<(), HomeError> {
    let key = Path::from(path::LOG_HOME);
    let put = store
        .put_opts(&key, FOUNDATIONDB.into(), PutMode::Create.into())
        .await;
    match put {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn is_foundationdb(store: &Store) -> Result<bool, HomeError> {
    let stored = match store.get(&Path::from(path::LOG_HOME)).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        other => other?.bytes().await?,
    };
    match stored == FOUNDATIONDB.as_bytes() {
        true => Ok(true),
        false => Err(HomeError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn store() -> Store {
        Arc::new(object_store::memory::InMemory::new())
    }

    async fn put(store: &Store, key: &str, text: &'static str) {
        store.put(&Path::from(key), text.into()).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_bucket_may_have_its_log_anywhere() {
        let store = store();
        check_bucket(&store).await.unwrap();
        assert!(!check_foundationdb(&store).await.unwrap());
    }

    #[tokio::test]
    async fn a_log_in_foundationdb_is_not_begun_anew_in_the_bucket() {
        let store = store();
        set_foundationdb(&store).await.unwrap();
        set_foundationdb(&store).await.unwrap();
        assert!(check_foundationdb(&store).await.unwrap());
        let refused = check_bucket(&store).await.unwrap_err();
        assert!(refused.to_string().contains("--metadata fdb:"), "{refused}");
    }

    #[tokio::test]
    async fn a_log_in_the_bucket_is_not_begun_anew_in_foundationdb() {
        for key in [path::log_entry(7), path::checkpoint_file(1_000, "manifest")] {
            let store = store();
            put(&store, &key, "x").await;
            let refused = check_foundationdb(&store).await.unwrap_err();
            assert!(
                refused.to_string().contains("--metadata bucket"),
                "{refused}"
            );
            check_bucket(&store).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_place_of_a_later_version_is_refused() {
        let store = store();
        put(&store, path::LOG_HOME, "the metadata log is on the moon\n").await;
        assert!(matches!(
            check_bucket(&store).await,
            Err(HomeError::Unknown)
        ));
        assert!(matches!(
            check_foundationdb(&store).await,
            Err(HomeError::Unknown)
        ));
    }
}
