//! The groups of an agent: finds or begins the task of a group, and asks it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use control_plane::replica::Session;
use control_plane::state::{OffsetToCommit, State};
use kafka_protocol::messages::GroupId;
use object_format::TopicPartition;
use parking_lot::Mutex;
use runtime::{Rng, SharedClock, Shutdown};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, Committer, Reply};
use super::consumer::{ConsumerGroupView, ConsumerHeartbeat, HeartbeatAnswer, Refusal};
use super::coordinator;
use super::held::Held;
use super::kind::GroupType;
use super::machine::{
    GroupError, GroupState, GroupView, HeartbeatRequest, JoinRefused, JoinRequest, Joined,
    LeaveRequest, LeftMember, SyncRequest, Synced,
};
use super::metrics;
use super::offsets;
use super::options::GroupOptions;
use super::placement::coordinator_node;
use super::share::{self, ShareGroupView, ShareHeartbeat};
use super::summary::Summary;
use super::topics::{Topics, TopicsCache};
use crate::config::group::GroupConfig;
use crate::topology;

/// Longest group id: that of Kafka's strings.
const GROUP_ID_BYTES_MAX: usize = i16::MAX as usize;

/// The groups of an agent. Clones are the same.
#[derive(Clone)]
pub(crate) struct Groups(Arc<Shared>);

/// What the tasks of all groups share.
pub(super) struct Shared {
    pub(super) session: Session,
    pub(super) clock: SharedClock,
    pub(super) options: GroupOptions,
    /// Cancelled when this process may coordinate nothing any more.
    pub(super) stop: CancellationToken,
    topics: TopicsCache,
    /// Bytes that members say of themselves, in groups and waiting to join.
    pub(super) members_bytes: AtomicUsize,
    rng: Rng,
    shutdown: Shutdown,
    /// The groups that have a task. Requests are handed over under this lock, so that a task that
    /// finds none under it may end.
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    asks: mpsc::Sender<Ask>,
    summary: Arc<Mutex<Summary>>,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    /// Its id.
    pub group: String,
    /// Its type.
    pub group_type: GroupType,
    /// Its state.
    pub state: GroupState,
    /// Its protocol type; empty for a group that only ever committed offsets.
    pub protocol_type: String,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("running", &self.0.running.lock().len())
            .finish_non_exhaustive()
    }
}

impl Groups {
    /// The groups of the process that `session` is of. When `shutdown` begins or the replica stops,
    /// whoever waits is told to look elsewhere.
    pub(crate) fn new(
        session: Session,
        clock: SharedClock,
        rng: Rng,
        options: GroupOptions,
        shutdown: &Shutdown,
    ) -> Self {
        let stop = CancellationToken::new();
        let (stopping, replica, begun) =
            (stop.clone(), session.replica().clone(), shutdown.clone());
        runtime::tasks::spawn("groups", shutdown, async move {
            tokio::select! {
                () = begun.begun() => {}
                _ = replica.failed() => {}
            }
            stopping.cancel();
        });
        Self(Arc::new(Shared {
            session,
            clock,
            options,
            stop,
            topics: TopicsCache::default(),
            members_bytes: AtomicUsize::new(0),
            rng,
            shutdown: shutdown.clone(),
            running: Mutex::default(),
        }))
    }

    /// The process whose groups they are.
    pub(super) fn session(&self) -> &Session {
        &self.0.session
    }

    /// What bounds them.
    pub(crate) fn options(&self) -> &GroupOptions {
        &self.0.options
    }

