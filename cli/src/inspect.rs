//! `millrace inspect`: what the bucket and the metadata really hold. Reads both directly, through no agent, and
//! changes nothing.

use std::process::ExitCode;

use bytes::Bytes;
use control_plane::state::{Extent, Partition, ProducerState, State, Topic};
use object_format::batch::{self, BatchHeader};
use object_format::{ObjectId, TopicId, TopicPartition, object, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use runtime::settings::Resolved;
use runtime::{Rng, SystemClock};

use crate::deleted::{purged, time};
use crate::plane::{self, Access};
use crate::settings_args;
use crate::tools::table::{Align, Table};
use crate::{Failure, direct};

/// Show what the bucket and the metadata really hold.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// A data object: its header, runs and batches, every checksum verified.
    Object {
        /// Its key (data/...), its id (...-...), or a file.
        object: String,
        #[command(flatten)]
        settings: settings_args::PlaceArgs,
    },
    /// A topic: its id, configs and partitions.
    Topic {
        /// Its name; or its id, also of a deleted one that is kept.
        topic: String,
        #[command(flatten)]
        settings: settings_args::PlaceArgs,
    },
    /// A partition: its offsets, extents and producers.
    Partition {
        /// Name or id of its topic.
        topic: String,
        /// Its index.
        partition: u32,
        #[command(flatten)]
        settings: settings_args::PlaceArgs,
    },
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Command::Object { object, settings } => inspect_object(&object, settings).await,
        Command::Topic { topic, settings } => {
            inspect_state(settings, |state| show_topic(state, &topic)).await
        }
        Command::Partition {
            topic,
            partition,
            settings,
        } => inspect_state(settings, |state| show_partition(state, &topic, partition)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("millrace: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn resolved(settings: settings_args::PlaceArgs) -> Result<Resolved, Failure> {
    settings.resolve(&[("store.url", broker::STORE_URL_DEFAULT)])
}

async fn inspect_state(
    settings: settings_args::PlaceArgs,
    show: impl FnOnce(&State) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let opened = direct::open(Access::Look, &resolved(settings)?).await?;
    opened.replica.read(|state| {
        sayln!(
            "metadata log position {}, version {}",
            state.position(),
            state.metadata_version()
        );
        show(state)
    })
}

/// A topic by its name, or by its id if it has one.
fn find<'a>(state: &'a State, name: &str) -> Result<(TopicId, &'a Topic), Failure> {
    let by_id = || {
        let id = TopicId(name.parse().ok()?);
        let deleted = || Some(&state.deleted_topic(id)?.topic);
        Some((id, state.topic(id).or_else(deleted)?))
    };
    let found = state.topic_named(name).or_else(by_id);
    found.ok_or_else(|| format!("there is no topic {name:?}").into())
}

fn show_topic(state: &State, name: &str) -> Result<(), Failure> {
    let (id, topic) = find(state, name)?;
    sayln!(
        "topic {}, id {id}, {} partitions",
        topic.name,
        topic.partitions
    );
    if let Some(deleted) = state.deleted_topic(id) {
        let (at, now_ms) = (time(deleted.deleted_ms), state.log_time_ms());
        sayln!("deleted {at}, purged {}", purged(deleted, now_ms));
    }
    for (config, value) in &topic.configs {
        sayln!("  {config} = {value}");
    }
    let columns = [
        "PARTITION",
        "LOG START",
        "LAST STABLE",
        "HIGH WATERMARK",
        "EXTENTS",
        "BYTES",
        "PRODUCERS",
    ];
    let mut table = Table::new(&columns.map(|name| (name, Align::Right)));
    for index in 0..topic.partitions {
        let key = TopicPartition {
            topic: id,
            partition: index,
        };
        let Some(p) = state.stored_partition(key) else {
            continue;
        };
        let numbers = [
            u64::from(index),
            p.log_start_offset as u64,
            p.last_stable_offset() as u64,
            p.high_watermark as u64,
            p.extents.len() as u64,
            p.bytes(),
            p.producers.len() as u64,
        ];
        table.row(numbers.map(|n| n.to_string()));
    }
    say!("{table}");
    Ok(())
}

fn show_partition(state: &State, name: &str, partition: u32) -> Result<(), Failure> {
    let (id, _) = find(state, name)?;
    let found = state.stored_partition(TopicPartition {
        topic: id,
        partition,
    });
    let partition: &Partition =
        found.ok_or_else(|| format!("topic {name:?} has no partition {partition}"))?;
    let (start, end) = (partition.log_start_offset, partition.high_watermark);
    sayln!(
        "log start offset {start}, high watermark {end}, {} bytes",
        partition.bytes()
    );
    show_transactions(partition);
    let right = |name| (name, Align::Right);
    let columns = [
        right("BASE OFFSET"),
        right("OFFSETS"),
        ("OBJECT", Align::Left),
        right("POSITION"),
        right("BYTES"),
        right("MAX TIMESTAMP"),
    ];
    let mut extents = Table::new(&columns);
    for (
        base,
        Extent {
            object,
            position,
            bytes,
            offsets,
            max_timestamp,
            ..
        },
    ) in &partition.extents
    {
        let cells = [
            base.to_string(),
            offsets.to_string(),
            path::data(*object),
            position.to_string(),
            bytes.to_string(),
            max_timestamp.to_string(),
        ];
        extents.row(cells);
    }
    say!("{extents}");
    if !partition.producers.is_empty() {
        say!("{}", producers(partition));
    }
    Ok(())
}

/// What transactions have left in a partition, and what is under way.
fn show_transactions(partition: &Partition) {
    let under_way = |p: &&ProducerState| p.transaction_first_offset.is_some();
    sayln!(
        "last stable offset {}, {} markers, {} aborted transactions, {} under way",
        partition.last_stable_offset(),
        partition.markers_from(0).count(),
        partition.aborted_between(0, i64::MAX).count(),
        partition.producers.values().filter(under_way).count(),
    );
}

fn producers(partition: &Partition) -> Table {
    let columns = [
        "PRODUCER ID",
        "EPOCH",
        "LAST SEQUENCE",
        "IN TRANSACTION FROM",
    ];
    let mut producers = Table::new(&columns.map(|name| (name, Align::Right)));
    for (id, producer) in &partition.producers {
        let from = producer.transaction_first_offset;
        producers.row([
            id.to_string(),
            producer.epoch.to_string(),
            producer.last_sequence().to_string(),
            from.map_or_else(|| "-".into(), |from| from.to_string()),
        ]);
    }
    producers
}

async fn inspect_object(name: &str, settings: settings_args::PlaceArgs) -> Result<(), Failure> {
    let bytes = match std::fs::read(name) {
        Ok(bytes) => Bytes::from(bytes),
        Err(_) => {
            let key = key_of(name)
                .ok_or_else(|| format!("{name:?} is no file, key or id of an object"))?;
            let (clock, rng) = (SystemClock::shared(), Rng::from_os());
            let opened = plane::open(Access::Look, &resolved(settings)?, &clock, &rng).await?;
            let store = opened.parts.fetch_store;
            sayln!("key {key}");
            store.get(&Path::from(key)).await?.bytes().await?
        }
    };
    show_object(&bytes)
}

fn key_of(name: &str) -> Option<String> {
    if path::parse_data(name).is_some() {
        return Some(name.to_owned());
    }
    let (writer, sequence) = name.split_once('-')?;
    let writer = object_format::AgentEpoch(writer.parse().ok()?);
    Some(path::data(ObjectId {
        writer,
        sequence: sequence.parse().ok()?,
    }))
}

fn show_object(bytes: &Bytes) -> Result<(), Failure> {
    let parsed = object::parse_object(bytes)?;
    let verified = object::verify_object(bytes);
    let header = &parsed.header;
    sayln!(
        "object {}, format version {}, {} bytes, created at {} ms",
        header.id,
        object::FORMAT_VERSION,
        bytes.len(),
        header.created_ms
    );
    match &verified {
        Ok(_) => sayln!("checksums: all good"),
        Err(error) => sayln!("checksums: DAMAGED: {error}"),
    }
    let right = |name| (name, Align::Right);
    let columns = [
        ("TOPIC ID", Align::Left),
        right("PARTITION"),
        right("POSITION"),
        right("BYTES"),
        right("RECORDS"),
        right("PRODUCER"),
        right("SEQUENCE"),
        ("CODEC", Align::Left),
        right("MAX TIMESTAMP"),
    ];
    let mut table = Table::new(&columns);
    for run in &parsed.index.runs {
        let TopicPartition { topic, partition } = run.topic_partition;
        let mut position = run.position;
        let range = run.position as usize..(run.position + run.length) as usize;
        for found in batch::split(bytes.slice(range)) {
            let found = found?;
            let header = BatchHeader::parse(&found)?;
            table.row([
                topic.to_string(),
                partition.to_string(),
                position.to_string(),
                found.len().to_string(),
                header.record_count.to_string(),
                format!("{}/{}", header.producer_id, header.producer_epoch),
                header.base_sequence.to_string(),
                header.codec().map_or("?", |codec| codec.name()).to_owned(),
                header.max_timestamp.to_string(),
            ]);
            position += found.len() as u64;
        }
    }
    say!("{table}");
    verified.map(|_| ()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn help_is_about_where_things_are_and_not_about_every_setting() {
        let mut command = Args::augment_args(clap::Command::new("inspect"));
        command.build();
        for name in ["object", "topic", "partition"] {
            let help = command.find_subcommand_mut(name).unwrap().render_help();
            let help = help.to_string();
            assert!(help.contains("--store"), "{help}");
            assert!(!help.contains("--linger-ms"), "{help}");
        }
    }
}
