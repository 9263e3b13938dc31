//! `millrace dev` and `millrace broker`: an agent as a process.

use std::process::ExitCode;

use broker::BrokerConfig;
use runtime::settings::Source;

use crate::process::Process;
use crate::settings_args::Args;
use crate::{Failure, plane};

/// Runs everything in one process.
pub async fn dev(args: Args) -> ExitCode {
    let defaults = [
        ("agent.id", "dev"),
        ("store.url", broker::STORE_URL_DEFAULT),
    ];
    report(run(args, Role::Dev, &defaults).await)
}

/// Runs an agent alone.
pub async fn broker(args: Args) -> ExitCode {
    report(run(args, Role::Broker, &[]).await)
}

fn report(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("millrace: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Everything.
    Dev,
    /// An agent alone.
    Broker,
}

async fn run(args: Args, role: Role, defaults: &[(&str, &str)]) -> Result<(), Failure> {
    let process = Process::start(args.resolve(defaults)?).await?;
    let Process {
        settings,
        shutdown,
        serving,
        health,
        clock,
        rng,
        admin_address,
    } = process;
    let opened = plane::open(plane::Access::Join, &settings, &clock, &rng).await?;
    tokio::spawn(opened.spending.publish(clock.clone()));
    let mut config = BrokerConfig::new(settings, opened.puts_cost);
    config.net.connections_max = connections_within_limit(config.net.connections_max);
    if config.resolved.source("cache.bytes") == Source::Default {
        config.fetch.cache.bytes_max = cache_within_memory(config.fetch.cache.bytes_max);
    }
    let store_url = config.resolved.text("store.url").to_owned();
    let metadata = config.resolved.text("metadata.log").to_owned();
    let duties = ::compactor::Config::new(&config.resolved);
    if role == Role::Dev {
        config.duties_bytes = duties.memory_bytes_max();
    }
    let running = broker::start(config, opened.parts, shutdown.clone()).await?;
    if role == Role::Dev {
        let parts = ::compactor::Parts {
            session: running.session.clone(),
            stores: opened.duty_stores,
            clock: clock.clone(),
            rng: rng.fork("compactor"),
        };
        tokio::spawn(::compactor::run(duties, parts, shutdown.clone()));
    }
    let mut unwell = running.unwell.clone();
    tokio::spawn(async move {
        while unwell.changed().await.is_ok() {
            match unwell.borrow_and_update().clone() {
                None => health.met(),
                Some(why) => health.unmet(why),
            }
        }
    });
    serving.met();
    announce(
        role,
        &running.address.to_string(),
        &admin_address.to_string(),
        &store_url,
        &metadata,
    );
    let ended = running.ended().await;
    tracing::info!("stopped");
    Ok(ended?)
}

/// As many of the connections that the settings allow as the process may have sockets for, with what it needs itself
/// left over: an agent that cannot open one more file could not upload either.
fn connections_within_limit(wanted: usize) -> usize {
    let limit = runtime::descriptors::raise_limit();
    let fit = runtime::descriptors::connections_within(wanted, limit);
    if let Some(limit) = limit.filter(|_| fit < wanted) {
        tracing::warn!(
            "max.connections is {wanted}, but this process may have only {limit} files open: it takes {fit} \
             connections. Raise the limit (ulimit -n, LimitNOFILE=) or lower max.connections"
        );
    }
    fit
}

/// As much of a cache that nobody has sized as leaves most of the memory.
fn cache_within_memory(wanted: u64) -> u64 {
    let total = runtime::memory::total();
    let fit = runtime::memory::cache_within(wanted, total);
    if let Some(total) = total.filter(|_| fit < wanted) {
        tracing::info!(
            total,
            cache_bytes = fit,
            "the cache takes a quarter of the memory; cache.bytes says otherwise"
        );
    }
    fit
}

fn announce(role: Role, address: &str, admin: &str, store: &str, metadata: &str) {
    let data = match store
        .strip_prefix("file://")
        .or((!store.contains("://")).then_some(store))
    {
        Some(path) => {
            std::path::absolute(path).map_or(path.to_owned(), |p| p.display().to_string())
        }
        None => store.to_owned(),
    };
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "millrace".to_owned());
    let role = match role {
        Role::Dev => "dev",
        Role::Broker => "broker",
    };
    sayln!("millrace {role} {}", env!("CARGO_PKG_VERSION"));
    sayln!("listening on {address}");
    sayln!("data in {data}, metadata log: {metadata}");
    sayln!("admin on http://{admin}");
    sayln!("try:");
    sayln!("  echo hello | {program} produce greetings --bootstrap {address}");
    sayln!("  {program} consume greetings --bootstrap {address} --from beginning --until-end");
    sayln!("  kcat -b {address} -t greetings -C -e");
}
