//! The identity of a cluster: written once into its bucket, read by every process.

use bytes::Bytes;
use object_format::path;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use runtime::{Rng, Store};

/// Why a bucket's cluster is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The store does not answer.
    #[error("cannot read the identity of the cluster: {0}")]
    Store(#[from] object_store::Error),
    /// The bucket is nobody's yet.
    #[error("there is no cluster in this bucket: {key} does not exist", key = path::CLUSTER)]
    Absent,
    /// What is stored is not an identity.
    #[error("{key} in the bucket does not hold the identity of a cluster; is this another program's bucket?", key = path::CLUSTER)]
    Foreign,
}

/// The id of the cluster whose bucket `store` is; a new bucket gets one.
pub async fn identity(store: &Store, rng: &Rng) -> Result<String, ClusterError> {
    let key = Path::from(path::CLUSTER);
    let fresh = Bytes::from(format!("millrace cluster {}\n", rng.uuid()));
    match store
        .put_opts(&key, fresh.into(), PutMode::Create.into())
        .await
    {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    existing(store).await
}

/// The id of the cluster whose bucket `store` is, which must have one.
pub async fn existing(store: &Store) -> Result<String, ClusterError> {
    let stored = match store.get(&Path::from(path::CLUSTER)).await {
        Err(object_store::Error::NotFound { .. }) => return Err(ClusterError::Absent),
        other => other?.bytes().await?,
    };
    let text = std::str::from_utf8(&stored).map_err(|_| ClusterError::Foreign)?;
    let id = text.strip_prefix("millrace cluster ").map(str::trim_end);
    id.filter(|id| !id.is_empty())
        .map(str::to_owned)
        .ok_or(ClusterError::Foreign)
}
