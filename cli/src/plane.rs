//! Opens the bucket and the metadata log that the settings name.

use std::sync::Arc;

use broker::Parts;
use control_plane::checkpoint::CheckpointStore;
use control_plane::cluster::{self, PeerSecret};
use control_plane::log::bucket::{BucketLog, BucketLogOptions};
use control_plane::log::memory::MemoryLog;
use control_plane::log::{MetadataLog, home};
use runtime::settings::Resolved;
use runtime::store::{self, HedgedStore, MeteredStore, Prices, Spending, StoreMeter, StoreOptions};
use runtime::{Duty, Rng, SharedClock, Store};

use crate::Failure;

/// A bucket and its metadata log, opened.
pub struct Opened {
    /// What an agent is made of.
    pub parts: Parts,
    /// The bucket, for the background duties.
    pub duty_stores: ::compactor::Stores,
    /// Whether the store charges for requests.
    pub puts_cost: bool,
    /// What all of it costs, to be published.
    pub spending: Spending,
}

/// What is going to be done with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The store is probed, and an empty one becomes a cluster's.
    Join,
    /// There is a cluster, and something of it is changed.
    Change,
    /// Nothing is written.
    Look,
}

/// Opens the store and the log that `settings` name.
pub async fn open(
    access: Access,
    settings: &Resolved,
    clock: &SharedClock,
    rng: &Rng,
) -> Result<Opened, Failure> {
    let (url, log) = (settings.text("store.url"), settings.text("metadata.log"));
    check_named(url)?;
    if access != Access::Join {
        check_folder(url)?;
    }
    let options = StoreOptions::from_settings(settings);
    let (meters, stores) = open_stores(url, &options, clock)?;
    let [
        produce,
        fetch,
        catch_up,
        metadata,
        compaction,
        garbage,
        scrub,
    ] = stores;
    let (cluster_id, peer_secret) = identity(access, &metadata, rng).await?;
    let cluster = Cluster {
        id: &cluster_id,
        store: &metadata,
        access,
    };
    let opened_log = open_log(log, settings, &cluster, clock, rng).await?;
    // A log that is lost at exit must not find the checkpoints of another run.
    let checkpoints = match log {
        "memory" => store::open("memory://", &StoreOptions::default())?,
        _ => metadata,
    };
    let parts = Parts {
        log: opened_log,
        checkpoints: CheckpointStore::new(checkpoints),
        produce_store: produce,
        fetch_store: fetch,
        catch_up_store: catch_up,
        clock: clock.clone(),
        rng: rng.clone(),
        cluster_id,
        peer_secret,
    };
    Ok(Opened {
        parts,
        duty_stores: ::compactor::Stores {
            compaction,
            garbage,
            scrub,
        },
        puts_cost: is_bucket(url),
        spending: Spending::new(Prices::from_settings(settings), meters),
    })
}

/// The id of the cluster, and for who joins it the secret of its agents.
async fn identity(
    access: Access,
    metadata: &Store,
    rng: &Rng,
) -> Result<(String, Option<PeerSecret>), Failure> {
    match access {
        Access::Join => {
            store::probe(metadata, rng).await?;
            let id = cluster::identity(metadata, rng).await?;
            let secret = cluster::peer_secret(metadata, rng).await?;
            Ok((id, Some(secret)))
        }
        Access::Change | Access::Look => Ok((cluster::existing(metadata).await?, None)),
    }
}

/// The cluster whose log is opened.
#[cfg_attr(not(feature = "foundationdb"), expect(dead_code))]
struct Cluster<'a> {
    id: &'a str,
    store: &'a Store,
    access: Access,
}

/// Opens the bucket alone, of a cluster that is there.
pub fn open_bucket(settings: &Resolved, clock: &SharedClock) -> Result<Store, Failure> {
    let url = settings.text("store.url");
    check_folder(url)?;
    let options = StoreOptions::from_settings(settings);
    let mut opened = store::open_clients(url, &options, 1)?;
    let inner = opened.pop().ok_or("a store client is missing")?;
    Ok(Arc::new(MeteredStore::new(
        inner,
        Duty::Tool,
        clock.clone(),
    )))
}

/// Opens the log called `log` of the cluster whose bucket `store` is, to look at it or to move it.
pub async fn open_log_called(
    log: &str,
    settings: &Resolved,
    (cluster_id, store): (&str, &Store),
    clock: &SharedClock,
    rng: &Rng,
) -> Result<Arc<dyn MetadataLog>, Failure> {
    let cluster = Cluster {
        id: cluster_id,
        store,
        access: Access::Change,
    };
    open_log(log, settings, &cluster, clock, rng).await
}

/// Refuses to go without a store.
fn check_named(url: &str) -> Result<(), Failure> {
    if !url.is_empty() {
        return Ok(());
    }
    let forms = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder";
    Err(format!("no store is named: give --store (or MILLRACE_STORE_URL): {forms}").into())
}

