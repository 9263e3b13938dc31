//! Owns the form in which a crate declares its metrics: one table, from which they are described
//! to the recorder and documented.

use metrics::Unit;

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The declaration of a metric. Used by name: `metrics::counter!(PUTS.name).increment(1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name in Prometheus' style: counters end in `_total`, units are in the name.
    pub name: &'static str,
    /// What it does over time.
    pub kind: MetricKind,
    /// What it is measured in.
    pub unit: Unit,
    /// What it tells.
    pub help: &'static str,
    /// The names of its labels, with their values where those are few.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// Declares something that only grows.
    pub const fn counter(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            unit,
            help,
            labels,
        }
    }

    /// Declares something that goes up and down.
    pub const fn gauge(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Gauge,
            unit,
            help,
            labels,
        }
    }

    /// Declares a distribution. A name ending in `_seconds` or `_bytes` gets the buckets that suit.
    pub const fn histogram(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Histogram,
            unit,
            help,
            labels,
        }
    }
}

/// Tells the installed recorder what `metrics` are.
pub fn describe(metrics: &[Metric]) {
    for metric in metrics {
        match metric.kind {
            MetricKind::Counter => {
                metrics::describe_counter!(metric.name, metric.unit, metric.help);
            }
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            MetricKind::Histogram => {
                metrics::describe_histogram!(metric.name, metric.unit, metric.help);
            }
        }
    }
}

/// A table of `metrics` for the documentation.
pub fn render_markdown(metrics: &[Metric]) -> String {
    let mut text =
        String::from("| Metric | Kind | Unit | Labels | Tells |\n|---|---|---|---|---|\n");
    for metric in metrics {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        text.push_str(&format!(
            "| `{}` | {kind} | {} | {} | {} |\n",
            metric.name,
            metric.unit.as_str(),
            labels.join(", "),
            metric.help
        ));
    }
    text
}
