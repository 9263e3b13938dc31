//! Owns the judgement whether a store may be trusted with data: asked once, at start-up.

use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutPayload};

use super::Store;
use super::errors::is_unreachable;
use crate::rng::Rng;

/// Why a store must not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing answered, or not in time.
    #[error("the store cannot be reached: {0}; check its address and that it runs")]
    Unreachable(#[source] Error),
    /// It answered and refused.
    #[error("the store denies access: {0}; the key needs to get, put, list and delete objects")]
    AccessDenied(#[source] Error),
    /// No key was given, and the machine has no role to fetch one for.
    #[error("no credentials for the store were found: {source}; {advice}")]
    NoCredentials {
        /// What the client said.
        source: Error,
        /// Where they are looked for.
        advice: &'static str,
    },
    /// It answered, and has no such bucket.
    #[error("there is no such bucket: {0}; create it first")]
    NoSuchBucket(#[source] Error),
    /// It says that it cannot create an object only if it is absent.
    #[error("the store refuses conditional writes (If-None-Match): {0}; use one that has them")]
    NoConditionalWrites(#[source] Error),
    /// It let a second create of the same key through: two writers would overwrite each other.
    #[error(
        "the store ignores conditional writes (If-None-Match): a second create of {key} replaced \
         the first; data would be lost, use a store that keeps them"
    )]
    IgnoresConditionalWrites {
        /// The key created twice.
        key: String,
    },
    /// What was read is not what had been written.
    #[error("the store returned other bytes than were written to {key}; do not use it")]
    ReadBackDiffers {
        /// The key written and read.
        key: String,
    },
    /// Anything else, while doing what is named.
    #[error("the store failed while {doing}: {source}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        source: Error,
    },
}

/// Finds out whether `store` can be reached, lets us in, and keeps conditional writes, by creating
/// `meta/probe/<random>` twice, reading it and deleting it.
///
/// # Errors
/// The fault found first; the store must not be used then.
pub async fn probe(store: &Store, rng: &Rng) -> Result<(), ProbeError> {
    let key = Path::from(format!("meta/probe/{}", rng.uuid()));
    let written = body(rng, &key);
    let verdict = judge(store, &key, &written, &body(rng, &key)).await;
    let removed = store.delete(&key).await;
    verdict?;
    removed.map_err(|error| fault("deleting the probe", error))
}

fn body(rng: &Rng, key: &Path) -> Vec<u8> {
    format!("millrace probe {key} {:016x}; may be deleted\n", rng.u64()).into_bytes()
}

async fn judge(store: &Store, key: &Path, first: &[u8], second: &[u8]) -> Result<(), ProbeError> {
    match create(store, key, first).await {
        Ok(()) => {}
        // The client's own retry met what its first attempt had stored; what counts is read below.
        Err(Error::AlreadyExists { .. }) => {}
        Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
            return Err(ProbeError::NoConditionalWrites(error));
        }
        Err(error) => return Err(fault("creating the probe", error)),
    }
    match create(store, key, second).await {
        Ok(()) => {
            return Err(ProbeError::IgnoresConditionalWrites {
                key: key.to_string(),
            });
        }
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
        Err(error) => return Err(fault("creating the probe again", error)),
    }
    let read = async { store.get(key).await?.bytes().await };
    match read.await {
        Ok(bytes) if bytes == first => Ok(()),
        Ok(_) => Err(ProbeError::ReadBackDiffers {
            key: key.to_string(),
        }),
        Err(error) => Err(fault("reading the probe back", error)),
    }
}

async fn create(store: &Store, key: &Path, bytes: &[u8]) -> Result<(), Error> {
    let payload = PutPayload::from(bytes.to_vec());
    store
        .put_opts(key, payload, PutMode::Create.into())
        .await
        .map(|_| ())
}

fn fault(doing: &'static str, error: Error) -> ProbeError {
    match &error {
        // Where clients without a key ask for the role of the machine they are on.
        _ if says(&error, &["169.254.169.254", "169.254.170.2"]) => ProbeError::NoCredentials {
            advice: where_credentials_are(&error),
            source: error,
        },
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ProbeError::AccessDenied(error)
        }
        // A put to a key has nothing else that could be missing.
        Error::NotFound { .. } if doing.starts_with("creating") => ProbeError::NoSuchBucket(error),
        _ if says(&error, &["NoSuchBucket", "ContainerNotFound"]) => {
            ProbeError::NoSuchBucket(error)
        }
        Error::Generic { .. } if is_unreachable(&error) => ProbeError::Unreachable(error),
        _ => ProbeError::Failed {
            doing,
            source: error,
        },
    }
}

/// Where the client of this store, which its errors name, looks for credentials.
fn where_credentials_are(error: &Error) -> &'static str {
    match error {
        Error::Generic { store: "GCS", .. } => {
            "name the file of a service account in the environment (GOOGLE_APPLICATION_CREDENTIALS)"
        }
        Error::Generic {
            store: "MicrosoftAzure",
            ..
        } => {
            "give the account's key or another credential in the environment \
             (AZURE_STORAGE_ACCOUNT_KEY)"
        }
        _ => {
            "give an access key and its secret, by setting or in the environment \
             (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        }
    }
}

fn says(error: &Error, words: &[&str]) -> bool {
    let text = error.to_string();
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
