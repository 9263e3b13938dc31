//! Requests to the object store, as an agent's metrics count them, and what they cost.

use std::collections::BTreeMap;

use serde::Serialize;

/// The counter of requests to the object store in a Millrace agent's /metrics.
const REQUESTS_METRIC: &str = "millrace_store_requests_total";
/// Its label that says which request.
pub(super) const OPERATION_LABEL: &str = "operation";
/// Its label that says what for.
pub(super) const DUTY_LABEL: &str = "duty";
/// Operations at the price of a PUT, as S3 groups them. Those of neither list are free.
const PUT_CLASS: [&str; 3] = ["put", "list", "copy"];
/// Operations at the price of a GET.
const GET_CLASS: [&str; 2] = ["get", "head"];

/// What requests cost, in dollars. The defaults are S3 standard's.
#[derive(clap::Args, Clone, Copy, Debug, Serialize)]
pub struct Prices {
    /// Dollars for 1,000 PUT, LIST or COPY requests.
    #[arg(long = "put-price", value_name = "DOLLARS", default_value_t = 0.005)]
    pub per_1000_puts: f64,
    /// Dollars for 1,000 GET or HEAD requests.
    #[arg(long = "get-price", value_name = "DOLLARS", default_value_t = 0.0004)]
    pub per_1000_gets: f64,
}

/// Requests by operation and duty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreRequests(pub BTreeMap<String, BTreeMap<String, u64>>);

impl StoreRequests {
    /// Adds what a page of metrics in Prometheus' text format counts.
    pub fn add_page(&mut self, page: &str) {
        for (labels, value) in samples(page, REQUESTS_METRIC) {
            let Some(operation) = label(labels, OPERATION_LABEL) else {
                continue;
            };
            let duty = label(labels, DUTY_LABEL).unwrap_or_default();
            *self
                .0
                .entry(operation)
                .or_default()
                .entry(duty)
                .or_default() += value as u64;
        }
    }

    /// What was added since `before`. A counter that went back belongs to a new process.
    pub fn since(&self, before: &Self) -> Self {
        let mut added = Self::default();
        for (operation, duties) in &self.0 {
            for (duty, &now) in duties {
                let before = before.0.get(operation).and_then(|duties| duties.get(duty));
                let before = before.copied().filter(|before| *before <= now).unwrap_or(0);
                if now > before {
                    let duties = added.0.entry(operation.clone()).or_default();
                    duties.insert(duty.clone(), now - before);
                }
            }
        }
        added
    }

    fn of(&self, operations: &[&str]) -> u64 {
        let duties = operations
            .iter()
            .filter_map(|operation| self.0.get(*operation));
        duties.flat_map(BTreeMap::values).sum()
    }

    /// Requests at the price of a PUT.
    pub fn puts(&self) -> u64 {
        self.of(&PUT_CLASS)
    }

    /// Requests at the price of a GET.
    pub fn gets(&self) -> u64 {
        self.of(&GET_CLASS)
    }

    /// What they cost.
    pub fn dollars(&self, prices: &Prices) -> f64 {
        (self.puts() as f64 * prices.per_1000_puts + self.gets() as f64 * prices.per_1000_gets)
            / 1_000.0
    }
}

/// The value of a metric without labels on such a page.
pub(super) fn value(page: &str, metric: &str) -> Option<f64> {
    let of = |line: &str| {
        let rest = line.strip_prefix(metric)?.strip_prefix(' ')?;
        rest.split_whitespace().next()?.parse().ok()
    };
    page.lines().find_map(of)
}

/// Labels and values of a metric on a page in Prometheus' text format.
pub(super) fn samples<'a>(
    page: &'a str,
    metric: &'a str,
) -> impl Iterator<Item = (&'a str, f64)> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
        let (labels, value) = rest.rsplit_once('}')?;
        // A timestamp may follow the value.
        let value = value.split_whitespace().next()?.parse().ok()?;
        Some((labels, value))
    })
}

/// The value of a label among `name="value",...`, whose values may hold escaped quotes.
pub(super) fn label(labels: &str, wanted: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (name, after) = rest.trim_start_matches([',', ' ']).split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => value.push(characters.next()?.1),
                (at, '"') => break at,
                (_, character) => value.push(character),
            }
        };
        if name.trim() == wanted {
            return Some(value);
        }
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
# HELP millrace_store_requests_total Requests to the object store that have ended.
# TYPE millrace_store_requests_total counter
millrace_store_requests_total{duty="produce",operation="put",outcome="ok"} 120
millrace_store_requests_total{duty="a \"quoted, duty\"",operation="put",outcome="ok"} 5
millrace_store_requests_total{operation="get",duty="fetch",outcome="ok"} 1e3 1700000000000
millrace_store_requests_total{duty="gc",operation="delete",outcome="ok"} 7
millrace_store_requests_total_other{operation="put"} 9
millrace_store_requests_total{duty="x"} 9
"#;

    fn parsed(page: &str) -> StoreRequests {
        let mut requests = StoreRequests::default();
        requests.add_page(page);
        requests
    }

    fn requests(list: &[(&str, &str, u64)]) -> StoreRequests {
        let mut requests = StoreRequests::default();
        for (operation, duty, count) in list {
            let duties = requests.0.entry((*operation).to_owned()).or_default();
            duties.insert((*duty).to_owned(), *count);
        }
        requests
    }

    #[test]
    fn requests_are_summed_by_operation_and_duty() {
        let mut parsed = parsed(PAGE);
        let expected = requests(&[
            ("put", "produce", 120),
            ("put", "a \"quoted, duty\"", 5),
            ("get", "fetch", 1_000),
            ("delete", "gc", 7),
        ]);
        assert_eq!(parsed, expected);
        assert_eq!((parsed.puts(), parsed.gets()), (125, 1_000));
        parsed.add_page(PAGE);
        assert_eq!((parsed.puts(), parsed.gets()), (250, 2_000));
    }

    #[test]
    fn a_metric_without_labels_is_found_by_its_whole_name() {
        let page = "# TYPE bound gauge\nbound_total 4\nbound{a=\"b\"} 5\nbound 2.5e9 17\n";
        assert_eq!(value(page, "bound"), Some(2.5e9));
        assert_eq!(value(page, "boun"), None);
    }

    #[test]
    fn only_what_was_added_is_priced() {
        let prices = Prices {
            per_1000_puts: 0.005,
            per_1000_gets: 0.0004,
        };
        let before = requests(&[("put", "produce", 25), ("delete", "gc", 7)]);
        let added = parsed(PAGE).since(&before);
        assert_eq!((added.puts(), added.gets()), (100, 1_000));
        assert!(!added.0.contains_key("delete"));
        assert!((added.dollars(&prices) - 0.0009).abs() < 1e-12);
        let restarted = before.since(&requests(&[("put", "produce", 90)]));
        assert_eq!(restarted.puts(), 25);
    }
}