    /// A member id, made as Kafka does: `prefix` is the instance id of a static member, else the
    /// client id.
    pub(crate) fn new_member_id(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.0.rng.uuid())
    }

    /// A member id for a member of the consumer protocol that has not chosen one.
    pub(crate) fn new_consumer_member_id(&self) -> String {
        self.0.rng.uuid().to_string()
    }

    /// Joins a member; answered when the generation is there.
    pub(crate) async fn join(
        &self,
        group: &str,
        request: JoinRequest,
    ) -> Result<Joined, JoinRefused> {
        let member_id = request.member_id.clone();
        let protocols = request.protocols.iter();
        let mut waiting = Held::new(&self.0.members_bytes);
        waiting.set(protocols.map(|p| p.name.len() + p.metadata.len()).sum());
        if self.0.members_bytes.load(Ordering::Relaxed) > self.0.options.members_bytes_max {
            let error = GroupError::CoordinatorLoadInProgress;
            return Err(JoinRefused { error, member_id });
        }
        let joined = self.ask(group, |reply| Ask::Join(request, reply)).await;
        joined.unwrap_or_else(|error| Err(JoinRefused { error, member_id }))
    }

    /// Gives a member its assignment; answered when the leader has told it and it is saved.
    pub(crate) async fn sync(
        &self,
        group: &str,
        request: SyncRequest,
    ) -> Result<Synced, GroupError> {
        self.must_exist(group, GroupError::UnknownMemberId).await?;
        self.ask(group, |reply| Ask::Sync(request, reply)).await?
    }

    /// Hears of a member.
    pub(crate) async fn heartbeat(
        &self,
        group: &str,
        request: HeartbeatRequest,
    ) -> Result<(), GroupError> {
        self.must_exist(group, GroupError::UnknownMemberId).await?;
        let ask = |reply| Ask::Heartbeat(request, reply);
        self.ask(group, ask).await?
    }

    /// Removes members.
    pub(crate) async fn leave(
        &self,
        group: &str,
        request: LeaveRequest,
    ) -> Result<Vec<LeftMember>, GroupError> {
        self.must_exist(group, GroupError::UnknownMemberId).await?;
        self.ask(group, |reply| Ask::Leave(request, reply)).await?
    }

    /// A heartbeat of a member of the consumer protocol (KIP-848). `request` was
    /// [checked](ConsumerHeartbeat::check).
    pub(crate) async fn consumer_heartbeat(
        &self,
        group: &str,
        request: ConsumerHeartbeat,
    ) -> Result<HeartbeatAnswer, Refusal> {
        let mut waiting = Held::new(&self.0.members_bytes);
        if request.epoch == 0 {
            waiting.set(request.says_bytes());
            if self.0.members_bytes.load(Ordering::Relaxed) > self.0.options.members_bytes_max {
                return Err(GroupError::CoordinatorLoadInProgress.into());
            }
        } else {
            self.must_exist(group, GroupError::GroupIdNotFound).await?;
        }
        let ask = |reply| Ask::ConsumerHeartbeat(request, reply);
        self.ask(group, ask).await?
    }

    /// A heartbeat of a member of the share protocol (KIP-932). `request` was
    /// [checked](ShareHeartbeat::check).
    pub(crate) async fn share_heartbeat(
        &self,
        group: &str,
        request: ShareHeartbeat,
    ) -> Result<HeartbeatAnswer, Refusal> {
        let mut waiting = Held::new(&self.0.members_bytes);
        if request.epoch == 0 {
            waiting.set(request.says_bytes());
            if self.0.members_bytes.load(Ordering::Relaxed) > self.0.options.members_bytes_max {
                return Err(GroupError::CoordinatorLoadInProgress.into());
            }
        } else {
            self.must_exist(group, GroupError::GroupIdNotFound).await?;
        }
        let ask = |reply| Ask::ShareHeartbeat(request, reply);
        self.ask(group, ask).await?
    }

    /// Describes a share group.
    pub(crate) async fn describe_share(&self, group: &str) -> Result<ShareGroupView, GroupError> {
        if !self.is_known(group) {
            return Err(GroupError::GroupIdNotFound);
        }
        self.ask(group, Ask::DescribeShare).await?
    }

    /// Whether there is a share group of this id, as far as this replica knows.
    pub(crate) fn is_share(&self, group: &str) -> bool {
        let is_share = |s: &State| s.group(group).is_some_and(|g| share::is_share(&g.saved));
        self.0.session.replica().read(is_share)
    }

    /// Sets the start offsets of share-partitions of a group without members anew, or forgets those
    /// that get none.
    pub(crate) async fn reset_shares(
        &self,
        group: &str,
        changes: Vec<(TopicPartition, Option<i64>)>,
    ) -> Result<(), GroupError> {
        self.must_exist(group, GroupError::GroupIdNotFound).await?;
        let ask = |reply| Ask::ResetShares(changes, reply);
        let reset = async { offsets::settled(self.ask(group, ask).await??).await };
        self.in_time(reset).await
    }

    /// Describes a consumer group.
    pub(crate) async fn describe_consumer(
        &self,
        group: &str,
    ) -> Result<ConsumerGroupView, GroupError> {
        if !self.is_known(group) {
            return Err(GroupError::GroupIdNotFound);
        }
        self.ask(group, Ask::DescribeConsumer).await?
    }

    /// Whether a member of this id and epoch may fetch committed offsets (KIP-848).
    pub(crate) async fn check_fetch(
        &self,
        group: &str,
        member: Option<String>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        if !self.is_known(group) || (member.is_none() && epoch < 0) {
            return Ok(());
        }
        let ask = |reply| Ask::CheckFetch(member, epoch, reply);
        self.ask(group, ask).await?
    }

    /// Commits offsets of partitions that exist. `absent` is what a member of a group that does not
    /// exist is told.
    pub(crate) async fn commit(
        &self,
        group: &str,
        who: Committer,
        offsets: Vec<OffsetToCommit>,
        absent: GroupError,
    ) -> Result<(), GroupError> {
        if who.generation >= 0 {
            self.must_exist(group, absent).await?;
        }
        let ask = |reply| Ask::Commit(who, offsets, reply);
        let committed = async { offsets::settled(self.ask(group, ask).await??).await };
        self.in_time(committed).await
    }

    /// Forgets offsets of topics that no member is subscribed to; gives the topics that some are.
    pub(crate) async fn delete_offsets(
        &self,
        group: &str,
        topics: Vec<(String, BTreeSet<TopicPartition>)>,
    ) -> Result<BTreeSet<String>, GroupError> {
        self.must_exist(group, GroupError::GroupIdNotFound).await?;
        let ask = |reply| Ask::DeleteOffsets(topics, reply);
        let deleted = async {
            let deletion = self.ask(group, ask).await??;
            offsets::settled(deletion.writes).await?;
            Ok(deletion.kept)
        };
        self.in_time(deleted).await
    }

    /// Forgets offsets of a group that have expired; says how many.
    pub(super) async fn expire_offsets(&self, group: &str) -> Result<usize, GroupError> {
        let expiry = self.ask(group, Ask::ExpireOffsets).await??;
        offsets::settled(expiry.writes).await?;
        Ok(expiry.offsets)
    }

    /// Makes sure that groups that are not known here do not exist; before several are described or
    /// deleted.
    pub(crate) async fn look_for(&self, groups: &[GroupId]) -> Result<(), GroupError> {
        match groups.iter().all(|group| self.is_known(group)) {
            true => Ok(()),
            false => self.catch_up().await,
        }
    }

    /// Deletes a group without members, with its offsets.
    pub(crate) async fn delete(&self, group: &str) -> Result<(), GroupError> {
        if !self.is_known(group) {
            return Err(GroupError::GroupIdNotFound);
        }
        let deleted = async { self.ask(group, Ask::Delete).await? };
        self.in_time(deleted).await
    }

    /// Describes a group.
    pub(crate) async fn describe(&self, group: &str) -> Result<GroupView, GroupError> {
        if !self.is_known(group) {
            return Err(GroupError::GroupIdNotFound);
        }
        self.ask(group, Ask::Describe).await?
    }

    /// Makes sure that what this replica knows of the groups' offsets is current.
    ///
    /// The coordinator's replica is current for every commit it has acknowledged, but a process that
    /// was paused may believe itself the coordinator when it no longer is. So the log is asked.
    pub(crate) async fn catch_up(&self) -> Result<(), GroupError> {
        let barrier = self.0.session.replica().barrier();
        let caught_up = tokio::select! {
            biased;
            () = self.0.stop.cancelled() => return Err(GroupError::NotCoordinator),
            caught_up = barrier => caught_up,
        };
        caught_up.map_err(|_| GroupError::CoordinatorLoadInProgress)
    }

    /// Whether somebody else alive coordinates the group.
    pub(crate) fn is_elsewhere(&self, group: &str) -> bool {
        self.0.is_elsewhere(group)
    }

    /// The groups that this agent coordinates, or is the one to begin to.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let own = self.0.session.node_id();
        let saved: Vec<(String, Summary, bool)> = self.0.session.replica().read(|state| {
            let nodes = topology::nodes(state);
            let is_here =
                |id: &str| coordinator_node(state, &nodes, id).is_some_and(|n| n.id == own);
            let here = state.groups().filter(|(id, _)| is_here(id));
            let saved = here.map(|(id, group)| {
                let summary = Summary::of_saved(&group.saved);
                (id.to_owned(), summary, !group.offsets.is_empty())
            });
            saved.collect()
        });
        let running: HashMap<String, Summary> = {
            let running = self.0.running.lock();
            let summary = |(id, r): (&String, &Running)| (id.clone(), r.summary.lock().clone());
            running.iter().map(summary).collect()
        };
        let listed = saved.into_iter().filter_map(|(group, saved, has_offsets)| {
            let summary = running.get(&group).cloned().unwrap_or(saved);
            (summary.has_lived || has_offsets).then(|| Listed {
                group,
                group_type: summary.group_type,
                state: summary.state,
                protocol_type: summary.protocol_type.unwrap_or_default(),
            })
        });
        listed.collect()
    }

    /// How many groups have a task.
    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.0.running.lock().len()
    }

    /// Asks the task of a group, which is begun if there is none.
    async fn ask<T>(
        &self,
        group: &str,
        ask: impl FnOnce(Reply<T>) -> Ask,
    ) -> Result<T, GroupError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(group, ask(reply))?;
        answer.await.map_err(|_| GroupError::NotCoordinator)
    }

    /// The outcome of a change, if it is there within `offsets.commit.timeout.ms`; else the change may yet be made.
    async fn in_time<T>(
        &self,
        change: impl Future<Output = Result<T, GroupError>>,
    ) -> Result<T, GroupError> {
        let outcome = tokio::time::timeout(self.0.options.save_timeout, change).await;
        outcome.unwrap_or(Err(GroupError::CoordinatorNotAvailable))
    }

    /// Fails with `absent` if the group is not in the metadata, wherever it was made. Requests for
    /// groups that do not exist leave no trace that way.
    async fn must_exist(&self, group: &str, absent: GroupError) -> Result<(), GroupError> {
        if self.is_known(group) {
            return Ok(());
        }
        self.catch_up().await?;
        match self.is_known(group) {
            true => Ok(()),
            false => Err(absent),
        }
    }

    fn is_known(&self, group: &str) -> bool {
        let replica = self.0.session.replica();
        self.0.running.lock().contains_key(group) || replica.read(|s| s.group(group).is_some())
    }
}

