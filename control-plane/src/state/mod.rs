//! The state that every process builds from the metadata log, and the rules that change it.
//!
//! Pure: no clock, no randomness, no I/O; ordered maps only. The same entries give the same bytes in every process
//! (invariant I11). One file per kind of thing, each with its tables, its commands and what applying them says.
//!
//! | table | key | value | changed by |
//! |---|---|---|---|
//! | `agents` | agent epoch | who, where, last entry | RegisterAgent, Heartbeat, ExpireAgent, any entry |
//! | `departed` | agent epoch | objects it may have left behind | ExpireAgent, DeregisterAgent |
//! | `topics`, `topic_names` | topic id, name | partitions, configs | CreateTopic, DeleteTopic, ... |
//! | `deleted` | topic id | what there was of a topic that may be undeleted | DeleteTopic, UndeleteTopic, PurgeTopic |
//! | `partitions` | topic, partition | ends, extents, producers, markers | CommitObject, EndTransaction, DeleteRecords |
//! | `objects` | object id | size, extents that name it | CommitObject, ReplaceExtents, DeleteTopic, DeleteRecords |
//! | `damaged` | object id | what is wrong with it | ReportScrub |
//! | `jobs` | number | who rewrites what | ClaimJob, RenewJob, FinishJob, ReplaceExtents |
//! | `garbage` | object id | since when nothing names it | the same, ForgetObjects |
//! | `groups` | group id | coordinator, saved records, offsets | AcquireGroup, SaveGroup, CommitOffsets |
//! | `broker_configs`, `agent_configs`, `group_configs` | name | configs | AlterConfigs |
//! | `leases` | name | holder, epoch | AcquireLease, ReleaseLease |
//! | `transactions` | transactional id | producer, what its transaction touched | InitTransactionalId, EndTransaction, ... |
//! | `shares` | group id, partition | leader, start offset, runs | AcquireShare, SaveShare, ResetShare, ... |
//! | `moves` | | how often the log was moved | MoveLog |

mod agents;
mod commands;
mod compaction;
mod deleted;
mod entry;
mod groups;
mod leases;
mod moves;
mod objects;
mod offset_retention;
mod partitions;
mod producers;
mod shared;
mod shared_entry;
mod shares;
mod stable;
mod topics;
mod transactions;
mod upkeep;

use std::collections::BTreeMap;

use object_format::{AgentEpoch, ObjectId, TopicId, TopicPartition};
use serde::{Deserialize, Serialize};

pub use agents::{
    Agent, AgentRejection, Departed, DeregisterAgent, ExpireAgent, Heartbeat, RegisterAgent,
    Registered, UPLOADS_MAX,
};
pub use commands::{Command, Outcome, Submit};
pub use compaction::{
    AbandonObjects, ClaimJob, FinishJob, JOB_CLAIMS_MAX, JOB_TIMEOUT_MS, Job, JobKind,
    JobRejection, RenewJob, ReplaceExtents, ReplaceRejection, Replacement, digest_of,
};
pub use deleted::{
    DELETED_PARTITIONS_MAX, DELETED_TOPICS_MAX, DeletedTopic, PURGE_MAX, PurgeRejection,
    PurgeTopic, UndeleteRejection, UndeleteTopic,
};
pub use entry::{Entry, EntryError};
pub use groups::{
    AcquireGroup, CommitOffsets, CommittedOffset, Coordinator, DeleteGroup, DeleteOffsets, Group,
    GroupRejection, OffsetToCommit, SaveGroup,
};
pub use leases::{AcquireLease, Lease, LeaseRejection, ReleaseLease};
pub use moves::{MOVES_SINCE, MoveLog, MoveRejection};
pub use objects::{Damage, ForgetObjects, Garbage, ObjectState, ReportScrub};
pub use offset_retention::ExpireOffsets;
pub use partitions::{
    BatchMeta, BatchOutcome, BatchProducer, BatchRejection, CommitObject, CommitRejection,
    CommitRun, DeleteRecords, DeleteRecordsRejection, Extent, Partition, RunOutcome, WriteKind,
};
pub use producers::{AllocateProducerId, ProducerState};
pub use shared_entry::SHARED_SINCE;
pub(crate) use shared_entry::{ENTRY_OVERHEAD, join};
pub use shares::{
    AcquireShare, ReleaseShare, ResetShare, SHARE_RUNS_MAX, SaveShare, Share, ShareLease,
    ShareRejection, ShareRun, ShareState,
};
pub use stable::{Aborted, Marker};
pub use topics::{
    AlterConfigs, ConfigResource, Configs, CreatePartitions, CreateTopic, DeleteTopic,
    PARTITIONS_MAX, Topic, TopicRejection, is_legal_topic_name,
};
pub use transactions::{
    AddToTransaction, CommitTransactionOffsets, EndTransaction, EndedBy, ForgetTransactionalIds,
    InitTransactionalId, MarkerRejection, Ongoing, Producer, TransactionEnd, TransactionRejection,
    TransactionalId, WriteMarkers,
};
pub use upkeep::{RaiseMetadataVersion, ReportCheckpoint, VersionRejection};

