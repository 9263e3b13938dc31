//! The tools: topics, producing, consuming, benchmarking. They speak the Kafka protocol to any
//! broker.

pub mod bench;
pub mod bench_groups;
pub mod consume;
mod partitioner;
pub mod produce;
mod progress;
pub mod table;
pub mod topic;

use std::sync::Arc;

use crate::client::{Client, ClientError, ConnectionOptions};

/// Where the cluster is.
#[derive(clap::Args, Clone, Debug)]
pub struct Bootstrap {
    /// Brokers to ask first, HOST:PORT, several separated by commas.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
}

impl Bootstrap {
    /// A client of that cluster.
    pub fn client(&self) -> Arc<Client> {
        Client::new(&self.bootstrap, ConnectionOptions::default())
    }
}

/// Why a tool failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker could not be reached, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file, standard input or standard output failed.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// It ended before it was done.
    #[error("{0}")]
    Failed(String),
    /// What was measured breaks a promise of the broker.
    #[error("{0}")]
    Violation(String),
}

impl Error {
    /// Exit status of the process: 2 for wrong usage, 1 for a failure, 3 for a broken promise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(_) | Self::Io(..) | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Violation(_) => 3,
        }
    }

    /// Whether the reader of our output went away (`| head`), which is no failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io(_, error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Result of a tool.
pub type Result<T> = std::result::Result<T, Error>;

/// Parses NAME=VALUE.
fn name_value(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("not of the form NAME=VALUE".into()),
    }
}

/// Parses a size in bytes: a number with an optional KiB, MiB or GiB (or K, M, G).
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err("a unit that is not KiB, MiB or GiB".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "not a number of bytes".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        assert!(bytes("64kb").is_err());
        assert!(bytes("KiB").is_err());
        assert!(bytes("99999999999999G").is_err());
    }

    #[test]
    fn pairs_have_a_name() {
        assert_eq!(name_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(name_value("a="), Ok(("a".into(), String::new())));
        assert!(name_value("=b").is_err());
        assert!(name_value("ab").is_err());
    }
}
