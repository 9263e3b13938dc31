//! Owns where metrics are gathered, and their text for Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use crate::metric_definitions;

/// Why metrics cannot be gathered.
#[derive(Debug, thiserror::Error)]
#[error("cannot gather metrics: {0}")]
pub struct RecorderError(#[from] BuildError);

/// From half a millisecond, a read of memory, to a minute, past any deadline.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// From 1 KiB to 1 GiB in steps of 4.
const BYTES: [f64; 11] = [
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];
/// For whatever has no unit in its name.
const COUNTS: [f64; 12] = [
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 5_000.0, 25_000.0, 100_000.0,
];

/// How often what has been observed is folded into buckets, which bounds what is held until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    /// Starts gathering, for the whole process; called again, it returns the same handle.
    ///
    /// # Errors
    /// If something else gathers the metrics of this process already.
    pub fn install() -> Result<Self, RecorderError> {
        let mut installed = INSTALLED.lock();
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let metrics = Self(builder()?.install_recorder()?);
        metric_definitions::describe();
        *installed = Some(metrics.clone());
        Ok(metrics)
    }

    /// Every metric in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the memory that observations take within bounds. Runs until dropped, so it wants a
    /// task of its own, once in a process.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_string()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_string()), &BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_the_buckets_of_their_unit() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metric_definitions::describe();
            metrics::histogram!("x_seconds").record(0.003);
            metrics::histogram!("x_bytes").record(5_000.0);
            metrics::histogram!("x_runs").record(7.0);
            metrics::counter!(metric_definitions::STORE_RETRIES.name, "reason" => "failed")
                .increment(3);
        });
        let text = handle.render();
        for line in [
            "x_seconds_bucket{le=\"0.0025\"} 0",
            "x_seconds_bucket{le=\"0.005\"} 1",
            "x_bytes_bucket{le=\"4096\"} 0",
            "x_bytes_bucket{le=\"16384\"} 1",
            "x_runs_bucket{le=\"5\"} 0",
            "x_runs_bucket{le=\"10\"} 1",
            "# TYPE millrace_store_retries_total counter",
            "millrace_store_retries_total{reason=\"failed\"} 3",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
