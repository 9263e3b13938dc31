//! An agent: what it is made of, how it starts, how it ends.

mod addresses;

use std::net::SocketAddr;
use std::sync::Arc;

use control_plane::checkpoint::CheckpointStore;
use control_plane::cluster::PeerSecret;
use control_plane::log::MetadataLog;
use control_plane::replica::{
    CheckpointDuty, Failure, OpenError, Replica, ReplicaParts, Session, SubmitError, keep_draining,
};
use runtime::{Rng, SharedClock, Shutdown, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::addresses::{bind_clients, bind_peers, local, registration};
use crate::api::Dispatch;
use crate::config::BrokerConfig;
use crate::fetch::Fetcher;
use crate::fetch::pool::PerPool;
use crate::fetch::zone::Neighbours;
use crate::group::{self, Groups};
use crate::health::{self, Unwell};
use crate::memory::{self, Load, MemoryBound};
use crate::net::{Listener, Server};
use crate::peers::{self, Keys};
use crate::produce::Pipeline;
use crate::share::Shares;
use crate::topology::{self, Node, ZoneBlocks};
use crate::transactions;
use crate::zone_cache::{Lender, ZoneCache};

/// What an agent is given: everything that reaches outside of it.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The metadata log.
    pub log: Arc<dyn MetadataLog>,
    /// Where its checkpoints are.
    pub checkpoints: CheckpointStore,
    /// The bucket, for writing data.
    pub produce_store: Store,
    /// The bucket, for reading what was written lately.
    pub fetch_store: Store,
    /// The bucket, for reading what is older.
    pub catch_up_store: Store,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
    /// The cluster's id, as clients see it.
    pub cluster_id: String,
    /// By which its agents know each other. Without it they neither give each other blocks nor append for
    /// each other.
    pub peer_secret: Option<PeerSecret>,
}

/// Why an agent does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// A setting is wrong in a way that only shows when it is used.
    #[error("{0}")]
    Setting(String),
    /// The metadata cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The agent cannot register.
    #[error("cannot join the cluster: {0}")]
    Join(#[from] SubmitError),
    /// A task of it panicked.
    #[error("{0}")]
    Task(String),
    /// It had to stop.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// An agent, as its handlers see it.
#[derive(Debug)]
pub struct Broker {
    session: Session,
    pipeline: Pipeline,
    fetcher: Fetcher,
    groups: Groups,
    shares: Shares,
    config: BrokerConfig,
    clock: SharedClock,
    rng: Rng,
    cluster_id: String,
    zone_blocks: ZoneBlocks,
    lender: Option<Arc<Lender>>,
    keys: Option<Keys>,
}

/// An agent that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens for clients.
    pub address: SocketAddr,
    /// Its session.
    pub session: Session,
    /// Why it should not be sent traffic, if so.
    pub unwell: watch::Receiver<Unwell>,
    ended: JoinHandle<Result<(), BrokerError>>,
}

impl Running {
    /// Returns when the agent has ended: in order after its shutdown, or because it had to.
    pub async fn ended(self) -> Result<(), BrokerError> {
        match self.ended.await {
            Ok(ended) => ended,
            Err(error) => Err(BrokerError::Setting(format!(
                "the agent's task ended: {error}"
            ))),
        }
    }
}

impl Broker {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.session.replica()
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(crate) fn config(&self) -> &BrokerConfig {
        &self.config
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.rng
    }

