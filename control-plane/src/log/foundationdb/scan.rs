//! Reads entries in the order of the log, at one version, and says whether some were trimmed before they were read.

use super::chunks::{Assembly, Whole};
use super::client::Client;
use super::database::{Answer, CallError, Transaction};
use super::keys::{Place, Stamp};
use crate::log::Position;

/// How much is asked for at once.
const PAGE_BYTES: usize = 1 << 20;

/// A walk along the log, at one version.
pub(super) struct Scan<'a> {
    client: &'a Client,
    transaction: &'a dyn Transaction,
    /// The last key read.
    after: Vec<u8>,
    assembly: Assembly,
    more: bool,
}

impl<'a> Scan<'a> {
    /// A walk over what comes after the entry stamped `after`.
    pub fn new(client: &'a Client, transaction: &'a dyn Transaction, after: Stamp) -> Self {
        Self {
            client,
            transaction,
            after: client.keys.last_chunk(after),
            assembly: Assembly::default(),
            more: true,
        }
    }

    /// The next entries; `None` once there are no more.
    pub async fn next(&mut self) -> Answer<Option<Vec<Whole>>> {
        if !self.more {
            return Ok(None);
        }
        let keys = &self.client.keys;
        let end = keys.last_chunk(Stamp([0xff; 10]));
        let page = self.transaction.page(&self.after, &end, PAGE_BYTES);
        let page = self.client.call(page).await?;
        self.more = page.more;
        let mut whole = Vec::new();
        for (key, value) in &page.rows {
            let (stamp, chunk) = keys.parse_chunk(key).ok_or_else(|| {
                CallError::Nonsense(format!("unknown key {key:02x?} in the metadata log"))
            })?;
            let taken = self.assembly.take(stamp, chunk, value);
            whole.extend(taken.map_err(CallError::Nonsense)?);
        }
        if let Some((key, _)) = page.rows.into_iter().next_back() {
            self.after = key;
        }
        Ok(Some(whole))
    }
}

/// What was trimmed last, as `transaction` sees it.
pub(super) async fn base(
    client: &Client,
    transaction: &dyn Transaction,
    snapshot: bool,
) -> Answer<Place> {
    let key = client.keys.base();
    match client.call(transaction.get(&key, snapshot)).await? {
        None => Ok(Place::default()),
        Some(value) => Place::decode(&value)
            .ok_or_else(|| CallError::Nonsense("the base of the metadata log is damaged".into())),
    }
}

/// The last place up to and including `through` that is known without counting, not before `base`.
pub(super) async fn anchor(
    client: &Client,
    transaction: &dyn Transaction,
    base: Place,
    through: Position,
) -> Answer<Place> {
    let keys = &client.keys;
    let from = keys.anchor(Position(base.position.0.saturating_add(1)));
    let through = keys.anchor(through);
    let Some((key, value)) = client.call(transaction.last(&from, &through)).await? else {
        return Ok(base);
    };
    let damaged = || CallError::Nonsense("an anchor of the metadata log is damaged".into());
    let anchor = Place {
        position: keys.parse_anchor(&key).ok_or_else(damaged)?,
        stamp: Stamp(value.try_into().map_err(|_| damaged())?),
    };
    // One before the base is of a log that was here before this one, from a writer that slept meanwhile.
    match anchor.stamp < base.stamp {
        true => Ok(base),
        false => Ok(anchor),
    }
}
