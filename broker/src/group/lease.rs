//! The lease of a group: taking it over with what was saved, and giving up what is not worth keeping.

use std::time::Duration;

use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireGroup, DeleteGroup};

use super::GroupOptions;
use super::kind::Machine;
use super::machine::GroupError;

/// A group that this process coordinates.
pub(super) struct Leased {
    /// To be carried in every change of the group.
    pub epoch: u64,
    /// The group as it was left.
    pub machine: Machine,
}

/// Takes the lease of a group, unless somebody alive has it, and restores the group. Fails if the log takes too long, so that
/// whoever waits is told to look again.
///
/// The state here holds every change made under earlier leases once the acquisition is applied here.
pub(super) async fn acquire(
    session: &Session,
    group: &str,
    options: &GroupOptions,
    now: impl Fn() -> Duration,
) -> Result<Leased, GroupError> {
    // SUBTLE: asked for even if this process has it already. A task before this one may have given
    // up a save whose outcome it did not learn; this is behind it.
    let acquire = AcquireGroup {
        group: group.to_owned(),
    };
    let acquired = tokio::time::timeout(options.save_timeout, session.submit(acquire)).await;
    let lease = acquired
        .map_err(|_| GroupError::NotCoordinator)?
        .map_err(error_of)?;
    if lease.agent != session.epoch() {
        return Err(GroupError::NotCoordinator);
    }
    let saved = session
        .replica()
        .read(|s| s.group(group).map(|g| g.saved.clone()))
        .unwrap_or_default();
    Ok(Leased {
        epoch: lease.epoch,
        machine: Machine::restore(group, options, saved, now()),
    })
}

/// Forgets a group without members if it has committed nothing and is at no place in any partition. Fails if the lease is lost.
pub(super) async fn forget_if_hollow(
    session: &Session,
    group: &str,
    epoch: u64,
) -> Result<(), GroupError> {
    let is_hollow = || {
        session.replica().read(|s| {
            let offsets = s.group(group)?.offsets.is_empty();
            Some(offsets && s.shares_of(group).next().is_none())
        })
    };
    if is_hollow() != Some(true) {
        return Ok(());
    }
    // SUBTLE: commits may be under way. This one is behind them, so when it is applied they are.
    let behind = AcquireGroup {
        group: group.to_owned(),
    };
    let lease = session.submit(behind).await.map_err(error_of)?;
    if lease.agent != session.epoch() || lease.epoch != epoch {
        return Err(GroupError::NotCoordinator);
    }
    if is_hollow() == Some(true) {
        delete(session, group, epoch).await?;
    }
    Ok(())
}

/// Forgets a group and its offsets.
pub(super) async fn delete(session: &Session, group: &str, epoch: u64) -> Result<(), GroupError> {
    let delete = DeleteGroup {
        group: group.to_owned(),
        epoch,
    };
    let outcome = session.submit(delete).await.map_err(error_of)?;
    outcome.map_err(|_| GroupError::NotCoordinator)
}

/// What a client is told when the metadata log gave no answer.
pub(super) fn error_of(error: SubmitError) -> GroupError {
    match error {
        SubmitError::TooLarge(_) => GroupError::UnknownServerError,
        // Whether it had an effect is for whoever coordinates the group next.
        SubmitError::Failed(_) | SubmitError::Registration(_) | SubmitError::ShuttingDown => {
            GroupError::NotCoordinator
        }
    }
}
