//! A report as tables.

use super::super::super::table::{Align, Table, grouped};
use super::super::stats::Percentiles;
use super::{MIB, PhaseReport, RunReport, Verification, beside};

pub(super) fn number(value: f64) -> String {
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
        let memory = memory(&self.phases);
        if !memory.is_empty() {
            writeln!(f, "{memory}")?;
        }
        let requests = requests(&self.phases);
        if !requests.is_empty() {
            writeln!(f, "{requests}")?;
        }
        for phase in &self.phases {
            if let Some(end_to_end) = &phase.end_to_end {
                writeln!(f, "{}: {end_to_end}", phase.phase)?;
            }
        }
        let ratios = beside(std::slice::from_ref(self));
        if !ratios.is_empty() {
            writeln!(f, "{}", super::ratios(&ratios, "beside catch-up", "alone"))?;
        }
        if let Some(v) = &self.verification {
            writeln!(f, "{v}")?;
        }
        if let Some(v) = &self.catch_up_verification {
            writeln!(f, "caught up with: {v}")?;
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

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seen = &self.seen;
        let acknowledged = self.acknowledged.map_or_else(|| "none".into(), grouped);
        write!(
            f,
            "verified {} of {} received, {acknowledged} acknowledged: {} lost, {} duplicated, \
             {} reordered, {} altered, {} offset gaps",
            grouped(seen.verified),
            grouped(seen.received),
            grouped(self.lost),
            grouped(seen.duplicated),
            grouped(seen.reordered),
            grouped(seen.altered),
            grouped(seen.offset_gaps),
        )?;
        if seen.foreign > 0 {
            let foreign = grouped(seen.foreign);
            write!(f, "; {foreign} records of no benchmark in the topic")?;
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
        let flows = [
            ("produced", &phase.produced),
            ("consumed", &phase.consumed),
            ("caught up", &phase.caught_up),
        ];
        for (name, flow) in flows {
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

fn memory(phases: &[PhaseReport]) -> Table {
    let columns = [
        ("broker memory", Align::Left),
        ("peak MiB", Align::Right),
        ("bound MiB", Align::Right),
        ("of the bound", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for phase in phases {
        let cost = &phase.cost;
        let Some(peak) = cost.broker_memory_peak_bytes else {
            continue;
        };
        let bound = cost.broker_memory_bound_bytes;
        let mib = |bytes: u64| bytes as f64 / MIB;
        let part = bound.map(|bound| peak as f64 / bound.max(1) as f64);
        table.row([
            phase.phase.to_owned(),
            number(mib(peak)),
            optional(bound.map(mib)),
            optional(part),
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
