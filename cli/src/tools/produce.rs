//! `millrace produce TOPIC`: lines of standard input or of a file become records.
//!
//! A thread reads lines; one task turns them into batches and drives the producer. Memory is
//! bounded by [`BUFFER_BYTES_MAX`] and the chunks on their way from the reader.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use indicatif::ProgressBar;
use runtime::{Clock, SystemClock};
use tokio::sync::mpsc;

use super::partitioner::Partitioner;
use super::table::{Align, Table, grouped};
use super::{Bootstrap, Error, Result, name_value, progress};
use crate::client::records::{BatchEncoder, Compression};
use crate::client::{Completion, Producer, ProducerOptions};

/// Encoded and unsent bytes held at most.
const BUFFER_BYTES_MAX: usize = 32 << 20;
/// Lines handed from the reader at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Produce lines as records.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name of the topic.
    topic: String,
    /// Read this file instead of standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// What separates the key from the value in a line; without it records have no key.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// A value that stands for null (a tombstone).
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Headers of every record: NAME=VALUE, separated by commas, or repeated.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = name_value)]
    headers: Vec<(String, String)>,
    /// Send everything to this partition, instead of by key or batch.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value_t = Compression::None)]
    compression: Compression,
    /// Acknowledgements to wait for: 0, 1 or all.
    #[arg(long, value_name = "N", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// Do without a producer id: a retry may then store a batch twice.
    #[arg(long)]
    no_idempotence: bool,
    /// Largest batch before compression.
    #[arg(long, value_name = "BYTES", default_value = "64KiB", value_parser = super::bytes)]
    batch_bytes: u64,
    /// Print nothing at the end.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Number of acknowledgements, as in a Produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Acks(pub i16);

/// Parses 0, 1, -1 or all.
pub fn acks(text: &str) -> std::result::Result<Acks, String> {
    match text {
        "0" => Ok(Acks(0)),
        "1" => Ok(Acks(1)),
        "-1" | "all" => Ok(Acks(-1)),
        _ => Err("0, 1 or all".into()),
    }
}

/// Does it.
pub async fn run(args: Args) -> Result<()> {
    let client = args.bootstrap.client();
    client.mention(&args.topic).await?;
    let options = ProducerOptions {
        acks: args.acks.0,
        // Kafka needs acks=all for idempotence.
        idempotent: !args.no_idempotence && args.acks.0 == -1,
        ..ProducerOptions::default()
    };
    let clock = SystemClock::shared();
    let producer = Producer::open(client, clock, &args.topic, options).await?;
    let partitions = match args.partition {
        Some(partition) if !producer.partitions().contains(&partition) => {
            let count = producer.partitions().len();
            let text = format!("{} has {count} partitions, no {partition}", args.topic);
            return Err(Error::Usage(text));
        }
        Some(partition) => vec![partition],
        None => producer.partitions(),
    };
    let started = SystemClock.monotonic();
    let (lines, bar) = read_lines(args.file.clone())?;
    let mut run = Run {
        producer,
        batches: Batches::new(Partitioner::new(partitions), &args),
        ends: BTreeMap::new(),
        bytes: 0,
    };
    let sent = run.send_all(lines, &args, &bar).await;
    bar.finish_and_clear();
    if !args.quiet {
        let seconds = (SystemClock.monotonic() - started).as_secs_f64();
        say!("{}", summary(&run.ends, run.bytes, seconds, args.acks));
    }
    sent
}

type Lines = mpsc::Receiver<std::io::Result<Vec<Vec<u8>>>>;

/// Starts the reader; the bar counts bytes.
fn read_lines(file: Option<PathBuf>) -> Result<(Lines, ProgressBar)> {
    let (source, total): (Box<dyn Read + Send>, _) = match file {
        Some(path) => {
            let io = |error| Error::Io(path.display().to_string(), error);
            let file = std::fs::File::open(&path).map_err(io)?;
            let length = file.metadata().map_err(io)?.len();
            (Box::new(file), Some(length))
        }
        None => (Box::new(std::io::stdin()), None),
    };
    let (sender, lines) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut source = BufReader::with_capacity(CHUNK_BYTES, source);
        loop {
            let chunk = read_chunk(&mut source);
            let failed = chunk.is_err();
            if matches!(&chunk, Ok(lines) if lines.is_empty()) {
                return;
            }
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    Ok((lines, progress::of_bytes(total)))
}

/// At least one line; more while they are at hand. Empty at the end.
fn read_chunk(source: &mut BufReader<impl Read>) -> std::io::Result<Vec<Vec<u8>>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if source.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        bytes += line.len();
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        lines.push(line);
        // A line typed at a terminal goes out at once.
        if bytes >= CHUNK_BYTES || !source.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

/// Count and offsets of what was acknowledged of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    records: u64,
    first: Option<i64>,
    last: Option<i64>,
}

