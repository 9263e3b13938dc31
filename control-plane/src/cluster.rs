//! The identity of a cluster and the secret of its agents: written once into its bucket, read by every process.

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
    /// What is stored is not a secret.
    #[error("{key} in the bucket does not hold the secret of the agents; delete it, and start all agents again", key = path::PEER_SECRET)]
    BadSecret,
}

/// By which the agents of a cluster know each other. Whoever can read the bucket knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerSecret([u8; 32]);

impl PeerSecret {
    /// This one.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be shown to nobody.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerSecret")
    }
}

/// The id of the cluster whose bucket `store` is; a new bucket gets one.
pub async fn identity(store: &Store, rng: &Rng) -> Result<String, ClusterError> {
    create(
        store,
        path::CLUSTER,
        format!("millrace cluster {}\n", rng.uuid()),
    )
    .await?;
    existing(store).await
}

/// The secret of the agents whose bucket `store` is; a bucket without one gets one from `rng`, which must be one that
/// nobody can guess.
pub async fn peer_secret(store: &Store, rng: &Rng) -> Result<PeerSecret, ClusterError> {
    let mut fresh = [0; 32];
    rng.fill(&mut fresh);
    let digits: String = fresh.iter().map(|byte| format!("{byte:02x}")).collect();
    create(store, path::PEER_SECRET, format!("{SECRET_MARK}{digits}\n")).await?;
    let stored = store.get(&Path::from(path::PEER_SECRET)).await?;
    parse_secret(&stored.bytes().await?).ok_or(ClusterError::BadSecret)
}

/// What the stored secret begins with.
const SECRET_MARK: &str = "millrace peer secret ";

fn parse_secret(stored: &[u8]) -> Option<PeerSecret> {
    let text = std::str::from_utf8(stored).ok()?;
    let digits = text.strip_prefix(SECRET_MARK)?.trim_end().as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(PeerSecret(bytes))
}

/// Writes what is to be there only once, unless it is there already.
pub(crate) async fn create(store: &Store, key: &str, text: String) -> object_store::Result<()> {
    let create = PutMode::Create.into();
    match store.put_opts(&Path::from(key), text.into(), create).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn all_agents_of_a_bucket_have_one_secret() {
        let store: Store = Arc::new(object_store::memory::InMemory::new());
        let first = peer_secret(&store, &Rng::from_seed(1)).await.unwrap();
        let second = peer_secret(&store, &Rng::from_seed(2)).await.unwrap();
        assert!(first == second);
        let other: Store = Arc::new(object_store::memory::InMemory::new());
        assert!(first != peer_secret(&other, &Rng::from_seed(2)).await.unwrap());
        assert_eq!(format!("{first:?}"), "PeerSecret");
    }

    #[tokio::test]
    async fn what_is_no_secret_is_not_taken_for_one() {
        let good = format!("{SECRET_MARK}{}\n", "0f".repeat(32));
        assert!(parse_secret(good.as_bytes()).unwrap().bytes() == &[15; 32]);
        for bad in [
            String::new(),
            SECRET_MARK.to_owned(),
            good.replace("0f", "0g"),
            good.replacen("0f", "", 1),
            good.replacen("0f", "0f0f", 1),
            good.replacen("0f", "+1", 1),
        ] {
            assert!(parse_secret(bad.as_bytes()).is_none(), "{bad:?}");
            let store: Store = Arc::new(object_store::memory::InMemory::new());
            let key = Path::from(path::PEER_SECRET);
            store.put(&key, bad.into()).await.unwrap();
            let read = peer_secret(&store, &Rng::from_seed(2)).await;
            assert!(matches!(read, Err(ClusterError::BadSecret)));
        }
    }
}
