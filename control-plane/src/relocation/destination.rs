//! Where a log can be moved to.

use async_trait::async_trait;

use crate::log::Position;
use crate::log::home::Place;

/// A place where a log can begin behind another.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Refuses what [`Destination::begin`] would refuse. Changes nothing. `moves` is as there.
    async fn check(&self, moves: u64) -> Result<(), String>;

    /// Begins a log whose first position is the one after `base`, or finds it begun by the same move. `moves` is how often
    /// the cluster's log has been moved with this move. Gives what the bucket is to say of the place.
    async fn begin(&self, moves: u64, base: Position) -> Result<Place, String>;
}

/// The bucket itself.
///
/// There is nothing to begin: the log in a bucket goes on behind its newest checkpoint. Entries may be there that were
/// written behind the end of an earlier log; their writers are not registered any more, so they have no effect.
#[derive(Clone, Copy, Debug)]
pub struct ToBucket;

#[async_trait]
impl Destination for ToBucket {
    async fn check(&self, _moves: u64) -> Result<(), String> {
        Ok(())
    }

    async fn begin(&self, _moves: u64, _base: Position) -> Result<Place, String> {
        Ok(Place::Bucket)
    }
}

#[cfg(feature = "foundationdb")]
mod foundation {
    use runtime::{Rng, SharedClock};

    use super::*;
    use crate::log::foundationdb::{Address, Beginning, FoundationLog, FoundationLogOptions};

    /// A prefix in FoundationDB.
    #[derive(Debug)]
    pub struct ToFoundationDb {
        /// Where.
        pub address: Address,
        /// The cluster's id.
        pub cluster_id: String,
        /// Time.
        pub clock: SharedClock,
        /// Randomness.
        pub rng: Rng,
    }

    impl ToFoundationDb {
        async fn ask(&self, moves: u64, base: Option<Position>) -> Result<String, String> {
            let id = self.rng.uuid().to_string();
            let new = Beginning {
                cluster_id: &self.cluster_id,
                moves,
                base,
                id: &id,
            };
            let options = FoundationLogOptions::default();
            let begun = FoundationLog::begin(&self.address, new, self.clock.clone(), options);
            begun.await.map_err(|error| error.to_string())
        }
    }

    #[async_trait]
    impl Destination for ToFoundationDb {
        async fn check(&self, moves: u64) -> Result<(), String> {
            self.ask(moves, None).await.map(|_| ())
        }

        async fn begin(&self, moves: u64, base: Position) -> Result<Place, String> {
            let log = Some(self.ask(moves, Some(base)).await?);
            Ok(Place::FoundationDb { log })
        }
    }
}

#[cfg(feature = "foundationdb")]
pub use foundation::ToFoundationDb;
