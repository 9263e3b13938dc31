//! Reading: fetches, fetch sessions, the block cache, long polls, offset lookups.
//!
//! A fetch is planned purely from the metadata, waits for commits if there is too little to read,
//! and reads what the plan says through the cache. Records are never copied on the way.

pub mod api;
mod assembly;
pub mod block;
pub mod cache;
mod complaints;
mod error;
mod fair;
mod fetcher;
#[cfg(test)]
pub(crate) mod fixture;
pub mod list_offsets;
pub mod load;
pub(crate) mod loan;
mod metrics;
pub mod outcome;
mod partitions;
pub mod parts;
pub mod plan;
pub mod pool;
pub mod read;
mod readahead;
pub mod session;
mod times;
#[cfg(test)]
mod transactions_tests;
pub mod wait;
pub mod walk;
pub mod zone;

pub use error::FetchError;
pub(crate) use fetcher::LOOKUP_BYTES_MAX;
pub use fetcher::{FetchOptions, FetchParts, Fetcher, Nearer};
pub(crate) use loan::Loan;
pub(crate) use readahead::memory_bytes_max as read_ahead_bytes_max;
