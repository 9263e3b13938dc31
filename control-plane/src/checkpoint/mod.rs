//! Checkpoints of the metadata in the bucket: the whole state at one position, so that a process need not replay the log
//! from its beginning and the log can be trimmed.
//!
//! A checkpoint is the folder `meta/checkpoint/<position>/`: chunks, each named by its number and checksum, then the
//! manifest that names them. One without its manifest does not exist: it was cut off while it was written or deleted.

mod manifest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_format::path;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tracing::warn;

use crate::log::Position;
use manifest::{Chunk, Manifest};

/// Bytes of state in one object.
const CHUNK_BYTES: usize = 8 << 20;
/// Chunks sent or fetched at once.
const PARALLEL: usize = 4;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is made before it counts as failed.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; it doubles.
const BACKOFF: Duration = Duration::from_millis(100);
/// How often all listed checkpoints may turn out deleted while newer ones were written.
const LISTINGS_MAX: usize = 3;
const MANIFEST: &str = "manifest";

/// A checkpoint as read, every checksum verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that is in the state.
    pub position: Position,
    /// The state, in the form of `metadata_version`.
    pub state: Bytes,
    /// The running hash of the state at `position`, to compare with one's own (I11).
    pub hash: u64,
    /// The metadata version it was written under.
    pub metadata_version: u16,
}

/// Why a checkpoint was not written, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bucket cannot be reached or refuses; trying again later is right.
    #[error("checkpoints cannot be reached: {0}")]
    Unavailable(String),
    /// There are checkpoints and none of them can be read. Only a log that was never trimmed will do then.
    #[error("no checkpoint can be read and the log before them was trimmed: {0}")]
    Unreadable(String),
    /// Another process wrote a different state for the same position: replicas disagree (I11).
    #[error(
        "the checkpoint at {position} exists with another state: hash {theirs:016x}, not {ours:016x}"
    )]
    Disagrees {
        /// Where the states differ.
        position: Position,
        /// The hash of the state that was to be written.
        ours: u64,
        /// The hash of the state that is there.
        theirs: u64,
    },
}

/// What one checkpoint turned out to be.
enum Found {
    Whole(Checkpoint),
    /// Without a manifest: not finished, or deleted.
    Absent,
    Damaged(String),
}

/// The checkpoints in a bucket. Clones are the same.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
}

impl CheckpointStore {
    /// The checkpoints in `store`, whose keys are relative to the cluster's prefix.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Writes the state at `position`; when this returns it is durable and can be found. Writing the same again is
    /// fine.
    ///
    /// # Errors
    /// [`CheckpointError::Disagrees`] if another state was written for that position; otherwise if the bucket fails.
    pub async fn write(
        &self,
        position: Position,
        state: Bytes,
        hash: u64,
        metadata_version: u16,
    ) -> Result<(), CheckpointError> {
        let pieces: Vec<Bytes> = (0..state.len())
            .step_by(CHUNK_BYTES)
            .map(|from| state.slice(from..state.len().min(from + CHUNK_BYTES)))
            .collect();
        let chunks: Vec<Chunk> = pieces.iter().map(|piece| Chunk::of(piece)).collect();
        let puts =
            pieces
                .into_iter()
                .zip(chunks.clone())
                .enumerate()
                .map(|(number, (piece, chunk))| {
                    let path = chunk_path(position, number, &chunk);
                    async move { self.create(&path, piece).await }
                });
        futures::stream::iter(puts)
            .buffered(PARALLEL)
            .try_collect::<Vec<bool>>()
            .await?;

        let manifest = Manifest {
            position,
            hash,
            metadata_version,
            chunks,
        };
        let path = file(position, MANIFEST);
        if self.create(&path, manifest.encode()).await? {
            return Ok(());
        }
        match self.manifest(position).await? {
            Some(Ok(theirs)) if theirs == manifest => Ok(()),
            Some(Ok(theirs)) => Err(CheckpointError::Disagrees {
                position,
                ours: hash,
                theirs: theirs.hash,
            }),
            Some(Err(why)) => Err(CheckpointError::Unavailable(format!("{path} is {why}"))),
            None => Err(CheckpointError::Unavailable(format!(
                "{path} was deleted meanwhile"
            ))),
        }
    }

    /// The newest checkpoint that is whole; `None` if none was ever finished.
    ///
    /// A damaged one is passed over, with a warning, for the one before it.
    ///
    /// # Errors
    /// [`CheckpointError::Unreadable`] if there are checkpoints and none is whole; otherwise if the bucket fails.
    pub async fn newest(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let mut damaged = Vec::new();
        let mut told = BTreeSet::new();
        for _ in 0..LISTINGS_MAX {
            damaged.clear();
            let positions = self.positions().await?;
            if positions.is_empty() {
                return Ok(None);
            }
            for position in positions.into_iter().rev() {
                match self.read(position).await? {
                    Found::Whole(checkpoint) => return Ok(Some(checkpoint)),
                    Found::Absent => {}
                    Found::Damaged(why) => {
                        if told.insert(position) {
                            warn!(%position, why, "a metadata checkpoint is damaged; trying an older one");
                        }
                        damaged.push(why);
                    }
                }
            }
            // Either none was ever finished, or those listed were deleted because newer ones were written.
        }
        let Some(newest_damage) = damaged.first() else {
            return Ok(None);
        };
        Err(CheckpointError::Unreadable(newest_damage.clone()))
    }

