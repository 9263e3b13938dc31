//! What every process that serves has: settings, logs, metrics, an address for operators, and a way to stop.

use runtime::settings::Resolved;
use runtime::telemetry::{self, AdminServer, Condition, LogFormat, Metrics, Readiness};
use runtime::{Rng, SharedClock, Shutdown, SystemClock};

use crate::Failure;

/// A process that is about to serve.
pub struct Process {
    /// Its settings.
    pub settings: Resolved,
    /// Begins at a signal.
    pub shutdown: Shutdown,
    /// To be met when it serves.
    pub serving: Condition,
    /// To be met while it is well.
    pub health: Condition,
    /// Where its metrics are.
    pub admin_address: std::net::SocketAddr,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
}

impl Process {
    /// Begins to log, to count, to answer operators and to listen for signals.
    pub async fn start(settings: Resolved) -> Result<Self, Failure> {
        init_logging(&settings)?;
        let metrics = Metrics::install()?;
        let shutdown = Shutdown::new(settings.duration("drain.timeout.ms"));
        listen_for_signals(&shutdown)?;
        let readiness = Readiness::new(&shutdown);
        let serving = readiness.condition("serving");
        serving.unmet("starting");
        let health = readiness.condition("health");
        health.met();
        broker::metric_definitions::describe();
        control_plane::metric_definitions::describe();
        ::compactor::metric_definitions::describe();
        let admin_listen = settings.text("admin.listen");
        let admin_listen = admin_listen.parse().map_err(|_| {
            format!("admin.listen {admin_listen:?} is not an IP address and a port")
        })?;
        let admin = AdminServer::bind(admin_listen, metrics.clone(), readiness)
            .await
            .map_err(|error| format!("cannot listen on {admin_listen} (admin.listen): {error}"))?;
        let admin_address = admin.address();
        tokio::spawn(metrics.upkeep());
        let stopped = shutdown.clone();
        tokio::spawn(admin.serve(async move { stopped.drain_over().await }));
        Ok(Self {
            settings,
            shutdown,
            serving,
            health,
            admin_address,
            clock: SystemClock::shared(),
            rng: Rng::from_os(),
        })
    }
}

/// Begins `shutdown` at a signal, and ends the process at a second one.
pub fn listen_for_signals(shutdown: &Shutdown) -> Result<(), Failure> {
    let signals = runtime::shutdown::signals(shutdown)?;
    tokio::spawn(async { exit_at_once(signals.await).await });
    Ok(())
}

/// Ends the process without draining. What the exit tears down must not be in use by the thread of FoundationDB's client,
/// so that is stopped first, unless it hangs.
async fn exit_at_once(code: i32) {
    #[cfg(feature = "foundationdb")]
    {
        let stop = tokio::task::spawn_blocking(control_plane::log::foundationdb::stop);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), stop).await;
    }
    std::process::exit(code)
}

/// Begins to log as the settings say.
pub fn init_logging(settings: &Resolved) -> Result<(), Failure> {
    let format = match settings.text("log.format") {
        "json" => LogFormat::Json,
        _ => LogFormat::Readable,
    };
    Ok(telemetry::init_logging(
        format,
        settings.text("log.filter"),
    )?)
}
