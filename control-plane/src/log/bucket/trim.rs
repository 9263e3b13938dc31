//! Owns the deletion of old entries. Age is judged by the store's own times alone, against the newest entry: no clock of
//! any process is asked.

use super::{Inner, Position, ReadError};

impl Inner {
    /// Deletes entries up to and including `through` whose successor is old enough too, oldest first, never the newest.
    ///
    /// SUBTLE: the first entry kept is therefore old, and what a stale writer leaves right before it is younger by at
    /// least the least age. By that it is known for what it is; see `survey::kept_run`.
    pub(super) async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        let listing = self.requests.list_once(Position(0)).await?;
        let Some((_, newest_written)) = listing.last_key_value() else {
            return Ok(0);
        };
        let age_min = i64::try_from(self.options.trim_age_min.as_millis()).unwrap_or(i64::MAX);
        let youngest = newest_written.saturating_sub(age_min);
        let old: Vec<Position> = listing
            .keys()
            .zip(listing.values().skip(1))
            .take_while(|(at, _)| **at <= through)
            .filter(|(_, successor_written)| **successor_written <= youngest)
            .map(|(at, _)| *at)
            .collect();
        self.requests.delete(old).await
    }
}
