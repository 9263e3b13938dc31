//! What an agent does about transactions by itself. The rules are in the metadata's state, so there is nothing to
//! coordinate; so that not all agents do the same, each transactional id has one that looks after it.

mod placement;
pub(crate) mod timeouts;

pub(crate) use placement::transaction_node;
pub use timeouts::TransactionOptions;
