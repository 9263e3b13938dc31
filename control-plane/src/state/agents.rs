//! Agents (and other processes that act on the cluster), their epochs, and what the dead may have left behind.

use std::collections::BTreeSet;

use object_format::{AgentEpoch, ObjectId, TopicPartition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Context, METADATA_VERSION_MAX, State};

/// How many objects an agent may have uploaded beyond its last committed one. It bounds where a dead agent's orphans
/// can be: between its last committed sequence and that many after.
pub const UPLOADS_MAX: u64 = 64;

/// Longest agent id, zone or host name.
const NAME_BYTES_MAX: usize = 255;

/// A registered process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// What it registered with.
    pub registration: RegisterAgent,
    /// Its number as Kafka clients see it (broker id).
    pub node_id: i32,
    /// Sequence of its newest entry.
    pub entry_last: u64,
    /// What its newest entry said the time is.
    pub said_ms: i64,
    /// The log's time when it registered.
    pub registered_ms: i64,
    /// Sequence its next object will have at least.
    pub object_next: u64,
    /// Sequences below `object_next` that were never committed.
    pub objects_missing: BTreeSet<u64>,
    /// It is about to leave, or not well: clients should be steered elsewhere.
    pub draining: bool,
}

/// What is remembered of a process that is gone: where its orphans may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departed {
    /// As in [`Agent`].
    pub object_next: u64,
    /// As in [`Agent`].
    pub objects_missing: BTreeSet<u64>,
    /// The log's time when it was expired or left.
    pub since_ms: i64,
}

/// A process joins. The only command that needs no registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisterAgent {
    /// Chosen at random for this registration: a repeated append finds the first one's result.
    pub nonce: Uuid,
    /// Its lasting name. A newer registration of the same name fences the older.
    pub agent_id: String,
    /// Host clients are told to connect to; empty if it serves no clients.
    pub host: String,
    /// Port beside `host`.
    pub port: u16,
    /// Where other agents reach it; empty if they cannot.
    pub peer_address: String,
    /// Availability zone, as Kafka's `broker.rack`.
    pub zone: Option<String>,
    /// Newest metadata version it understands.
    pub version_max: u16,
}

/// Outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// Its epoch: to be carried in every entry from now on.
    pub epoch: AgentEpoch,
    /// Its broker id.
    pub node_id: i32,
}

/// Why a registration is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum AgentRejection {
    /// It does not know the metadata version in force.
    #[error("the cluster is at metadata version {0}, which this build does not know: upgrade it")]
    TooOld(u16),
    /// A name is empty or too long.
    #[error("an agent id has 1 to 255 bytes, and a host and a zone at most 255")]
    BadName,
}

impl RegisterAgent {
    /// Of a process of this build that serves neither clients nor other agents.
    pub fn new(nonce: Uuid, agent_id: impl Into<String>) -> Self {
        Self {
            nonce,
            agent_id: agent_id.into(),
            host: String::new(),
            port: 0,
            peer_address: String::new(),
            zone: None,
            version_max: METADATA_VERSION_MAX,
        }
    }

