//! Writes checkpoints under a lease and trims the log behind them.

use std::time::Duration;

use runtime::{Shutdown, Trouble};

use super::Session;
use crate::log::Position;
use crate::state::{AcquireLease, ReportCheckpoint, State};

const LEASE: &str = "checkpoint";

/// How many checkpoints are kept: the newest, and some to fall back on.
const CHECKPOINTS_KEPT: usize = 3;

/// When checkpoints are written.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointOptions {
    /// After this many entries.
    pub entries: u64,
    /// How often to look.
    pub interval: Duration,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self {
            entries: 1_000,
            interval: Duration::from_secs(10),
        }
    }
}

/// The duty of one process; whoever holds the lease does it.
#[derive(Debug)]
pub struct CheckpointDuty {
    session: Session,
    options: CheckpointOptions,
    /// The checkpoint before the newest: the log is trimmed only up to there, so that a damaged checkpoint costs nothing.
    previous: Option<Position>,
}

impl CheckpointDuty {
    /// The duty of `session`'s process.
    pub fn new(session: Session, options: CheckpointOptions) -> Self {
        Self {
            session,
            options,
            previous: None,
        }
    }

    /// Looks after checkpoints until `shutdown` begins.
    pub async fn run(mut self, shutdown: Shutdown) {
        let parts = self.session.replica().parts().clone();
        let trouble = Trouble::new("writing a metadata checkpoint", parts.clock.clone());
        loop {
            let pause = parts.rng.jitter(self.options.interval);
            if shutdown
                .unless_begun(tokio::time::sleep(pause))
                .await
                .is_none()
                || self.session.replica().failure().is_some()
            {
                return;
            }
            match self.step().await {
                Ok(_) => trouble.over(),
                Err(error) => trouble.report(&error),
            }
        }
    }

    /// Writes a checkpoint if one is due and this process holds the lease; gives its position.
    pub async fn step(&mut self) -> Result<Option<Position>, String> {
        let (position, covered) = self.session.replica().read(|s| (s.position(), covered(s)));
        if position.0.saturating_sub(covered.0) < self.options.entries.max(1) {
            return Ok(None);
        }
        let lease = self
            .session
            .submit(AcquireLease { name: LEASE.into() })
            .await;
        if lease.map_err(|e| e.to_string())?.is_err() {
            return Ok(None);
        }
        let replica = self.session.replica().clone();
        // Beside the async threads, and from a copy: with a large state it takes a while, in which entries are applied.
        let copied = tokio::task::spawn_blocking(move || {
            let state = replica.read(State::clone);
            let bytes = state.to_bytes();
            (
                state.position(),
                state.digest(),
                state.metadata_version(),
                bytes,
            )
        });
        let (position, digest, version, bytes) = copied.await.map_err(|e| e.to_string())?;
        let size = bytes.len() as u64;
        let parts = self.session.replica().parts();
        let written = parts
            .checkpoints
            .write(position, bytes.into(), digest, version)
            .await;
        written.map_err(|e| e.to_string())?;
        let report = self
            .session
            .submit(ReportCheckpoint {
                position,
                digest,
                bytes: size,
            })
            .await;
        report.map_err(|e| e.to_string())?;
        if let Some(previous) = self.previous.replace(position) {
            parts.log.trim(previous).await.map_err(|e| e.to_string())?;
            parts
                .checkpoints
                .keep_newest(CHECKPOINTS_KEPT)
                .await
                .map_err(|e| e.to_string())?;
        }
        tracing::debug!(%position, "wrote a metadata checkpoint");
        Ok(Some(position))
    }
}

fn covered(state: &State) -> Position {
    state.checkpoint().map_or(Position(0), |c| c.position)
}
