//! The report as JSON. Its form is described in docs/BENCHMARKS.md; what changes there changes
//! [`SCHEMA`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::args::Args;
use super::{Ratio, RunReport, beside, compare, means};

/// Version of the form.
pub const SCHEMA: u32 = 1;

/// All of it.
#[derive(Serialize)]
pub struct Document<'a> {
    /// Version of the form.
    pub schema: u32,
    /// As given on the command line.
    pub command: Vec<String>,
    /// The machine of the load generator.
    pub host: Host,
    /// One for each scenario; without any, one.
    pub scenarios: &'a [ScenarioReport],
}

impl<'a> Document<'a> {
    /// Of what was found here and now.
    pub fn new(scenarios: &'a [ScenarioReport]) -> Self {
        Self {
            schema: SCHEMA,
            command: std::env::args().collect(),
            host: Host::read(),
            scenarios,
        }
    }
}

/// What is known of a machine, without its name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Host {
    /// Such as linux.
    pub os: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// As the kernel names it.
    pub processor: Option<String>,
    /// Processors that this process may use.
    pub processors: usize,
    /// Bytes.
    pub memory_bytes: Option<u64>,
}

impl Host {
    fn read() -> Self {
        let file = |path| std::fs::read_to_string(path).ok();
        let field = |path, name: &str| {
            let text = file(path)?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(['\t', ' ', ':']).trim().to_owned())
        };
        let kib = field("/proc/meminfo", "MemTotal")
            .and_then(|total| total.strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Self {
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            kernel: file("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kib.map(|kib| kib << 10),
        }
    }
}

/// All rounds of one scenario.
#[derive(Serialize)]
pub struct ScenarioReport {
    /// Its name; none if flags alone said what to do.
    pub scenario: Option<String>,
    /// The load.
    pub settings: Args,
    /// Runs against the first broker.
    pub runs: Vec<RunReport>,
    /// Runs against the broker compared with.
    pub compared: Vec<RunReport>,
    /// Each measure of the first, as the mean of its rounds.
    pub means: BTreeMap<String, f64>,
    /// The same of the other.
    pub compared_means: BTreeMap<String, f64>,
    /// Means of the first over means of the other.
    pub ratios: Vec<Ratio>,
    /// Means beside catch-up over means without it, of the first.
    pub beside: Vec<Ratio>,
}

impl ScenarioReport {
    /// Of all rounds.
    pub fn new(
        scenario: Option<String>,
        settings: Args,
        runs: Vec<RunReport>,
        compared: Vec<RunReport>,
    ) -> Self {
        Self {
            scenario,
            settings,
            means: means(&runs).into_iter().collect(),
            compared_means: means(&compared).into_iter().collect(),
            ratios: compare(&runs, &compared),
            beside: beside(&runs),
            runs,
            compared,
        }
    }

    /// What to call it.
    pub fn title(&self) -> &str {
        self.scenario.as_deref().unwrap_or("bench")
    }
}
