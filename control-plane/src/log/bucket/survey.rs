//! Owns the questions that take a listing: where the log ends, and whether a position was trimmed. Asked
//! only when no proof answers them.

use super::requests::Listing;
use super::{Inner, Position, ReadError, next};

/// How often the end of the log may move away under a listing.
const SURVEYS_MAX: usize = 16;

impl Inner {
    /// Learns from nothing where the log ends, with a proof of it.
    pub(super) async fn find_tail(&self) -> Result<(), ReadError> {
        let mut checkpoint = self.requests.newest_checkpoint().await?;
        for _ in 0..SURVEYS_MAX {
            let began = self.clock.monotonic();
            let listing = self.requests.list_after(checkpoint).await?;
            let tail = listing.keys().next_back().copied().unwrap_or(checkpoint);
            checkpoint = self.requests.newest_checkpoint().await?;
            // Trimming ends at a checkpoint, so past the newest one nothing was ever deleted, and what the listing
            // did not show there was never written.
            if checkpoint <= tail {
                self.raise_tail(tail);
                self.proofs.lock().record(next(tail), began);
                return Ok(());
            }
        }
        Err(ReadError::Unavailable(
            "checkpoints overtook every listing of the log".into(),
        ))
    }

    /// Makes sure that what a request just found at `at` and later is the log's, and not what a stale writer left where
    /// the log had been trimmed.
    pub(super) async fn verify(&self, at: Position) -> Result<(), ReadError> {
        if self.covered(at) || self.requests.newest_checkpoint().await? < at {
            return Ok(());
        }
        match self.first_kept(at).await? {
            Some(first_kept) if first_kept > at => Err(ReadError::Trimmed { first_kept }),
            _ => Ok(()),
        }
    }

    /// Where the log as it is kept begins, if there is any from `from` on, but not below `from`.
    pub(super) async fn first_kept(&self, from: Position) -> Result<Option<Position>, ReadError> {
        let listing = self
            .requests
            .list_after(Position(from.0.saturating_sub(1)))
            .await?;
        // Left-overs are younger than their successor by the least age; no store's clock errs by half of that.
        let skew = self.options.trim_age_min / 2;
        let skew_ms = i64::try_from(skew.as_millis()).unwrap_or(i64::MAX);
        Ok(kept_run(&listing, skew_ms))
    }

    /// The last position of the run that begins at `from`, as the store lists it, so that a reader far behind can fetch
    /// many at once.
    pub(super) async fn look_ahead(&self, from: Position) -> Result<(), ReadError> {
        let listing = self
            .requests
            .list_after(Position(from.0.saturating_sub(1)))
            .await?;
        let run = (from.0..)
            .zip(listing.keys())
            .take_while(|(expected, at)| at.0 == *expected);
        if let Some((_, last)) = run.last() {
            self.raise_tail(*last);
        }
        Ok(())
    }
}

/// First position of the run that ends at the newest entry.
///
/// Trimming deletes from the front, so an entry before a gap is a left-over. One that a stale writer put right before
/// the first kept entry leaves no gap, but the store's times betray it: it is much younger than its successor.
fn kept_run(listing: &Listing, skew_ms: i64) -> Option<Position> {
    let mut newest_first = listing.iter().rev();
    let (mut first, mut written) = newest_first.next()?;
    for (at, earlier) in newest_first {
        if next(*at) != *first || *earlier > written.saturating_add(skew_ms) {
            break;
        }
        (first, written) = (at, earlier);
    }
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(entries: &[(u64, i64)]) -> Option<u64> {
        let listing = entries
            .iter()
            .map(|(at, written)| (Position(*at), *written))
            .collect();
        kept_run(&listing, 2_000).map(|first| first.0)
    }

    #[test]
    fn the_kept_run_ends_at_gaps_and_at_what_is_younger_than_its_successor() {
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[(7, 0)]), Some(7));
        assert_eq!(kept(&[(1, 0), (2, 0), (3, 5_000)]), Some(1));
        assert_eq!(
            kept(&[(1, 1_900), (2, 0), (3, 5_000)]),
            Some(1),
            "within the skew"
        );
        assert_eq!(kept(&[(1, 0), (3, 0), (4, 5_000)]), Some(3), "a gap");
        assert_eq!(
            kept(&[(2, 0), (3, 9_000_000), (4, 10)]),
            Some(4),
            "a left-over without a gap"
        );
    }
}
