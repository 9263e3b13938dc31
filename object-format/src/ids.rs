//! Identifiers that appear in objects, in the metadata log and on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of a topic over its whole life (KIP-516). A topic deleted and created again has another
/// one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct TopicId(pub Uuid);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One partition of one topic.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Index of the partition, from 0.
    pub partition: u32,
}

/// Epoch of one registration of one agent, given out by the metadata log: unique in a cluster,
/// never reused.
///
/// 0 is "nobody": only a registration may come from it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct AgentEpoch(pub u64);

impl fmt::Display for AgentEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Name of an object: who wrote it, and the how-manieth it was. Never reused, so that the objects a
/// dead agent may have left behind can be named without listing the bucket.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct ObjectId {
    /// The registration under which it was written.
    pub writer: AgentEpoch,
    /// Counts the writer's objects, from 0.
    pub sequence: u64,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{:012}", self.writer.0, self.sequence)
    }
}
