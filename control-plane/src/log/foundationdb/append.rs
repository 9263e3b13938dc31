//! Appends: one blind write, and then the tail is read up to it, which tells its position.

use bytes::Bytes;

use super::chunks::{self, AppendId};
use super::database::Answer;
#[cfg(test)]
use super::database::CallError;
use super::follow::Goal;
use super::keys::{Keys, Place};
use super::{FoundationLog, Shared};
use crate::log::{AppendError, Position};

/// The stamp of every so manieth entry is written down, so that nobody counts further than that.
const ANCHOR_EVERY: u64 = 64;

/// What a test lets go wrong with the next appends.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// How often a commit is carried out and said to be unknown.
    pub unknown_kept: f64,
    /// How often one is not carried out and said to be unknown.
    pub unknown_lost: f64,
    /// How often one is refused.
    pub refused: f64,
}

/// Somebody waiting for its entry, until it is dropped.
struct Waiter<'a>(&'a Shared, AppendId);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.tail.lock().forget(&self.1);
    }
}

impl FoundationLog {
    pub(super) async fn append_entry(&self, entry: Bytes) -> Result<Position, AppendError> {
        let limit = self.shared.options.entry_bytes_max;
        if entry.len() > limit {
            return Err(AppendError::Rejected(format!(
                "an entry of {} bytes is over the limit of {limit}",
                entry.len()
            )));
        }
        let id = self.shared.rng.uuid().into_bytes();
        let mut place = self.shared.tail.lock().expect(id);
        let _waiter = Waiter(&self.shared, id);
        let committed = self.commit(id, &entry).await;
        let goal = match &committed {
            Ok(version) => Goal::Version(*version),
            Err(error) if error.is_refusal() => {
                return Err(AppendError::Rejected(error.to_string()));
            }
            // What is there now tells, if it is there; if it is not, it may be on its way.
            Err(_) => Goal::Now,
        };
        let read = self.advance(goal).await;
        match (place.try_recv(), committed, read) {
            (Ok(place), ..) => Ok(self.appended(place)),
            (Err(_), Err(error), _) | (Err(_), Ok(_), Err(error)) => {
                Err(AppendError::MaybeAppended(error.to_string()))
            }
            (Err(_), Ok(version), Ok(())) => Err(AppendError::MaybeAppended(format!(
                "the entry committed at version {version} is not in the log"
            ))),
        }
    }

    /// Writes the entry. Gives the version at which it is there.
    async fn commit(&self, id: AppendId, entry: &Bytes) -> Answer<i64> {
        let client = &self.shared.client;
        let transaction = client.begin()?;
        for (number, chunk) in (0..).zip(chunks::cut(id, entry)) {
            transaction.set_stamped_key(&client.keys.unstamped_chunk(number), &chunk);
        }
        transaction.set_stamped_value(&client.keys.bell(), &Keys::unstamped_value());
        if let Some(anchor) = self.due_anchor.lock().take() {
            transaction.set(&client.keys.anchor(anchor.position), &anchor.stamp.0);
        }
        #[cfg(test)]
        if let Some(fault) = self.fault() {
            if fault == Fault::Kept {
                client.call(transaction.commit()).await?;
            }
            return Err(CallError::Said {
                code: 0,
                message: format!("injected: {fault:?}"),
                is_refusal: fault == Fault::Refused,
            });
        }
        client.call(transaction.commit()).await
    }

    fn appended(&self, place: Place) -> Position {
        if place.position.0.is_multiple_of(ANCHOR_EVERY) {
            *self.due_anchor.lock() = Some(place);
        }
        place.position
    }
}

#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Kept,
    Lost,
    Refused,
}

#[cfg(test)]
impl FoundationLog {
    fn fault(&self) -> Option<Fault> {
        let faults = *self.faults.lock();
        let rng = &self.shared.rng;
        if rng.chance(faults.unknown_kept) {
            Some(Fault::Kept)
        } else if rng.chance(faults.unknown_lost) {
            Some(Fault::Lost)
        } else {
            rng.chance(faults.refused).then_some(Fault::Refused)
        }
    }
}
