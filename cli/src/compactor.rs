//! `millrace compactor`: the background duties as a process of their own.

use std::process::ExitCode;
use std::time::Duration;

use broker::BrokerConfig;
use control_plane::replica::{CheckpointDuty, Replica, ReplicaParts, Session, keep_alive};
use control_plane::state::{RegisterAgent, State};
use runtime::settings::Resolved;
use runtime::telemetry::Condition;
use runtime::{Rng, SharedClock, Shutdown, SystemClock};

use crate::process::{Process, init_logging, listen_for_signals};
use crate::settings_args;
use crate::tools::table::{Align, Table};
use crate::{Failure, direct, plane};

/// Rewrite small objects, apply retention, collect garbage, verify what is stored.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Do what there is to do, without waiting for small objects to become many, and exit.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    settings: settings_args::Args,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Show what waits to be done, the jobs under way and what was found to be damaged.
    Status {
        #[command(flatten)]
        settings: settings_args::Args,
    },
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Some(Command::Status { settings }) => status(settings).await,
        None if args.once => once(args.settings).await,
        None => serve(args.settings).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("millrace: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Does the duties until it is told to stop.
async fn serve(args: settings_args::Args) -> Result<(), Failure> {
    let process = Process::start(args.resolve(&[])?).await?;
    let Process {
        settings,
        shutdown,
        serving,
        health,
        clock,
        rng,
        ..
    } = process;
    let unwell_after = settings.duration("agent.unwell.after.ms");
    let joined = Joined::open(settings, &clock, &rng, &shutdown).await?;
    let alive = joined.stay(&shutdown);
    let replica = joined.session.replica().clone();
    let watched = watch_log(replica, health, unwell_after, shutdown.clone());
    runtime::tasks::spawn("health", &shutdown, watched);
    serving.met();
    sayln!("millrace compactor {}", env!("CARGO_PKG_VERSION"));
    sayln!("working as {} on {}", joined.name, joined.store_url);
    sayln!("admin on http://{}", process.admin_address);
    let replica = joined.session.replica().clone();
    tokio::select! {
        biased;
        failure = replica.failed() => {
            shutdown.begin();
            return Err(failure.into());
        }
        () = ::compactor::run(joined.config, joined.parts, shutdown.clone()) => {}
    }
    let leave = async {
        let _ = alive.await;
        joined.session.leave().await
    };
    if shutdown.drained(leave).await.is_none() {
        tracing::warn!("could not leave the cluster within drain.timeout.ms");
    }
    tracing::info!("stopped");
    match shutdown.reason() {
        Some(reason) if reason.exit_code() != 0 => Err(reason.to_string().into()),
        _ => Ok(()),
    }
}

/// A compactor that cannot reach the metadata log is not ready.
async fn watch_log(replica: Replica, health: Condition, after: Duration, shutdown: Shutdown) {
    let ticks = async {
        loop {
            let unreached = replica.unreached_for();
            match unreached >= after {
                true => health.unmet(format!(
                    "the metadata log has not answered for {} s",
                    unreached.as_secs()
                )),
                false => health.met(),
            }
            tokio::time::sleep(after / 5).await;
        }
    };
    let _: Option<()> = shutdown.unless_begun(ticks).await;
}

/// Does what there is to do.
async fn once(args: settings_args::Args) -> Result<(), Failure> {
    let settings = args.resolve(&[])?;
    init_logging(&settings)?;
    let shutdown = Shutdown::new(settings.duration("drain.timeout.ms"));
    listen_for_signals(&shutdown)?;
    let (clock, rng) = (SystemClock::shared(), Rng::from_os());
    let joined = Joined::open(settings, &clock, &rng, &shutdown).await?;
    joined.stay(&shutdown);
    let replica = joined.session.replica().clone();
    let drained = tokio::select! {
        biased;
        failure = replica.failed() => return Err(failure.into()),
        drained = shutdown.unless_begun(::compactor::drain(&joined.config, &joined.parts)) => drained,
    };
    let left = joined.session.leave().await;
    let drained = drained.ok_or("stopped before everything was done")??;
    left?;
    let rewritten = drained.rewritten;
    sayln!("{} partitions shortened by retention", drained.retained);
    sayln!("{} deleted topics gone for good", drained.purged);
    sayln!(
        "{} runs rewritten into {} objects: {} bytes read, {} written",
        rewritten.replaced,
        rewritten.objects,
        rewritten.bytes_read,
        rewritten.bytes_written
    );
    sayln!("{} objects deleted", drained.collected);
    sayln!(
        "{} objects verified, {} damaged",
        drained.scrubbed.good,
        drained.scrubbed.damaged
    );
    match drained.scrubbed.damaged {
        0 => Ok(()),
        damaged => {
            Err(format!("{damaged} objects are damaged: see `millrace compactor status`").into())
        }
    }
}

/// A process that is registered to do the duties.
struct Joined {
    name: String,
    store_url: String,
    session: Session,
    config: ::compactor::Config,
    parts: ::compactor::Parts,
    agent: BrokerConfig,
}

impl Joined {
    async fn open(
        settings: Resolved,
        clock: &SharedClock,
        rng: &Rng,
        shutdown: &Shutdown,
    ) -> Result<Self, Failure> {
        if settings.text("metadata.log") == "memory" {
            return Err(
                "a metadata log in memory is seen by no other process: use `millrace dev`".into(),
            );
        }
        let opened = plane::open(plane::Access::Join, &settings, clock, rng).await?;
        tokio::spawn(opened.spending.publish(clock.clone()));
        let replica = ReplicaParts {
            log: opened.parts.log,
            checkpoints: opened.parts.checkpoints,
            clock: clock.clone(),
            rng: rng.fork("replica"),
        };
        let replica = Replica::open(replica, shutdown).await?;
        let name = match settings.opt_text("agent.id") {
            Some(id) => id.to_owned(),
            None => format!("compactor-{:08x}", rng.u64() as u32),
        };
        let registration = RegisterAgent {
            zone: settings.opt_text("zone").map(str::to_owned),
            version_max: broker::metadata_version_max(&settings),
            ..RegisterAgent::new(rng.uuid(), name.clone())
        };
        let session = replica.join(registration, shutdown).await?;
        if let Some(secret) = opened.parts.peer_secret {
            broker::relay_appends(&session, secret, clock, rng);
        }
        let parts = ::compactor::Parts {
            session: session.clone(),
            stores: opened.duty_stores,
            clock: clock.clone(),
            rng: rng.fork("compactor"),
        };
        Ok(Self {
            name,
            store_url: settings.text("store.url").to_owned(),
            session,
            config: ::compactor::Config::new(&settings),
            parts,
            agent: BrokerConfig::new(settings, opened.puts_cost),
        })
    }

    /// Keeps the registration, and takes its turn at writing checkpoints.
    fn stay(&self, shutdown: &Shutdown) -> tokio::task::JoinHandle<Option<()>> {
        let duty = CheckpointDuty::new(self.session.clone(), self.agent.checkpoint);
        runtime::tasks::spawn("checkpoints", shutdown, duty.run(shutdown.clone()));
        let liveness = self.agent.liveness;
        let alive = keep_alive(self.session.clone(), liveness, shutdown.clone());
        runtime::tasks::spawn("liveness", shutdown, alive)
    }
}

/// Shows what waits to be done.
async fn status(args: settings_args::Args) -> Result<(), Failure> {
    let settings = args.resolve(&[("store.url", broker::STORE_URL_DEFAULT)])?;
    let config = ::compactor::Config::new(&settings);
    let opened = direct::open(plane::Access::Look, &settings).await?;
    opened.replica.read(|state| show_status(state, &config));
    Ok(())
}

fn show_status(state: &State, config: &::compactor::Config) {
    let now_ms = state.log_time_ms();
    let age = |since_ms: i64| format!("{} s", now_ms.saturating_sub(since_ms).max(0) / 1000);
    let (objects, bytes, oldest) = ::compactor::layout::fresh_backlog(state, &config.limits);
    let oldest = oldest.map_or("none".to_owned(), age);
    sayln!("small objects:  {objects}, {bytes} bytes, the oldest for {oldest}");
    let totals = ::compactor::Totals::of(state);
    sayln!(
        "stored:         {} bytes of records in {} runs, {} bytes of objects",
        totals.live_bytes,
        totals.extents,
        totals.object_bytes
    );
    sayln!(
        "cold reads:     {:.0} GETs for a GiB, {:.2} bytes read for one delivered",
        totals.cold_requests_per_gib(),
        totals.cold_amplification()
    );
    sayln!(
        "deleted topics: {} kept: see `millrace topic list --deleted`",
        state.deleted_topics().count()
    );
    let garbage = state.garbage().map(|(_, garbage)| garbage.since_ms).min();
    let waiting = garbage.map_or("none".to_owned(), age);
    sayln!(
        "garbage:        {} objects, {} bytes, the oldest for {waiting}",
        totals.garbage_objects,
        totals.garbage_bytes
    );
    if let Some(per_gib) = totals.metadata_bytes_per_gib() {
        sayln!("metadata:       {per_gib:.0} bytes for a GiB");
    }
    sayln!(
        "departed:       {} processes whose orphans are not collected",
        state.departed().count()
    );
    let unverified = state.objects().map(|(_, object)| object.checked_ms).min();
    sayln!(
        "unverified for: {} at most",
        unverified.map_or("none".to_owned(), age)
    );
    let columns = [
        ("JOB", Align::Right),
        ("KIND", Align::Left),
        ("HOLDER", Align::Left),
        ("BYTES", Align::Right),
        ("AGE", Align::Right),
        ("LAST HEARD", Align::Right),
    ];
    let mut jobs = Table::new(&columns);
    for (id, job) in state.jobs() {
        let holder = state.agent(job.holder);
        let holder = holder.map_or("gone".to_owned(), |a| a.registration.agent_id.clone());
        jobs.row([
            id.to_string(),
            format!("{:?}", job.kind).to_lowercase(),
            holder,
            job.bytes.to_string(),
            age(job.claimed_ms),
            age(job.renewed_ms),
        ]);
    }
    match state.jobs().count() {
        0 => sayln!("jobs:           none"),
        _ => say!("{jobs}"),
    }
    for (id, damage) in state.damaged() {
        let key = object_format::path::data(id);
        sayln!(
            "DAMAGED {key}: {}, found {} ago",
            damage.what,
            age(damage.found_ms)
        );
    }
}
