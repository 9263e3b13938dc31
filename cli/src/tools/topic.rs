//! `millrace topic create | list | describe | delete | undelete | purge`.

use super::table::{Align, Table, grouped};
use super::{Bootstrap, Error, Result, name_value};
use crate::client::{Client, ClientError, NewTopic, OffsetQuery, Topic};
use crate::deleted;
use crate::settings_args::PlaceArgs;

const TOPIC_ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// Create, list, describe, delete and undelete topics.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Create a topic.
    Create(Create),
    /// List the topics.
    List(List),
    /// Show the partitions, offsets and configs of a topic.
    Describe(Describe),
    /// Delete topics and everything in them.
    Delete(Delete),
    /// Bring back a deleted topic with everything in it.
    Undelete(deleted::Undelete),
    /// Delete a deleted topic for good, and so free its space before its time.
    Purge(deleted::Purge),
}

#[derive(clap::Args, Debug)]
struct Create {
    /// Name of the topic.
    topic: String,
    /// Number of partitions; the broker's default if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Copies of each partition; the broker's default if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A topic config; may be repeated.
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = name_value)]
    configs: Vec<(String, String)>,
    /// Succeed if the topic is there already.
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it could be created.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(clap::Args, Debug)]
struct List {
    /// Also topics the broker made for itself.
    #[arg(long)]
    internal: bool,
    /// The deleted topics that are kept instead: read from the bucket that --store names.
    #[arg(long, conflicts_with_all = ["internal", "bootstrap"])]
    deleted: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(clap::Args, Debug)]
struct Describe {
    /// Name of the topic.
    topic: String,
    /// All configs, also those the topic does not set.
    #[arg(long)]
    all_configs: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(clap::Args, Debug)]
struct Delete {
    /// Names of the topics.
    #[arg(required = true)]
    topics: Vec<String>,
    /// Succeed if a topic is not there.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Does it.
pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Create(args) => create(args).await,
        Command::List(args) => list(args).await,
        Command::Describe(args) => describe(args).await,
        Command::Delete(args) => delete(args).await,
        Command::Undelete(args) => deleted::undelete(args).await,
        Command::Purge(args) => deleted::purge(args).await,
    }
}

fn has_code(error: &ClientError, code: i16) -> bool {
    error.code().is_some_and(|found| found.code() == code)
}

async fn create(args: Create) -> Result<()> {
    let topic = NewTopic {
        name: args.topic,
        partitions: args.partitions.unwrap_or(-1),
        replication: args.replication_factor.unwrap_or(-1),
        configs: args.configs,
        validate_only: args.validate_only,
    };
    match args.bootstrap.client().create_topic(&topic).await {
        Ok(_) if topic.validate_only => sayln!("{} could be created", topic.name),
        Ok((id, partitions)) => {
            let partitions = if partitions > 0 {
                partitions
            } else {
                topic.partitions
            };
            say!("created {}", topic.name);
            if partitions > 0 {
                say!(
                    " with {partitions} partition{}",
                    if partitions == 1 { "" } else { "s" }
                );
            }
            sayln!(
                "{}",
                if id.is_nil() {
                    String::new()
                } else {
                    format!(", id {id}")
                }
            );
        }
        Err(error) if args.if_not_exists && has_code(&error, TOPIC_ALREADY_EXISTS) => {
            sayln!("{} is there already", topic.name);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn list(args: List) -> Result<()> {
    if args.deleted {
        return deleted::list(args.place).await;
    }
    if args.place.is_given() {
        let why = "where the bucket is matters with --deleted only";
        return Err(Error::Usage(why.to_owned()));
    }
    let cluster = args.bootstrap.client().metadata(None).await?;
    let mut table = Table::new(&[("TOPIC", Align::Left), ("PARTITIONS", Align::Right)]);
    for topic in cluster
        .topics
        .iter()
        .filter(|topic| args.internal || !topic.internal)
    {
        table.row([topic.name.clone(), topic.partitions.len().to_string()]);
    }
    if table.is_empty() {
        eprintln!("no topics");
    } else {
        say!("{table}");
    }
    Ok(())
}

async fn describe(args: Describe) -> Result<()> {
    let client = args.bootstrap.client();
    // SUBTLE: asking for a topic by name may create it; the list of all topics does not.
    let cluster = client.metadata(None).await?;
    let found = cluster
        .topics
        .into_iter()
        .find(|topic| topic.name == args.topic);
    let topic = found.ok_or_else(|| {
        ClientError::broker(
            format!("topic {}", args.topic),
            UNKNOWN_TOPIC_OR_PARTITION,
            None,
        )
    })?;
    sayln!("topic {}", topic.name);
    if !topic.id.is_nil() {
        sayln!("id    {}", topic.id);
    }
    sayln!("\n{}", partitions(&client, &topic).await?);
    let configs = client.topic_configs(&topic.name).await?;
    let mut table = Table::new(&[("CONFIG", Align::Left), ("VALUE", Align::Left)]);
    for config in configs
        .iter()
        .filter(|config| args.all_configs || config.on_topic)
    {
        table.row([
            config.name.clone(),
            config.value.clone().unwrap_or_else(|| "(hidden)".into()),
        ]);
    }
    if table.is_empty() {
        sayln!("no configs set on the topic; --all-configs shows the defaults");
    } else {
        say!("{table}");
    }
    Ok(())
}

async fn partitions(client: &Client, topic: &Topic) -> Result<Table> {
    let indexes: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let first = client
        .offsets(&topic.name, &indexes, OffsetQuery::Beginning)
        .await?;
    let end = client
        .offsets(&topic.name, &indexes, OffsetQuery::End)
        .await?;
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("REPLICAS", Align::Left),
        ("IN SYNC", Align::Left),
        ("BEGINNING", Align::Right),
        ("END", Align::Right),
    ]);
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    for partition in &topic.partitions {
        let offset = |offsets: &std::collections::BTreeMap<i32, crate::client::ListedOffset>| {
            let listed = offsets.get(&partition.index);
            listed.map_or("?".into(), |listed| grouped(listed.offset.max(0) as u64))
        };
        table.row([
            partition.index.to_string(),
            partition.leader.to_string(),
            ids(&partition.replicas),
            ids(&partition.in_sync),
            offset(&first),
            offset(&end),
        ]);
    }
    Ok(table)
}

async fn delete(args: Delete) -> Result<()> {
    let client = args.bootstrap.client();
    let mut failed = None;
    for topic in &args.topics {
        match client.delete_topic(topic).await {
            Ok(()) => sayln!("deleted {topic}"),
            Err(error) if args.if_exists && has_code(&error, UNKNOWN_TOPIC_OR_PARTITION) => {
                sayln!("{topic} is not there");
            }
            Err(error) => {
                eprintln!("{error}");
                failed = Some(topic);
            }
        }
    }
    match failed {
        Some(topic) => Err(Error::Usage(format!("{topic} was not deleted"))),
        None => Ok(()),
    }
}
