//! Having another process append, and appending for another.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::Replica;
use crate::log::{AppendError, Position};
use crate::state::{Entry, SHARED_SINCE};

/// The way to the process that appends for the others.
#[async_trait]
pub trait Relay: Send + Sync + std::fmt::Debug {
    /// Has `entry` appended. Gives where it is and all that was appended there. `None` if there is nobody who would, or if
    /// it is not known what became of it: then the caller appends it itself, which has no second effect (I8).
    async fn append(&self, entry: &Bytes) -> Option<(Position, Bytes)>;
}

impl Replica {
    /// From now on `relay` is asked first whenever this process has something to append, if writers of this log race each
    /// other. To be called once; a second call has no effect.
    pub fn append_through(&self, relay: Arc<dyn Relay>) {
        let _ = self.0.relay.set(relay);
    }

    /// Has the relay append `entry`.
    pub(super) async fn relayed(&self, entry: &Bytes) -> Option<Position> {
        let relay = self.0.relay.get()?;
        if !self.appends_together() {
            return None;
        }
        let (at, appended) = relay.append(entry).await?;
        self.told(at, appended);
        self.note_reached();
        Some(at)
    }

    /// Takes in what a process whose word counts says was appended; nothing if it does not say what.
    pub fn told(&self, at: Position, appended: Bytes) {
        match appended.is_empty() {
            true => self.0.parts.log.hint(at),
            false => self.0.parts.log.told(at, appended),
        }
    }

    /// Whether one process is to append for all.
    pub fn appends_together(&self) -> bool {
        self.0.parts.log.is_raced_for() && self.read(|s| s.metadata_version()) >= SHARED_SINCE
    }

    /// Appends an entry of another process, once. Gives where it is and all that was appended there.
    ///
    /// # Errors
    /// [`AppendError::Rejected`] also if it is nothing that this process would append itself.
    pub async fn append_for(&self, entry: Bytes) -> Result<(Position, Bytes), AppendError> {
        let rejected = |why: &str| Err(AppendError::Rejected(why.to_owned()));
        if self.failure().is_some() || !self.appends_together() {
            return rejected("this process does not append for others");
        }
        // What no process knows would stop them all.
        let in_force = self.read(|s| s.metadata_version());
        if Entry::version(&entry).is_none_or(|version| version > in_force) {
            return rejected("it is no entry of the metadata version in force");
        }
        self.append_once(entry).await
    }

    /// Appends once, with whatever waits.
    pub(super) async fn append_once(&self, entry: Bytes) -> Result<(Position, Bytes), AppendError> {
        let (log, together) = (&*self.0.parts.log, &self.0.together);
        match self.appends_together() {
            true => together.append(log, entry).await,
            false => together.append_alone(log, entry).await,
        }
    }

    /// What this process appends from now on, and where.
    pub fn landed(&self) -> broadcast::Receiver<(Position, Bytes)> {
        self.0.together.landed()
    }
}

#[cfg(test)]
mod tests;
