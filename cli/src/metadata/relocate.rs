//! `millrace metadata move`.

use std::sync::Arc;

use control_plane::checkpoint::CheckpointStore;
use control_plane::cluster;
use control_plane::log::MetadataLog;
use control_plane::log::home::{self, Home, Place};
use control_plane::relocation::{Destination, Relocation, RelocationError, Step, ToBucket};
use control_plane::state::{MoveRejection, State};
use runtime::settings::Resolved;
use runtime::{Rng, SharedClock, Store, SystemClock};

use crate::Failure;
use crate::direct::{refuse_memory, settings};
use crate::plane;
use crate::settings_args::PlaceArgs;

/// The arguments of a move.
#[derive(clap::Args, Debug)]
pub struct Move {
    /// Where to: `bucket`, or fdb:/path/to/fdb.cluster with ?prefix=NAME if there is one.
    #[arg(long)]
    to: String,
    /// Stop the processes that run, or were killed: without this the log is moved only if all have ended properly.
    #[arg(long)]
    fence: bool,
    /// Check whether it could be moved, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// A move that is asked for.
struct Asked {
    settings: Resolved,
    to: String,
    cluster_id: String,
    store: Store,
    home: Home,
    clock: SharedClock,
    rng: Rng,
}

/// Runs the command.
pub async fn run(args: Move) -> Result<(), Failure> {
    let settings = settings(args.place)?;
    refuse_memory(settings.text("metadata.log"))?;
    refuse_memory(&args.to)?;
    let (clock, rng) = (SystemClock::shared(), Rng::from_os());
    let store = plane::open_bucket(&settings, &clock)?;
    let cluster_id = cluster::existing(&store).await?;
    let home = home::find(&store).await?;
    let asked = Asked {
        home: home.ok_or("this cluster has no metadata log yet: start it where it is to be")?,
        to: args.to,
        settings,
        cluster_id,
        store,
        clock,
        rng,
    };
    asked.check_places()?;
    if asked.is_done().await {
        asked.finish().await;
        sayln!("the metadata log is at {} already", asked.to);
        return Ok(());
    }
    let destination = asked.destination()?;
    let relocation = asked.relocation(&*destination, args.fence).await?;
    if args.dry_run {
        let state = relocation.survey().await?;
        show_plan(&state, &asked, args.fence);
        return Ok(());
    }
    let told = relocation.run(|step| {
        tell(step);
        true
    });
    told.await.map_err(explained)?;
    asked.finish().await;
    sayln!("start every process with --metadata {}", asked.to);
    Ok(())
}

fn show_plan(state: &State, asked: &Asked, fence: bool) {
    let from = asked.settings.text("metadata.log");
    sayln!(
        "the metadata log can be moved from {from} to {}: position {}, {} bytes of state",
        asked.to,
        state.position(),
        state.to_bytes().len()
    );
    let names = state
        .agents()
        .map(|(_, agent)| agent.registration.agent_id.as_str());
    let names: Vec<&str> = names.collect();
    match (names.is_empty(), fence) {
        (true, _) => {}
        (false, true) => sayln!("it would stop {}", names.join(", ")),
        (false, false) => sayln!("but not before these have ended: {}", names.join(", ")),
    }
}

fn tell(step: &Step) {
    match step {
        Step::Closed { at, digest } => {
            sayln!("closed the old log at position {at}, state {digest:016x}");
        }
        Step::Saved { bytes } => sayln!("wrote and read back a checkpoint, {bytes} bytes"),
        Step::Begun => sayln!("began the new log"),
        Step::Switched => sayln!("noted in the bucket where the log is"),
    }
}

/// What to do about an error, beside what it says.
fn explained(error: RelocationError) -> Failure {
    match error {
        RelocationError::Refused(MoveRejection::InUse(_)) => format!(
            "{error}; stop them and try again (SIGTERM; one that was killed stays registered), or let the move stop them \
             with --fence"
        )
        .into(),
        RelocationError::Refused(MoveRejection::Version(_)) => {
            format!("{error} with `millrace metadata upgrade`").into()
        }
        other => other.into(),
    }
}

impl Asked {
    /// Refuses what is no move.
    fn check_places(&self) -> Result<(), Failure> {
        let from = self.settings.text("metadata.log");
        if from == self.to {
            return Err(format!("--metadata and --to both are {from}").into());
        }
        for place in [from, &self.to] {
            if place != "bucket" && !place.starts_with("fdb:") {
                return Err(format!(
                    "unknown metadata log {place:?}: use bucket or fdb:/path/to/fdb.cluster"
                )
                .into());
            }
        }
        same_foundation(from, &self.to)
    }

