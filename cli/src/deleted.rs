//! `millrace topic list --deleted | undelete | purge`: deleted topics that are kept. Kafka has no requests for them, so
//! these go to the bucket and the metadata log directly, through no agent.

use chrono::{DateTime, SecondsFormat};
use control_plane::replica::Session;
use control_plane::state::{DeletedTopic, State, UndeleteRejection, UndeleteTopic};
use object_format::{TopicId, TopicPartition};
use uuid::Uuid;

use crate::direct::{failed, open, settings};
use crate::plane::Access;
use crate::settings_args::PlaceArgs;
use crate::tools::table::{Align, Table};
use crate::{Failure, tools};

/// Bring back a deleted topic with everything in it.
#[derive(clap::Args, Debug)]
pub struct Undelete {
    /// Name it had.
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    topic: Option<String>,
    /// Its id, if several of that name were deleted: see `millrace topic list --deleted`.
    #[arg(long)]
    id: Option<Uuid>,
    /// Another name for it.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Delete a deleted topic for good, and so free its space before its time.
#[derive(clap::Args, Debug)]
pub struct Purge {
    /// Its id: see `millrace topic list --deleted`.
    #[arg(long)]
    id: Uuid,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Shows the deleted topics that are kept.
pub async fn list(place: PlaceArgs) -> tools::Result<()> {
    let table = async {
        let replica = open(Access::Look, &settings(place)?).await?.replica;
        Ok::<_, Failure>(replica.read(show))
    };
    match table.await.map_err(failed)? {
        table if table.is_empty() => eprintln!("no deleted topics"),
        table => say!("{table}"),
    }
    Ok(())
}

fn show(state: &State) -> Table {
    let columns = [
        ("TOPIC", Align::Left),
        ("ID", Align::Left),
        ("PARTITIONS", Align::Right),
        ("BYTES", Align::Right),
        ("DELETED", Align::Left),
        ("PURGED", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for (id, deleted) in state.deleted_topics() {
        table.row([
            deleted.topic.name.clone(),
            id.to_string(),
            deleted.topic.partitions.to_string(),
            bytes(state, id).to_string(),
            time(deleted.deleted_ms),
            purged(deleted, state.log_time_ms()),
        ]);
    }
    table
}

/// When a topic goes for good.
pub fn purged(deleted: &DeletedTopic, now_ms: i64) -> String {
    match deleted.may_be_undeleted(now_ms) {
        true => time(deleted.purge_ms),
        false => "now".to_owned(),
    }
}

fn bytes(state: &State, topic: TopicId) -> u64 {
    let first = TopicPartition {
        topic,
        partition: 0,
    };
    let partitions = state.stored_partitions_from(first);
    let own = partitions.take_while(|(of, _)| of.topic == topic);
    own.map(|(_, partition)| partition.bytes()).sum()
}

/// A point in time, to the second; `never` if it is past all calendars.
pub fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map_or("never".to_owned(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    })
}

/// Brings a topic back.
pub async fn undelete(args: Undelete) -> tools::Result<()> {
    let Undelete {
        topic, id, name, ..
    } = args;
    let done = async {
        let opened = open(Access::Change, &settings(args.place)?).await?;
        let find = |state: &State| match (id, &topic) {
            (Some(id), _) => Ok(TopicId(id)),
            (None, name) => find(state, name.as_deref().unwrap_or_default()),
        };
        let id = opened.replica.read(find)?;
        let undelete = UndeleteTopic { id, name };
        let submit = async |session: &Session| Ok(session.submit(undelete).await?);
        let name = opened.change("topic", submit).await?.map_err(told)?;
        let bytes = opened.replica.read(|state| bytes(state, id));
        sayln!("undeleted {name}, id {id}, {bytes} bytes");
        Ok::<_, Failure>(())
    };
    done.await.map_err(failed)
}

/// The only deleted topic that had this name.
fn find(state: &State, name: &str) -> Result<TopicId, Failure> {
    let named = state.deleted_topics().filter(|(_, d)| d.topic.name == name);
    let ids: Vec<TopicId> = named.map(|(id, _)| id).collect();
    match ids[..] {
        [id] => Ok(id),
        [] => Err(format!(
            "no deleted topic {name:?} is kept: see `millrace topic list --deleted`"
        )
        .into()),
        _ => {
            let ids: Vec<String> = ids.iter().map(TopicId::to_string).collect();
            let ids = ids.join(", ");
            Err(
                format!("several deleted topics had the name {name:?}: choose by --id from {ids}")
                    .into(),
            )
        }
    }
}

fn told(rejection: UndeleteRejection) -> Failure {
    match rejection {
        UndeleteRejection::NameTaken(_) => format!("{rejection}: use --as").into(),
        UndeleteRejection::Unknown | UndeleteRejection::TooLate | UndeleteRejection::BadName(_) => {
            rejection.into()
        }
    }
}

/// Takes a deleted topic away for good.
pub async fn purge(args: Purge) -> tools::Result<()> {
    let id = TopicId(args.id);
    let done = async {
        let opened = open(Access::Change, &settings(args.place)?).await?;
        let name = opened
            .replica
            .read(|state| Some(state.deleted_topic(id)?.topic.name.clone()));
        let name = name.ok_or(UndeleteRejection::Unknown)?;
        let purge = async |session: &Session| Ok(compactor::purge::purge(session, id, true).await?);
        match opened.change("topic", purge).await? {
            true => sayln!("purged {name}, id {id}; its objects go with the garbage"),
            false => return Err(UndeleteRejection::Unknown.into()),
        }
        Ok::<_, Failure>(())
    };
    done.await.map_err(failed)
}
