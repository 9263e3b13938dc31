//! Progress on a terminal: a bar if the end is known, a counter if not; nothing if standard error
//! is no terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar towards `total`, in bytes.
pub fn of_bytes(total: Option<u64>) -> ProgressBar {
    start(
        total,
        "{bytes} of {total_bytes} {bar:30} {bytes_per_sec}, {eta} left",
        "{bytes} {msg}",
    )
}

/// A bar towards `total`, in records.
pub fn of_records(total: Option<u64>) -> ProgressBar {
    start(
        total,
        "{pos} of {len} records {bar:30} {per_sec}, {eta} left",
        "{pos} records {msg}",
    )
}

/// Nothing on the terminal.
pub fn hidden() -> ProgressBar {
    ProgressBar::hidden()
}

fn start(total: Option<u64>, bounded: &str, unbounded: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return hidden();
    }
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    let template = if total.is_some() { bounded } else { unbounded };
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
