//! What the leader of a share-partition is asked, by this agent or by a peer.

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::ShareError;
use super::partition::{Acknowledgement, AcquireRequest, Acquired, FetchTurn, Turn};

/// Names a share-partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ShareKey {
    /// The group.
    pub group: String,
    /// The partition.
    pub partition: TopicPartition,
}

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// To read. Answered by [`Answer::Turn`].
    Fetch {
        /// The offset after the last that may be shown.
        visible_end: i64,
    },
    /// To give out what was read. Answered by [`Answer::Acquired`].
    Acquire(AcquireRequest),
    /// To give the turn to somebody else. Answered by [`Answer::Done`].
    Abandon(Turn),
    /// To take what a member says of records. Answered by [`Answer::Acknowledged`].
    Acknowledge(String, Vec<(i64, i64, Acknowledgement)>),
    /// To take back what a member holds. Answered by [`Answer::Done`].
    Release(String),
    /// To say when there may be something to read for who was told that there is nothing, after this
    /// count. Answered by [`Answer::Ready`], after a while in any case.
    Ready(u64),
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The turn; without one the count of times that something became ready.
    Turn(Result<FetchTurn, u64>),
    /// What the member holds now.
    Acquired(Vec<Acquired>),
    /// Taken and saved, or refused.
    Acknowledged(Result<(), ShareError>),
    /// Done.
    Done,
    /// The count of times that something became ready.
    Ready(u64),
}

/// A call, and where its answer goes. If that is dropped the leader is none any more.
#[derive(Debug)]
pub(super) struct Ask {
    pub call: Call,
    pub reply: oneshot::Sender<Result<Answer, ShareError>>,
}
