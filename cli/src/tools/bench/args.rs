//! The flags of `millrace bench`, and what of them makes no sense.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::super::produce::{Acks, acks};
use super::super::{Bootstrap, Error, Result, bytes};
use super::chain::LINK_BYTES;
use super::cost::Prices;
use super::scenario::Scenario;
use crate::client::records::Compression;
use crate::client::{FetchOptions, IDEMPOTENT_IN_FLIGHT_MAX, ProducerOptions};

/// Which load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Produce and consume at once: end-to-end latency.
    Both,
    /// Produce first, then consume what was produced: the cost of each.
    Phases,
    /// Only produce.
    Produce,
    /// Only consume a topic filled by an earlier run, from its beginning.
    Consume,
}

/// Measure a broker, and verify that it keeps its promises. Serialized it is the settings of a
/// report: the load, and not where things are.
#[derive(clap::Args, Clone, Debug, Serialize)]
pub struct Args {
    /// Loads to run one after the other, separated by commas. Each sets flags; those given beside
    /// it win.
    #[arg(
        long = "scenario",
        value_enum,
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(skip)]
    pub scenarios: Vec<Scenario>,
    /// Which load.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub mode: Mode,
    /// Producers, each with its own connections.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub producers: u32,
    /// Consumers of a group, among whom the partitions are divided.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub consumers: u32,
    /// Groups of consumers, each of which reads everything.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub groups: u32,
    /// The topic; created if it is not there. Without this a new one is made and deleted again.
    #[arg(long)]
    #[serde(skip)]
    pub topic: Option<String>,
    /// Partitions of a topic that is created.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub partitions: i32,
    /// Configs of a topic that is created; may be repeated.
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = super::super::name_value)]
    pub configs: Vec<(String, String)>,
    /// Bytes of a record's value.
    #[arg(long, value_name = "BYTES", default_value = "1KiB", value_parser = bytes)]
    pub record_size: u64,
    /// Largest batch, before compression.
    #[arg(long, value_name = "BYTES", default_value = "64KiB", value_parser = bytes)]
    pub batch_bytes: u64,
    /// Largest request; it carries one batch for each of several partitions.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = bytes)]
    pub request_bytes: u64,
    /// Values to produce per second, in MiB: a number, or max.
    #[arg(long, value_name = "MIB_S", default_value = "max", value_parser = rate)]
    pub rate: Rate,
    /// How long to produce, such as 30s or 5m. 10s if neither this nor --bytes is given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    #[serde(serialize_with = "optional_seconds")]
    pub duration: Option<Duration>,
    /// How much to produce, such as 2GiB of values.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub bytes: Option<u64>,
    /// Before the first run, do the same with so many bytes and forget the result: compilers and
    /// caches warm up.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub warm_up: Option<u64>,
    /// With --mode both: first write so much to a topic beside, and do everything a second time
    /// while consumers read that topic from its beginning, again and again.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub backfill: Option<u64>,
    /// Consumers that read it, among whom its partitions are divided.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "backfill")]
    pub backfill_readers: u32,
    /// How fast all of them read, in MiB of values per second: a number, or max.
    #[arg(long, value_name = "MIB_S", default_value = "max", value_parser = rate, requires = "backfill")]
    pub backfill_rate: Rate,
    /// Run this in a shell once what is to be read is written and before it is read: it restarts
    /// the broker, or empties its caches. Lines such as "bootstrap HOST:PORT", "pid PID" and
    /// "admin URL" that it prints say where the broker is from then on.
    #[arg(long, value_name = "COMMAND")]
    #[serde(skip)]
    pub restart: Option<String>,
    /// The same for the other broker.
    #[arg(long, value_name = "COMMAND", requires_all = ["compare", "restart"])]
    #[serde(skip)]
    pub compare_restart: Option<String>,
    /// Wait so long after a phase before requests and CPU time are read, so that they include what
    /// compaction does later.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    #[serde(serialize_with = "seconds")]
    pub settle: Duration,
    /// Acknowledgements to wait for: 0, 1 or all.
    #[arg(long, value_name = "N", default_value = "all", value_parser = acks)]
    pub acks: Acks,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value_t = Compression::None)]
    pub compression: Compression,
    /// Whether producers are idempotent; needs acks=all.
    #[arg(
        long, value_name = "BOOL", default_value_t = true,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true"
    )]
    pub idempotent: bool,
    /// Requests under way per producer and broker, and batches per partition.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub in_flight: usize,
    /// Bytes for which the broker may wait before it answers a fetch.
    #[arg(long, value_name = "BYTES", default_value = "1", value_parser = bytes)]
    pub fetch_min_bytes: u64,
    /// Largest part of one partition in a fetch.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = bytes)]
    pub fetch_partition_bytes: u64,
    /// Write the report to this file as JSON.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub json: Option<PathBuf>,
    /// Draw throughput and latency over time to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub plot: Option<PathBuf>,
    /// Keep the topics that were made for the run.
    #[arg(long)]
    #[serde(skip)]
    pub keep_topic: bool,
    /// Admin address of a Millrace agent or compactor: its /metrics count the requests to the
    /// object store. May be repeated; the requests of all are added up.
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    pub admin: Vec<String>,
    /// Process id of the broker, if it is on this machine: its CPU time is measured.
    #[arg(long, value_name = "PID")]
    #[serde(skip)]
    pub broker_pid: Option<u32>,
    /// Another broker: every round runs on both, one after the other.
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip)]
    pub compare: Option<String>,
    /// Process id of the other broker.
    #[arg(long, value_name = "PID", requires = "compare")]
    #[serde(skip)]
    pub compare_pid: Option<u32>,
    /// Admin addresses of the other broker, if it is a Millrace.
    #[arg(long, value_name = "URL", requires = "compare")]
    #[serde(skip)]
    pub compare_admin: Vec<String>,
    /// How often each load is run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: u32,
    /// What requests to the object store cost.
    #[command(flatten)]
    pub prices: Prices,
    /// Where the broker is.
    #[command(flatten)]
    #[serde(skip)]
    pub bootstrap: Bootstrap,
}

