//! What a benchmark found: serialized it is the JSON, displayed it is for people.

mod compared;
mod document;
mod shown;

use serde::Serialize;

pub use self::compared::{Ratio, beside, compare, means, ratios};
pub use self::document::{Document, ScenarioReport};

use super::super::table::grouped;
use super::chain::Seen;
use super::cost::{Prices, StoreRequests};
use super::probe::Counters;
use super::stats::{Flow, Percentiles};
use super::store_latency::{EndToEnd, StoreLatency};

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
    /// The most resident memory the broker had in the phase, in bytes: exact if it never had more before, else the most
    /// that was seen once a second.
    pub broker_memory_peak_bytes: Option<u64>,
    /// The most that its settings let it have, as it says itself.
    pub broker_memory_bound_bytes: Option<u64>,
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
    /// How long requests took.
    pub store_latency: Vec<StoreLatency>,
}

impl Cost {
    /// Of `counters` added while `bytes` went through.
    pub fn new(counters: Counters, bytes: u64, prices: &Prices) -> Self {
        let per_gib = |amount: f64| (bytes > 0).then(|| amount / (bytes as f64 / GIB));
        let store = counters.store.as_ref();
        Self {
            broker_cpu_seconds: counters.broker_cpu,
            broker_cpu_seconds_per_gib: counters.broker_cpu.and_then(per_gib),
            broker_memory_peak_bytes: counters.memory.peak,
            broker_memory_bound_bytes: counters.memory.bound,
            client_cpu_seconds: counters.client_cpu,
            puts_per_gib: store.and_then(|store| per_gib(store.puts() as f64)),
            gets_per_gib: store.and_then(|store| per_gib(store.gets() as f64)),
            dollars_per_gib: store.and_then(|store| per_gib(store.dollars(prices))),
            store_latency: counters.store_latencies.report(),
            store_requests: counters.store,
        }
    }
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// "produce", "consume", "produce and consume", or "beside catch-up": the same while old
    /// records are read.
    pub phase: &'static str,
    /// What went out.
    pub produced: Option<FlowReport>,
    /// What came back.
    pub consumed: Option<FlowReport>,
    /// Old records that came back beside.
    pub caught_up: Option<FlowReport>,
    /// What it cost.
    pub cost: Cost,
    /// Whether the median of end-to-end latency is what two PUTs explain; none without --admin.
    pub end_to_end: Option<EndToEnd>,
    /// What was done when.
    pub seconds: Vec<Second>,
}

impl PhaseReport {
    /// Compares end-to-end latency with that of the PUTs.
    pub fn judge_latency(&mut self) {
        let tails = self.produced.is_some() && self.consumed.is_some();
        let latency = self.consumed.as_ref().and_then(|flow| flow.latency_ms);
        self.end_to_end = EndToEnd::new(&self.cost.store_latency, latency).filter(|_| tails);
    }
}

/// About a second of a phase.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Second {
    /// Its end, since the start of the phase.
    pub at_seconds: f64,
    /// Values acknowledged.
    pub produced_mib_per_second: Option<f64>,
    /// Median latency of their acknowledgement.
    pub ack_p50_ms: Option<f64>,
    /// The same of 99 %.
    pub ack_p99_ms: Option<f64>,
    /// Values that came back, to all groups together.
    pub consumed_mib_per_second: Option<f64>,
    /// Median of end-to-end latency.
    pub end_to_end_p50_ms: Option<f64>,
    /// The same of 99 %.
    pub end_to_end_p99_ms: Option<f64>,
    /// Old values that came back beside.
    pub caught_up_mib_per_second: Option<f64>,
}

impl Second {
    /// Of what was produced, consumed and caught up with in `seconds`.
    pub fn new(at_seconds: f64, seconds: f64, flows: [Option<&Flow>; 3]) -> Self {
        let speed = |flow: Option<&Flow>| Some(flow?.bytes as f64 / MIB / seconds);
        let [produced, consumed, caught_up] = flows;
        let ack = produced.and_then(Flow::percentiles);
        let end_to_end = consumed.and_then(Flow::percentiles);
        Self {
            at_seconds,
            produced_mib_per_second: speed(produced),
            ack_p50_ms: ack.map(|ack| ack.p50),
            ack_p99_ms: ack.map(|ack| ack.p99),
            consumed_mib_per_second: speed(consumed),
            end_to_end_p50_ms: end_to_end.map(|latency| latency.p50),
            end_to_end_p99_ms: end_to_end.map(|latency| latency.p99),
            caught_up_mib_per_second: speed(caught_up),
        }
    }
}

/// What the hash chains say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Records acknowledged in this run; none if it did not produce, or with acks=0.
    pub acknowledged: Option<u64>,
    /// What all readers together saw: a record once for each group that reads it.
    #[serde(flatten)]
    pub seen: Seen,
    /// Acknowledged and not received; if nothing was produced, gaps in the chains.
    pub lost: u64,
}

impl Verification {
    /// Adds what another reader saw and did not see.
    pub fn add(&mut self, seen: Seen, lost: u64) {
        self.seen += seen;
        self.lost += lost;
    }

    /// What was promised and not kept. Without idempotence a retry may store a batch twice, or
    /// behind a later one.
    pub fn violations(&self, idempotent: bool, retries: u64) -> Vec<String> {
        let once_and_in_order = idempotent || retries == 0;
        let seen = self.seen;
        let ours_alone = seen.foreign == 0;
        let checks = [
            (self.lost, "lost", true),
            (seen.duplicated, "duplicated", once_and_in_order),
            (seen.reordered, "out of order", once_and_in_order),
            (seen.altered, "altered", true),
            (seen.offset_gaps, "behind a gap in the offsets", ours_alone),
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
    /// Of the records that were caught up with; none if none were.
    pub catch_up_verification: Option<Verification>,
    /// Promises that were not kept.
    pub violations: Vec<String>,
    /// Why it ended early.
    pub errors: Vec<String>,
}

#[cfg(test)]
pub(super) mod tests;