    /// Agents that serve clients, those marked that clients are steered away from.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let doubtful = self.session.doubtful();
        self.replica()
            .read(|state| topology::nodes_but(state, &doubtful))
    }

    /// Which zone an address is in.
    pub(crate) fn zone_blocks(&self) -> &ZoneBlocks {
        &self.zone_blocks
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

/// Runs an agent until `shutdown` has begun and everything it accepted is settled.
pub async fn run(
    config: BrokerConfig,
    parts: Parts,
    shutdown: Shutdown,
) -> Result<(), BrokerError> {
    start(config, parts, shutdown).await?.ended().await
}

/// Starts an agent; when this returns it serves.
pub async fn start(
    config: BrokerConfig,
    parts: Parts,
    shutdown: Shutdown,
) -> Result<Running, BrokerError> {
    let resolved = &config.resolved;
    let zone_blocks =
        ZoneBlocks::parse(resolved.list("client.zone.cidrs")).map_err(BrokerError::Setting)?;
    let listener = bind_clients(resolved.text("listen")).await?;
    let address = local(listener.local_addr(), resolved.text("listen"))?;
    let peer_listener = bind_peers(resolved.opt_text("peer.listen"), address).await?;
    let peer_address = local(peer_listener.local_addr(), "peer.listen")?;
    let replica_parts = ReplicaParts {
        log: parts.log.clone(),
        checkpoints: parts.checkpoints.clone(),
        clock: parts.clock.clone(),
        rng: parts.rng.fork("replica"),
    };
    // The replica outlives the drain of what needs it.
    let replica = Replica::open(replica_parts, &shutdown).await?;
    let registration = registration(&config, &parts.rng, address, peer_address)?;
    let session = replica.join(registration, &shutdown).await?;
    tracing::info!("memory is bounded by {}", MemoryBound::of(&config));
    // Begins when clients have had notice of the end.
    let closing = Shutdown::new(resolved.duration("drain.timeout.ms"));
    let broker = assemble(config, &parts, session.clone(), zone_blocks, &closing);
    let (told, unwell) = watch::channel(None);
    let served = serve(broker, listener, peer_listener, told, shutdown, closing);
    Ok(Running {
        address,
        session,
        unwell,
        ended: tokio::spawn(served),
    })
}

type Assembled = (Arc<Broker>, JoinHandle<()>);

fn assemble(
    config: BrokerConfig,
    parts: &Parts,
    session: Session,
    zone_blocks: ZoneBlocks,
    shutdown: &Shutdown,
) -> Assembled {
    let clock = &parts.clock;
    let secret = parts.peer_secret.clone();
    let keys = secret.map(|secret| peers::relay_appends(&session, secret, clock, &parts.rng));
    let zone_keys = keys.clone().filter(|_| config.zone_cache.is_on);
    let neighbours = zone_keys.clone().map(|keys| -> Arc<dyn Neighbours> {
        let (session, clock) = (session.clone(), clock.clone());
        Arc::new(ZoneCache::new(session, keys, clock, config.zone_cache))
    });
    let fetcher = Fetcher::with_neighbours(
        session.replica().clone(),
        PerPool {
            tail: parts.fetch_store.clone(),
            catch_up: parts.catch_up_store.clone(),
        },
        neighbours,
        clock.clone(),
        &parts.rng,
        config.fetch.clone(),
    );
    let lender = zone_keys.map(|keys| Lender::new(fetcher.clone(), keys, clock.clone()));
    let cache = fetcher.cache().clone();
    let (pipeline, settled) = Pipeline::start(
        session.clone(),
        parts.produce_store.clone(),
        clock.clone(),
        parts.rng.fork("produce"),
        config.pipeline,
        Arc::new(move |object| cache.insert_written(object)),
        shutdown,
    );
    let groups = Groups::new(
        session.clone(),
        clock.clone(),
        parts.rng.fork("groups"),
        config.groups.clone(),
        shutdown,
    );
    start_expiring(&session, &groups, &config, &parts.rng, shutdown);
    let shares = Shares::new(
        session.clone(),
        clock.clone(),
        fetcher.clone(),
        keys.clone(),
        config.shares.clone(),
        shutdown,
    );
    let broker = Broker {
        session,
        pipeline,
        fetcher,
        groups,
        shares,
        config,
        clock: clock.clone(),
        rng: parts.rng.fork("broker"),
        cluster_id: parts.cluster_id.clone(),
        zone_blocks,
        lender: lender.map(Arc::new),
        keys,
    };
    (Arc::new(broker), settled)
}

/// Takes its turn at what time makes void: committed offsets, transactions, transactional ids.
fn start_expiring(
    session: &Session,
    groups: &Groups,
    config: &BrokerConfig,
    rng: &Rng,
    shutdown: &Shutdown,
) {
    let retention = group::retention::run(groups.clone(), rng.fork("retention"), shutdown.clone());
    runtime::tasks::spawn("offset retention", shutdown, retention);
    let timeouts = transactions::timeouts::run(
        session.clone(),
        config.transactions,
        rng.fork("transactions"),
        shutdown.clone(),
    );
    runtime::tasks::spawn("transaction timeouts", shutdown, timeouts);
    let expiry = transactions::expiry::run(
        session.clone(),
        config.transactions,
        rng.fork("transactional ids"),
        shutdown.clone(),
    );
    runtime::tasks::spawn("transactional ids", shutdown, expiry);
}

/// Says that the agent is here and how it is, and takes its turn at writing checkpoints. Gives the task that announces
/// the agent's end.
fn start_membership(
    broker: &Broker,
    told: watch::Sender<Unwell>,
    shutdown: &Shutdown,
    closing: &Shutdown,
) -> JoinHandle<Option<()>> {
    let (session, resolved) = (&broker.session, &broker.config.resolved);
    let watched = health::watch(
        session.clone(),
        broker.pipeline.clone(),
        resolved.duration("agent.unwell.after.ms"),
        told,
        shutdown.clone(),
    );
    runtime::tasks::spawn("health", shutdown, watched);
    let duty = CheckpointDuty::new(session.clone(), broker.config.checkpoint);
    runtime::tasks::spawn("checkpoints", shutdown, duty.run(shutdown.clone()));
    let announced = health::announce_end(
        session.clone(),
        broker.config.liveness,
        resolved.duration("drain.notice.ms"),
        shutdown.clone(),
        closing.clone(),
    );
    runtime::tasks::spawn("liveness", shutdown, announced)
}

/// Serves other agents, and tells them what this one appends.
fn start_peers(broker: &Broker, listener: TcpListener, shutdown: &Shutdown, closing: &Shutdown) {
    let services = peers::Services {
        shares: broker.shares.clone(),
        lender: broker.lender.clone(),
        keys: broker.keys.clone(),
    };
    let serving = peers::listen(listener, broker.session.clone(), services, closing.clone());
    runtime::tasks::spawn("peers", shutdown, serving);
    let keys = broker.keys.clone();
    let notices = peers::notify(broker.session.clone(), keys, closing.clone());
    runtime::tasks::spawn("notices to peers", shutdown, notices);
}

async fn serve(
    (broker, settled): Assembled,
    listener: Listener,
    peer_listener: TcpListener,
    told: watch::Sender<Unwell>,
    shutdown: Shutdown,
    closing: Shutdown,
) -> Result<(), BrokerError> {
    let session = broker.session.clone();
    let replica = session.replica().clone();
    let liveness = broker.config.liveness;
    let announced = start_membership(&broker, told, &shutdown, &closing);
    start_peers(&broker, peer_listener, &shutdown, &closing);
    let (fetcher, ending) = (broker.fetcher.clone(), closing.clone());
    tokio::spawn(async move {
        ending.begun().await;
        fetcher.end_waits();
    });
    // A part that fails begins the end of all.
    let (all, part) = (shutdown.clone(), closing.clone());
    tokio::spawn(async move {
        part.begun().await;
        if let Some(reason) = part.reason() {
            all.begin_because(reason);
        }
    });
    let (net, clock) = (broker.config.net.clone(), broker.clock.clone());
    let bound = MemoryBound::of(&broker.config);
    let server = Arc::new(Server::new(Dispatch(broker), net, clock));
    let counted = server.clone();
    let load = move || Load {
        connections: counted.connections() as u64,
        session_partitions: counted.service().0.fetcher().session_partitions() as u64,
        ..Load::default()
    };
    let bounded = memory::publish(bound, load, replica.clone(), shutdown.clone());
    runtime::tasks::spawn("memory bound", &shutdown, bounded);
    let clients = listener.run(server, closing.clone());
    let orderly = async {
        clients.await;
        let _ = settled.await;
        let _ = announced.await;
        let _ = session.leave().await;
    };
    let orderly = async {
        tokio::pin!(orderly);
        tokio::select! {
            () = &mut orderly => return,
            () = closing.begun() => {}
        }
        tokio::select! {
            () = &mut orderly => {}
            () = keep_draining(session.clone(), liveness) => orderly.await,
        }
    };
    let ended = tokio::select! {
        biased;
        failure = replica.failed() => {
            shutdown.begin();
            Err(failure.into())
        }
        drained = shutdown.drained(orderly) => {
            if drained.is_none() {
                tracing::warn!("not everything was settled within drain.timeout.ms");
            }
            failed_task(&shutdown)
        }
    };
    closing.begin();
    ended
}

/// An end that no one asked for is a failure, however orderly it was.
fn failed_task(shutdown: &Shutdown) -> Result<(), BrokerError> {
    match shutdown.reason() {
        Some(reason) if reason.exit_code() != 0 => Err(BrokerError::Task(reason.to_string())),
        _ => Ok(()),
    }
}
