//! What a benchmark found, for people and as JSON.

use serde::Serialize;

use super::super::table::{Align, Table, grouped};
use super::chain::Seen;
use super::cost::{Prices, StoreRequests};
use super::probe::Counters;
use super::stats::{Flow, Percentiles};

const MIB: f64 = (1 << 20) as f64;
const GIB: f64 = (1 << 30) as f64;

/// One direction of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct FlowReport {
    /// Records.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Tries of batches beyond the first.
    pub retries: u64,
    /// From the start of the phase to the last record.
    pub seconds: f64,
    /// Throughput.
    pub mib_per_second: f64,
    /// Throughput.
    pub records_per_second: f64,
    /// Acknowledgement latency when producing, end-to-end latency when consuming.
    pub latency_ms: Option<Percentiles>,
}

impl FlowReport {
    /// Of what was done in `seconds`.
    pub fn new(flow: &Flow, seconds: f64) -> Self {
        let seconds = seconds.max(1e-9);
        Self {
            records: flow.records,
            value_bytes: flow.bytes,
            batches: flow.batches,
            retries: flow.retries,
            seconds,
            mib_per_second: flow.bytes as f64 / MIB / seconds,
            records_per_second: flow.records as f64 / seconds,
            latency_ms: flow.percentiles(),
        }
    }
}

/// What a phase cost, per GiB of values produced (or consumed, if it only consumed).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    /// CPU seconds of the broker.
    pub broker_cpu_seconds: Option<f64>,
    /// The same per GiB.
    pub broker_cpu_seconds_per_gib: Option<f64>,
    /// CPU seconds of this process, the load generator.
    pub client_cpu_seconds: Option<f64>,
    /// Requests to the object store by operation.
    pub store_requests: Option<StoreRequests>,
    /// Requests at the price of a PUT.
    pub puts_per_gib: Option<f64>,
    /// Requests at the price of a GET.
    pub gets_per_gib: Option<f64>,
    /// For requests; neither storage nor traffic.
    pub dollars_per_gib: Option<f64>,
}

impl Cost {
    /// Of `counters` added while `bytes` went through.
    pub fn new(counters: Counters, bytes: u64, prices: &Prices) -> Self {
        let per_gib = |amount: f64| (bytes > 0).then(|| amount / (bytes as f64 / GIB));
        let store = counters.store.as_ref();
        Self {
            broker_cpu_seconds: counters.broker_cpu,
            broker_cpu_seconds_per_gib: counters.broker_cpu.and_then(per_gib),
            client_cpu_seconds: counters.client_cpu,
            puts_per_gib: store.and_then(|store| per_gib(store.puts() as f64)),
            gets_per_gib: store.and_then(|store| per_gib(store.gets() as f64)),
            dollars_per_gib: store.and_then(|store| per_gib(store.dollars(prices))),
            store_requests: counters.store,
        }
    }
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// "produce", "consume", or "produce and consume".
    pub phase: &'static str,
    /// What went out.
    pub produced: Option<FlowReport>,
    /// What came back.
    pub consumed: Option<FlowReport>,
    /// What it cost.
    pub cost: Cost,
}

/// What the hash chains say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Records acknowledged in this run; none if it did not produce, or with acks=0.
    pub acknowledged: Option<u64>,
    /// Records that came back, each counted once.
    pub received: u64,
    /// Of these, those that fit the record before them.
    pub verified: u64,
    /// Acknowledged and not received; if nothing was produced, gaps in the chains.
    pub lost: u64,
    /// Received again.
    pub duplicated: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// Not as they were sent.
    pub altered: u64,
    /// Offsets that do not follow the one before.
    pub offset_gaps: u64,
    /// Records of no benchmark.
    pub foreign: u64,
}

impl Verification {
    /// From what the readers saw.
    pub fn new(seen: Seen, acknowledged: Option<u64>, lost: u64) -> Self {
        Self {
            acknowledged,
            received: seen.records,
            verified: seen.linked,
            lost,
            duplicated: seen.duplicated,
            reordered: seen.reordered,
            altered: seen.altered,
            offset_gaps: seen.offset_gaps,
            foreign: seen.foreign,
        }
    }

    /// What was promised and not kept. Without idempotence a retry may store a batch twice, or
    /// behind a later one.
    pub fn violations(&self, idempotent: bool, retries: u64) -> Vec<String> {
        let once_and_in_order = idempotent || retries == 0;
        let ours_alone = self.foreign == 0;
        let checks = [
            (self.lost, "lost", true),
            (self.duplicated, "duplicated", once_and_in_order),
            (self.reordered, "out of order", once_and_in_order),
            (self.altered, "altered", true),
            (self.offset_gaps, "behind a gap in the offsets", ours_alone),
        ];
        let broken = checks
            .into_iter()
            .filter(|(count, _, promised)| *promised && *count > 0);
        broken
            .map(|(count, what, _)| format!("{} records {what}", grouped(count)))
            .collect()
    }
}

