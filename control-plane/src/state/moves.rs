//! Moves of the metadata log to another place. A move closes the log in which it is written: whoever applies it stops, and
//! goes on only with the log that begins behind it. What comes after it in the old log is applied by nobody.

use object_format::{AgentEpoch, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, State};

/// The first metadata version that knows of moves.
pub const MOVES_SINCE: u16 = 2;

/// Longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 4_096;

/// Most processes that a refusal names.
const NAMED_MAX: usize = 10;

/// How often the log was moved, and where to. Part of the state's bytes since version [`MOVES_SINCE`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moves {
    pub count: u64,
    /// Where the last one led, as whoever moved it names the place.
    pub to: String,
}

/// Closes this log: the next begins at the same position at another place. Every registration ends with it. Gives how
/// often the log has been moved then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveLog {
    /// The place, for messages.
    pub to: String,
    /// Whether processes that are registered are to be stopped by it.
    pub fence: bool,
}

/// Why a log stays open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum MoveRejection {
    /// The cluster is at a version whose processes need not know of moves.
    #[error("the cluster is at metadata version {0}, which knows of no moves: raise it first")]
    Version(u16),
    /// Others take part in the cluster, or did until they were killed.
    #[error("processes are registered that would be stopped: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// The place has too long a name.
    #[error("a place has a name of at most {PLACE_BYTES_MAX} bytes")]
    BadName,
}

impl MoveLog {
    pub(crate) fn apply(
        self,
        state: &mut State,
        by: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<u64, MoveRejection> {
        if state.metadata_version < MOVES_SINCE {
            return Err(MoveRejection::Version(state.metadata_version));
        }
        if self.to.len() > PLACE_BYTES_MAX {
            return Err(MoveRejection::BadName);
        }
        let others = state
            .agents
            .iter()
            .filter(|(epoch, _)| **epoch != by.writer);
        let others = others.map(|(_, agent)| agent.registration.agent_id.clone());
        let others: Vec<String> = others.take(NAMED_MAX).collect();
        if !others.is_empty() && !self.fence {
            return Err(MoveRejection::InUse(others));
        }
        let all: Vec<AgentEpoch> = state.agents.keys().copied().collect();
        for agent in all {
            state.remove_agent(agent, by.now_ms);
        }
        state.moves = Moves {
            count: state.moves.count + 1,
            to: self.to,
        };
        Ok(state.moves.count)
    }
}

impl State {
    /// How often the log was moved. A log is followed only while this is what it was when that log began.
    pub fn moves(&self) -> u64 {
        self.moves.count
    }

    /// Where the last move led.
    pub fn moved_to(&self) -> &str {
        &self.moves.to
    }
}