struct Run {
    producer: Producer<usize>,
    batches: Batches,
    ends: BTreeMap<i32, Ends>,
    bytes: u64,
}

impl Run {
    /// Sends every line until one is not what it should be; what was before that one is sent all the same.
    async fn send_all(&mut self, mut lines: Lines, args: &Args, bar: &ProgressBar) -> Result<()> {
        let (mut open, mut number) = (true, 0_u64);
        let mut refused = Ok(());
        loop {
            self.dispatch()?;
            let room = self.batches.bytes < BUFFER_BYTES_MAX;
            let waiting = self.producer.unacknowledged() > 0;
            if !open && !waiting && self.batches.bytes == 0 {
                return refused;
            }
            tokio::select! {
                chunk = lines.recv(), if open && room => match chunk {
                    Some(chunk) => {
                        let chunk = chunk.map_err(|error| Error::Io("input".into(), error))?;
                        for line in chunk {
                            number += 1;
                            bar.inc(line.len() as u64 + 1);
                            refused = self.batches.add(&line, number, args);
                            if refused.is_err() {
                                open = false;
                                break;
                            }
                            self.bytes += line.len() as u64;
                        }
                    }
                    None => open = false,
                },
                done = self.producer.next(), if waiting => {
                    if let Some(done) = done? {
                        self.acknowledged(done);
                    }
                }
            }
        }
    }

    /// Hands over batches while a leader has room. What is not full goes too: it grows only while
    /// everything before it is under way.
    fn dispatch(&mut self) -> Result<()> {
        while let Some(partitions) = self.producer.ready() {
            let mut any = false;
            for partition in partitions {
                if let Some((batch, count)) = self.batches.take(partition)? {
                    self.producer.queue(partition, batch, count, count);
                    any = true;
                }
            }
            if !any {
                break;
            }
            self.producer.pump();
        }
        Ok(())
    }

    fn acknowledged(&mut self, done: Completion<usize>) {
        let ends = self.ends.entry(done.partition).or_default();
        ends.records += done.tag as u64;
        let base = done.acknowledgement.base_offset;
        if base >= 0 {
            let last = base + done.tag as i64 - 1;
            ends.first = Some(ends.first.map_or(base, |first| first.min(base)));
            ends.last = Some(ends.last.map_or(last, |known| known.max(last)));
        }
    }
}

/// Batches being filled, by partition, and full ones before them.
struct Batches {
    partitioner: Partitioner,
    compression: Compression,
    batch_bytes: usize,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    filling: BTreeMap<i32, BatchEncoder>,
    full: BTreeMap<i32, std::collections::VecDeque<(bytes::BytesMut, usize)>>,
    /// Bytes held.
    bytes: usize,
}

