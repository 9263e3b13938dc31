//! `millrace bench`: load on any Kafka-protocol broker, measured and verified.
//!
//! [`phase`] runs one broker; [`writer`] and [`reader`] are its workers; [`chain`] is what they
//! verify; [`cost`] and [`probe`] are what is counted beside the protocol; [`report`] is the result.

mod args;
mod chain;
mod cost;
mod live;
mod phase;
pub(super) mod probe;
mod ranges;
mod reader;
mod report;
pub(super) mod stats;
mod template;
mod writer;

pub use args::Args;
pub(super) use args::duration;

use std::path::Path;

use runtime::{Rng, SystemClock};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::phase::{Run, Target};
use self::probe::Probe;
use self::report::{Ratio, RunReport};
use super::{Error, Result};

#[derive(Serialize)]
struct Document<'a> {
    /// As given on the command line.
    command: Vec<String>,
    /// Runs against the first broker.
    runs: &'a [RunReport],
    /// Runs against the broker compared with.
    compared: &'a [RunReport],
    /// Means of the first over means of the other.
    ratios: &'a [Ratio],
}

/// Does it. Fails with [`Error::Violation`] if the broker broke a promise.
pub async fn run(args: Args) -> Result<()> {
    args.check()?;
    let target = |bootstrap: &str, pid, admin| Target {
        bootstrap: bootstrap.to_owned(),
        probe: Probe { pid, admin },
    };
    let this = target(
        &args.bootstrap.bootstrap,
        args.broker_pid,
        args.admin.clone(),
    );
    let other = args
        .compare
        .as_ref()
        .map(|other| target(other, args.compare_pid, None));
    let stop = stop_on_ctrl_c();
    if let Some(warming_up) = args.warming_up() {
        for target in std::iter::once(&this).chain(&other) {
            eprintln!("warming up {}", target.bootstrap);
            run_once(&warming_up, target, &stop).await?;
        }
    }
    let (mut runs, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for (target, reports) in [(Some(&this), &mut runs), (other.as_ref(), &mut compared)] {
            let Some(target) = target.filter(|_| !stop.is_cancelled()) else {
                continue;
            };
            let report = run_once(&args, target, &stop).await?;
            println!("{report}");
            reports.push(report);
        }
    }
    let ratios = report::compare(&runs, &compared);
    if let Some(other) = &other {
        print!(
            "{}",
            report::ratios(&ratios, &this.bootstrap, &other.bootstrap)
        );
    }
    if let Some(path) = &args.json {
        let document = Document {
            command: std::env::args().collect(),
            runs: &runs,
            compared: &compared,
            ratios: &ratios,
        };
        write_json(path, &document)?;
    }
    judge(runs.iter().chain(&compared))
}

async fn run_once(args: &Args, target: &Target, stop: &CancellationToken) -> Result<RunReport> {
    // Each run may be stopped by its own failure; Ctrl-C stops them all.
    let stop = stop.child_token();
    let id = Rng::from_os().u64();
    Run::open(args, target, SystemClock::shared(), stop, id)
        .await?
        .run()
        .await
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

fn write_json(path: &Path, document: &Document<'_>) -> Result<()> {
    let io = |error| Error::Io(path.display().to_string(), error);
    let text = serde_json::to_vec_pretty(document).map_err(|error| io(error.into()))?;
    std::fs::write(path, text).map_err(io)
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
