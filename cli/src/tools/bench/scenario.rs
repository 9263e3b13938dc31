//! The loads kept in the repository: each a line of flags, which those on the command line override.

use std::ffi::{OsStr, OsString};

use clap::Parser;

use super::super::{Error, Result};
use super::args::Args;

/// A load with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Three records a second and a consumer that waits for them: latency.
    Tail,
    /// Ten groups each read all of a stream: 1 in, 10 out.
    FanOut,
    /// Write, restart the broker (--restart), read from the beginning: nothing is in a cache.
    ColdCatchUp,
    /// A stream, alone and beside consumers that read old records ten times as fast.
    CatchUpBesideTail,
    /// 500 producers that each send a few small batches a second.
    ManySmallProducers,
    /// One producer, one partition, batches of a MiB, as fast as it goes.
    OneLargeProducer,
    /// A stream over 1,000 partitions, written and read by four clients each.
    ManyPartitions,
    /// 4 producers, 3 groups, 100 MiB/s: what requests cost (--admin of every process).
    Cost,
    /// All of them; cold-catch-up only with --restart, cost only with --admin.
    All,
}

impl Scenario {
    /// All that are loads.
    pub const LOADS: [Self; 8] = [
        Self::Tail,
        Self::FanOut,
        Self::ColdCatchUp,
        Self::CatchUpBesideTail,
        Self::ManySmallProducers,
        Self::OneLargeProducer,
        Self::ManyPartitions,
        Self::Cost,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The flags it stands for. At a rate, producers have what their windows allow at some 250 ms
    /// for an acknowledgement: else what is measured is their queue.
    pub fn flags(self) -> &'static str {
        match self {
            Self::Tail => {
                "--mode both --record-size 1KiB --batch-bytes 1KiB --rate 0.003 --duration 60s"
            }
            Self::FanOut => {
                "--mode both --producers 4 --partitions 4 --groups 10 --record-size 1KiB \
                 --batch-bytes 256KiB --rate 10 --duration 30s"
            }
            Self::ColdCatchUp => {
                "--mode phases --producers 2 --partitions 12 --consumers 4 --record-size 1KiB \
                 --batch-bytes 256KiB --fetch-partition-bytes 4MiB --bytes 1GiB"
            }
            Self::CatchUpBesideTail => {
                "--mode both --producers 4 --partitions 4 --record-size 1KiB --batch-bytes 64KiB \
                 --rate 4 --duration 30s --backfill 1GiB --backfill-readers 2 --backfill-rate 40"
            }
            Self::ManySmallProducers => {
                "--mode both --producers 500 --partitions 12 --consumers 2 --record-size 100 \
                 --batch-bytes 1KiB --rate 2 --duration 30s"
            }
            Self::OneLargeProducer => {
                "--mode both --producers 1 --partitions 1 --record-size 10KiB --batch-bytes 1MiB \
                 --bytes 2GiB"
            }
            Self::ManyPartitions => {
                "--mode both --producers 4 --consumers 4 --partitions 1000 --record-size 1KiB \
                 --batch-bytes 4KiB --rate 10 --duration 30s"
            }
            Self::Cost => {
                "--mode both --producers 4 --groups 3 --partitions 12 --record-size 1KiB \
                 --batch-bytes 256KiB --request-bytes 4MiB --rate 100 --duration 30s --settle 20s"
            }
            Self::All => "",
        }
    }

    /// Refuses what it cannot do without.
    fn check(self, args: &Args) -> Result<()> {
        let usage = |text: &str| Err(Error::Usage(format!("--scenario {}: {text}", self.name())));
        match self {
            Self::ColdCatchUp if args.restart.is_none() => usage(
                "needs --restart COMMAND, which restarts the broker or empties its caches: else \
                 what was just written is read from memory",
            ),
            Self::Cost if args.admin.is_empty() => usage(
                "needs --admin URL of every agent and compactor, whose requests to the store are \
                 counted",
            ),
            _ => Ok(()),
        }
    }
}

/// Flags of `millrace bench` without the command's name.
#[derive(Parser)]
#[command(no_binary_name = true, args_override_self = true)]
struct Flags {
    #[command(flatten)]
    args: Args,
}

/// What is to be run, in order: the scenario, if there is one, and all flags.
///
/// `given` is what follows the word bench on the command line, of which `args` was parsed.
///
/// # Errors
/// [`Error::Usage`] if flags make no sense together or a scenario lacks one it needs.
pub fn resolve(args: Args, given: &[OsString]) -> Result<Vec<(Option<Scenario>, Args)>> {
    if args.scenarios.is_empty() {
        args.check()?;
        return Ok(vec![(None, args)]);
    }
    let mut loads = Vec::new();
    for &scenario in &args.scenarios {
        match scenario {
            Scenario::All => loads.extend(
                Scenario::LOADS
                    .into_iter()
                    .filter(|load| load.check(&args).is_ok()),
            ),
            load => loads.push(load),
        }
    }
    let several = loads.len() > 1;
    let with_flags = |load: Scenario| {
        let mut args = parse(load, given)?;
        if several && !args.reads_later() {
            // It is for those of them that have something to read cold.
            (args.restart, args.compare_restart) = (None, None);
        }
        load.check(&args)?;
        args.check()?;
        Ok((Some(load), args))
    };
    loads.into_iter().map(with_flags).collect()
}

/// A scenario's flags, and behind them those given, which win.
fn parse(scenario: Scenario, given: &[OsString]) -> Result<Args> {
    let limits = ["--duration", "--bytes"];
    let limited = given.iter().any(|flag| limits.contains(&name(flag)));
    let mut flags: Vec<OsString> = Vec::new();
    let mut words = scenario.flags().split_whitespace();
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        // Either limit given replaces the scenario's, whichever that is.
        if !(limited && limits.contains(&flag)) {
            flags.extend([flag.into(), value.into()]);
        }
    }
    let flags = flags.into_iter().chain(given.iter().cloned());
    let parsed = Flags::try_parse_from(flags);
    Ok(parsed
        .map_err(|error| Error::Usage(error.to_string()))?
        .args)
}

/// The name of a flag, without the value that may follow it.
fn name(flag: &OsStr) -> &str {
    let flag = flag.to_str().unwrap_or_default();
    flag.split_once('=').map_or(flag, |(name, _)| name)
}

#[cfg(test)]
mod tests;
