//! How long requests to the object store took, as agents' metrics count it in buckets, and whether
//! records came back as fast as those requests allow.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cost::{DUTY_LABEL, OPERATION_LABEL, label, samples};
use super::stats::Percentiles;

/// The histogram of a Millrace agent's requests to the object store.
const BUCKETS_METRIC: &str = "millrace_store_request_seconds_bucket";
const SUM_METRIC: &str = "millrace_store_request_seconds_sum";
/// What may pass between a record's PUTs and its reader, in milliseconds.
const BESIDE_PUTS_MS: f64 = 15.0;

/// Buckets by operation and duty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreLatencies(BTreeMap<(String, String), Buckets>);

/// Counts of what took at most so many seconds; the last bound is infinite.
#[derive(Clone, Debug, Default, PartialEq)]
struct Buckets {
    at_most: Vec<(f64, u64)>,
    sum: f64,
}

/// How long one kind of request took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreLatency {
    /// put, get, ...
    pub operation: String,
    /// produce, metadata, fetch, ...
    pub duty: String,
    /// Requests.
    pub count: u64,
    /// Their mean, exact.
    pub mean_ms: f64,
    /// Their median, from buckets: within the one it falls into it is interpolated.
    pub p50_ms: f64,
    /// The same of 99 %.
    pub p99_ms: f64,
}

impl StoreLatencies {
    /// Adds what a page of metrics in Prometheus' text format counts.
    pub fn add_page(&mut self, page: &str) {
        for (labels, value) in samples(page, BUCKETS_METRIC) {
            let bound = label(labels, "le").and_then(|le| le.parse::<f64>().ok());
            if let (Some(bound), Some(buckets)) = (bound, self.of(labels)) {
                let count = value as u64;
                match buckets.at_most.iter_mut().find(|(le, _)| *le == bound) {
                    Some((_, known)) => *known += count,
                    None => buckets.at_most.push((bound, count)),
                }
            }
        }
        for (labels, value) in samples(page, SUM_METRIC) {
            if let Some(buckets) = self.of(labels) {
                buckets.sum += value;
            }
        }
    }

    fn of(&mut self, labels: &str) -> Option<&mut Buckets> {
        let operation = label(labels, OPERATION_LABEL)?;
        let duty = label(labels, DUTY_LABEL).unwrap_or_default();
        Some(self.0.entry((operation, duty)).or_default())
    }

    /// What was added since `before`. Counters that went back belong to a new process.
    pub fn since(&self, before: &Self) -> Self {
        let added = self.0.iter().map(|(kind, now)| {
            let before = before.0.get(kind).filter(|before| before.sum <= now.sum);
            (kind.clone(), now.since(before))
        });
        Self(added.filter(|(_, buckets)| buckets.count() > 0).collect())
    }

    /// For the report.
    pub fn report(&self) -> Vec<StoreLatency> {
        let of = |((operation, duty), buckets): (&(String, String), &Buckets)| StoreLatency {
            operation: operation.clone(),
            duty: duty.clone(),
            count: buckets.count(),
            mean_ms: buckets.sum * 1_000.0 / buckets.count().max(1) as f64,
            p50_ms: buckets.quantile(0.5) * 1_000.0,
            p99_ms: buckets.quantile(0.99) * 1_000.0,
        };
        self.0.iter().map(of).collect()
    }
}

impl Buckets {
    fn count(&self) -> u64 {
        self.at_most.last().map_or(0, |(_, count)| *count)
    }

    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else {
            return self.clone();
        };
        let then = |bound: f64| before.at_most.iter().find(|(le, _)| *le == bound);
        let added = self.at_most.iter().map(|&(bound, now)| {
            (
                bound,
                now.saturating_sub(then(bound).map_or(0, |(_, then)| *then)),
            )
        });
        Self {
            at_most: added.collect(),
            sum: self.sum - before.sum,
        }
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let wanted = quantile * self.count() as f64;
        let (mut lower, mut below) = (0.0, 0);
        for &(bound, count) in &self.at_most {
            if count as f64 >= wanted && count > below {
                // Nothing is known of how far the last bucket reaches.
                let upper = if bound.is_finite() { bound } else { lower };
                return lower + (upper - lower) * (wanted - below as f64) / (count - below) as f64;
            }
            (lower, below) = (bound, count);
        }
        0.0
    }
}

