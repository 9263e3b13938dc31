//! `millrace consume TOPIC`: records to standard output.

mod format;
mod start;

use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal, Write};

use indicatif::ProgressBar;

use self::format::Format;
use self::start::Start;
use super::{Bootstrap, Error, Result, progress};
use crate::client::records::AbortedFilter;
use crate::client::{ClientError, FetchOptions, Fetched, Fetcher, OffsetQuery};

/// Print the records of a topic.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name of the topic.
    topic: String,
    /// Where to begin: beginning, end, offset:N (or N; the nearest that a partition has), -N (that
    /// many before the end), timestamp:MS, or a time such as 2026-01-31T12:00:00Z.
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "end",
        allow_hyphen_values = true,
        value_parser = start::parse
    )]
    from: Start,
    /// Only this partition; may be repeated.
    #[arg(long = "partition", value_name = "N")]
    partitions: Vec<i32>,
    /// Stop after so many records.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop at the end that the partitions have now.
    #[arg(long)]
    until_end: bool,
    /// How a record is printed: value, key-value, or json (with offset, timestamp, headers; bytes
    /// that are not UTF-8 as {"base64": ...}).
    #[arg(long, value_enum, default_value_t = Format::Value)]
    format: Format,
    /// What is printed between key and value.
    #[arg(long, value_name = "TEXT", default_value = "\t")]
    key_separator: String,
    /// Leave out records of transactions that are open or were aborted.
    #[arg(long)]
    read_committed: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Does it.
pub async fn run(args: Args) -> Result<()> {
    let client = args.bootstrap.client();
    let topic = client.topic(&args.topic).await?;
    let all: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    if let Some(unknown) = args.partitions.iter().find(|index| !all.contains(index)) {
        let text = format!("{} has {} partitions, no {unknown}", args.topic, all.len());
        return Err(Error::Usage(text));
    }
    let indexes = if args.partitions.is_empty() {
        all
    } else {
        args.partitions.clone()
    };
    let positions = start::positions(&client, &args.topic, &indexes, args.from).await?;
    let ends = match args.until_end {
        true => {
            let ends = client
                .offsets(&args.topic, &indexes, OffsetQuery::End)
                .await?;
            Some(
                ends.into_iter()
                    .map(|(index, listed)| (index, listed.offset))
                    .collect(),
            )
        }
        false => None,
    };
    let bar = match std::io::stdout().is_terminal() {
        true => progress::hidden(),
        false => progress::of_records(total(&positions, ends.as_ref(), args.count)),
    };
    let options = FetchOptions {
        read_committed: args.read_committed,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(client, topic, positions, options);
    let printer = Printer {
        args: &args,
        out: BufWriter::new(std::io::stdout()),
        printed: 0,
        bar,
    };
    printer.run(fetcher, ends).await
}

/// Records expected; none if there is no end.
fn total(
    positions: &BTreeMap<i32, i64>,
    ends: Option<&BTreeMap<i32, i64>>,
    count: Option<u64>,
) -> Option<u64> {
    let until_end = ends.map(|ends| {
        let left = positions
            .iter()
            .map(|(index, from)| ends.get(index).map_or(0, |e| e - from));
        left.map(|left| left.max(0) as u64).sum()
    });
    match (until_end, count) {
        (Some(until_end), Some(count)) => Some(u64::min(until_end, count)),
        (until_end, count) => until_end.or(count),
    }
}

struct Printer<'a, W: Write> {
    args: &'a Args,
    out: W,
    printed: u64,
    bar: ProgressBar,
}

impl<W: Write> Printer<'_, W> {
    async fn run(mut self, mut fetcher: Fetcher, ends: Option<BTreeMap<i32, i64>>) -> Result<()> {
        loop {
            if let Some(ends) = &ends {
                let done = |(index, position): (&i32, &i64)| {
                    (*position >= ends.get(index).copied().unwrap_or(0)).then_some(*index)
                };
                let done: Vec<i32> = fetcher.positions().iter().filter_map(done).collect();
                done.into_iter()
                    .for_each(|index| fetcher.drop_partition(index));
            }
            if fetcher.positions().is_empty() || self.is_full() {
                self.bar.finish_and_clear();
                return self.flush();
            }
            let fetched = fetcher.next().await?;
            for partition in &fetched {
                let end = ends
                    .as_ref()
                    .and_then(|ends| ends.get(&partition.partition));
                self.print_all(partition, end.copied().unwrap_or(i64::MAX))?;
            }
            self.flush()?;
        }
    }

    fn is_full(&self) -> bool {
        self.args.count.is_some_and(|count| self.printed >= count)
    }

    fn flush(&mut self) -> Result<()> {
        self.out
            .flush()
            .map_err(|error| Error::Io("standard output".into(), error))
    }

    fn print_all(&mut self, fetched: &Fetched, end: i64) -> Result<()> {
        let bad = |bad: crate::client::records::BadBatch| {
            let at = format!("{}-{}", self.args.topic, fetched.partition);
            ClientError::Protocol(format!("{at}: {bad}"))
        };
        let mut filter = AbortedFilter::new(&fetched.aborted);
        for batch in &fetched.batches {
            if !filter.shows(batch) {
                continue;
            }
            let records = batch.records().map_err(bad)?;
            for record in records.iter() {
                let record = record.map_err(bad)?;
                if record.offset < fetched.from || record.offset >= end {
                    continue;
                }
                if self.args.count.is_some_and(|count| self.printed >= count) {
                    return Ok(());
                }
                self.printed += 1;
                self.bar.inc(1);
                let (topic, separator) = (&self.args.topic, &self.args.key_separator);
                self.args
                    .format
                    .write(&mut self.out, topic, fetched.partition, &record, separator)
                    .map_err(|error| Error::Io("standard output".into(), error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_knows_the_nearer_end() {
        let positions = [(0, 10), (1, 5)].into();
        let ends = [(0, 30), (1, 5)].into();
        assert_eq!(total(&positions, Some(&ends), None), Some(20));
        assert_eq!(total(&positions, Some(&ends), Some(7)), Some(7));
        assert_eq!(total(&positions, None, Some(7)), Some(7));
        assert_eq!(total(&positions, None, None), None);
    }
}
