use std::collections::BTreeMap;
use std::time::Duration;

use object_format::TopicId;
use object_store::memory::InMemory;
use runtime::{Rng, SharedClock, Shutdown, SimClock};
use uuid::Uuid;

use super::*;
use crate::checkpoint::CheckpointStore;
use crate::log::memory::{Faults, MemoryLog};
use crate::log::{MetadataLog, ReadError};
use crate::replica::{ReplicaParts, Session};
use crate::state::{CreateTopic, METADATA_VERSION_MAX, RaiseMetadataVersion, RegisterAgent, State};

/// A log in memory that passes for one that writers race for.
#[derive(Clone, Debug)]
struct Raced(MemoryLog);

#[async_trait]
impl MetadataLog for Raced {
    async fn append(&self, entry: Bytes) -> Result<Position, AppendError> {
        self.0.append(entry).await
    }

    async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        self.0.read(after, bytes_max).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.0.tail().await
    }

    async fn wait(&self, after: Position) -> Result<(), ReadError> {
        self.0.wait(after).await
    }

    fn hint(&self, at: Position) {
        self.0.hint(at);
    }

    fn is_raced_for(&self) -> bool {
        true
    }

    async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        self.0.trim(through).await
    }
}

/// A relay that loses some of what is asked, and some of what is answered.
#[derive(Debug)]
struct Lossy {
    to: Replica,
    rng: Rng,
    lost: f64,
}

#[async_trait]
impl Relay for Lossy {
    async fn append(&self, entry: &Bytes) -> Option<(Position, Bytes)> {
        if self.rng.chance(self.lost) {
            return None;
        }
        let to = self.to.clone();
        let entry = entry.clone();
        // What was asked happens, whether or not its sender waits.
        let asked = tokio::spawn(async move { to.append_for(entry).await.ok() });
        if self.rng.chance(self.lost) {
            return None;
        }
        asked.await.ok().flatten()
    }
}

struct Site {
    log: MemoryLog,
    store: runtime::Store,
    clock: SharedClock,
    rng: Rng,
    shutdown: Shutdown,
}

impl Site {
    fn new(seed: u64) -> Self {
        Self {
            log: MemoryLog::new(),
            store: Arc::new(InMemory::new()),
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            rng: Rng::from_seed(seed),
            shutdown: Shutdown::default(),
        }
    }

    async fn open(&self, log: MemoryLog) -> Replica {
        let parts = ReplicaParts {
            log: Arc::new(Raced(log)),
            checkpoints: CheckpointStore::new(self.store.clone()),
            clock: self.clock.clone(),
            rng: self.rng.fork("replica"),
        };
        Replica::open(parts, &self.shutdown).await.unwrap()
    }

    async fn join(&self, name: &str, log: MemoryLog) -> Session {
        let registration = RegisterAgent {
            nonce: self.rng.uuid(),
            agent_id: name.to_owned(),
            host: String::new(),
            port: 0,
            peer_address: String::new(),
            zone: None,
            version_max: METADATA_VERSION_MAX,
        };
        let replica = self.open(log).await;
        let session = replica.join(registration, &self.shutdown).await.unwrap();
        let to = METADATA_VERSION_MAX;
        // It is refused if it is in force already.
        let _ = session.submit(RaiseMetadataVersion { to }).await.unwrap();
        session
    }

    /// How often something was appended.
    async fn appends(&self) -> u64 {
        self.log.tail().await.unwrap().0
    }
}

fn topic(name: String, id: u128) -> CreateTopic {
    CreateTopic {
        name,
        id: TopicId(Uuid::from_u128(id)),
        partitions: 1,
        configs: BTreeMap::new(),
    }
}

/// Has each session create 20 topics, one after the other. A second effect would be refused: the name is taken.
async fn create_topics(sessions: &[Session], turn: usize) {
    let creating = sessions.iter().enumerate().map(|(writer, session)| {
        let session = session.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                let id = (turn * 10_000 + writer * 100 + number + 1) as u128;
                let name = format!("{turn}-{writer}-{number}");
                let created = session.submit(topic(name, id)).await.unwrap();
                assert_eq!(
                    created,
                    Ok(()),
                    "turn {turn}, writer {writer}, topic {number}"
                );
            }
        })
    });
    for done in creating.collect::<Vec<_>>() {
        done.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_relayed_has_one_effect_whatever_is_lost() {
    for seed in 0..20 {
        let site = Site::new(seed);
        let faults = Faults {
            append_rejected: 0.1,
            append_unknown_lost: 0.1,
            append_unknown_kept: 0.1,
            append_unknown_late: 0.1,
            late_max: Duration::from_millis(100),
            read_failed: 0.1,
            delay_max: Duration::from_millis(10),
        };
        let handle = |n| {
            let rng = Rng::from_seed(seed * 10 + n);
            site.log.with_faults(rng, Faults::default())
        };
        let handles: Vec<MemoryLog> = (0..4).map(handle).collect();
        let mut sessions = Vec::new();
        for (n, log) in handles.iter().enumerate() {
            sessions.push(site.join(&format!("agent-{n}"), log.clone()).await);
        }
        for session in &sessions[1..] {
            session.replica().append_through(Arc::new(Lossy {
                to: sessions[0].replica().clone(),
                rng: site.rng.fork("relay"),
                lost: 0.1,
            }));
        }
        handles.iter().for_each(|h| h.set_faults(faults.clone()));
        create_topics(&sessions, seed as usize).await;
        let late = site.open(site.log.clone()).await;
        assert_eq!(late.read(|s| s.topics().count()), 80, "seed {seed}");
        for session in &sessions {
            let replica = session.replica();
            replica.applied(late.position()).await.unwrap();
            if replica.position() == late.position() {
                let bytes = |r: &Replica| r.read(State::to_bytes);
                assert_eq!(bytes(replica), bytes(&late), "seed {seed}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_an_append_is_under_way_shares_the_next() {
    let site = Site::new(1);
    let slow = Faults {
        delay_max: Duration::from_millis(30),
        ..Faults::default()
    };
    let log = site.log.with_faults(Rng::from_seed(1), slow);
    let mut sessions = Vec::new();
    for n in 0..8 {
        sessions.push(site.join(&format!("agent-{n}"), log.clone()).await);
    }
    let before = site.appends().await;
    create_topics(&sessions, 0).await;
    assert_eq!(site.appends().await - before, 160, "each appends its own");

    for session in &sessions[1..] {
        session.replica().append_through(Arc::new(Lossy {
            to: sessions[0].replica().clone(),
            rng: site.rng.fork("relay"),
            lost: 0.0,
        }));
    }
    let before = site.appends().await;
    create_topics(&sessions, 1).await;
    let appends = site.appends().await - before;
    assert!(appends <= 60, "{appends} appends for 160 commands of eight");
}

#[tokio::test]
async fn what_no_process_knows_is_not_appended_for_another() {
    let site = Site::new(1);
    let session = site.join("agent", site.log.clone()).await;
    let before = site.appends().await;
    let newer = (METADATA_VERSION_MAX + 1).to_le_bytes();
    for odd in [&newer[..], b"", b"\x01", b"\x00\x00", b"\x00\x80 several"] {
        let entry = Bytes::copy_from_slice(odd);
        let refused = session.replica().append_for(entry).await;
        assert!(matches!(refused, Err(AppendError::Rejected(_))), "{odd:?}");
    }
    assert_eq!(site.appends().await, before);
}
