//! Reading: fetches, fetch sessions, the block cache, long polls, offset lookups.
//!
//! A fetch is planned purely from the metadata, waits for commits if there is too little to read,
//! and reads what the plan says through the cache. Records are never copied on the way.

mod assembly;
pub mod cache;
mod complaints;
mod error;
#[cfg(test)]
mod fixture;
pub mod load;
pub mod plan;
pub mod read;
pub mod wait;
pub mod walk;

pub use error::FetchError;
