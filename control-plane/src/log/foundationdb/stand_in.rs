//! FoundationDB in memory, for tests of what uses logs.

use std::sync::Arc;

use async_trait::async_trait;
use runtime::{Rng, SimClock};

use super::begin::{self, Beginning};
use super::client::Client;
use super::fake::Fake;
use super::{Address, Claim, FoundationLog, FoundationLogOptions, OpenError};
use crate::log::Position;
use crate::log::home::Place;
use crate::relocation::Destination;

/// The prefix of one cluster.
#[derive(Clone)]
pub(crate) struct StandIn {
    fake: Fake,
    address: Address,
    cluster_id: String,
}

impl StandIn {
    pub fn new(seed: u64, cluster_id: &str) -> Self {
        Self {
            fake: Fake::new(seed),
            address: Address {
                cluster_file: "/fake".into(),
                prefix: "p".into(),
            },
            cluster_id: cluster_id.to_owned(),
        }
    }

    /// The same for another cluster.
    pub fn of(&self, cluster_id: &str) -> Self {
        Self {
            cluster_id: cluster_id.to_owned(),
            ..self.clone()
        }
    }

    fn client(&self) -> Client {
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let timeout = FoundationLogOptions::default().request_timeout;
        Client::new(self.fake.clone(), &self.address.prefix, timeout, clock)
    }

    /// Opens the log that the bucket says is here; `None` makes a new one.
    pub async fn open(&self, log: Option<Option<String>>) -> Result<FoundationLog, OpenError> {
        let cluster_id = &self.cluster_id;
        let claim = match &log {
            None => Claim::Join { cluster_id },
            Some(None) => Claim::Look { cluster_id },
            Some(Some(log)) => Claim::Moved { cluster_id, log },
        };
        let (rng, options) = (Rng::from_os(), FoundationLogOptions::default());
        FoundationLog::open_on(self.client(), &self.address, "fake", claim, rng, options).await
    }

    /// As whoever finishes a move away from here does.
    pub async fn leave(&self, moves: u64) {
        let left = begin::leave(&self.client(), &self.cluster_id, moves).await;
        left.unwrap();
    }

    async fn ask(&self, moves: u64, base: Option<Position>) -> Result<String, String> {
        let new = Beginning {
            cluster_id: &self.cluster_id,
            moves,
            base,
            id: &Rng::from_os().uuid().to_string(),
        };
        let begun = begin::begin(&self.client(), &self.address, new).await;
        begun
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Destination for StandIn {
    async fn check(&self, moves: u64) -> Result<(), String> {
        self.ask(moves, None).await.map(|_| ())
    }

    async fn begin(&self, moves: u64, base: Position) -> Result<Place, String> {
        let log = Some(self.ask(moves, Some(base)).await?);
        Ok(Place::FoundationDb { log })
    }
}
