//! Committed offsets: changing them by commands that fit.

use control_plane::replica::Session;
use control_plane::state::{
    CommitOffsets, CommitTransactionOffsets, DeleteOffsets, GroupRejection, OffsetToCommit,
    ResetShare, ShareRejection, Submit, TransactionRejection,
};
use futures::FutureExt;
use object_format::TopicPartition;

use super::ask::{Committer, InTransaction, Write};
use super::lease::error_of;
use super::machine::GroupError;

/// Bytes of offsets in one command: half of what it may have.
const COMMAND_BYTES: usize = 512 << 10;

/// More than an offset takes beside its metadata: topic id, partition, offset, epoch, lengths.
const OFFSET_BYTES: usize = 64;

/// Partitions forgotten by one command.
pub(super) const DELETED_MAX: usize = COMMAND_BYTES / OFFSET_BYTES;

/// Puts commits into the order of the metadata log.
pub(super) async fn commit(
    session: &Session,
    group: &str,
    epoch: u64,
    who: &Committer,
    offsets: Vec<OffsetToCommit>,
) -> Result<Vec<Write>, GroupError> {
    let mut writes = Vec::new();
    for offsets in split(offsets) {
        let group = group.to_owned();
        writes.push(match who.transaction.clone() {
            None => {
                let command = CommitOffsets {
                    group,
                    epoch,
                    offsets,
                };
                write(session, command).await?
            }
            Some(InTransaction {
                id,
                producer,
                joins,
            }) => {
                let command = CommitTransactionOffsets {
                    id,
                    producer,
                    joins,
                    group,
                    group_epoch: epoch,
                    offsets,
                };
                write(session, command).await?
            }
        });
    }
    Ok(writes)
}

/// Puts the deletion of offsets into the order of the metadata log.
pub(super) async fn delete(
    session: &Session,
    group: &str,
    epoch: u64,
    partitions: &[TopicPartition],
) -> Result<Vec<Write>, GroupError> {
    let mut writes = Vec::new();
    for partitions in partitions.chunks(DELETED_MAX) {
        let command = DeleteOffsets {
            group: group.to_owned(),
            epoch,
            partitions: partitions.to_vec(),
        };
        writes.push(write(session, command).await?);
    }
    Ok(writes)
}

/// Puts new start offsets of share-partitions into the order of the metadata log; one without is forgotten.
pub(super) async fn reset_shares(
    session: &Session,
    group: &str,
    group_epoch: u64,
    changes: Vec<(TopicPartition, Option<i64>)>,
) -> Result<Vec<Write>, GroupError> {
    let mut writes = Vec::new();
    for (partition, start) in changes {
        let command = ResetShare {
            group: group.to_owned(),
            group_epoch,
            partition,
            start,
        };
        writes.push(write(session, command).await?);
    }
    Ok(writes)
}

/// Fixes the place of a change of a group in the order; what it gives waits for the outcome.
pub(super) async fn write<C, R>(session: &Session, command: C) -> Result<Write, GroupError>
where
    C: Submit<Outcome = Result<(), R>> + Send + 'static,
    R: Into<GroupError> + Send + 'static,
{
    let outcome = session.enqueue(command).await.map_err(error_of)?;
    let outcome = async move {
        let outcome = outcome.await.map_err(error_of)?;
        outcome.map_err(Into::into)
    };
    Ok(outcome.boxed())
}

impl From<GroupRejection> for GroupError {
    fn from(rejection: GroupRejection) -> Self {
        match rejection {
            GroupRejection::NotCoordinator => Self::NotCoordinator,
            GroupRejection::PartMissing => Self::CoordinatorNotAvailable,
        }
    }
}

impl From<ShareRejection> for GroupError {
    fn from(rejection: ShareRejection) -> Self {
        match rejection {
            ShareRejection::NotCoordinator | ShareRejection::NotLeader => Self::NotCoordinator,
            // Its topic was deleted meanwhile; asked again, the client is told so.
            ShareRejection::UnknownPartition => Self::CoordinatorNotAvailable,
            ShareRejection::UnknownGroup => Self::GroupIdNotFound,
            ShareRejection::BadRuns => Self::InvalidRequest,
        }
    }
}

impl From<TransactionRejection> for GroupError {
    fn from(rejection: TransactionRejection) -> Self {
        match rejection {
            TransactionRejection::UnknownProducer => Self::InvalidProducerIdMapping,
            TransactionRejection::Fenced => Self::InvalidProducerEpoch,
            TransactionRejection::InvalidState => Self::InvalidTxnState,
            TransactionRejection::NotCoordinator => Self::NotCoordinator,
        }
    }
}

/// Waits until all changes are applied; the first error if there are any.
pub(super) async fn settled(writes: Vec<Write>) -> Result<(), GroupError> {
    for write in writes {
        write.await?;
    }
    Ok(())
}

fn split(offsets: Vec<OffsetToCommit>) -> Vec<Vec<OffsetToCommit>> {
    let mut commands: Vec<Vec<OffsetToCommit>> = Vec::new();
    let mut room = 0;
    for offset in offsets {
        let bytes = OFFSET_BYTES + offset.metadata.len();
        match commands.last_mut() {
            Some(last) if bytes <= room => last.push(offset),
            _ => {
                room = COMMAND_BYTES;
                commands.push(vec![offset]);
            }
        }
        room = room.saturating_sub(bytes);
    }
    commands
}

#[cfg(test)]
mod tests {
    use object_format::TopicId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn commits_are_split_into_commands_that_fit() {
        let partition = |partition| TopicPartition {
            topic: TopicId(Uuid::from_u128(u128::MAX)),
            partition,
        };
        let offset = |index: u32| OffsetToCommit {
            partition: partition(u32::MAX - index),
            offset: i64::MAX,
            leader_epoch: i32::MIN,
            metadata: "x".repeat(if index.is_multiple_of(2) { 0 } else { 4096 }),
            retention_ms: Some(i64::MAX),
        };
        let offsets: Vec<OffsetToCommit> = (0..1000).map(offset).collect();
        let commands = split(offsets.clone());
        assert!(commands.len() > 1);
        for offsets in &commands {
            let bytes = postcard::to_stdvec(offsets).unwrap().len();
            assert!(bytes <= COMMAND_BYTES, "{bytes} bytes");
        }
        assert_eq!(commands.concat(), offsets);
        assert_eq!(split(vec![]), Vec::<Vec<OffsetToCommit>>::new());
    }
}
