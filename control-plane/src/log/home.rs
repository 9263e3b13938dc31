//! Where a cluster's metadata log is, kept in its bucket: a cluster that is started with another log than its own would
//! begin anew and take all its data for garbage.
//!
//! A cluster begins in the bucket, or elsewhere, which `meta/log-home` says. Each move of the log adds an object
//! `meta/move/<number>`; the newest says where the log is. Nothing of it is ever changed, so that of two who finish the
//! same move differently one wins.

use futures::{StreamExt, TryStreamExt};
use object_format::path;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use runtime::Store;

use crate::cluster;

/// What is stored for a log in FoundationDB.
const FOUNDATIONDB: &str = "the metadata log is in foundationdb";
/// Stands between it and the log's id, of a log that was moved there.
const ID: &str = ", log ";
/// What is stored for a log in the bucket, once it was moved there.
const BUCKET: &str = "the metadata log is in the bucket";

/// A place where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The bucket itself.
    Bucket,
    /// FoundationDB.
    FoundationDb {
        /// Tells a log that was moved there from all others; `None` for one that began there.
        log: Option<String>,
    },
}

/// Where the log of a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// How often it was moved.
    pub moves: u64,
    /// Where it is now.
    pub place: Place,
}

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
        "{0} in the bucket says that the metadata log is at a place this version does not know"
    )]
    Unknown(String),
}

/// Where the log is; `None` if nobody has begun one.
pub async fn find(store: &Store) -> Result<Option<Home>, HomeError> {
    let moves = store.list(Some(&Path::from(path::MOVE)));
    let numbers =
        moves.try_filter_map(async |found| Ok(path::parse_log_move(found.location.as_ref())));
    let newest = numbers.try_fold(0, async |newest, number| Ok(number.max(newest)));
    let moves = newest.await?;
    let key = match moves {
        0 => path::LOG_HOME.to_owned(),
        number => path::log_move(number),
    };
    if let Some(place) = read(store, &key).await? {
        return Ok(Some(Home { moves, place }));
    }
    for prefix in [path::LOG, path::CHECKPOINT] {
        if let Some(found) = store.list(Some(&Path::from(prefix))).next().await {
            found?;
            let place = Place::Bucket;
            return Ok(Some(Home { moves: 0, place }));
        }
    }
    Ok(None)
}

/// Refuses unless the log may be in the bucket `store`. Gives how often it was moved.
pub async fn check_bucket(store: &Store) -> Result<u64, HomeError> {
    match find(store).await? {
        None => Ok(0),
        Some(Home {
            moves,
            place: Place::Bucket,
        }) => Ok(moves),
        Some(_) => Err(HomeError::InFoundationDb),
    }
}

/// Refuses unless the log may be in FoundationDB. `None` if it need not exist there yet; else the id of one that was moved
/// there.
pub async fn check_foundationdb(store: &Store) -> Result<Option<Option<String>>, HomeError> {
    match find(store).await?.map(|home| home.place) {
        None => Ok(None),
        Some(Place::FoundationDb { log }) => Ok(Some(log)),
        Some(Place::Bucket) => Err(HomeError::InBucket),
    }
}

/// Notes that the log of the cluster whose bucket `store` is began in FoundationDB.
pub async fn set_foundationdb(store: &Store) -> Result<(), HomeError> {
    create(store, path::LOG_HOME, &Place::FoundationDb { log: None }).await
}

/// Notes where a move has led, unless somebody else has said it before. Gives what stands there then.
pub async fn set_moved(store: &Store, to: &Home) -> Result<Place, HomeError> {
    let key = path::log_move(to.moves);
    create(store, &key, &to.place).await?;
    let stored = read(store, &key).await?;
    stored.ok_or(HomeError::Unknown(key))
}

async fn create(store: &Store, key: &str, place: &Place) -> Result<(), HomeError> {
    let text = match place {
        Place::Bucket => format!("{BUCKET}\n"),
        Place::FoundationDb { log: None } => format!("{FOUNDATIONDB}\n"),
        Place::FoundationDb { log: Some(id) } => format!("{FOUNDATIONDB}{ID}{id}\n"),
    };
    Ok(cluster::create(store, key, text).await?)
}

async fn read(store: &Store, key: &str) -> Result<Option<Place>, HomeError> {
    let stored = match store.get(&Path::from(key)).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        other => other?.bytes().await?,
    };
    let place = std::str::from_utf8(&stored).ok().and_then(parse);
    place
        .map(Some)
        .ok_or_else(|| HomeError::Unknown(key.to_owned()))
}

fn parse(text: &str) -> Option<Place> {
    let text = text.strip_suffix('\n')?;
    if text == BUCKET {
        return Some(Place::Bucket);
    }
    let log = match text.strip_prefix(FOUNDATIONDB)? {
        "" => None,
        rest => Some(rest.strip_prefix(ID)?.to_owned()),
    };
    Some(Place::FoundationDb { log })
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
        assert_eq!(check_foundationdb(&store).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_log_in_foundationdb_is_not_begun_anew_in_the_bucket() {
        let store = store();
        set_foundationdb(&store).await.unwrap();
        set_foundationdb(&store).await.unwrap();
        assert_eq!(check_foundationdb(&store).await.unwrap(), Some(None));
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
            Err(HomeError::Unknown(_))
        ));
        assert!(matches!(
            check_foundationdb(&store).await,
            Err(HomeError::Unknown(_))
        ));
    }

    #[tokio::test]
    async fn the_newest_move_says_where_the_log_is_and_nobody_changes_it() {
        let store = store();
        put(&store, &path::log_entry(7), "x").await;
        let there = Home {
            moves: 1,
            place: Place::FoundationDb {
                log: Some("a".into()),
            },
        };
        assert_eq!(set_moved(&store, &there).await.unwrap(), there.place);
        let elsewhere = Place::FoundationDb {
            log: Some("b".into()),
        };
        let late = Home {
            moves: 1,
            place: elsewhere,
        };
        assert_eq!(set_moved(&store, &late).await.unwrap(), there.place);
        assert_eq!(
            check_foundationdb(&store).await.unwrap(),
            Some(Some("a".into()))
        );
        assert!(check_bucket(&store).await.is_err());
        let back = Home {
            moves: 2,
            place: Place::Bucket,
        };
        set_moved(&store, &back).await.unwrap();
        assert_eq!(check_bucket(&store).await.unwrap(), 2);
        assert!(check_foundationdb(&store).await.is_err());
    }
}