/// Values per second of all producers, or of all who catch up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// As fast as it goes.
    Max,
    /// So many bytes.
    BytesPerSecond(f64),
}

impl Rate {
    /// The part of one of `count`.
    pub fn of_one(self, count: u32) -> Option<f64> {
        match self {
            Self::Max => None,
            Self::BytesPerSecond(rate) => Some(rate / f64::from(count.max(1))),
        }
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

fn optional_seconds<S: serde::Serializer>(
    time: &Option<Duration>,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

fn rate(text: &str) -> std::result::Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let mib: f64 = text
        .parse()
        .map_err(|_| "a number of MiB per second, or max".to_owned())?;
    match mib.is_finite() && mib > 0.0 {
        true => Ok(Rate::BytesPerSecond(mib * f64::from(1 << 20))),
        false => Err("more than 0 MiB per second, or max".into()),
    }
}

/// Parses a time: a number with an optional ms, s, m or h.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("a unit that is not ms, s, m or h".into()),
    };
    let number: f64 = number.parse().map_err(|_| "not a time".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "not a time".to_owned())
}

impl Args {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        self.check_producing()?;
        self.check_phases()?;
        let usage = |text: &str| Err(Error::Usage(text.into()));
        let (producing, consuming) = (self.mode != Mode::Consume, self.mode != Mode::Produce);
        if producing && self.producers == 0 || consuming && self.consumers == 0 {
            return usage("--producers and --consumers: at least 1");
        }
        if self.rounds == 0 || self.partitions < 1 || self.groups == 0 {
            return usage("--rounds, --groups and --partitions: at least 1");
        }
        if self.groups > 10_000 || self.consumers > 10_000 || self.producers > 10_000 {
            return usage("--groups, --consumers and --producers: at most 10000");
        }
        Ok(())
    }

    fn check_producing(&self) -> Result<()> {
        let usage = |text: String| Err(Error::Usage(text));
        if self.record_size < LINK_BYTES as u64 {
            return usage(format!(
                "--record-size: at least {LINK_BYTES}, for the hash chain"
            ));
        }
        if self.record_size > 1 << 30 || self.batch_bytes > 1 << 30 {
            return usage("--record-size and --batch-bytes: at most 1GiB".into());
        }
        if self.idempotent && self.acks.0 != -1 {
            return usage("--acks: idempotent producers need all (or --idempotent=false)".into());
        }
        if self.in_flight == 0 || self.idempotent && self.in_flight > IDEMPOTENT_IN_FLIGHT_MAX {
            let most = IDEMPOTENT_IN_FLIGHT_MAX;
            return usage(format!("--in-flight: 1 to {most} for idempotent producers"));
        }
        if self.in_flight > 32 {
            return usage("--in-flight: at most 32".into());
        }
        Ok(())
    }

    fn check_phases(&self) -> Result<()> {
        let usage = |text: &str| Err(Error::Usage(text.into()));
        if self.mode == Mode::Consume && self.topic.is_none() {
            return usage("--mode consume: needs the --topic of an earlier run");
        }
        if self.backfill.is_some() && self.mode != Mode::Both {
            return usage("--backfill: needs --mode both");
        }
        if self.backfill == Some(0) || self.backfill_readers == 0 {
            return usage("--backfill and --backfill-readers: at least 1");
        }
        if self.restart.is_some() && !self.reads_later() {
            return usage("--restart: needs --mode phases or --backfill");
        }
        if self.restart.is_some() && self.compare.is_some() && self.compare_restart.is_none() {
            return usage("--restart: with --compare it needs --compare-restart too");
        }
        Ok(())
    }

    /// Whether something is read that was all written before.
    pub fn reads_later(&self) -> bool {
        self.mode == Mode::Phases || self.backfill.is_some()
    }

    /// What is done before the first run, if anything.
    pub fn warming_up(&self) -> Option<Self> {
        let bytes = self.warm_up.filter(|_| self.mode != Mode::Consume)?;
        Some(Self {
            bytes: Some(bytes),
            duration: None,
            topic: None,
            backfill: None,
            restart: None,
            settle: Duration::ZERO,
            ..self.clone()
        })
    }

    /// Loads of the topic that is read beside the others: as much at once as they have partitions
    /// for.
    pub fn filling(&self, topic: String, bytes: u64) -> Self {
        Self {
            mode: Mode::Produce,
            topic: Some(topic),
            producers: self.producers.min(4),
            batch_bytes: self.batch_bytes.max(256 << 10),
            rate: Rate::Max,
            bytes: Some(bytes),
            duration: None,
            backfill: None,
            restart: None,
            settle: Duration::ZERO,
            ..self.clone()
        }
    }

    /// How long to produce, if there is a limit in time.
    pub fn time_limit(&self) -> Option<Duration> {
        match (self.duration, self.bytes) {
            (None, None) => Some(Duration::from_secs(10)),
            (duration, _) => duration,
        }
    }

    /// For each producer.
    pub fn producer_options(&self) -> ProducerOptions {
        ProducerOptions {
            acks: self.acks.0,
            idempotent: self.idempotent,
            in_flight: self.in_flight,
            ..ProducerOptions::default()
        }
    }

    /// For each consumer.
    pub fn fetch_options(&self) -> FetchOptions {
        let clamp = |bytes: u64| i32::try_from(bytes).unwrap_or(i32::MAX);
        FetchOptions {
            min_bytes: clamp(self.fetch_min_bytes),
            partition_max_bytes: clamp(self.fetch_partition_bytes),
            ..FetchOptions::default()
        }
    }
}

#[cfg(test)]
mod tests;
