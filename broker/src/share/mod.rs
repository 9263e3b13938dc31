//! Share groups (KIP-932): many consumers share the records of a partition, one by one.
//!
//! What a share group is to a partition is a share-partition. One agent at a time leads it, under a lease
//! in the metadata (docs/adr/0005): it decides who is given which records, by the pure machine in
//! [`partition`], and saves what members say of them. Any agent answers ShareFetch and ShareAcknowledge:
//! it asks the leader what a member may have, here or over the wire to a peer, and reads the records
//! itself, through its own cache.
//!
//! ```text
//! ShareFetch -> session -> for each partition: turn (leader) -> read (here) -> acquire (leader) -> respond
//! ```
//!
//! Invariants it keeps:
//! - two agents never both save a share-partition (I7): every save carries the epoch of the lease;
//! - an acknowledgement is answered after its save is applied (I1);
//! - share-partitions, sessions, requests that wait for a leader and calls of peers are bounded (I9).

mod acknowledge;
mod call;
mod error;
mod fetch;
mod leader;
mod lease;
mod options;
pub mod partition;
mod read;
mod registry;
mod remote;
mod session;

pub(crate) use acknowledge::{AcknowledgeParts, Acknowledgements, PartitionAcknowledged};
pub(crate) use error::ShareError;
pub(crate) use fetch::{ShareFetchOutcome, ShareFetchParts, SharePartitionOutcome};
pub use options::ShareOptions;
pub(crate) use registry::Shares;
pub(crate) use remote::PEER_MAGIC;
