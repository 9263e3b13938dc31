//! The coordinator of one share group (KIP-932), as a pure machine.
//!
//! [`ShareGroup`] owns the members' subscriptions and the assignment that the simple assignor makes of
//! them. Partitions are shared: one may be assigned to several members, and a member takes a new
//! assignment at once, without giving anything up first. Which records a member gets is not decided
//! here, but by the leader of each share-partition ([`crate::share`]). The rules are those of Apache
//! Kafka 4.1.
//!
//! Invariants it keeps:
//! - every partition that is subscribed to is assigned to somebody, and every member has one if it
//!   subscribes to any;
//! - neither the group's epoch nor, between joining and leaving, a member's decreases;
//! - what a member is told is emitted after the save that makes it durable;
//! - a member that is not heard of within its session goes;
//! - members and what they say of themselves are bounded by [`ShareLimits`].

mod assignor;
mod group;
mod heartbeat;
mod limits;
mod message;
mod saved;
mod view;

#[cfg(test)]
mod tests;

pub(super) use group::ShareGroup;
pub use limits::ShareLimits;
pub(crate) use message::ShareHeartbeat;
pub(super) use saved::{PROTOCOL_TYPE, has_members, is_share};
pub(crate) use view::{ShareGroupView, ShareMemberView};