/// What the median of end-to-end latency may be: a PUT of the object, one of the log entry, no GET
/// (what was written is in the cache), and 15 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EndToEnd {
    /// Median of an object's PUT.
    pub put_p50_ms: f64,
    /// Median of a log entry's.
    pub append_p50_ms: f64,
    /// Both and 15 ms.
    pub allowed_p50_ms: f64,
    /// What was measured.
    pub p50_ms: f64,
    /// Whether that is at most what is allowed.
    pub met: bool,
}

impl EndToEnd {
    /// None if something of it was not measured.
    pub fn new(latencies: &[StoreLatency], end_to_end: Option<Percentiles>) -> Option<Self> {
        let put = |duty: &str| {
            let of = |l: &&StoreLatency| l.operation == "put" && l.duty == duty;
            latencies.iter().find(of).map(|l| l.p50_ms)
        };
        let (put_p50_ms, append_p50_ms) = (put("produce")?, put("metadata")?);
        let (allowed_p50_ms, p50_ms) =
            (put_p50_ms + append_p50_ms + BESIDE_PUTS_MS, end_to_end?.p50);
        Some(Self {
            put_p50_ms,
            append_p50_ms,
            allowed_p50_ms,
            p50_ms,
            met: p50_ms <= allowed_p50_ms,
        })
    }
}

impl std::fmt::Display for EndToEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "end to end p50 {:.1} ms: {} of PUT {:.1} + append {:.1} + 15 = {:.1} ms",
            self.p50_ms,
            if self.met { "within" } else { "NOT within" },
            self.put_p50_ms,
            self.append_p50_ms,
            self.allowed_p50_ms,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(duty: &str, counts: [u64; 4], sum: f64) -> String {
        let bounds = ["0.025", "0.05", "0.1", "+Inf"];
        let line = |(bound, count)| {
            format!(
                "{BUCKETS_METRIC}{{duty=\"{duty}\",operation=\"put\",le=\"{bound}\"}} {count}\n"
            )
        };
        let buckets: String = bounds.iter().zip(counts).map(line).collect();
        format!("{buckets}{SUM_METRIC}{{duty=\"{duty}\",operation=\"put\"}} {sum}\n")
    }

    fn parsed(pages: &[String]) -> StoreLatencies {
        let mut latencies = StoreLatencies::default();
        pages.iter().for_each(|page| latencies.add_page(page));
        latencies
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let before = parsed(&[page("produce", [5, 5, 5, 5], 0.1)]);
        let after = parsed(&[page("produce", [5, 45, 105, 105], 6.1)]);
        let latency = after.since(&before).report().remove(0);
        assert_eq!((latency.duty.as_str(), latency.count), ("produce", 100));
        assert!((latency.mean_ms - 60.0).abs() < 1e-6, "{latency:?}");
        // 40 of 100 took up to 50 ms, 60 more up to 100: the 50th lies a sixth into these.
        assert!((latency.p50_ms - 58.333).abs() < 0.01, "{latency:?}");
        assert!((latency.p99_ms - 99.17).abs() < 0.01, "{latency:?}");
        assert!(after.since(&after).report().is_empty());
    }

    #[test]
    fn two_processes_are_one_and_a_new_one_begins_at_zero() {
        let one = page("produce", [0, 10, 10, 10], 0.3);
        let both = parsed(&[one.clone(), one.clone()]);
        assert_eq!(both.report()[0].count, 20);
        let restarted = parsed(&[one]).since(&parsed(&[page("produce", [0, 90, 90, 90], 9.0)]));
        assert_eq!(restarted.report()[0].count, 10);
    }

    #[test]
    fn the_median_may_take_two_puts_and_a_little() {
        let pages = [
            page("produce", [0, 10, 10, 10], 0.35),
            page("metadata", [0, 10, 10, 10], 0.35),
        ];
        let latencies = parsed(&pages).report();
        let of = |p50| {
            let (p95, p99, p999, max) = (p50, p50, p50, p50);
            EndToEnd::new(
                &latencies,
                Some(Percentiles {
                    p50,
                    p95,
                    p99,
                    p999,
                    max,
                }),
            )
            .unwrap()
        };
        assert!((of(90.0).allowed_p50_ms - 90.0).abs() < 1e-9);
        assert!(of(89.9).met && !of(90.1).met);
        assert!(of(90.1).to_string().contains("NOT within"));
        assert_eq!(EndToEnd::new(&latencies[..1], None), None);
    }
}