    /// Deletes all but the newest `count` checkpoints (at least one is kept), and what was left unfinished before
    /// them. Returns how many positions were cleared.
    ///
    /// # Errors
    /// If the bucket fails; what was deleted by then stays deleted, and no checkpoint is left half.
    pub async fn keep_newest(&self, count: usize) -> Result<usize, CheckpointError> {
        let mut files: BTreeMap<Position, Vec<Path>> = BTreeMap::new();
        let mut finished = BTreeSet::new();
        for (position, path) in self.files().await? {
            if path.filename() == Some(MANIFEST) {
                finished.insert(position);
            }
            files.entry(position).or_default().push(path);
        }
        let Some(oldest_kept) = finished.into_iter().rev().take(count.max(1)).min() else {
            return Ok(0);
        };
        let old: Vec<Vec<Path>> = files
            .range(..oldest_kept)
            .map(|(_, files)| files.clone())
            .collect();
        // The manifests go first, so that one deleted half way is absent and not damaged.
        let (manifests, chunks): (Vec<Path>, Vec<Path>) = old
            .iter()
            .flatten()
            .cloned()
            .partition(|path| path.filename() == Some(MANIFEST));
        self.delete(manifests).await?;
        self.delete(chunks).await?;
        Ok(old.len())
    }

    async fn read(&self, position: Position) -> Result<Found, CheckpointError> {
        let damaged = |path: &Path, why: &str| Ok(Found::Damaged(format!("{path} is {why}")));
        let manifest = match self.manifest(position).await? {
            None => return Ok(Found::Absent),
            Some(Err(why)) => return damaged(&file(position, MANIFEST), why),
            Some(Ok(manifest)) if manifest.position != position => {
                return damaged(&file(position, MANIFEST), "another position's");
            }
            Some(Ok(manifest)) => manifest,
        };
        let gets = manifest
            .chunks
            .iter()
            .cloned()
            .enumerate()
            .map(|(number, chunk)| {
                let path = chunk_path(position, number, &chunk);
                async move { self.get(&path).await.map(|bytes| (path, chunk, bytes)) }
            });
        let mut gets = futures::stream::iter(gets).buffered(PARALLEL);
        let mut state = BytesMut::new();
        while let Some((path, chunk, bytes)) = gets.try_next().await? {
            match bytes {
                None => return damaged(&path, "missing"),
                Some(bytes) if Chunk::of(&bytes) != chunk => {
                    return damaged(&path, "damaged: its checksum does not match");
                }
                Some(bytes) => state.extend_from_slice(&bytes),
            }
        }
        let Manifest {
            hash,
            metadata_version,
            ..
        } = manifest;
        Ok(Found::Whole(Checkpoint {
            position,
            state: state.freeze(),
            hash,
            metadata_version,
        }))
    }

    async fn manifest(
        &self,
        position: Position,
    ) -> Result<Option<Result<Manifest, &'static str>>, CheckpointError> {
        let bytes = self.get(&file(position, MANIFEST)).await?;
        Ok(bytes.map(|bytes| Manifest::decode(&bytes)))
    }

    /// Positions of all checkpoints, finished or not.
    async fn positions(&self) -> Result<BTreeSet<Position>, CheckpointError> {
        Ok(self
            .files()
            .await?
            .into_iter()
            .map(|(position, _)| position)
            .collect())
    }

    async fn files(&self) -> Result<Vec<(Position, Path)>, CheckpointError> {
        let prefix = Path::from(path::CHECKPOINT);
        let listed = || async {
            let files = self
                .store
                .list(Some(&prefix))
                .try_filter_map(|meta| async move {
                    let parsed = path::parse_checkpoint_file(meta.location.as_ref());
                    let position = parsed.map(|(position, _)| Position(position));
                    Ok(position.map(|position| (position, meta.location)))
                });
            files.try_collect().await
        };
        repeat(listed)
            .await
            .map_err(|error| unavailable(&prefix, &error))
    }

    /// Creates the object; false if something is there already.
    async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, CheckpointError> {
        let put = || async {
            let options = PutOptions::from(PutMode::Create);
            match self
                .store
                .put_opts(path, bytes.clone().into(), options)
                .await
            {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        repeat(put).await.map_err(|error| unavailable(path, &error))
    }

    async fn get(&self, path: &Path) -> Result<Option<Bytes>, CheckpointError> {
        let got = || async {
            let bytes = async { self.store.get(path).await?.bytes().await };
            match bytes.await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        repeat(got).await.map_err(|error| unavailable(path, &error))
    }

    async fn delete(&self, paths: Vec<Path>) -> Result<(), CheckpointError> {
        let deleted = || async {
            let paths = futures::stream::iter(paths.clone()).map(Ok).boxed();
            let mut replies = self.store.delete_stream(paths);
            while let Some(reply) = replies.next().await {
                match reply {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let prefix = Path::from(path::CHECKPOINT);
        repeat(deleted)
            .await
            .map_err(|error| unavailable(&prefix, &error))
    }
}

fn file(position: Position, name: &str) -> Path {
    Path::from(path::checkpoint_file(position.0, name))
}

/// Named by its checksum too, so that two processes that disagree about the state at one position do not mix chunks.
fn chunk_path(position: Position, number: usize, chunk: &Chunk) -> Path {
    file(position, &format!("{number:05}-{:08x}", chunk.crc32c))
}

fn unavailable(path: &Path, error: &Error) -> CheckpointError {
    CheckpointError::Unavailable(format!("{path}: {error}"))
}

async fn repeat<T, F>(request: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 0;
    loop {
        let result = match tokio::time::timeout(REQUEST_TIMEOUT, request()).await {
            Ok(result) => result,
            Err(elapsed) => Err(Error::Generic {
                store: "checkpoints",
                source: elapsed.into(),
            }),
        };
        attempt += 1;
        if result.is_ok() || attempt == ATTEMPTS {
            return result;
        }
        tokio::time::sleep(BACKOFF * 2u32.pow(attempt - 1)).await;
    }
}
