//! Deletes old entries: their range is cleared, and the base remembers how many that were.

use super::database::Answer;
use super::follow::Goal;
use super::keys::{Place, Stamp};
use super::{FoundationLog, scan, unavailable};
use crate::log::{Position, ReadError};

impl FoundationLog {
    pub(super) async fn trim_through(&self, through: Position) -> Result<u64, ReadError> {
        self.advance(Goal::Now).await.map_err(unavailable)?;
        let end = self.shared.tail.lock().end().position;
        // The newest stays, as in every backend.
        let through = through.min(Position(end.0.saturating_sub(1)));
        if through == Position(0) {
            return Ok(0);
        }
        self.clear(through).await.map_err(unavailable)
    }

    async fn clear(&self, through: Position) -> Answer<u64> {
        let Some(stamp) = self.stamp_of(through).await? else {
            return Ok(0);
        };
        let client = &self.shared.client;
        let keys = &client.keys;
        let transaction = client.begin()?;
        // Not a snapshot: of two who trim at once, one conflicts and tries again another time.
        let base = scan::base(client, &*transaction, false).await?;
        if base.position >= through {
            return Ok(0);
        }
        let after = |mut key: Vec<u8>| {
            key.push(0);
            key
        };
        let first = keys.chunk(Stamp::default(), 0);
        transaction.clear(&first, &after(keys.last_chunk(stamp)));
        let first = keys.anchor(Position(0));
        transaction.clear(&first, &after(keys.anchor(through)));
        let new = Place {
            position: through,
            stamp,
        };
        transaction.set(&keys.base(), &new.encode());
        client.call(transaction.commit()).await?;
        Ok(through.0 - base.position.0)
    }
}
