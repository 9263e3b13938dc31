//! `millrace bench`: load on any Kafka-protocol broker, measured and verified.
//!
//! [`scenario`] names loads; [`phase`] runs one against one broker; [`writer`], [`reader`] and
//! [`backfill`] are its workers; [`chain`] is what they verify; [`cost`], [`store_latency`] and
//! [`probe`] are what is counted beside the protocol; [`report`] and [`plot`] are the result.

mod args;
mod backfill;
mod chain;
mod cost;
mod live;
mod phase;
mod plot;
pub(super) mod probe;
mod ranges;
mod reader;
mod report;
mod restart;
mod scenario;
pub(super) mod stats;
mod store_latency;
mod template;
mod writer;

pub use args::Args;
pub(super) use args::duration;

use std::ffi::OsString;
use std::path::Path;

use runtime::{Rng, SystemClock};
use tokio_util::sync::CancellationToken;

use self::phase::{Run, Target};
use self::probe::Probe;
use self::report::{Document, RunReport, ScenarioReport};
use super::{Error, Result};

/// Does it. Fails with [`Error::Violation`] if the broker broke a promise.
pub async fn run(args: Args) -> Result<()> {
    let (json, plot) = (args.json.clone(), args.plot.clone());
    let mut targets = targets(&args);
    let loads = scenario::resolve(args, &given())?;
    let stop = stop_on_ctrl_c();
    let mut reports = Vec::new();
    for (scenario, args) in loads {
        if stop.is_cancelled() {
            break;
        }
        let name = scenario.map(scenario::Scenario::name);
        if let Some(name) = &name {
            println!("scenario {name}\n");
        }
        reports.push(run_load(name, args, &mut targets, &stop).await?);
        // What was found is kept even if a later one fails.
        if let Some(path) = &json {
            let text = serde_json::to_vec_pretty(&Document::new(&reports));
            write(
                path,
                &text.map_err(|error| Error::Failed(error.to_string()))?,
            )?;
        }
        if let Some(path) = &plot {
            write(
                path,
                plot::draw(&reports).map_err(Error::Failed)?.as_bytes(),
            )?;
        }
    }
    judge(
        reports
            .iter()
            .flat_map(|report| report.runs.iter().chain(&report.compared)),
    )
}

/// The broker, and the one it is compared with.
fn targets(args: &Args) -> (Target, Option<Target>) {
    let this = Target {
        bootstrap: args.bootstrap.bootstrap.clone(),
        restart: args.restart.clone(),
        probe: Probe {
            pid: args.broker_pid,
            admin: args.admin.clone(),
        },
    };
    let other = args.compare.as_ref().map(|bootstrap| Target {
        bootstrap: bootstrap.clone(),
        restart: args.compare_restart.clone(),
        probe: Probe {
            pid: args.compare_pid,
            admin: args.compare_admin.clone(),
        },
    });
    (this, other)
}

/// What follows the name of this command on the command line.
fn given() -> Vec<OsString> {
    let arguments = std::env::args_os().skip_while(|argument| argument != "bench");
    arguments.skip(1).collect()
}

/// All rounds of one load on all brokers.
async fn run_load(
    name: Option<String>,
    args: Args,
    (this, other): &mut (Target, Option<Target>),
    stop: &CancellationToken,
) -> Result<ScenarioReport> {
    if let Some(warming_up) = args.warming_up() {
        for target in std::iter::once(&mut *this).chain(other.as_mut()) {
            eprintln!("warming up {}", target.bootstrap);
            run_once(&warming_up, target, stop).await?;
        }
    }
    let (mut runs, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for (target, reports) in [
            (Some(&mut *this), &mut runs),
            (other.as_mut(), &mut compared),
        ] {
            let Some(target) = target.filter(|_| !stop.is_cancelled()) else {
                continue;
            };
            let report = run_once(&args, target, stop).await?;
            println!("{report}");
            reports.push(report);
        }
    }
    let report = ScenarioReport::new(name, args, runs, compared);
    if let Some(other) = other {
        let ratios = report::ratios(&report.ratios, &this.bootstrap, &other.bootstrap);
        println!("{ratios}");
    }
    Ok(report)
}

async fn run_once(args: &Args, target: &mut Target, stop: &CancellationToken) -> Result<RunReport> {
    // Each run may be stopped by its own failure; Ctrl-C stops them all.
    let stop = stop.child_token();
    let id = Rng::from_os().u64();
    let run = Run::open(args, target.clone(), SystemClock::shared(), stop, id).await?;
    let report;
    (report, *target) = run.run().await?;
    Ok(report)
}

/// The first Ctrl-C ends sending, and what was sent is still verified; the second ends the process.
fn stop_on_ctrl_c() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("finishing; once more to leave at once");
            token.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|error| Error::Io(path.display().to_string(), error))
}

fn judge<'a>(reports: impl Iterator<Item = &'a RunReport>) -> Result<()> {
    let (mut violations, mut errors) = (Vec::new(), Vec::new());
    for report in reports {
        violations.extend(
            report
                .violations
                .iter()
                .map(|v| format!("{}: {v}", report.bootstrap)),
        );
        errors.extend(
            report
                .errors
                .iter()
                .map(|e| format!("{}: {e}", report.bootstrap)),
        );
    }
    if !violations.is_empty() {
        return Err(Error::Violation(violations.join("; ")));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(errors.join("; "))),
    }
}
