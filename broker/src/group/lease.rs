//! The lease of a group: taking it over with what was saved, and giving up what is not worth keeping.

use std::time::Duration;

use bytes::Bytes;
use control_plane::replica::{Session, SubmitError};
use control_plane::state::{AcquireGroup, DeleteGroup};

use super::machine::{ClassicGroup, GroupError, Limits, SavedGroup};

/// The first byte of a saved generation: its format. What follows is a [`SavedGroup`] in postcard.
const FORMAT: u8 = 1;

/// A group that this process coordinates.
pub(super) struct Leased {
    /// To be carried in every change of the group.
    pub epoch: u64,
    /// The group as it was left.
    pub machine: ClassicGroup,
}

/// Takes the lease of a group, unless somebody alive has it, and restores the group.
///
/// The state here holds every change made under earlier leases once the acquisition is applied here.
/// If this process holds the lease already, only it has changed the group since.
pub(super) async fn acquire(
    session: &Session,
    group: &str,
    limits: Limits,
    now: impl Fn() -> Duration,
) -> Result<Leased, GroupError> {
    let held = session.replica().read(|s| s.coordinator(group));
    let lease = match held {
        Some(lease) => lease,
        None => {
            let acquire = AcquireGroup {
                group: group.to_owned(),
            };
            session.submit(acquire).await.map_err(error_of)?
        }
    };
    if lease.agent != session.epoch() {
        return Err(GroupError::NotCoordinator);
    }
    let saved = session
        .replica()
        .read(|s| s.group(group).map(|g| g.saved.clone()))
        .unwrap_or_default();
    let machine = match decode(&saved) {
        Some(saved) => ClassicGroup::restore(limits, saved, now()),
        None => {
            if !saved.is_empty() {
                tracing::error!(
                    group,
                    "a saved group cannot be read: it begins anew, its offsets stay"
                );
            }
            ClassicGroup::new(limits)
        }
    };
    Ok(Leased {
        epoch: lease.epoch,
        machine,
    })
}

/// Forgets a group without members if it has committed nothing. Fails if the lease is lost.
pub(super) async fn forget_if_hollow(
    session: &Session,
    group: &str,
    epoch: u64,
) -> Result<(), GroupError> {
    let is_hollow = || {
        let offsets = |g: &control_plane::state::Group| g.offsets.is_empty();
        session.replica().read(|s| s.group(group).map(offsets))
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

/// A generation as bytes.
pub(super) fn encode(saved: &SavedGroup) -> Bytes {
    let mut bytes = vec![FORMAT];
    bytes.extend(postcard::to_stdvec(saved).unwrap_or_default());
    bytes.into()
}

/// A generation from bytes; none if there is none or it is not of this format.
pub(super) fn decode(saved: &[u8]) -> Option<SavedGroup> {
    let (format, rest) = saved.split_first()?;
    (*format == FORMAT)
        .then(|| postcard::from_bytes(rest).ok())
        .flatten()
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
