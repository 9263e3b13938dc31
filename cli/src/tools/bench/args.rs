//! The flags of `millrace bench`, and what of them makes no sense.

use std::path::PathBuf;
use std::time::Duration;

use super::super::produce::{Acks, acks};
use super::super::{Bootstrap, Error, Result, bytes};
use super::chain::LINK_BYTES;
use super::cost::Prices;
use crate::client::records::Compression;
use crate::client::{FetchOptions, IDEMPOTENT_IN_FLIGHT_MAX, ProducerOptions};

/// Which load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
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

/// Measure a broker, and verify that it keeps its promises.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Which load.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub mode: Mode,
    /// Producers, each with its own connections.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub producers: u32,
    /// Consumers, among whom the partitions are divided.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub consumers: u32,
    /// The topic; created if it is not there. Without this a new one is made and deleted again.
    #[arg(long)]
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
    pub duration: Option<Duration>,
    /// How much to produce, such as 2GiB of values.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub bytes: Option<u64>,
    /// Before the first run, do the same with so many bytes and forget the result: compilers and
    /// caches warm up.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub warm_up: Option<u64>,
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
    pub json: Option<PathBuf>,
    /// Keep the topic that was made for the run.
    #[arg(long)]
    pub keep_topic: bool,
    /// Admin address of a Millrace agent: its /metrics count the requests to the object store.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// Process id of the broker, if it is on this machine: its CPU time is measured.
    #[arg(long, value_name = "PID")]
    pub broker_pid: Option<u32>,
    /// Another broker: every round runs on both, one after the other.
    #[arg(long, value_name = "HOST:PORT")]
    pub compare: Option<String>,
    /// Process id of the other broker.
    #[arg(long, value_name = "PID", requires = "compare")]
    pub compare_pid: Option<u32>,
    /// Rounds of a comparison.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: u32,
    /// What requests to the object store cost.
    #[command(flatten)]
    pub prices: Prices,
    /// Where the broker is.
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// Values per second of all producers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As fast as they are acknowledged.
    Max,
    /// So many bytes.
    BytesPerSecond(f64),
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
        if self.mode == Mode::Consume && self.topic.is_none() {
            return usage("--mode consume: needs the --topic of an earlier run".into());
        }
        let (producing, consuming) = (self.mode != Mode::Consume, self.mode != Mode::Produce);
        if producing && self.producers == 0 || consuming && self.consumers == 0 {
            return usage("--producers and --consumers: at least 1".into());
        }
        if self.rounds == 0 || self.partitions < 1 {
            return usage("--rounds and --partitions: at least 1".into());
        }
        Ok(())
    }

    /// What is done before the first run, if anything.
    pub fn warming_up(&self) -> Option<Self> {
        let bytes = self.warm_up.filter(|_| self.mode != Mode::Consume)?;
        Some(Self {
            bytes: Some(bytes),
            duration: None,
            topic: None,
            ..self.clone()
        })
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
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &[&str]) -> Args {
        Command::try_parse_from([&["bench"], flags].concat())
            .unwrap()
            .args
    }

    fn refusal(flags: &[&str]) -> String {
        parse(flags).check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_a_careful_client() {
        let args = parse(&[]);
        args.check().unwrap();
        assert_eq!(
            (args.acks.0, args.idempotent, args.in_flight),
            (-1, true, 5)
        );
        assert_eq!((args.record_size, args.batch_bytes), (1024, 65_536));
        assert_eq!(args.time_limit(), Some(Duration::from_secs(10)));
        assert_eq!(parse(&["--bytes", "1GiB"]).time_limit(), None);
        assert!(args.warming_up().is_none());
    }

    #[test]
    fn warming_up_leaves_the_topic_alone() {
        let warm = parse(&["--warm-up", "1MiB", "--topic", "t", "--duration", "1m"]).warming_up();
        let warm = warm.unwrap();
        assert_eq!((warm.topic.as_deref(), warm.bytes), (None, Some(1 << 20)));
        assert_eq!(warm.time_limit(), None);
    }

    #[test]
    fn nonsense_is_refused_with_the_flag() {
        assert!(refusal(&["--record-size", "39"]).starts_with("--record-size"));
        assert!(refusal(&["--acks", "1"]).starts_with("--acks"));
        assert!(refusal(&["--in-flight", "6"]).starts_with("--in-flight"));
        assert!(refusal(&["--mode", "consume"]).starts_with("--mode consume"));
        assert!(refusal(&["--producers", "0"]).starts_with("--producers"));
        parse(&["--idempotent=false", "--acks", "1", "--in-flight", "20"])
            .check()
            .unwrap();
        assert!(Command::try_parse_from(["bench", "--compare-pid", "1"]).is_err());
    }

    #[test]
    fn rates_and_times_parse() {
        assert_eq!(rate("max"), Ok(Rate::Max));
        assert_eq!(rate("0.5"), Ok(Rate::BytesPerSecond(524_288.0)));
        assert!(rate("0").is_err() && rate("fast").is_err());
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("-1s").is_err() && duration("1d").is_err());
    }
}