use crate::log::Position;
use compaction::Jobs;
use deleted::Deleted;
use moves::Moves;
use shared::Shared;
use transactions::Transactions;

/// The newest metadata version this build understands. Version 2 added moves of the log, and several writers' entries at
/// one position of it.
pub const METADATA_VERSION_MAX: u16 = 2;

/// How far an entry's time may lead what every other process last said the time is; what is further ahead is a broken
/// clock and is clamped.
pub const CLOCK_SKEW_MAX_MS: i64 = 5 * 60 * 1000;

/// How far the entry of a process that is alone may lead the log's time.
pub const LOG_TIME_STEP_MAX_MS: i64 = 60 * 60 * 1000;

/// Everything the metadata log says up to `position`. A clone shares the partitions until either changes one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) metadata_version: u16,
    pub(crate) position: Position,
    pub(crate) log_time_ms: i64,
    pub(crate) digest: u64,
    pub(crate) checkpoint: Option<ReportCheckpoint>,
    pub(crate) agent_epoch_last: u64,
    pub(crate) agents: BTreeMap<AgentEpoch, Agent>,
    pub(crate) departed: BTreeMap<AgentEpoch, Departed>,
    pub(crate) producer_id_next: i64,
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    pub(crate) topic_names: BTreeMap<String, TopicId>,
    pub(crate) topics_epoch: u64,
    pub(crate) deleted: Deleted,
    pub(crate) broker_configs: Configs,
    pub(crate) agent_configs: BTreeMap<String, Configs>,
    pub(crate) group_configs: BTreeMap<String, Configs>,
    pub(crate) partitions: BTreeMap<TopicPartition, Shared<Partition>>,
    pub(crate) objects: BTreeMap<ObjectId, ObjectState>,
    pub(crate) garbage: BTreeMap<ObjectId, Garbage>,
    pub(crate) damaged: BTreeMap<ObjectId, Damage>,
    pub(crate) jobs: Jobs,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) leases: BTreeMap<String, Lease>,
    pub(crate) transactions: Transactions,
    pub(crate) shares: BTreeMap<String, BTreeMap<TopicPartition, Share>>,
    /// Behind the others, and not in every version: see [`State::to_bytes`].
    #[serde(skip)]
    pub(crate) moves: Moves,
}

/// What a command may know about the entry that carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The registration that appended the entry; it is alive.
    pub writer: AgentEpoch,
    /// The log's time at this entry, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What applying one entry did.
#[derive(Debug, PartialEq)]
pub struct Applied {
    /// Who appended it and its place among that writer's entries, when the entry could be decoded.
    pub author: Option<(AgentEpoch, u64)>,
    /// What became of it.
    pub verdict: Verdict,
    /// Partitions whose high watermark moved.
    pub grown: Vec<TopicPartition>,
}

/// What became of an entry.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Its commands were applied, with these outcomes in their order.
    Done(Vec<Outcome>),
    /// It was applied before: its writer repeated an append whose outcome it did not know (I8).
    Repeated,
    /// Its writer is not registered, or not any more (I7).
    Fenced,
    /// It cannot be decoded. Passed over, in every process alike.
    Malformed,
}

