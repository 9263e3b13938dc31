//! For tools that go to the bucket and the metadata log directly, through no agent.

use control_plane::replica::{Replica, ReplicaParts, Session};
use control_plane::state::RegisterAgent;
use runtime::settings::Resolved;
use runtime::{Rng, Shutdown, SystemClock};

use crate::plane::{self, Access};
use crate::settings_args::PlaceArgs;
use crate::{Failure, tools};

/// The settings of a tool.
pub fn settings(place: PlaceArgs) -> Result<Resolved, Failure> {
    place.resolve(&[("store.url", broker::STORE_URL_DEFAULT)])
}

/// What a tool ends with.
pub fn failed(failure: Failure) -> tools::Error {
    tools::Error::Failed(failure.to_string())
}

/// The metadata of a cluster.
pub struct Opened {
    /// As they are at the end of the log.
    pub replica: Replica,
    rng: Rng,
    shutdown: Shutdown,
}

/// Opens the metadata of the cluster that `settings` name.
pub async fn open(access: Access, settings: &Resolved) -> Result<Opened, Failure> {
    refuse_memory(settings.text("metadata.log"))?;
    let (clock, rng) = (SystemClock::shared(), Rng::from_os());
    let opened = plane::open(access, settings, &clock, &rng).await?;
    let parts = ReplicaParts {
        log: opened.parts.log,
        checkpoints: opened.parts.checkpoints,
        clock,
        rng: rng.fork("replica"),
    };
    let shutdown = Shutdown::default();
    Ok(Opened {
        replica: Replica::open(parts, &shutdown).await?,
        rng,
        shutdown,
    })
}

/// No tool can do anything with a log in memory.
pub fn refuse_memory(log: &str) -> Result<(), Failure> {
    match log {
        "memory" => Err("a metadata log in memory is seen by no other process".into()),
        _ => Ok(()),
    }
}

impl Opened {
    /// Registers for as long as a change takes, under a name that begins with `kind`.
    pub async fn change<T>(
        &self,
        kind: &str,
        change: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let nonce = self.rng.uuid();
        let name = format!("{kind}-{:08x}", self.rng.u64() as u32);
        let registration = RegisterAgent::new(nonce, name);
        let session = self.replica.join(registration, &self.shutdown).await?;
        let changed = change(&session).await;
        let left = session.leave().await;
        let changed = changed?;
        left?;
        Ok(changed)
    }
}