/// One run against one broker.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Where the broker is.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// In order.
    pub phases: Vec<PhaseReport>,
    /// None if nothing was consumed.
    pub verification: Option<Verification>,
    /// Promises that were not kept.
    pub violations: Vec<String>,
    /// Why it ended early.
    pub errors: Vec<String>,
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => grouped(value.round() as u64),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.01 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.6}"),
    }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), number)
}

impl std::fmt::Display for RunReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} topic {}\n", self.bootstrap, self.topic)?;
        writeln!(f, "{}", flows(&self.phases))?;
        let costs = costs(&self.phases);
        if !costs.is_empty() {
            writeln!(f, "{costs}")?;
        }
        let requests = requests(&self.phases);
        if !requests.is_empty() {
            writeln!(f, "{requests}")?;
        }
        if let Some(v) = &self.verification {
            let acknowledged = v.acknowledged.map_or_else(|| "none".into(), grouped);
            writeln!(
                f,
                "verified {} of {} received, {acknowledged} acknowledged: {} lost, {} duplicated, \
                 {} reordered, {} altered, {} offset gaps",
                grouped(v.verified),
                grouped(v.received),
                grouped(v.lost),
                grouped(v.duplicated),
                grouped(v.reordered),
                grouped(v.altered),
                grouped(v.offset_gaps),
            )?;
            if v.foreign > 0 {
                writeln!(
                    f,
                    "{} records of no benchmark in the topic",
                    grouped(v.foreign)
                )?;
            }
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        for error in &self.errors {
            writeln!(f, "ENDED EARLY: {error}")?;
        }
        Ok(())
    }
}

fn flows(phases: &[PhaseReport]) -> Table {
    let columns = [
        ("", Align::Left),
        ("MiB/s", Align::Right),
        ("records/s", Align::Right),
        ("MiB", Align::Right),
        ("s", Align::Right),
        ("p50 ms", Align::Right),
        ("p95", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("max", Align::Right),
        ("retries", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for phase in phases {
        for (name, flow) in [("produced", &phase.produced), ("consumed", &phase.consumed)] {
            let Some(flow) = flow else { continue };
            let latency = flow.latency_ms;
            let of = |get: fn(Percentiles) -> f64| optional(latency.map(get));
            table.row([
                name.to_owned(),
                number(flow.mib_per_second),
                number(flow.records_per_second),
                number(flow.value_bytes as f64 / MIB),
                number(flow.seconds),
                of(|p| p.p50),
                of(|p| p.p95),
                of(|p| p.p99),
                of(|p| p.p999),
                of(|p| p.max),
                if name == "produced" {
                    grouped(flow.retries)
                } else {
                    String::new()
                },
            ]);
        }
    }
    table
}

fn costs(phases: &[PhaseReport]) -> Table {
    let columns = [
        ("per GiB", Align::Left),
        ("broker CPU s", Align::Right),
        ("PUT", Align::Right),
        ("GET", Align::Right),
        ("dollars", Align::Right),
        ("(load generator CPU s in all)", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for phase in phases {
        let cost = &phase.cost;
        if cost.broker_cpu_seconds.is_none() && cost.store_requests.is_none() {
            continue;
        }
        table.row([
            phase.phase.to_owned(),
            optional(cost.broker_cpu_seconds_per_gib),
            optional(cost.puts_per_gib),
            optional(cost.gets_per_gib),
            optional(cost.dollars_per_gib),
            optional(cost.client_cpu_seconds),
        ]);
    }
    table
}

fn requests(phases: &[PhaseReport]) -> Table {
    let columns = [
        ("requests to the store", Align::Left),
        ("operation", Align::Left),
        ("duty", Align::Left),
        ("count", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for phase in phases {
        let operations = phase
            .cost
            .store_requests
            .iter()
            .flat_map(|requests| &requests.0);
        for (operation, duties) in operations {
            for (duty, count) in duties {
                let count = grouped(*count);
                table.row([
                    phase.phase.to_owned(),
                    operation.clone(),
                    duty.clone(),
                    count,
                ]);
            }
        }
    }
    table
}

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
    let (these, others) = (means(these), means(others));
    let ratio = |(measure, this): (String, f64)| {
        let other = others.iter().find(|(name, _)| *name == measure)?.1;
        (other > 0.0).then(|| Ratio {
            measure,
            this,
            other,
            ratio: this / other,
        })
    };
    these.into_iter().filter_map(ratio).collect()
}

fn means(runs: &[RunReport]) -> Vec<(String, f64)> {
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
    let mut measures = Vec::new();
    for phase in &run.phases {
        let flows = [
            ("produce", "ack", &phase.produced),
            ("consume", "end to end", &phase.consumed),
        ];
        for (way, latency, flow) in flows {
            let Some(flow) = flow else { continue };
            measures.push((format!("{way} MiB/s"), flow.mib_per_second));
            if let Some(p) = flow.latency_ms {
                measures.push((format!("{latency} p50 ms"), p.p50));
                measures.push((format!("{latency} p99 ms"), p.p99));
            }
        }
        if let Some(seconds) = phase.cost.broker_cpu_seconds_per_gib {
            measures.push((format!("{}: broker CPU s per GiB", phase.phase), seconds));
        }
    }
    measures
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

#[cfg(test)]
mod tests;
