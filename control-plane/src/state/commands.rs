//! The commands on one page: their ordinals, which are part of the log's format, and their outcomes.

use object_format::TopicPartition;
use serde::{Deserialize, Serialize};

use super::{
    AbandonObjects, AcquireGroup, AcquireLease, AcquireShare, AddToTransaction, AgentRejection,
    AllocateProducerId, AlterConfigs, ClaimJob, CommitObject, CommitOffsets, CommitRejection,
    CommitTransactionOffsets, Context, Coordinator, CreatePartitions, CreateTopic, DeleteGroup,
    DeleteOffsets, DeleteRecords, DeleteRecordsRejection, DeleteTopic, DeregisterAgent,
    EndTransaction, ExpireAgent, ExpireOffsets, FinishJob, ForgetObjects, ForgetTransactionalIds,
    GroupRejection, Heartbeat, InitTransactionalId, JobRejection, Lease, LeaseRejection,
    MarkerRejection, MoveLog, MoveRejection, Producer, PurgeRejection, PurgeTopic,
    RaiseMetadataVersion, RegisterAgent, Registered, ReleaseLease, ReleaseShare, RenewJob,
    ReplaceExtents, ReplaceRejection, ReportCheckpoint, ReportScrub, ResetShare, RunOutcome,
    SaveGroup, SaveShare, ShareLease, ShareRejection, State, TopicRejection, TransactionRejection,
    UndeleteRejection, UndeleteTopic, VersionRejection, WriteMarkers,
};

/// A command whose outcome has a type of its own.
pub trait Submit: Into<Command> {
    /// What applying it says.
    type Outcome;
    /// The outcome out of the enum over all commands; `None` if it is another command's.
    fn outcome(outcome: Outcome) -> Option<Self::Outcome>;
}

/// Variants are encoded by their order: add at the end, never move or remove one.
macro_rules! commands {
    ($($name:ident => $outcome:ty,)*) => {
        /// A change of the metadata.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum Command { $($name($name),)* }

        /// What applying a command says.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum Outcome { $($name($outcome),)* }

        impl Command {
            pub(crate) fn apply(
                self,
                state: &mut State,
                context: Context,
                grown: &mut Vec<TopicPartition>,
            ) -> Outcome {
                match self { $(Command::$name(c) => Outcome::$name(c.apply(state, context, grown)),)* }
            }
        }

        $(
            impl From<$name> for Command {
                fn from(command: $name) -> Self { Command::$name(command) }
            }
            impl Submit for $name {
                type Outcome = $outcome;
                fn outcome(outcome: Outcome) -> Option<$outcome> {
                    match outcome { Outcome::$name(o) => Some(o), _ => None }
                }
            }
        )*
    };
}

commands! {
    RegisterAgent => Result<Registered, AgentRejection>,
    Heartbeat => (),
    ExpireAgent => bool,
    DeregisterAgent => (),
    CreateTopic => Result<(), TopicRejection>,
    DeleteTopic => Result<(), TopicRejection>,
    CreatePartitions => Result<(), TopicRejection>,
    AlterConfigs => Result<(), TopicRejection>,
    AllocateProducerId => i64,
    CommitObject => Result<Vec<RunOutcome>, CommitRejection>,
    DeleteRecords => Result<i64, DeleteRecordsRejection>,
    ForgetObjects => u64,
    AcquireLease => Result<Lease, LeaseRejection>,
    ReleaseLease => bool,
    AcquireGroup => Coordinator,
    SaveGroup => Result<(), GroupRejection>,
    CommitOffsets => Result<(), GroupRejection>,
    DeleteOffsets => Result<(), GroupRejection>,
    DeleteGroup => Result<(), GroupRejection>,
    ReportCheckpoint => (),
    RaiseMetadataVersion => Result<u16, VersionRejection>,
    ExpireOffsets => Result<(), GroupRejection>,
    InitTransactionalId => Result<Producer, TransactionRejection>,
    AddToTransaction => Result<(), TransactionRejection>,
    CommitTransactionOffsets => Result<(), TransactionRejection>,
    EndTransaction => Result<Producer, TransactionRejection>,
    WriteMarkers => Vec<Result<(), MarkerRejection>>,
    ForgetTransactionalIds => u64,
    AcquireShare => Result<ShareLease, ShareRejection>,
    ReleaseShare => bool,
    SaveShare => Result<(), ShareRejection>,
    ResetShare => Result<(), ShareRejection>,
    ClaimJob => Result<u64, JobRejection>,
    RenewJob => Result<(), JobRejection>,
    FinishJob => bool,
    ReplaceExtents => Result<Vec<bool>, ReplaceRejection>,
    AbandonObjects => u64,
    ReportScrub => u64,
    UndeleteTopic => Result<String, UndeleteRejection>,
    PurgeTopic => Result<bool, PurgeRejection>,
    MoveLog => Result<u64, MoveRejection>,
}
