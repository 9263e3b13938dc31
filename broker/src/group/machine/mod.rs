//! The coordinator of one classic consumer group, as a pure machine.
//!
//! [`ClassicGroup`] owns membership, generations, the choice of protocol and the assignment of one
//! group. It is driven by [`ClassicGroup::step`] and answers with [`Effect`]s; it performs none of
//! them. Time, member ids and the outcome of saves are inputs. The rules are those of Apache
//! Kafka's classic protocol (KIP-62, KIP-345, KIP-394, KIP-800, KIP-814).
//!
//! Invariants it keeps:
//! - every ticket handed in with a request is answered exactly once;
//! - a response that depends on a save is sent only after [`Event::Saved`] of that save;
//! - a generation never decreases, and a member only ever gets the assignment of its generation;
//! - there is one leader as long as there are members, and it is a member;
//! - a member is either waiting for a parked response or has a running session timer, so nobody
//!   stays in the group for ever without being heard of;
//! - members, members that were only given an id, and parked requests are all bounded by [`Limits`].
//!
//! Arrows between the files: `group` (the state and its primitives) is used by `rebalance`, which
//! is used by the files named after the request or event they handle.

mod commit;
mod error;
mod expiry;
mod group;
mod heartbeat;
mod join;
mod leave;
mod limits;
mod member;
mod message;
mod rebalance;
mod roster;
mod saved;
mod subscription;
mod sync;
mod timers;
mod view;

#[cfg(test)]
mod tests;

pub use commit::CommitIdentity;
pub use error::GroupError;
pub use group::ClassicGroup;
pub use limits::Limits;
pub use member::Protocol;
pub use message::{
    Effect, Event, HeartbeatRequest, JoinRefused, JoinRequest, Joined, JoinedMember, LeaveRequest,
    LeavingMember, LeftMember, Note, RemovalCause, SaveFailure, SaveId, SyncRequest, Synced,
    Ticket,
};
pub use saved::{SavedGroup, SavedMember};
pub use view::{GroupState, GroupView, MemberView};