    pub(crate) fn apply(
        self,
        state: &mut State,
        context: Context,
        _: &mut Vec<TopicPartition>,
    ) -> Result<Registered, AgentRejection> {
        let known = state
            .agents
            .iter()
            .find(|(_, a)| a.registration.nonce == self.nonce);
        if let Some((&epoch, agent)) = known {
            return Ok(Registered {
                epoch,
                node_id: agent.node_id,
            });
        }
        if self.version_max < state.metadata_version {
            return Err(AgentRejection::TooOld(state.metadata_version));
        }
        let names = [&self.agent_id, &self.host, &self.peer_address];
        let too_long = names.iter().any(|n| n.len() > NAME_BYTES_MAX)
            || self.zone.as_ref().is_some_and(|z| z.len() > NAME_BYTES_MAX);
        if self.agent_id.is_empty() || too_long {
            return Err(AgentRejection::BadName);
        }
        let older = state
            .agents
            .iter()
            .find(|(_, a)| a.registration.agent_id == self.agent_id);
        let older = older.map(|(&epoch, agent)| (epoch, agent.node_id));
        if let Some((epoch, _)) = older {
            state.remove_agent(epoch, context.now_ms);
        }
        let node_id = older.map_or_else(|| state.free_node_id(), |(_, node_id)| node_id);
        state.agent_epoch_last += 1;
        let epoch = AgentEpoch(state.agent_epoch_last);
        let agent = Agent {
            registration: self,
            node_id,
            entry_last: 0,
            said_ms: context.now_ms,
            registered_ms: context.now_ms,
            object_next: 0,
            objects_missing: BTreeSet::new(),
            draining: false,
        };
        state.agents.insert(epoch, agent);
        Ok(Registered { epoch, node_id })
    }
}

/// Its writer lives. Any other entry says so too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// It is about to leave, or not well for now.
    pub draining: bool,
}

impl Heartbeat {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) {
        if let Some(agent) = state.agents.get_mut(&by.writer) {
            agent.draining = self.draining;
        }
    }
}

/// Somebody has heard nothing from `agent` since its entry `entry_last_seen`. True if it was expired; without effect
/// if a newer entry of it came first: no clock is trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpireAgent {
    /// The silent one.
    pub agent: AgentEpoch,
    /// Sequence of its newest entry when its silence began.
    pub entry_last_seen: u64,
}

impl ExpireAgent {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> bool {
        let silent = state
            .agents
            .get(&self.agent)
            .is_some_and(|a| a.entry_last == self.entry_last_seen);
        if silent {
            state.remove_agent(self.agent, by.now_ms);
        }
        silent
    }
}

/// Its writer leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeregisterAgent {}

impl DeregisterAgent {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) {
        state.remove_agent(by.writer, by.now_ms);
    }
}

impl State {
    /// Registered processes by epoch.
    pub fn agents(&self) -> impl Iterator<Item = (AgentEpoch, &Agent)> {
        self.agents.iter().map(|(&epoch, agent)| (epoch, agent))
    }

    /// One registered process; `None` once it is fenced.
    pub fn agent(&self, epoch: AgentEpoch) -> Option<&Agent> {
        self.agents.get(&epoch)
    }

    /// Processes that are gone and whose orphans were not collected yet.
    pub fn departed(&self) -> impl Iterator<Item = (AgentEpoch, &Departed)> {
        self.departed
            .iter()
            .map(|(&epoch, departed)| (epoch, departed))
    }

    fn free_node_id(&self) -> i32 {
        let taken: BTreeSet<i32> = self.agents.values().map(|a| a.node_id).collect();
        (1..).find(|id| !taken.contains(id)).unwrap_or(i32::MAX)
    }

    pub(super) fn remove_agent(&mut self, epoch: AgentEpoch, now_ms: i64) {
        let Some(agent) = self.agents.remove(&epoch) else {
            return;
        };
        let Agent {
            object_next,
            objects_missing,
            ..
        } = agent;
        self.departed.insert(
            epoch,
            Departed {
                object_next,
                objects_missing,
                since_ms: now_ms,
            },
        );
    }

    /// Notes that `object` is being committed; false if it was before, or is not its writer's to commit.
    pub(super) fn take_object_sequence(&mut self, object: ObjectId) -> bool {
        let Some(agent) = self.agents.get_mut(&object.writer) else {
            return false;
        };
        if object.sequence < agent.object_next {
            return agent.objects_missing.remove(&object.sequence);
        }
        if object.sequence - agent.object_next > UPLOADS_MAX {
            return false;
        }
        agent
            .objects_missing
            .extend(agent.object_next..object.sequence);
        agent.object_next = object.sequence + 1;
        true
    }
}
