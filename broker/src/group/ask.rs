//! What is asked of the task of a group.

use std::collections::BTreeSet;

use control_plane::state::{OffsetToCommit, Producer};
use futures::future::BoxFuture;
use object_format::TopicPartition;
use tokio::sync::oneshot;

use super::consumer::{ConsumerGroupView, ConsumerHeartbeat, HeartbeatAnswer, Refusal};
use super::machine::{
    CommitIdentity, GroupError, GroupView, HeartbeatRequest, JoinRefused, JoinRequest, Joined,
    LeaveRequest, LeftMember, SyncRequest, Synced,
};
use super::share::{ShareGroupView, ShareHeartbeat};

/// Where an answer goes. Dropped without one, it says that this agent does not coordinate the group.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// A change of the metadata whose place in the order is fixed and whose outcome is awaited.
pub(super) type Write = BoxFuture<'static, Result<(), GroupError>>;

/// A request for one group.
pub(super) enum Ask {
    Join(JoinRequest, Reply<Result<Joined, JoinRefused>>),
    Sync(SyncRequest, Reply<Result<Synced, GroupError>>),
    Heartbeat(HeartbeatRequest, Reply<Result<(), GroupError>>),
    Leave(LeaveRequest, Reply<Result<Vec<LeftMember>, GroupError>>),
    /// A heartbeat of a member of the consumer protocol.
    ConsumerHeartbeat(ConsumerHeartbeat, Reply<Result<HeartbeatAnswer, Refusal>>),
    /// A heartbeat of a member of the share protocol.
    ShareHeartbeat(ShareHeartbeat, Reply<Result<HeartbeatAnswer, Refusal>>),
    /// Commit offsets. The answer waits for the outcome itself, so that the group need not.
    Commit(
        Committer,
        Vec<OffsetToCommit>,
        Reply<Result<Vec<Write>, GroupError>>,
    ),
    /// Forget offsets of these topics.
    DeleteOffsets(
        Vec<(String, BTreeSet<TopicPartition>)>,
        Reply<Result<Deletion, GroupError>>,
    ),
    /// Forget offsets that have expired.
    ExpireOffsets(Reply<Result<Expiry, GroupError>>),
    /// Describe the group, as one of the classic type.
    Describe(Reply<Result<GroupView, GroupError>>),
    /// Describe the group, as one of the consumer type.
    DescribeConsumer(Reply<Result<ConsumerGroupView, GroupError>>),
    /// Describe the group, as one of the share type.
    DescribeShare(Reply<Result<ShareGroupView, GroupError>>),
    /// Set the start offsets of share-partitions anew, or forget those that get none.
    ResetShares(
        Vec<(TopicPartition, Option<i64>)>,
        Reply<Result<Vec<Write>, GroupError>>,
    ),
    /// Whether a member of this id and epoch may fetch committed offsets.
    CheckFetch(Option<String>, i32, Reply<Result<(), GroupError>>),
    Delete(Reply<Result<(), GroupError>>),
}

/// A deletion of offsets under way.
pub(super) struct Deletion {
    /// Topics that are subscribed to, and whose offsets therefore stay.
    pub kept: BTreeSet<String>,
    pub writes: Vec<Write>,
}

/// Offsets being forgotten since they have expired.
pub(super) struct Expiry {
    pub offsets: usize,
    pub writes: Vec<Write>,
}

/// Who commits offsets.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    /// Empty for a consumer that is not a member.
    pub member_id: String,
    /// The instance id, if static.
    pub instance_id: Option<String>,
    /// Negative for a consumer that is not a member.
    pub generation: i32,
    /// The client knows member epochs (KIP-848): version 9 of the API and up.
    pub knows_member_epochs: bool,
    /// The transaction that the offsets wait for (TxnOffsetCommit).
    pub transaction: Option<InTransaction>,
}

/// The transaction that offsets wait for.
#[derive(Clone, Debug)]
pub(crate) struct InTransaction {
    /// Transactional id.
    pub id: String,
    /// Its producer.
    pub producer: Producer,
    /// Whether the group becomes part of the transaction by this commit.
    pub joins: bool,
}

impl Committer {
    pub(super) fn identity(&self) -> CommitIdentity<'_> {
        CommitIdentity {
            member_id: &self.member_id,
            instance_id: self.instance_id.as_deref(),
            generation: self.generation,
            knows_member_epochs: self.knows_member_epochs,
            transactional: self.transaction.is_some(),
        }
    }
}
