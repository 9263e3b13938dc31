//! Why a replica stops for good.

use object_format::AgentEpoch;

use crate::log::Position;
use crate::state::State;

/// Why a replica stops for good. Its process should exit and say so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The cluster has expired this process, or a newer one of the same agent id took its place.
    #[error(
        "this agent (epoch {epoch}) was fenced: it was silent for too long, or another process registered with its \
         agent id; nothing it accepted since is acknowledged; start it again"
    )]
    Fenced {
        /// The epoch it had.
        epoch: AgentEpoch,
    },
    /// It was away past the trimming of the log.
    #[error("{0}; start it again")]
    Stale(String),
    /// The log is ahead of this build.
    #[error("{0}")]
    NewerVersion(String),
    /// The log is closed: it goes on elsewhere.
    #[error(
        "the metadata log of this cluster was moved to {to}: start this process with --metadata {to} (if it says that the log \
         is still here, `millrace metadata move` has not ended: run it again)"
    )]
    Moved {
        /// Where it goes on.
        to: String,
    },
    /// Its state differs from that of the process which wrote a checkpoint.
    #[error(
        "the metadata of this process differs from the checkpoint at position {at}: one of the two builds or machines is \
         faulty; this one stops before it acts on it"
    )]
    Diverged {
        /// Where they were compared.
        at: Position,
    },
}

impl Failure {
    /// What stops who follows a log that `state` says has been moved.
    pub(super) fn moved(state: &State) -> Self {
        Self::Moved {
            to: state.moved_to().to_owned(),
        }
    }
}
