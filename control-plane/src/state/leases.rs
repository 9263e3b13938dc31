//! Leases: one holder at a time for a named duty. A lease ends with its holder's registration; nobody's clock decides.

use object_format::{AgentEpoch, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, State};

/// Who holds a duty. Every command given under it carries `epoch` (I7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its holder; without effect once that registration is gone.
    pub holder: AgentEpoch,
    /// Raised whenever the holder changes.
    pub epoch: u64,
}

/// Why a lease is not given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum LeaseRejection {
    /// Somebody alive holds it.
    #[error("agent epoch {0} holds the lease")]
    Held(AgentEpoch),
    /// Lease names have 1 to 255 bytes.
    #[error("a lease's name has 1 to 255 bytes")]
    BadName,
}

/// Asks for a lease; granted again, with the same epoch, to who holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquireLease {
    /// The duty.
    pub name: String,
}

impl AcquireLease {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<Lease, LeaseRejection> {
        if self.name.is_empty() || self.name.len() > 255 {
            return Err(LeaseRejection::BadName);
        }
        let held = state.leases.get(&self.name).copied();
        if let Some(lease) = held {
            if lease.holder == by.writer {
                return Ok(lease);
            }
            if state.agents.contains_key(&lease.holder) {
                return Err(LeaseRejection::Held(lease.holder));
            }
        }
        let lease = Lease {
            holder: by.writer,
            epoch: held.map_or(1, |l| l.epoch + 1),
        };
        state.leases.insert(self.name, lease);
        Ok(lease)
    }
}

/// Gives a lease back. True if its writer held it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseLease {
    /// The duty.
    pub name: String,
    /// The epoch it was held under.
    pub epoch: u64,
}

impl ReleaseLease {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> bool {
        match state.leases.get_mut(&self.name) {
            Some(lease) if lease.holder == by.writer && lease.epoch == self.epoch => {
                lease.holder = AgentEpoch::default();
                true
            }
            _ => false,
        }
    }
}

impl State {
    /// A lease whose holder is alive.
    pub fn lease(&self, name: &str) -> Option<Lease> {
        self.leases
            .get(name)
            .copied()
            .filter(|lease| self.agents.contains_key(&lease.holder))
    }
}
