//! Owns appending: the race for the next position, writes whose answer was lost, and the guard against a writer that
//! was away while the log was trimmed.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::envelope::{Envelope, Mark};
use super::requests::Create;
use super::{AppendError, Inner, Position, ReadError, next};

/// Positions lost to other writers before an append gives up.
const RACES_MAX: usize = 1_000;
/// How often one position is tried when the answer is lost.
const PUTS_MAX: u32 = 4;

/// What became of the attempt to write at one position.
enum Outcome {
    /// The entry is there and is ours.
    Ours,
    /// The position is another entry's, for good.
    Taken(Bytes),
    /// The store refused; the entry is not there and never will be.
    Refused(String),
    /// The entry may be there or get there; no other entry was seen.
    Unknown(String),
}

impl Inner {
    pub(super) async fn append(&self, entry: Bytes) -> Result<Position, AppendError> {
        if entry.len() > self.options.entry_bytes_max {
            let max = self.options.entry_bytes_max;
            let why = format!("an entry of {} bytes; {max} are allowed", entry.len());
            return Err(AppendError::Rejected(why));
        }
        let _turn = self.append_turn.lock().await;
        let counter = self.appends.fetch_add(1, Ordering::SeqCst);
        let envelope = Envelope {
            mark: Mark {
                nonce: self.nonce,
                counter,
            },
            entry,
        };
        for races in 0..RACES_MAX {
            let at = self.next_position().await?;
            let began = self.clock.monotonic();
            match self.write(at, &envelope).await {
                Outcome::Ours => {
                    self.trust(at).await?;
                    self.proofs.lock().record(at, began);
                    self.learn(at, envelope.entry);
                    return Ok(at);
                }
                Outcome::Taken(winner) => {
                    self.concede(at, winner);
                    if races > 0 {
                        // Going after a busy log one position at a time may never arrive. Should this fail, the next
                        // attempt says so.
                        let _ = self.chase().await;
                    }
                }
                Outcome::Refused(why) => return Err(AppendError::Rejected(why)),
                Outcome::Unknown(why) => return Err(AppendError::MaybeAppended(why)),
            }
        }
        Err(AppendError::Rejected(format!(
            "{RACES_MAX} positions in a row went to other writers"
        )))
    }

    /// The position to try, known not to be one that was trimmed.
    async fn next_position(&self) -> Result<Position, AppendError> {
        if let Some(why) = self.stale.lock().clone() {
            return Err(AppendError::Stale(why));
        }
        let first = next(self.tail());
        if self.covered(first) {
            return Ok(first);
        }
        match self.advance().await {
            Ok(tail) => Ok(next(tail)),
            Err(ReadError::Trimmed { first_kept }) => Err(self.fence(first, first_kept)),
            Err(ReadError::Unavailable(why)) => Err(AppendError::Rejected(why)),
        }
    }

    /// Writes at `at`, again if the answer is lost.
    async fn write(&self, at: Position, envelope: &Envelope) -> Outcome {
        let body = envelope.encode(at);
        let mut lost: Option<String> = None;
        for attempt in 0..PUTS_MAX {
            match self.requests.create(at, body.clone()).await {
                Create::Created => return Outcome::Ours,
                Create::Refused(why) if lost.is_none() => return Outcome::Refused(why),
                Create::Refused(why) | Create::Unknown(why) => lost = Some(why),
                Create::Exists => lost = Some(format!("position {at} came and went")),
            }
            let told = self.cache.lock().get(at);
            if let Some(winner) = told.filter(|told| *told != envelope.entry) {
                return Outcome::Taken(winner);
            }
            match self.fetch(at).await {
                Ok(Some(found)) if found.mark == envelope.mark => return Outcome::Ours,
                Ok(Some(winner)) => return Outcome::Taken(winner.entry),
                Ok(None) => {}
                Err(error) => lost = Some(error.to_string()),
            }
            self.requests.back_off(attempt).await;
        }
        Outcome::Unknown(lost.unwrap_or_default())
    }

    /// Takes note of the entry that won the race for `at`.
    fn concede(&self, at: Position, winner: Bytes) {
        if self.covered(at) {
            self.learn(at, winner);
        } else {
            self.raise_tail(at);
        }
    }

    /// Makes sure that the entry just written at `at` is in the log, and not where the log was trimmed.
    ///
    /// SUBTLE: a process may sleep between finding the tail and its write being carried out, for any time. If the
    /// position was written, checkpointed and trimmed meanwhile, the write succeeds and means nothing.
    async fn trust(&self, at: Position) -> Result<(), AppendError> {
        if self.covered(at) {
            return Ok(());
        }
        let unsure = |error: ReadError| AppendError::MaybeAppended(error.to_string());
        let checkpoint = self.requests.newest_checkpoint().await.map_err(unsure)?;
        if checkpoint >= at {
            return Err(self.fence(at, next(checkpoint)));
        }
        match self.first_kept(at).await.map_err(unsure)? {
            Some(first_kept) if first_kept > at => Err(self.fence(at, first_kept)),
            _ => Ok(()),
        }
    }

    fn fence(&self, at: Position, first_kept: Position) -> AppendError {
        let why = format!("position {at} was taken for the next, the log goes on at {first_kept}");
        *self.stale.lock() = Some(why.clone());
        AppendError::Stale(why)
    }
}