impl Shared {
    /// The configs in force for a group.
    pub(super) fn config(&self, group: &str) -> GroupConfig {
        let defaults = &self.options.defaults;
        let read = |s: &State| defaults.of(s.group_configs(group));
        self.session.replica().read(read)
    }

    /// The topics as they are now.
    pub(super) fn topics(&self) -> Arc<Topics> {
        self.session.replica().read(|s| self.topics.of(s))
    }

    fn is_elsewhere(&self, group: &str) -> bool {
        let holder = self.session.replica().read(|s| s.coordinator(group));
        holder.is_some_and(|holder| holder.agent != self.session.epoch())
    }

    fn send(self: &Arc<Self>, group: &str, ask: Ask) -> Result<(), GroupError> {
        if group.len() > GROUP_ID_BYTES_MAX {
            return Err(GroupError::UnknownServerError);
        }
        let mut running = self.running.lock();
        if self.stop.is_cancelled() {
            return Err(GroupError::NotCoordinator);
        }
        if let Some(running) = running.get(group) {
            return running.asks.try_send(ask).map_err(|refused| match refused {
                TrySendError::Full(_) => GroupError::CoordinatorLoadInProgress,
                TrySendError::Closed(_) => GroupError::NotCoordinator,
            });
        }
        if self.is_elsewhere(group) {
            return Err(GroupError::NotCoordinator);
        }
        if running.len() >= self.options.groups_max {
            return Err(GroupError::CoordinatorLoadInProgress);
        }
        let (asks, waiting) = mpsc::channel(self.options.asks_max);
        let summary = Arc::new(Mutex::new(Summary::default()));
        // There is room: the channel is new.
        let _ = asks.try_send(ask);
        let task = coordinator::run(self.clone(), group.to_owned(), summary.clone(), waiting);
        runtime::tasks::spawn("group", &self.shutdown, task);
        running.insert(group.to_owned(), Running { asks, summary });
        metrics::groups(running.len());
        Ok(())
    }

    /// The task of a group ends.
    pub(super) fn remove(&self, group: &str) {
        let mut running = self.running.lock();
        running.remove(group);
        metrics::groups(running.len());
    }

    /// The task of a group ends unless a request waits for it; says whether it does.
    pub(super) fn remove_unless_asked(&self, group: &str, asks: &mpsc::Receiver<Ask>) -> bool {
        let mut running = self.running.lock();
        if !asks.is_empty() {
            return false;
        }
        running.remove(group);
        metrics::groups(running.len());
        true
    }
}
