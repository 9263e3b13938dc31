//! Consumer groups: who coordinates them, the machine that does, and the shell that runs it.
//!
//! [`Groups`] is what handlers call. Each group coordinated here has a task of its own
//! ([`coordinator`]), which drives the group's pure [`machine`], saves what it asks to be saved, and
//! answers. The task is begun by the first request for the group, takes the group's lease, and ends
//! when the group has nobody in it for a while; what is durable stays in the metadata.
//!
//! Invariants it keeps:
//! - nothing of a group is changed in the metadata but under the epoch of its lease, so that of two
//!   agents that both believe they coordinate it, one can (I7);
//! - a committed offset is acknowledged after the commit is applied here;
//! - groups in memory, requests waiting for a group, and the size of what a member says of itself
//!   are bounded (I9).

mod ask;
pub mod consumer;
mod coordinator;
mod held;
mod kind;
mod lease;
pub mod machine;
mod metrics;
mod offsets;
mod options;
mod output;
mod placement;
mod records;
mod registry;
pub(crate) mod retention;
mod save;
pub mod share;
mod summary;
mod timers;
mod topics;

#[cfg(test)]
mod tests;

pub(crate) use ask::{Committer, InTransaction};
#[cfg(test)]
pub(crate) use kind::GroupType;
pub use options::GroupOptions;
pub(crate) use placement::{held_by, rendezvous};
pub(crate) use registry::{Groups, Listed};
pub use retention::RetentionOptions;
