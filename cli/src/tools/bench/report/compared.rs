//! Measures of several runs, and how they relate.

use serde::Serialize;

use super::super::super::table::{Align, Table};
use super::shown::number;
use super::{PhaseReport, RunReport};

/// One measure of two brokers, each the mean of its rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// What was measured.
    pub measure: String,
    /// Of the first broker.
    pub this: f64,
    /// Of the broker compared with.
    pub other: f64,
    /// this / other.
    pub ratio: f64,
}

/// Compares the measures that both have.
pub fn compare(these: &[RunReport], others: &[RunReport]) -> Vec<Ratio> {
    let others = means(others);
    let ratio = |(measure, this): &(String, f64)| Ratio::new(measure, *this, &others);
    means(these).iter().filter_map(ratio).collect()
}

impl Ratio {
    /// None if the other has no such measure, or none that is more than 0.
    fn new(measure: &str, this: f64, others: &[(String, f64)]) -> Option<Self> {
        let (_, other) = others.iter().find(|(name, _)| name == measure)?;
        (*other > 0.0).then(|| Self {
            measure: measure.to_owned(),
            this,
            other: *other,
            ratio: this / other,
        })
    }
}

/// The mean of each measure over the runs that have it.
pub fn means(runs: &[RunReport]) -> Vec<(String, f64)> {
    let mut sums: Vec<(String, f64, f64)> = Vec::new();
    for (name, value) in runs.iter().flat_map(measures) {
        match sums.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
            None => sums.push((name, value, 1.0)),
        }
    }
    sums.into_iter()
        .map(|(name, sum, count)| (name, sum / count))
        .collect()
}

fn measures(run: &RunReport) -> Vec<(String, f64)> {
    run.phases.iter().flat_map(of_phase).collect()
}

/// What stands before the measures of a phase beside which something else goes on.
const BESIDE: &str = "beside catch-up: ";

fn of_phase(phase: &PhaseReport) -> Vec<(String, f64)> {
    let before = if phase.caught_up.is_some() {
        BESIDE
    } else {
        ""
    };
    let mut measures = Vec::new();
    let flows = [
        ("produce", "ack", &phase.produced),
        ("consume", "end to end", &phase.consumed),
        ("old records", "", &phase.caught_up),
    ];
    for (way, latency, flow) in flows {
        let Some(flow) = flow else { continue };
        measures.push((format!("{before}{way} MiB/s"), flow.mib_per_second));
        if let Some(p) = flow.latency_ms {
            for (quantile, ms) in [("p50", p.p50), ("p99", p.p99), ("p99.9", p.p999)] {
                measures.push((format!("{before}{latency} {quantile} ms"), ms));
            }
        }
    }
    // In a phase without another name before it, the phase's own says what it is per GiB of.
    let cost = match before {
        "" => format!("{}: ", phase.phase),
        before => before.to_owned(),
    };
    let costs = [
        ("broker CPU s", phase.cost.broker_cpu_seconds_per_gib),
        ("PUTs", phase.cost.puts_per_gib),
        ("GETs", phase.cost.gets_per_gib),
        ("dollars", phase.cost.dollars_per_gib),
    ];
    for (what, per_gib) in costs {
        measures.extend(per_gib.map(|per_gib| (format!("{cost}{what} per GiB"), per_gib)));
    }
    measures
}

/// The measures of the phase beside catch-up over those of the phase without.
pub fn beside(runs: &[RunReport]) -> Vec<Ratio> {
    let means = means(runs);
    let ratio =
        |(name, this): &(String, f64)| Ratio::new(name.strip_prefix(BESIDE)?, *this, &means);
    means.iter().filter_map(ratio).collect()
}

/// The ratios as a table.
pub fn ratios(ratios: &[Ratio], this: &str, other: &str) -> Table {
    let columns = [
        ("", Align::Left),
        (this, Align::Right),
        (other, Align::Right),
        ("ratio", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for r in ratios {
        table.row([
            r.measure.clone(),
            number(r.this),
            number(r.other),
            format!("{:.2}", r.ratio),
        ]);
    }
    table
}