impl Batches {
    fn new(partitioner: Partitioner, args: &Args) -> Self {
        let header = |(name, value): &(String, String)| (name.clone().into(), value.clone().into());
        Self {
            partitioner,
            compression: args.compression,
            batch_bytes: usize::try_from(args.batch_bytes).unwrap_or(1 << 20),
            headers: args.headers.iter().map(header).collect(),
            filling: BTreeMap::new(),
            full: BTreeMap::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, line: &[u8], number: u64, args: &Args) -> Result<()> {
        let (key, value) = split(line, args.key_separator.as_deref())
            .ok_or_else(|| Error::Usage(format!("line {number}: no key separator in it")))?;
        let value = (args.null.as_ref().map(String::as_bytes) != Some(value)).then_some(value);
        let partition = self.partitioner.partition(key);
        let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + 20;
        let encoder = self.filling.entry(partition).or_default();
        if !encoder.is_empty() && encoder.len() + size > self.batch_bytes {
            let count = encoder.count();
            let batch = encoder.finish(self.compression).map_err(Error::Usage)?;
            self.full
                .entry(partition)
                .or_default()
                .push_back((batch, count));
            self.partitioner.filled(partition);
        }
        let headers: Vec<(&[u8], Option<&[u8]>)> = self
            .headers
            .iter()
            .map(|(name, value)| (&name[..], Some(&value[..])))
            .collect();
        let before = encoder.len();
        encoder.push(SystemClock.wall_ms(), key, value, &headers);
        self.bytes += encoder.len().saturating_sub(before);
        Ok(())
    }

    fn take(&mut self, partition: i32) -> Result<Option<(bytes::BytesMut, usize)>> {
        let full = self
            .full
            .get_mut(&partition)
            .and_then(std::collections::VecDeque::pop_front);
        let taken = match full {
            Some(full) => Some(full),
            None => match self.filling.get_mut(&partition) {
                Some(encoder) if !encoder.is_empty() => {
                    let count = encoder.count();
                    Some((
                        encoder.finish(self.compression).map_err(Error::Usage)?,
                        count,
                    ))
                }
                _ => None,
            },
        };
        // What remains is counted anew: compression changed the sizes of full batches.
        let full = self
            .full
            .values()
            .flatten()
            .map(|(batch, _)| batch.len())
            .sum::<usize>();
        let filling = self.filling.values().filter(|encoder| !encoder.is_empty());
        self.bytes = full + filling.map(BatchEncoder::len).sum::<usize>();
        Ok(taken)
    }
}

/// Key and value of a line; none if it should have a key and has none.
fn split<'a>(line: &'a [u8], separator: Option<&str>) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else {
        return Some((None, line));
    };
    let separator = separator.as_bytes();
    let at = line
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((Some(&line[..at]), &line[at + separator.len()..]))
}

fn summary(ends: &BTreeMap<i32, Ends>, bytes: u64, seconds: f64, acks: Acks) -> String {
    let records: u64 = ends.values().map(|ends| ends.records).sum();
    let rate = bytes as f64 / f64::from(1 << 20) / seconds.max(1e-3);
    let done = match acks {
        Acks(0) => "sent",
        _ => "acknowledged",
    };
    let mut text = format!(
        "{} records {done}, {} bytes in {seconds:.2} s ({rate:.1} MiB/s)\n",
        grouped(records),
        grouped(bytes),
    );
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("RECORDS", Align::Right),
        ("FIRST", Align::Right),
        ("LAST", Align::Right),
    ]);
    let offset = |offset: Option<i64>| offset.map_or("?".into(), |o| o.to_string());
    for (partition, ends) in ends {
        let records = grouped(ends.records);
        table.row([
            partition.to_string(),
            records,
            offset(ends.first),
            offset(ends.last),
        ]);
    }
    if !table.is_empty() {
        text.push_str(&table.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        assert_eq!(
            split(b"a=>b=>c", Some("=>")),
            Some((Some(&b"a"[..]), &b"b=>c"[..]))
        );
        assert_eq!(split(b"=>b", Some("=>")), Some((Some(&b""[..]), &b"b"[..])));
        assert_eq!(split(b"ab", Some("=>")), None);
        assert_eq!(split(b"a=>b", None), Some((None, &b"a=>b"[..])));
    }

    #[test]
    fn lines_are_read_without_their_end_and_the_last_may_lack_it() {
        let mut source = BufReader::new(&b"one\n\nthree"[..]);
        let mut lines = Vec::new();
        loop {
            let chunk = read_chunk(&mut source).unwrap();
            if chunk.is_empty() {
                break;
            }
            lines.extend(chunk);
        }
        assert_eq!(lines, [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn the_summary_names_count_and_offsets() {
        let ends = Ends {
            records: 1_200,
            first: Some(5),
            last: Some(1_204),
        };
        let ends = [(3, ends)].into();
        let unheard = summary(&ends, 1 << 20, 2.0, Acks(0));
        assert!(unheard.starts_with("1,200 records sent, "), "{unheard}");
        let text = summary(&ends, 1 << 20, 2.0, Acks(-1));
        assert!(text.starts_with("1,200 records acknowledged, 1,048,576 bytes in 2.00 s (0.5"));
        assert!(
            text.ends_with("        3    1,200      5  1204\n"),
            "{text}"
        );
    }

    #[test]
    fn acks_are_those_of_kafka() {
        assert_eq!(acks("all"), Ok(Acks(-1)));
        assert_eq!(acks("0"), Ok(Acks(0)));
        assert!(acks("2").is_err());
    }
}
