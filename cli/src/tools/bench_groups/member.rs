//! One member of a classic consumer group: joins, keeps its place, commits. It reads nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, FindCoordinatorRequest, GroupId,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    SyncGroupRequest, TopicName, leave_group_request::MemberIdentity,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use runtime::{Rng, SharedClock};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::bench::stats::Meter;
use super::progress::Progress;
use crate::client::{ClientError, Connection, ConnectionOptions, Result};

/// The assignor's name, of ours only.
const PROTOCOL: &str = "spread";
/// Version of the embedded consumer protocol.
const EMBEDDED_VERSION: i16 = 0;
/// A pause before a member that lost its coordinator or its place tries again.
const PAUSE: Duration = Duration::from_millis(200);
/// FindCoordinator from here on takes several keys.
const FIND_COORDINATOR_VERSION: i16 = 4;

/// What all members have in common.
pub struct Common {
    /// One broker, HOST:PORT.
    pub bootstrap: String,
    pub topic: String,
    pub partitions: i32,
    pub heartbeat: Duration,
    pub session: Duration,
    pub commit: Option<Duration>,
    pub clock: SharedClock,
    pub rng: Rng,
    /// How many may connect at once.
    pub connecting: Semaphore,
    pub progress: Progress,
    pub heartbeats: Meter,
    pub commits: Meter,
    /// Set once all groups are stable: commits begin.
    pub steady: CancellationToken,
    pub stop: CancellationToken,
}

/// A member and its place in its group.
pub struct Member {
    common: Arc<Common>,
    group: u32,
    group_id: GroupId,
    member_id: StrBytes,
    generation: i32,
    assigned: Vec<i32>,
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Member {
    /// A member of the group with this number.
    pub fn new(common: Arc<Common>, group: u32) -> Self {
        let group_id = GroupId(string(&format!("{}-{group}", common.topic)));
        Self {
            common,
            group,
            group_id,
            member_id: StrBytes::default(),
            generation: -1,
            assigned: Vec::new(),
        }
    }

    /// Is a member until it is told to stop, and leaves. Gives the error that no new try can mend.
    pub async fn run(mut self) -> Result<()> {
        let stop = self.common.stop.clone();
        loop {
            let failed = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                connection = self.connect() => match connection {
                    Ok(connection) => tokio::select! {
                        () = stop.cancelled() => return self.leave(&connection).await,
                        failed = self.live(&connection) => failed,
                    },
                    Err(error) => error,
                },
            };
            self.common.progress.interrupted(self.group);
            self.common.progress.failed(&failed);
            if !failed.is_retriable() {
                return Err(failed);
            }
            tokio::time::sleep(self.common.rng.jitter(PAUSE)).await;
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let Ok(_turn) = self.common.connecting.acquire().await else {
            return Err(ClientError::Closed("this process".into()));
        };
        let request =
            FindCoordinatorRequest::default().with_coordinator_keys(vec![self.group_id.0.clone()]);
        let options = ConnectionOptions::default();
        // Not on a connection that others use: real consumers do not wait for each other here.
        let any = Connection::open(&self.common.bootstrap, &options).await?;
        let found = any
            .call_version(&request, FIND_COORDINATOR_VERSION, Duration::ZERO)
            .await?;
        let none = || ClientError::Protocol("FindCoordinator: no coordinator".into());
        let found = found.coordinators.first().ok_or_else(none)?;
        check("find the coordinator", found.error_code)?;
        let broker = format!("{}:{}", &*found.host, found.port);
        if broker == any.broker() {
            return Ok(any);
        }
        Connection::open(&broker, &options).await
    }

    /// Joins and stays, until something fails that needs the coordinator to be looked for again.
    async fn live(&mut self, connection: &Connection) -> ClientError {
        loop {
            let outcome = match self.join(connection).await {
                Ok(()) => self.stay(connection).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {}
                Err(error) => match error.code() {
                    Some(ResponseError::RebalanceInProgress | ResponseError::IllegalGeneration) => {
                    }
                    Some(ResponseError::UnknownMemberId) => self.member_id = StrBytes::default(),
                    _ => return error,
                },
            }
            self.common.progress.interrupted(self.group);
        }
    }

    async fn join(&mut self, connection: &Connection) -> Result<()> {
        let joined = self.ask_to_join(connection).await?;
        let leads = joined.leader == self.member_id;
        let members = joined.members.iter().map(|m| m.member_id.clone()).collect();
        let assignments = if leads {
            self.assign(members)?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(Some(string("consumer")))
            .with_protocol_name(Some(string(PROTOCOL)))
            .with_assignments(assignments);
        let version = connection.version::<SyncGroupRequest>()?;
        let extra = self.common.session;
        let synced = connection.call_version(&request, version, extra).await?;
        check("sync", synced.error_code)?;
        self.assigned = assigned(synced.assignment)?;
        let now = self.common.clock.monotonic();
        self.common
            .progress
            .synced(self.group, self.generation, now);
        Ok(())
    }

    /// The two steps of KIP-394: the first try gives the member its id.
    async fn ask_to_join(&mut self, connection: &Connection) -> Result<JoinGroupResponse> {
        let subscription =
            ConsumerProtocolSubscription::default().with_topics(vec![string(&self.common.topic)]);
        let metadata = embedded(&subscription)?;
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(string(PROTOCOL))
            .with_metadata(metadata);
        let session_ms = i32::try_from(self.common.session.as_millis()).unwrap_or(i32::MAX);
        let version = connection.version::<JoinGroupRequest>()?;
        loop {
            let request = JoinGroupRequest::default()
                .with_group_id(self.group_id.clone())
                .with_session_timeout_ms(session_ms)
                .with_rebalance_timeout_ms(session_ms)
                .with_member_id(self.member_id.clone())
                .with_protocol_type(string("consumer"))
                .with_protocols(vec![protocol.clone()]);
            let extra = self.common.session;
            let joined = connection.call_version(&request, version, extra).await?;
            let knows_none = self.member_id.is_empty();
            self.member_id = joined.member_id.clone();
            let asks_again = check("join", joined.error_code);
            match asks_again {
                Err(error)
                    if knows_none && error.code() == Some(ResponseError::MemberIdRequired) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.generation = joined.generation_id;
                    return Ok(joined);
                }
            }
        }
    }

    /// As the leader: partitions in turn.
    fn assign(&self, members: Vec<StrBytes>) -> Result<Vec<SyncGroupRequestAssignment>> {
        let mut shares: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        for partition in 0..self.common.partitions {
            let member = partition as usize % members.len().max(1);
            shares.entry(member).or_default().push(partition);
        }
        let share = |(index, member_id): (usize, StrBytes)| {
            let partitions = shares.remove(&index).unwrap_or_default();
            let topic = TopicPartition::default()
                .with_topic(TopicName(string(&self.common.topic)))
                .with_partitions(partitions);
            let assignment =
                ConsumerProtocolAssignment::default().with_assigned_partitions(vec![topic]);
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(member_id)
                .with_assignment(embedded(&assignment)?))
        };
        members.into_iter().enumerate().map(share).collect()
    }

