//! Requests to the object store, as an agent's metrics count them, and what they cost.

use std::collections::BTreeMap;

use serde::Serialize;

/// The counter of requests to the object store in a Millrace agent's /metrics.
const REQUESTS_METRIC: &str = "millrace_store_requests_total";
/// Its label that says which request.
const OPERATION_LABEL: &str = "operation";
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

/// Requests by operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreRequests(pub BTreeMap<String, u64>);

impl StoreRequests {
    /// From a page of metrics in Prometheus' text format.
    pub fn parse(page: &str) -> Self {
        let mut requests = BTreeMap::new();
        for line in page.lines() {
            let Some(rest) = line.strip_prefix(REQUESTS_METRIC) else {
                continue;
            };
            let Some((labels, value)) = rest.strip_prefix('{').and_then(|r| r.rsplit_once('}'))
            else {
                continue;
            };
            // A timestamp may follow the value.
            let value = value
                .split_whitespace()
                .next()
                .and_then(|v| v.parse::<f64>().ok());
            let (Some(operation), Some(value)) = (label(labels, OPERATION_LABEL), value) else {
                continue;
            };
            *requests.entry(operation).or_default() += value as u64;
        }
        Self(requests)
    }

    /// What was added since `before`. A counter that went back belongs to a new process.
    pub fn since(&self, before: &Self) -> Self {
        let added = |(operation, &now): (&String, &u64)| {
            let before = before.0.get(operation).copied().unwrap_or(0);
            (
                operation.clone(),
                if now >= before { now - before } else { now },
            )
        };
        Self(self.0.iter().map(added).collect())
    }

    fn of(&self, operations: &[&str]) -> u64 {
        operations
            .iter()
            .filter_map(|operation| self.0.get(*operation))
            .sum()
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

/// The value of a label among `name="value",...`, whose values may hold escaped quotes.
fn label(labels: &str, wanted: &str) -> Option<String> {
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

    #[test]
    fn requests_are_summed_by_operation() {
        let requests = StoreRequests::parse(PAGE);
        let expected = [
            ("put".to_owned(), 125),
            ("get".to_owned(), 1_000),
            ("delete".to_owned(), 7),
        ];
        assert_eq!(requests, StoreRequests(expected.into()));
        assert_eq!((requests.puts(), requests.gets()), (125, 1_000));
    }

    #[test]
    fn only_what_was_added_is_priced() {
        let prices = Prices {
            per_1000_puts: 0.005,
            per_1000_gets: 0.0004,
        };
        let before = StoreRequests([("put".to_owned(), 25)].into());
        let added = StoreRequests::parse(PAGE).since(&before);
        assert_eq!((added.puts(), added.gets()), (100, 1_000));
        assert!((added.dollars(&prices) - 0.0009).abs() < 1e-12);
        let restarted = before.since(&StoreRequests([("put".to_owned(), 90)].into()));
        assert_eq!(restarted.puts(), 25);
    }
}
