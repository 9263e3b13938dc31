//! Reads entries that are no longer in memory: from the last anchor before them on, or from where the last read ended.

use bytes::Bytes;

use super::chunks::Whole;
use super::database::Answer;
use super::keys::{Place, Stamp};
use super::scan::{self, Scan};
use super::{FoundationLog, unavailable};
use crate::log::{Position, ReadError};

impl FoundationLog {
    /// Entries after `after`, which are in the log or trimmed.
    pub(super) async fn read_history(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let found = self
            .scan_history(after, bytes_max)
            .await
            .map_err(unavailable)?;
        let found = found.map_err(|base| ReadError::Trimmed {
            first_kept: Position(base.position.0 + 1),
        })?;
        if let Some((last, _)) = found.last() {
            *self.cursor.lock() = *last;
        }
        Ok(found
            .into_iter()
            .map(|(place, entry)| (place.position, entry))
            .collect())
    }

    /// The stamp of an entry that is in the log or trimmed; `None` if it is trimmed.
    pub(super) async fn stamp_of(&self, at: Position) -> Answer<Option<Stamp>> {
        if let Some(stamp) = self.shared.tail.lock().stamp(at) {
            return Ok(Some(stamp));
        }
        let before = Position(at.0.saturating_sub(1));
        let found = self.scan_history(before, 0).await?;
        let first = found.ok().and_then(|entries| entries.into_iter().next());
        Ok(first.map(|(place, _)| place.stamp))
    }

    /// As `read_history`, with places; the inner error is the base if it is after `after`.
    async fn scan_history(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Answer<Result<Vec<(Place, Bytes)>, Place>> {
        let client = &self.shared.client;
        let transaction = client.begin()?;
        let base = scan::base(client, &*transaction, true).await?;
        if base.position > after {
            return Ok(Err(base));
        }
        let cursor = *self.cursor.lock();
        let mut at = match cursor.position == after && after > base.position {
            true => cursor,
            false => scan::anchor(client, &*transaction, base, after).await?,
        };
        let mut scan = Scan::new(client, &*transaction, at.stamp);
        let mut found: Vec<(Place, Bytes)> = Vec::new();
        let mut bytes = 0usize;
        while let Some(entries) = scan.next().await? {
            for Whole { stamp, entry, .. } in entries {
                at = Place {
                    position: Position(at.position.0 + 1),
                    stamp,
                };
                if at.position <= after {
                    continue;
                }
                bytes = bytes.saturating_add(entry.len());
                if !found.is_empty() && bytes > bytes_max {
                    return Ok(Ok(found));
                }
                found.push((at, entry));
            }
            if bytes > bytes_max {
                break;
            }
        }
        Ok(Ok(found))
    }
}
