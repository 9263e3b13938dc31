//! The metadata plane's own upkeep: checkpoints, the metadata version.

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{Context, State};
use crate::log::Position;

/// A checkpoint is durable. Every process compares `digest` with its own at `position` (I11).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportCheckpoint {
    /// What it covers.
    pub position: Position,
    /// The writer's running digest there.
    pub digest: u64,
    /// Its size, which is about that of the state in memory.
    pub bytes: u64,
}

impl ReportCheckpoint {
    pub(crate) fn apply(self, state: &mut State, _: Context, _: &mut Vec<TopicPartition>) {
        if state.checkpoint.is_none_or(|c| c.position < self.position) {
            state.checkpoint = Some(self);
        }
    }
}

/// From here on entries mean what version `to` says. Gives the version in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaiseMetadataVersion {
    /// The version wanted.
    pub to: u16,
}

/// Why the metadata version stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum VersionRejection {
    /// A registered process does not know it.
    #[error("agent {agent} knows metadata versions up to {version_max} only: upgrade it first")]
    NotKnownByAll {
        /// Its agent id.
        agent: String,
        /// What it knows.
        version_max: u16,
    },
    /// Versions only rise.
    #[error("the cluster is at metadata version {0} already")]
    NotHigher(u16),
}

impl RaiseMetadataVersion {
    pub(crate) fn apply(
        self,
        state: &mut State,
        _: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<u16, VersionRejection> {
        if self.to <= state.metadata_version {
            return Err(VersionRejection::NotHigher(state.metadata_version));
        }
        let older = state
            .agents
            .values()
            .find(|a| a.registration.version_max < self.to);
        if let Some(agent) = older {
            return Err(VersionRejection::NotKnownByAll {
                agent: agent.registration.agent_id.clone(),
                version_max: agent.registration.version_max,
            });
        }
        state.metadata_version = self.to;
        Ok(self.to)
    }
}
