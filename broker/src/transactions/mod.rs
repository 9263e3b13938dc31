//! What an agent does about transactions by itself. The rules are in the metadata's state, so there is nothing to
//! coordinate; so that not all agents do the same, each transactional id has one that looks after it.

pub(crate) mod expiry;
mod placement;
pub(crate) mod timeouts;

pub(crate) use placement::transaction_node;

use std::time::Duration;

/// Bounds and intervals of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// `transaction.max.timeout.ms`.
    pub timeout_ms_max: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_interval: Duration,
    /// `transactional.id.expiration.ms`.
    pub expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiry_interval: Duration,
}

#[cfg(test)]
mod tests;