/// Refuses a folder that is not there.
fn check_folder(url: &str) -> Result<(), Failure> {
    match store::url::parse(url)? {
        store::url::Location::Folder(folder) if !folder.exists() => {
            Err(format!("there is no folder {}", folder.display()).into())
        }
        _ => Ok(()),
    }
}

async fn open_log(
    log: &str,
    settings: &Resolved,
    cluster: &Cluster<'_>,
    clock: &SharedClock,
    rng: &Rng,
) -> Result<Arc<dyn MetadataLog>, Failure> {
    match log {
        "bucket" => {
            let moves = home::check_bucket(cluster.store).await?;
            let options = BucketLogOptions {
                moves,
                poll_interval: settings.duration("metadata.poll.interval.ms"),
                request_timeout: settings.duration("store.request.timeout.ms"),
                trim_age_min: settings.duration("metadata.log.min.age.ms"),
                ..BucketLogOptions::default()
            };
            let (store, rng) = (cluster.store.clone(), rng.fork("log"));
            let log = BucketLog::open(store, clock.clone(), rng, options).await?;
            Ok(Arc::new(log))
        }
        "memory" => Ok(Arc::new(MemoryLog::default())),
        address if address.starts_with("fdb:") => {
            open_foundationdb(address, cluster, clock, rng).await
        }
        other => Err(format!(
            "unknown metadata log {other:?}: use bucket or memory, or fdb:/path/to/fdb.cluster"
        )
        .into()),
    }
}

#[cfg(feature = "foundationdb")]
async fn open_foundationdb(
    address: &str,
    cluster: &Cluster<'_>,
    clock: &SharedClock,
    rng: &Rng,
) -> Result<Arc<dyn MetadataLog>, Failure> {
    use control_plane::log::foundationdb::{Address, Claim, FoundationLog, FoundationLogOptions};

    let address = Address::parse(address)?;
    let known = home::check_foundationdb(cluster.store).await?;
    let cluster_id = cluster.id;
    let claim = match &known {
        None if cluster.access == Access::Join => Claim::Join { cluster_id },
        None | Some(None) => Claim::Look { cluster_id },
        Some(Some(log)) => Claim::Moved { cluster_id, log },
    };
    let options = FoundationLogOptions::default();
    let log = FoundationLog::open(&address, claim, clock.clone(), rng.fork("log"), options).await?;
    if cluster.access == Access::Join && known.is_none() {
        home::set_foundationdb(cluster.store).await?;
    }
    Ok(Arc::new(log))
}

#[cfg(not(feature = "foundationdb"))]
async fn open_foundationdb(
    _address: &str,
    _cluster: &Cluster<'_>,
    _clock: &SharedClock,
    _rng: &Rng,
) -> Result<Arc<dyn MetadataLog>, Failure> {
    Err(NO_FOUNDATIONDB.into())
}

/// Why an address in FoundationDB is of no use.
#[cfg(not(feature = "foundationdb"))]
pub const NO_FOUNDATIONDB: &str = "the FoundationDB metadata log is not part of this build: build it with `cargo build \
                                   --release --features foundationdb` (which needs libclang and FoundationDB's client \
                                   library of 7.3), or use --metadata bucket";

/// A client of the store for each duty, so that none waits behind another, each counted apart; and the counters.
fn open_stores(
    url: &str,
    options: &StoreOptions,
    clock: &SharedClock,
) -> Result<(Vec<Arc<StoreMeter>>, [Store; 7]), Failure> {
    let duties = [
        Duty::Produce,
        Duty::Fetch,
        Duty::CatchUp,
        Duty::Metadata,
        Duty::Compaction,
        Duty::Garbage,
        Duty::Scrub,
    ];
    let opened = store::open_clients(url, options, duties.len())?;
    let percent = match is_bucket(url) {
        true => options.hedge_percent,
        false => 0,
    };
    let metered: Vec<MeteredStore> = opened
        .into_iter()
        .zip(duties)
        .map(|(inner, duty)| MeteredStore::new(inner, duty, clock.clone()))
        .collect();
    let meters = metered.iter().map(MeteredStore::meter).collect();
    // Outside of the meter, so that what is sent twice is counted twice.
    let dressed = metered.into_iter().zip(duties).map(|(store, duty)| {
        let store: Store = Arc::new(store);
        match is_waited_for(duty) && percent > 0 {
            true => Arc::new(HedgedStore::new(store, duty, clock.clone(), percent)),
            false => store,
        }
    });
    let dressed: Vec<Store> = dressed.collect();
    let stores = dressed
        .try_into()
        .map_err(|_| "a store client is missing")?;
    Ok((meters, stores))
}

/// Whether a store is a service, whose requests cost money and take their time.
fn is_bucket(url: &str) -> bool {
    ["s3://", "gs://", "az://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

/// Whether clients wait for what is done under a duty.
fn is_waited_for(duty: Duty) -> bool {
    match duty {
        Duty::Produce | Duty::Fetch | Duty::CatchUp | Duty::Metadata => true,
        Duty::Compaction | Duty::Garbage | Duty::Scrub | Duty::Tool => false,
    }
}