impl State {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self {
            metadata_version: 1,
            producer_id_next: 1000,
            ..Self::default()
        }
    }

    /// Applies the entry at `at`. Fails only if the entry's metadata version is newer than this build; then the
    /// state is unchanged and the process must stop.
    pub fn apply(&mut self, at: Position, bytes: &[u8]) -> Result<Applied, EntryError> {
        let (version, entry) = match Entry::decode(bytes) {
            Ok(decoded) => decoded,
            Err(EntryError::Malformed(_)) => {
                self.advance(at, &Verdict::Malformed);
                return Ok(Applied {
                    author: None,
                    verdict: Verdict::Malformed,
                    grown: vec![],
                });
            }
            Err(newer) => return Err(newer),
        };
        let author = Some((entry.writer, entry.sequence));
        let mut grown = Vec::new();
        let verdict = self.judge(&entry).unwrap_or_else(|| {
            self.found(version);
            let context = Context {
                writer: entry.writer,
                now_ms: self.tick(entry.writer, entry.time_ms),
            };
            let mut outcomes = Vec::with_capacity(entry.commands.len());
            for command in entry.commands {
                outcomes.push(command.apply(self, context, &mut grown));
            }
            Verdict::Done(outcomes)
        });
        grown.sort_unstable();
        grown.dedup();
        self.advance(at, &verdict);
        Ok(Applied {
            author,
            verdict,
            grown,
        })
    }

    /// Whether an entry is to be passed over; notes its sequence if it is not.
    fn judge(&mut self, entry: &Entry) -> Option<Verdict> {
        if entry.writer == AgentEpoch::default() {
            let only_registers = entry
                .commands
                .iter()
                .all(|c| matches!(c, Command::RegisterAgent(_)));
            return (!only_registers).then_some(Verdict::Fenced);
        }
        let Some(agent) = self.agents.get_mut(&entry.writer) else {
            return Some(Verdict::Fenced);
        };
        if entry.sequence <= agent.entry_last {
            return Some(Verdict::Repeated);
        }
        agent.entry_last = entry.sequence;
        None
    }

    /// A cluster begins at the version in which its first registration is written.
    fn found(&mut self, version: u16) {
        if self.agent_epoch_last == 0 {
            self.metadata_version = self.metadata_version.max(version);
        }
    }

    /// The version in which a process that knows versions up to `known` writes its registration.
    pub(crate) fn version_to_join(&self, known: u16) -> u16 {
        match self.agent_epoch_last {
            0 => known.max(self.metadata_version),
            _ => self.metadata_version,
        }
    }

    /// Moves the log's time forward to an entry's, and never back. It takes two processes to move it far: one clock that
    /// runs ahead must not make everything old.
    fn tick(&mut self, writer: AgentEpoch, entry_ms: i64) -> i64 {
        let others = self.agents.iter().filter(|(epoch, _)| **epoch != writer);
        let ceiling = match (others.map(|(_, a)| a.said_ms).max(), self.log_time_ms) {
            (Some(said), _) => said.saturating_add(CLOCK_SKEW_MAX_MS),
            (None, 0) => i64::MAX,
            (None, now) => now.saturating_add(LOG_TIME_STEP_MAX_MS),
        };
        if let Some(agent) = self.agents.get_mut(&writer) {
            agent.said_ms = entry_ms;
        }
        self.log_time_ms = self.log_time_ms.max(entry_ms.min(ceiling));
        self.log_time_ms
    }

    /// Notes the position and folds what happened into the running digest.
    fn advance(&mut self, at: Position, verdict: &Verdict) {
        self.position = at;
        let said = match verdict {
            Verdict::Done(outcomes) => postcard::to_stdvec(outcomes).unwrap_or_default(),
            Verdict::Repeated => b"repeated".to_vec(),
            Verdict::Fenced => b"fenced".to_vec(),
            Verdict::Malformed => b"malformed".to_vec(),
        };
        let seed = self.digest ^ at.0.rotate_left(32);
        self.digest = xxhash_rust::xxh3::xxh3_64_with_seed(&said, seed);
    }

    /// The state as bytes, for a checkpoint. What a later version added follows what the earlier ones have, so that a
    /// build that knows only those reads checkpoints as long as their version is in force.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = postcard::to_stdvec(self).unwrap_or_default();
        if self.metadata_version >= MOVES_SINCE {
            bytes.extend(postcard::to_stdvec(&self.moves).unwrap_or_default());
        }
        bytes
    }

    /// The state from a checkpoint's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        let malformed = |error: postcard::Error| EntryError::Malformed(error.to_string());
        let (mut state, added) = postcard::take_from_bytes::<Self>(bytes).map_err(malformed)?;
        if state.metadata_version >= MOVES_SINCE {
            state.moves = postcard::from_bytes(added).map_err(malformed)?;
        }
        Ok(state)
    }

    /// Position of the last entry applied.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Running digest over every verdict and outcome so far; equal in every process at the same position (I11).
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The log's time in milliseconds since 1970: the running maximum of its entries' times.
    pub fn log_time_ms(&self) -> i64 {
        self.log_time_ms
    }

    /// The metadata version in force; entries are written in it.
    pub fn metadata_version(&self) -> u16 {
        self.metadata_version
    }

    /// The newest checkpoint that was reported.
    pub fn checkpoint(&self) -> Option<ReportCheckpoint> {
        self.checkpoint
    }
}

#[cfg(test)]
mod tests;
