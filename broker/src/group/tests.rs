//! Tests of the shell: agents in one process, on one log in memory.

mod bounds;
mod consumer;
mod life;
mod retention;
mod share;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use control_plane::checkpoint::CheckpointStore;
use control_plane::log::memory::{Faults, MemoryLog};
use control_plane::replica::{Replica, ReplicaParts, Session};
use control_plane::state::{CreateTopic, ExpireAgent, OffsetToCommit, RegisterAgent};
use object_format::{TopicId, TopicPartition};
use object_store::memory::InMemory;
use runtime::{Rng, Shutdown, SimClock};
use uuid::Uuid;

use super::machine::{
    GroupError, HeartbeatRequest, JoinRefused, JoinRequest, Joined, LeaveRequest, LeavingMember,
    Protocol, SyncRequest, Synced,
};
use super::{Committer, GroupOptions, Groups};

const SESSION: Duration = Duration::from_secs(10);
const TOPIC: TopicId = TopicId(Uuid::from_u128(7));

/// An agent with groups and nothing else.
struct Agent {
    session: Session,
    groups: Groups,
    /// Its own handle on the log, to be broken alone.
    log: MemoryLog,
    clock: Arc<SimClock>,
    shutdown: Shutdown,
}

async fn agent(log: &MemoryLog, name: &str, options: GroupOptions) -> Agent {
    let seed = name.bytes().map(u64::from).sum();
    let rng = Rng::from_seed(seed);
    let log = log.with_faults(rng.fork("log"), Faults::default());
    let clock = Arc::new(SimClock::default());
    let shutdown = Shutdown::default();
    let parts = ReplicaParts {
        log: Arc::new(log.clone()),
        checkpoints: CheckpointStore::new(Arc::new(InMemory::new())),
        clock: clock.clone(),
        rng: rng.fork("replica"),
    };
    let replica = Replica::open(parts, &shutdown).await.unwrap();
    let registration = RegisterAgent {
        host: name.into(),
        port: 9092,
        ..RegisterAgent::new(rng.uuid(), name)
    };
    let session = replica.join(registration, &shutdown).await.unwrap();
    let groups = Groups::new(
        session.clone(),
        clock.clone(),
        rng.fork("groups"),
        options,
        &shutdown,
    );
    Agent {
        session,
        groups,
        log,
        clock,
        shutdown,
    }
}

/// An agent alone, and topic `t` with three partitions.
async fn alone(options: GroupOptions) -> Agent {
    let agent = agent(&MemoryLog::new(), "a", options).await;
    agent.create_topic().await;
    agent
}

impl Agent {
    async fn create_topic(&self) {
        let create = CreateTopic {
            name: "t".into(),
            id: TOPIC,
            partitions: 3,
            configs: BTreeMap::new(),
        };
        self.session.submit(create).await.unwrap().unwrap();
    }

    async fn catch_up(&self) {
        self.session.replica().barrier().await.unwrap();
    }

    /// Joins a new member of clients older than KIP-394.
    async fn join(&self, group: &str, member: &str) -> Result<Joined, JoinRefused> {
        self.groups.join(group, joins(member)).await
    }

    /// Leads the group's only member to its assignment.
    async fn settle(&self, group: &str, member: &str) -> Joined {
        let joined = self.join(group, member).await.unwrap();
        let synced = self.sync(group, member, joined.generation).await.unwrap();
        assert_eq!(synced.assignment, "everything");
        joined
    }

    async fn sync(&self, group: &str, member: &str, generation: i32) -> Result<Synced, GroupError> {
        let sync = SyncRequest {
            member_id: member.into(),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(member.into(), Bytes::from_static(b"everything"))],
        };
        self.groups.sync(group, sync).await
    }

    async fn heartbeat(
        &self,
        group: &str,
        member: &str,
        generation: i32,
    ) -> Result<(), GroupError> {
        let heartbeat = HeartbeatRequest {
            member_id: member.into(),
            instance_id: None,
            generation,
        };
        self.groups.heartbeat(group, heartbeat).await
    }

    async fn leave(&self, group: &str, member: &str) {
        let members = vec![LeavingMember {
            member_id: member.into(),
            instance_id: None,
            reason: None,
        }];
        let left = self.groups.leave(group, LeaveRequest { members }).await;
        assert_eq!(left.unwrap()[0].error, None);
    }

    /// Commits for partition 0, as a member or (generation -1) as nobody.
    async fn commit(
        &self,
        group: &str,
        member: &str,
        generation: i32,
        offset: i64,
    ) -> Result<(), GroupError> {
        let who = Committer {
            member_id: member.into(),
            instance_id: None,
            generation,
            knows_member_epochs: true,
            transaction: None,
        };
        let absent = GroupError::GroupIdNotFound;
        self.groups
            .commit(group, who, vec![to_commit(offset)], absent)
            .await
    }

    /// The offset committed for partition 0, as OffsetFetch would find it.
    async fn committed(&self, group: &str) -> Option<i64> {
        self.groups.catch_up().await.unwrap();
        let offset = |g: &control_plane::state::Group| g.offsets.get(&partition(0)).cloned();
        let found = self
            .session
            .replica()
            .read(|s| s.group(group).and_then(offset));
        found.map(|committed| committed.offset)
    }

    /// Has this agent declare another one dead.
    async fn expire(&self, other: &Agent) {
        self.catch_up().await;
        let agent = other.session.epoch();
        let known = |s: &control_plane::state::State| s.agent(agent).map(|a| a.entry_last);
        let entry_last_seen = self.session.replica().read(known).unwrap();
        let expire = ExpireAgent {
            agent,
            entry_last_seen,
        };
        assert!(self.session.submit(expire).await.unwrap());
    }

    fn is_in_metadata(&self, group: &str) -> bool {
        self.session.replica().read(|s| s.group(group).is_some())
    }
}

fn joins(member: &str) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        candidate_member_id: member.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: SESSION,
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            // Subscribes to `t`.
            metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        }],
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: false,
    }
}

fn partition(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC,
        partition,
    }
}

fn to_commit(offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        partition: partition(0),
        offset,
        leader_epoch: 0,
        metadata: "m".into(),
        retention_ms: None,
    }
}
