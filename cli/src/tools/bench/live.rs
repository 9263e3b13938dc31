//! The table that is shown while a benchmark runs: one row a second, on standard error.

use super::stats::{Flow, Percentiles};

/// Rows between two headers.
const ROWS_BETWEEN_HEADERS: u32 = 20;
const MIB: f64 = (1 << 20) as f64;

/// Which columns a phase has.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// What goes out to the broker.
    pub produce: bool,
    /// What comes back.
    pub consume: bool,
}

/// Prints rows.
pub struct Live {
    columns: Columns,
    rows: u32,
}

impl Live {
    /// With these columns.
    pub fn new(columns: Columns) -> Self {
        Self { columns, rows: 0 }
    }

    /// Shows what was done in the last `seconds`.
    pub fn show(&mut self, at: f64, seconds: f64, out: &Flow, back: &Flow) {
        if self.rows.is_multiple_of(ROWS_BETWEEN_HEADERS) {
            eprintln!("{}", header(self.columns));
        }
        self.rows += 1;
        eprintln!("{}", row(self.columns, at, seconds, out, back));
    }
}

fn header(columns: Columns) -> String {
    let mut line = format!("{:>6}", "s");
    for (shown, way, latency) in [
        (columns.produce, "out", "ack"),
        (columns.consume, "in", "e2e"),
    ] {
        if shown {
            line.push_str(&format!(
                " | {way:>3} {:>6} {:>9} | {latency} ms {:>7} {:>7} {:>7} {:>7}",
                "MiB/s", "records/s", "p50", "p95", "p99", "p99.9"
            ));
        }
    }
    if columns.produce {
        line.push_str(" | retries");
    }
    line
}

fn row(columns: Columns, at: f64, seconds: f64, out: &Flow, back: &Flow) -> String {
    let mut line = format!("{at:>6.0}");
    for (shown, flow) in [(columns.produce, out), (columns.consume, back)] {
        if shown {
            let mib = flow.bytes as f64 / MIB / seconds;
            let records = flow.records as f64 / seconds;
            let latency = latencies(flow.percentiles());
            line.push_str(&format!(
                " |     {mib:>6.1} {records:>9.0} |        {latency}"
            ));
        }
    }
    if columns.produce {
        line.push_str(&format!(" | {:>7}", out.retries));
    }
    line
}

fn latencies(percentiles: Option<Percentiles>) -> String {
    let Some(p) = percentiles else {
        return format!("{:>7} {:>7} {:>7} {:>7}", "-", "-", "-", "-");
    };
    let cell = |ms: f64| match ms {
        ms if ms < 100.0 => format!("{ms:>7.2}"),
        ms => format!("{ms:>7.0}"),
    };
    [p.p50, p.p95, p.p99, p.p999].map(cell).join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows_stand_under_their_header() {
        let columns = Columns {
            produce: true,
            consume: true,
        };
        let mut out = Flow::default();
        out.add(2_048, 2 << 20, Some(Duration::from_micros(1_500)));
        let row = row(columns, 3.0, 1.0, &out, &Flow::default());
        let header = header(columns);
        assert_eq!(
            header.chars().count(),
            row.chars().count(),
            "\n{header}\n{row}"
        );
        let ends = |line: &str| {
            line.match_indices('|')
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        assert_eq!(ends(&header), ends(&row), "\n{header}\n{row}");
        assert!(row.contains("   2.0      2048 |           1.50"), "{row}");
    }

    #[test]
    fn a_phase_shows_only_its_own_columns() {
        let columns = Columns {
            produce: false,
            consume: true,
        };
        assert!(!header(columns).contains("ack"));
        assert!(header(columns).contains("e2e"));
    }
}
