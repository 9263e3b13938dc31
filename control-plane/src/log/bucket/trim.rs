//! Owns the deletion of old entries. Age is judged by the store's own times alone, against the newest entry: no clock of
//! any process is asked.

use super::{Inner, Position, ReadError};

impl Inner {
    /// Deletes entries up to and including `through` that are old enough, oldest first, never the newest of all.
    pub(super) async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        let listing = self.requests.list_once(Position(0)).await?;
        let Some((newest, newest_written)) = listing.last_key_value() else {
            return Ok(0);
        };
        let age_min = i64::try_from(self.options.trim_age_min.as_millis()).unwrap_or(i64::MAX);
        let youngest = newest_written.saturating_sub(age_min);
        let old: Vec<Position> = listing
            .iter()
            .take_while(|(at, _)| **at <= through && *at < newest)
            .filter(|(_, written)| **written <= youngest)
            .map(|(at, _)| *at)
            .collect();
        self.requests.delete(old).await
    }
}