    /// Whether the log is where it is to be moved.
    async fn is_done(&self) -> bool {
        match (&self.home.place, self.to.as_str()) {
            (Place::Bucket, "bucket") => true,
            (Place::FoundationDb { .. }, to) if to.starts_with("fdb:") => {
                self.open(to).await.is_ok()
            }
            _ => false,
        }
    }

    async fn open(&self, log: &str) -> Result<Arc<dyn MetadataLog>, Failure> {
        let cluster = (self.cluster_id.as_str(), &self.store);
        plane::open_log_called(log, &self.settings, cluster, &self.clock, &self.rng).await
    }

    fn destination(&self) -> Result<Box<dyn Destination>, Failure> {
        match self.to.as_str() {
            "bucket" => Ok(Box::new(ToBucket)),
            address => foundation(address, self),
        }
    }

    async fn relocation<'a>(
        &self,
        destination: &'a dyn Destination,
        fence: bool,
    ) -> Result<Relocation<'a>, Failure> {
        let source = self.open(self.settings.text("metadata.log")).await?;
        Ok(Relocation {
            store: self.store.clone(),
            checkpoints: CheckpointStore::new(self.store.clone()),
            source,
            destination,
            to: self.to.clone(),
            fence,
            clock: self.clock.clone(),
            rng: self.rng.fork("move"),
        })
    }

    /// Marks the old log, where that is possible. The move is over without it; but another log can begin there later.
    async fn finish(&self) {
        if let Err(error) = leave(self).await {
            eprintln!("millrace: the old log could not be marked as left: {error}");
        }
    }
}

#[cfg(not(feature = "foundationdb"))]
fn same_foundation(_: &str, _: &str) -> Result<(), Failure> {
    Ok(())
}

#[cfg(feature = "foundationdb")]
fn same_foundation(from: &str, to: &str) -> Result<(), Failure> {
    use control_plane::log::foundationdb::Address;
    if !(from.starts_with("fdb:") && to.starts_with("fdb:")) {
        return Ok(());
    }
    match Address::parse(from)? == Address::parse(to)? {
        true => Err(format!("--metadata {from} and --to {to} are the same place").into()),
        false => Ok(()),
    }
}

#[cfg(not(feature = "foundationdb"))]
fn foundation(_: &str, _: &Asked) -> Result<Box<dyn Destination>, Failure> {
    Err(plane::NO_FOUNDATIONDB.into())
}

#[cfg(feature = "foundationdb")]
fn foundation(address: &str, asked: &Asked) -> Result<Box<dyn Destination>, Failure> {
    use control_plane::log::foundationdb::Address;
    Ok(Box::new(control_plane::relocation::ToFoundationDb {
        address: Address::parse(address)?,
        cluster_id: asked.cluster_id.clone(),
        clock: asked.clock.clone(),
        rng: asked.rng.fork("destination"),
    }))
}

#[cfg(not(feature = "foundationdb"))]
async fn leave(_: &Asked) -> Result<(), Failure> {
    Ok(())
}

#[cfg(feature = "foundationdb")]
async fn leave(asked: &Asked) -> Result<(), Failure> {
    use control_plane::log::foundationdb::{Address, FoundationLog, FoundationLogOptions};
    let from = asked.settings.text("metadata.log");
    if !from.starts_with("fdb:") {
        return Ok(());
    }
    let (clock, options) = (asked.clock.clone(), FoundationLogOptions::default());
    let moves = home::find(&asked.store).await?.map_or(0, |home| home.moves);
    let address = Address::parse(from)?;
    FoundationLog::leave(&address, &asked.cluster_id, moves, clock, options).await?;
    Ok(())
}
