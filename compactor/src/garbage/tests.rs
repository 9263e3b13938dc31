use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use control_plane::checkpoint::CheckpointStore;
use control_plane::log::memory::MemoryLog;
use control_plane::replica::{Replica, ReplicaParts};
use control_plane::state::{
    BatchMeta, CommitObject, CommitRun, CreateTopic, DeleteTopic, Heartbeat, RegisterAgent,
};
use futures::TryStreamExt;
use object_format::{TopicId, TopicPartition};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use runtime::store::FaultyStore;
use runtime::store::decorators::FaultPlan;
use runtime::{Rng, Shutdown, SimClock};
use uuid::Uuid;

use super::*;
use crate::Totals;

const GRACE: Duration = Duration::from_secs(600);

struct Site {
    log: MemoryLog,
    store: Store,
    clock: Arc<SimClock>,
    rng: Rng,
}

impl Site {
    fn new() -> Self {
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let (log, store) = (MemoryLog::new(), Arc::new(InMemory::new()));
        Self {
            log,
            store,
            clock,
            rng: Rng::from_seed(1),
        }
    }

    async fn join(&self, name: &str) -> Session {
        let parts = ReplicaParts {
            log: Arc::new(self.log.clone()),
            checkpoints: CheckpointStore::new(self.store.clone()),
            clock: self.clock.clone(),
            rng: self.rng.fork(name),
        };
        let shutdown = Shutdown::default();
        let replica = Replica::open(parts, &shutdown).await.unwrap();
        let registration = RegisterAgent {
            version_max: 1,
            ..RegisterAgent::new(self.rng.uuid(), name)
        };
        replica.join(registration, &shutdown).await.unwrap()
    }

    async fn upload(&self, writer: &Session, sequence: u64) -> ObjectId {
        let id = ObjectId {
            writer: writer.epoch(),
            sequence,
        };
        let bytes = Bytes::from_static(b"records");
        self.store
            .put(&Path::from(path::data(id)), bytes.into())
            .await
            .unwrap();
        id
    }

    async fn objects(&self) -> BTreeSet<ObjectId> {
        let found = self.store.list(Some(&Path::from(path::DATA)));
        found
            .try_filter_map(async |o| Ok(path::parse_data(o.location.as_ref())))
            .try_collect()
            .await
            .unwrap()
    }
}

async fn create(session: &Session, name: &str, id: u128) -> TopicId {
    let id = TopicId(Uuid::from_u128(id));
    let create = CreateTopic {
        name: name.into(),
        id,
        partitions: 1,
        configs: BTreeMap::new(),
    };
    session.submit(create).await.unwrap().unwrap();
    id
}

async fn commit(session: &Session, object: ObjectId, topic: TopicId) {
    let batch = BatchMeta {
        bytes: 7,
        records: 1,
        max_timestamp: 0,
        producer: None,
    };
    let partition = TopicPartition {
        topic,
        partition: 0,
    };
    let runs = vec![CommitRun {
        partition,
        position: 0,
        batches: vec![batch],
    }];
    session
        .submit(CommitObject {
            object,
            bytes: 7,
            runs,
        })
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn after_the_grace_only_what_something_names_is_left() {
    let site = Site::new();
    let (agent, collector) = (site.join("agent").await, site.join("collector").await);
    let (kept, deleted) = (
        create(&agent, "kept", 1).await,
        create(&agent, "deleted", 2).await,
    );
    let named = site.upload(&agent, 0).await;
    commit(&agent, named, kept).await;
    let garbage = site.upload(&agent, 1).await;
    commit(&agent, garbage, deleted).await;
    agent
        .submit(DeleteTopic {
            id: deleted,
            window_ms: 0,
        })
        .await
        .unwrap()
        .unwrap();
    let orphan = site.upload(&agent, 2).await;
    agent.leave().await.unwrap();

    let none = collect(&collector, &site.store, GRACE).await.unwrap();
    assert_eq!(
        none,
        Collected::default(),
        "a reader may still be reading them"
    );
    assert_eq!(site.objects().await, [named, garbage, orphan].into());
    let totals = || collector.replica().read(Totals::of);
    let waiting = totals();
    assert_eq!((waiting.live_bytes, waiting.object_bytes), (7, 7));
    assert_eq!((waiting.garbage_objects, waiting.garbage_bytes), (1, 7));
    assert_eq!(waiting.orphan_keys, UPLOADS_MAX);

    site.clock.jump_wall(GRACE.as_millis() as i64);
    collector
        .submit(Heartbeat { draining: false })
        .await
        .unwrap();
    let collected = collect(&collector, &site.store, GRACE).await.unwrap();
    assert_eq!(collected.departed, 1);
    assert_eq!(site.objects().await, [named].into());
    let left = collector
        .replica()
        .read(|s| s.garbage().count() + s.departed().count());
    assert_eq!(left, 0, "and nothing is remembered of the rest");
    let after = totals();
    assert_eq!((after.garbage_bytes, after.orphan_keys), (0, 0));
}

#[tokio::test]
async fn only_the_holder_of_the_lease_collects() {
    let site = Site::new();
    let (first, second) = (site.join("first").await, site.join("second").await);
    collect(&first, &site.store, GRACE).await.unwrap();
    let object = site.upload(&second, 0).await;
    second
        .submit(CommitObject {
            object,
            bytes: 7,
            runs: vec![],
        })
        .await
        .unwrap()
        .unwrap();
    site.clock.jump_wall(GRACE.as_millis() as i64);
    second.submit(Heartbeat { draining: false }).await.unwrap();
    let other = collect(&second, &site.store, GRACE).await.unwrap();
    assert_eq!((other.objects, site.objects().await.len()), (0, 1));
    first.replica().barrier().await.unwrap();
    let own = collect(&first, &site.store, GRACE).await.unwrap();
    assert_eq!((own.objects, site.objects().await.len()), (1, 0));
}

#[tokio::test]
async fn a_store_that_fails_half_of_all_calls_is_tidied_up_in_the_end() {
    let site = Site::new();
    let (agent, collector) = (site.join("agent").await, site.join("collector").await);
    for sequence in 0..40 {
        let object = site.upload(&agent, sequence).await;
        let bytes = 7;
        let runs = vec![];
        let commit = CommitObject {
            object,
            bytes,
            runs,
        };
        agent.submit(commit).await.unwrap().unwrap();
    }
    site.upload(&agent, 40).await;
    agent.leave().await.unwrap();
    site.clock.jump_wall(GRACE.as_millis() as i64);
    let heartbeat = Heartbeat { draining: false };
    collector.submit(heartbeat).await.unwrap();

    let faulty = FaultyStore::new(site.store.clone(), site.rng.fork("faults"));
    faulty.faults().set(FaultPlan {
        before: 0.25,
        after: 0.25,
        ..FaultPlan::default()
    });
    let faults = faulty.faults();
    let store: Store = Arc::new(faulty);
    for _ in 0..100 {
        match collect(&collector, &store, GRACE).await {
            Ok(collected) if collected == Collected::default() => break,
            Ok(_) => {}
            Err(_) => {}
        }
    }
    assert!(faults.injected() > 10);
    assert!(site.objects().await.is_empty());
    let left = collector
        .replica()
        .read(|s| s.garbage().count() + s.departed().count());
    assert_eq!(left, 0);
}
