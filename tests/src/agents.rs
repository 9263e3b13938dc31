//! Agents in this process: several on one bucket and one metadata log, both of which fail on demand. Each agent has a
//! runtime of its own, so that it can be killed between any two of its steps.

use std::sync::Arc;
use std::time::Duration;

use broker::{BrokerConfig, BrokerError, Parts, Running};
use control_plane::checkpoint::CheckpointStore;
use control_plane::cluster::PeerSecret;
use control_plane::log::MetadataLog;
use control_plane::log::bucket::{BucketLog, BucketLogOptions};
use control_plane::log::memory::MemoryLog;
use object_store::memory::InMemory;
use runtime::store::{FaultyStore, HedgedStore};
use runtime::{Rng, Settings, Shutdown, Store, SystemClock};
use tokio::runtime::Runtime;

/// Which metadata log a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// In memory.
    Memory,
    /// In the site's bucket.
    Bucket,
}

/// A bucket and a metadata log.
pub struct Site {
    bucket: Store,
    memory_log: MemoryLog,
    kind: LogKind,
    rng: Rng,
}

/// What goes wrong for one agent.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Of its requests to the bucket.
    pub store: runtime::store::decorators::FaultPlan,
    /// Of its calls of the log, if that is in memory.
    pub log: control_plane::log::memory::Faults,
    /// How many of a hundred requests to the bucket may be sent twice.
    pub hedge_percent: u32,
}

/// An agent that runs.
pub struct Agent {
    /// Where it listens.
    pub address: String,
    /// Its session.
    pub session: control_plane::replica::Session,
    /// Its store's faults.
    pub faults: runtime::store::decorators::Faults,
    /// Its store.
    pub store: Arc<HedgedStore>,
    log: MemoryLog,
    shutdown: Shutdown,
    running: Option<Running>,
    runtime: Option<Runtime>,
}

impl Site {
    /// An empty one. `seed` decides all that is random in it and its agents.
    pub fn new(kind: LogKind, seed: u64) -> Self {
        let bucket = Arc::new(InMemory::new());
        Self {
            bucket,
            memory_log: MemoryLog::new(),
            kind,
            rng: Rng::from_seed(seed),
        }
    }

    /// The bucket, without faults.
    pub fn bucket(&self) -> &Store {
        &self.bucket
    }

    /// Starts an agent called `name` with these settings on top of short timeouts.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(&self, name: &str, trouble: Trouble, settings: &[(&str, &str)]) -> Agent {
        let rng = self.rng.fork(name);
        let store = FaultyStore::new(self.bucket.clone(), rng.fork("store"));
        let faults = store.faults();
        faults.set(trouble.store);
        let memory_log = self.memory_log.with_faults(rng.fork("log"), trouble.log);
        let (duty, clock) = (runtime::Duty::Tool, SystemClock::shared());
        let hedged = HedgedStore::new(Arc::new(store), duty, clock, trouble.hedge_percent);
        let hedged = Arc::new(hedged);
        let store: Store = hedged.clone();
        let (kind, log) = (self.kind, memory_log.clone());
        let config = config(name, settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let shutdown = Shutdown::new(Duration::from_secs(20));
        let stop = shutdown.clone();
        let started = runtime.spawn(async move {
            let clock = SystemClock::shared();
            let log: Arc<dyn MetadataLog> = match kind {
                LogKind::Memory => Arc::new(log),
                LogKind::Bucket => {
                    let options = BucketLogOptions {
                        poll_interval: Duration::from_millis(50),
                        request_timeout: Duration::from_secs(2),
                        ..BucketLogOptions::default()
                    };
                    let opened = open_log(&store, &clock, &rng, options).await;
                    Arc::new(opened)
                }
            };
            let parts = Parts {
                log,
                checkpoints: CheckpointStore::new(store.clone()),
                produce_store: store.clone(),
                fetch_store: store.clone(),
                catch_up_store: store.clone(),
                clock,
                rng,
                cluster_id: "test".to_owned(),
                peer_secret: Some(PeerSecret::new([7; 32])),
            };
            start_until_it_works(config, parts, stop).await
        });
        let running = started.await.expect("the agent starts");
        Agent {
            address: running.address.to_string(),
            session: running.session.clone(),
            faults,
            store: hedged,
            log: memory_log,
            shutdown,
            running: Some(running),
            runtime: Some(runtime),
        }
    }
}

async fn open_log(
    store: &Store,
    clock: &runtime::SharedClock,
    rng: &Rng,
    options: BucketLogOptions,
) -> BucketLog {
    loop {
        let rng = rng.fork("log");
        if let Ok(log) = BucketLog::open(store.clone(), clock.clone(), rng, options.clone()).await {
            return log;
        }
    }
}

/// A supervisor would start it again as well.
async fn start_until_it_works(config: BrokerConfig, parts: Parts, stop: Shutdown) -> Running {
    loop {
        match broker::start(config.clone(), parts.clone(), stop.clone()).await {
            Ok(running) => return running,
            Err(BrokerError::Open(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn config(name: &str, settings: &[(&str, &str)]) -> BrokerConfig {
    let own = [
        ("agent.id", name),
        ("listen", "127.0.0.1:0"),
        ("store.request.timeout.ms", "2s"),
        ("agent.heartbeat.ms", "200ms"),
        ("agent.session.timeout.ms", "5s"),
        ("linger.ms", "20ms"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let flags = own
        .iter()
        .chain(settings)
        .map(|&(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let resolved = Settings::resolve(&broker::settings(), None, [], flags).expect("settings");
    BrokerConfig::new(resolved, false)
}

impl Agent {
    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.faults.clear();
        self.log.set_faults(Default::default());
    }

    /// Ends it as SIGKILL would: nothing of it runs any more.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it as SIGTERM would.
    ///
    /// # Errors
    /// It had to stop for another reason.
    ///
    /// # Panics
    /// It hangs.
    pub async fn stop(mut self) -> Result<(), BrokerError> {
        self.shutdown.begin();
        let running = self.running.take().expect("it runs");
        let ended = tokio::time::timeout(Duration::from_secs(40), running.ended()).await;
        ended.expect("it ends within its drain")
    }

    /// Returns when it has ended by itself.
    ///
    /// # Errors
    /// Why.
    ///
    /// # Panics
    /// It was stopped or killed.
    pub async fn ended(&mut self) -> Result<(), BrokerError> {
        self.running.take().expect("it runs").ended().await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