    /// Sends heartbeats and commits until one of them fails.
    async fn stay(&self, connection: &Connection) -> Result<()> {
        let common = &self.common;
        let mut next = common.clock.monotonic() + common.rng.jitter(common.heartbeat / 2);
        loop {
            let pause = next.saturating_sub(common.clock.monotonic());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                failed = self.commit_on(connection) => return failed,
            }
            let request = HeartbeatRequest::default()
                .with_group_id(self.group_id.clone())
                .with_generation_id(self.generation)
                .with_member_id(self.member_id.clone());
            let began = common.clock.monotonic();
            let heard = connection.call(&request).await?;
            let now = common.clock.monotonic();
            common
                .heartbeats
                .update(|flow| flow.add(1, 0, Some(now - began)));
            check("heartbeat", heard.error_code)?;
            next = now + common.heartbeat;
        }
    }

    /// Commits as often as it is told to; returns only when a commit fails.
    async fn commit_on(&self, connection: &Connection) -> Result<()> {
        let common = &self.common;
        let every = match common.commit {
            Some(every) if !self.assigned.is_empty() => every,
            _ => return std::future::pending().await,
        };
        common.steady.cancelled().await;
        let mut offset = 0;
        loop {
            tokio::time::sleep(common.rng.jitter(every)).await;
            offset += 1;
            let partition = |index: &i32| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(offset)
            };
            let topic = OffsetCommitRequestTopic::default()
                .with_name(TopicName(string(&common.topic)))
                .with_partitions(self.assigned.iter().map(partition).collect());
            let request = OffsetCommitRequest::default()
                .with_group_id(self.group_id.clone())
                .with_generation_id_or_member_epoch(self.generation)
                .with_member_id(self.member_id.clone())
                .with_topics(vec![topic]);
            let version = connection.version::<OffsetCommitRequest>()?.min(9);
            let began = common.clock.monotonic();
            let committed = connection
                .call_version(&request, version, Duration::ZERO)
                .await?;
            let took = common.clock.monotonic() - began;
            let results = committed.topics.iter().flat_map(|t| &t.partitions);
            for result in results {
                check("commit", result.error_code)?;
            }
            let offsets = self.assigned.len() as u64;
            common
                .commits
                .update(|flow| flow.add(1, offsets, Some(took)));
        }
    }

    async fn leave(&self, connection: &Connection) -> Result<()> {
        let member = MemberIdentity::default().with_member_id(self.member_id.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group_id.clone())
            .with_members(vec![member]);
        connection.call(&request).await.map(|_| ())
    }
}

fn check(what: &str, code: i16) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(ClientError::broker(what, code, None)),
    }
}

/// A message of the consumer protocol, with its version before it.
fn embedded(message: &impl Encodable) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(EMBEDDED_VERSION);
    let encoded = message.encode(&mut bytes, EMBEDDED_VERSION);
    encoded.map_err(|error| ClientError::Protocol(error.to_string()))?;
    Ok(bytes.freeze())
}

fn assigned(mut assignment: Bytes) -> Result<Vec<i32>> {
    if assignment.len() < 2 {
        return Ok(Vec::new());
    }
    let body = &mut assignment.split_off(2);
    let decoded = ConsumerProtocolAssignment::decode(body, EMBEDDED_VERSION);
    let decoded = decoded.map_err(|error| ClientError::Protocol(error.to_string()))?;
    let topics = decoded.assigned_partitions.into_iter();
    Ok(topics.flat_map(|topic| topic.partitions).collect())
}
