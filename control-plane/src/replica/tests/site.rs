//! A log, a bucket and a clock, on which processes start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_format::TopicId;
use object_store::memory::InMemory;
use runtime::{Rng, Shutdown, SimClock, Store};
use uuid::Uuid;

use crate::checkpoint::CheckpointStore;
use crate::log::memory::{Faults, MemoryLog};
use crate::replica::{Replica, ReplicaParts, Session};
use crate::state::{CreateTopic, RegisterAgent};

pub struct Site {
    pub log: MemoryLog,
    pub store: Store,
    pub clock: Arc<SimClock>,
    pub rng: Rng,
    pub shutdown: Shutdown,
}

impl Site {
    pub fn new() -> Self {
        Self::of_seed(7)
    }

    pub fn of_seed(seed: u64) -> Self {
        Self {
            log: MemoryLog::new(),
            store: Arc::new(InMemory::new()),
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            rng: Rng::from_seed(seed),
            shutdown: Shutdown::default(),
        }
    }

    pub fn parts(&self, log: MemoryLog) -> ReplicaParts {
        ReplicaParts {
            log: Arc::new(log),
            checkpoints: CheckpointStore::new(self.store.clone()),
            clock: self.clock.clone(),
            rng: self.rng.fork("replica"),
        }
    }

    pub async fn open(&self, log: MemoryLog) -> Replica {
        let parts = self.parts(log);
        Replica::open(parts, &self.shutdown).await.unwrap()
    }

    pub async fn join(&self, name: &str) -> Session {
        self.join_on(name, self.log.clone()).await
    }

    pub async fn join_on(&self, name: &str, log: MemoryLog) -> Session {
        let registration = RegisterAgent::new(self.rng.uuid(), name);
        let replica = self.open(log).await;
        replica.join(registration, &self.shutdown).await.unwrap()
    }
}

/// All that can go wrong with a log, each once in ten times.
pub fn faults() -> Faults {
    Faults {
        append_rejected: 0.1,
        append_unknown_lost: 0.1,
        append_unknown_kept: 0.1,
        append_unknown_late: 0.1,
        late_max: Duration::from_millis(100),
        read_failed: 0.1,
        delay_max: Duration::from_millis(10),
    }
}

pub fn topic(name: &str, id: u128) -> CreateTopic {
    CreateTopic {
        name: name.into(),
        id: TopicId(Uuid::from_u128(id)),
        partitions: 1,
        configs: BTreeMap::new(),
    }
}
