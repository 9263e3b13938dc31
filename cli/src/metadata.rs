//! `millrace metadata`: the metadata log as such. Goes to the bucket and the log directly, through no agent.

mod relocate;

use control_plane::replica::Session;
use control_plane::state::{METADATA_VERSION_MAX, RaiseMetadataVersion, State, VersionRejection};

use crate::deleted::time;
use crate::direct::{failed, open, settings};
use crate::plane::Access;
use crate::settings_args::PlaceArgs;
use crate::tools::table::{Align, Table};
use crate::{Failure, tools};

/// Show the metadata log, move it, raise its version.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Show the log's position and version, and the processes that take part.
    Status {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Raise the metadata version, once every process knows the new one. There is no way back.
    Upgrade(Upgrade),
    /// Move the log between the bucket and FoundationDB. Every process has to be started anew after it.
    ///
    /// Also from one FoundationDB or prefix to another. From the moment at which the old log is closed nothing is
    /// acknowledged until processes run with the new --metadata. A move that was cut off is finished by running the same
    /// command again.
    Move(relocate::Move),
}

#[derive(clap::Args, Debug)]
struct Upgrade {
    /// The version wanted; by default the newest that this build knows.
    #[arg(long)]
    to: Option<u16>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> tools::Result<()> {
    let done = match args.command {
        Command::Status { place } => status(place).await,
        Command::Upgrade(args) => upgrade(args).await,
        Command::Move(args) => relocate::run(args).await,
    };
    done.map_err(failed)
}

async fn status(place: PlaceArgs) -> Result<(), Failure> {
    let settings = settings(place)?;
    let log = settings.text("metadata.log");
    let opened = open(Access::Look, &settings).await?;
    opened.replica.read(|state| show(state, log));
    Ok(())
}

fn show(state: &State, log: &str) {
    sayln!("log:         {log}, moved {} times", state.moves());
    sayln!(
        "position:    {}, at {}",
        state.position(),
        time(state.log_time_ms())
    );
    let checkpoint = state.checkpoint().map(|c| c.position.to_string());
    let checkpoint = checkpoint.unwrap_or_else(|| "none".to_owned());
    sayln!("checkpoint:  {checkpoint}");
    sayln!(
        "version:     {}; this build knows versions up to {METADATA_VERSION_MAX}",
        state.metadata_version()
    );
    let columns = [
        ("PROCESS", Align::Left),
        ("EPOCH", Align::Right),
        ("SERVES", Align::Left),
        ("KNOWS VERSION", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for (epoch, agent) in state.agents() {
        let registered = &agent.registration;
        let serves = match registered.host.is_empty() {
            true => "-".to_owned(),
            false => format!("{}:{}", registered.host, registered.port),
        };
        let draining = if agent.draining { "draining" } else { "" };
        table.row([
            registered.agent_id.clone(),
            epoch.to_string(),
            serves,
            registered.version_max.to_string(),
            draining.to_owned(),
        ]);
    }
    match table.is_empty() {
        true => sayln!("processes:   none"),
        false => say!("{table}"),
    }
}

async fn upgrade(args: Upgrade) -> Result<(), Failure> {
    let to = args.to.unwrap_or(METADATA_VERSION_MAX);
    if to > METADATA_VERSION_MAX {
        return Err(
            format!("this build knows metadata versions up to {METADATA_VERSION_MAX}").into(),
        );
    }
    let opened = open(Access::Change, &settings(args.place)?).await?;
    let before = opened.replica.read(State::metadata_version);
    let raise = async |session: &Session| Ok(session.submit(RaiseMetadataVersion { to }).await?);
    match opened.change("metadata", raise).await? {
        Ok(now) => sayln!("raised the metadata version from {before} to {now}"),
        Err(VersionRejection::NotHigher(now)) if now == to => {
            sayln!("the metadata version is {now} already");
        }
        Err(VersionRejection::NotHigher(now)) => {
            return Err(format!("the metadata version is {now}, and is never lowered").into());
        }
        Err(rejection) => return Err(rejection.into()),
    }
    Ok(())
}
