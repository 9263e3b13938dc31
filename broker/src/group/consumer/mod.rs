//! The coordinator of one consumer group (KIP-848), as a pure machine.
//!
//! [`ConsumerGroup`] owns the members' subscriptions, the target assignment that a server-side
//! assignor makes of them, and each member's way towards its target. Members tell of themselves by
//! ConsumerGroupHeartbeat; those of a classic group that was upgraded go on with JoinGroup, SyncGroup
//! and Heartbeat. The rules are those of Apache Kafka 4.1.
//!
//! Three epochs: the group's is raised when its subscriptions or their topics change; the target's
//! follows when the assignor has run; a member's follows when it has given up what its new target
//! does not hold. A partition is assigned only once nobody else holds it.
//!
//! Invariants it keeps:
//! - a partition is in the assigned or yet to be revoked partitions of one member at most;
//! - neither the group's epoch nor, between joining and leaving, a member's decreases;
//! - what a member is told is emitted after the save that makes it durable (the
//!   [`Outbox`](super::output::Outbox) holds it until then), so that whoever takes over goes on where
//!   this machine was, without a rebalance;
//! - a member that is not heard of within its session, or does not give up its partitions within its
//!   rebalance timeout, goes;
//! - members and what they say of themselves are bounded by [`ConsumerLimits`].

mod assignment;
mod assignor;
mod classic;
mod convert;
mod embedded;
mod fence;
mod group;
mod heartbeat;
mod limits;
mod member;
mod message;
mod pattern;
mod reconcile;
mod roster;
mod saved;
mod target;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use assignment::Assignment;
pub use assignor::AssignorName;
pub(super) use convert::{NotConvertible, to_consumer};
pub(super) use group::ConsumerGroup;
pub use limits::{ConsumerLimits, MigrationPolicy};
pub(crate) use message::{ConsumerHeartbeat, HeartbeatAnswer, Refusal};
pub(super) use saved::{has_members, is_consumer};
pub(crate) use view::{ConsumerGroupView, ConsumerMemberView, TopicView};
