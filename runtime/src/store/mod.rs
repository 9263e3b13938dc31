//! Owns the way to the bucket: opening it from a URL, judging it before it is trusted, and the
//! decorators every request passes through.
//!
//! SUBTLE, for whoever writes with `PutMode::Create`: `AlreadyExists` does not mean that somebody
//! else's bytes are there. A first attempt whose answer was lost (a 500, a dropped connection) may
//! have been stored, and the retry met it; and S3 answers 409 to two creates in flight at once,
//! which arrives here as `AlreadyExists` too, though neither may be stored in the end. Read the
//! object back and compare, and take `NotFound` as "try again".

pub mod cost;
pub mod decorators;
pub mod errors;
pub mod hedging;
pub mod probe;
pub mod retry;
pub mod settings;
pub mod url;

mod open;
mod options;

pub use cost::{Prices, Spending};
pub use decorators::{
    FaultyStore, HedgedStore, MeteredStore, Operation, StoreCounters, StoreMeter, repeatable_create,
};
pub use errors::{is_retryable, is_throttle, is_unreachable};
pub use open::{StoreError, open, open_clients};
pub use options::StoreOptions;
pub use probe::{ProbeError, probe};
pub use retry::{RetryPolicy, retry};

use std::sync::Arc;

/// A bucket, or a folder in one, behind any number of decorators.
pub type Store = Arc<dyn object_store::ObjectStore>;

/// What a request to the store is made for. Each duty has its own client, and is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Duty {
    /// Uploading what producers sent.
    Produce,
    /// Reading for consumers near the end of their partitions.
    Fetch,
    /// Reading for consumers far behind.
    CatchUp,
    /// The metadata log and its checkpoints.
    Metadata,
    /// Rewriting small objects into large ones.
    Compaction,
    /// Deleting what nothing names any more.
    Garbage,
    /// Verifying checksums of stored bytes.
    Scrub,
    /// The command-line tools.
    Tool,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 8] = [
        Self::Produce,
        Self::Fetch,
        Self::CatchUp,
        Self::Metadata,
        Self::Compaction,
        Self::Garbage,
        Self::Scrub,
        Self::Tool,
    ];

    /// The value of the `duty` label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::CatchUp => "catch_up",
            Self::Metadata => "metadata",
            Self::Compaction => "compaction",
            Self::Garbage => "garbage",
            Self::Scrub => "scrub",
            Self::Tool => "tool",
        }
    }
}

impl std::fmt::Display for Duty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}
