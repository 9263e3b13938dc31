//! Begins the log of a cluster here when it is moved here, and marks one that has been moved away.

use super::client::Client;
use super::database::{Answer, CallError};
use super::keys::Place;
use super::owner::{self, ATTEMPTS, Record, Stored};
use super::{Address, OpenError};
use crate::log::Position;

/// A log that is to begin here.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// Whose it is.
    pub cluster_id: &'a str,
    /// How often the cluster's log has been moved with this move.
    pub moves: u64,
    /// The last position of the log before it. `None` only looks whether it could begin.
    pub base: Option<Position>,
    /// Its id, unless the same move has begun it before.
    pub id: &'a str,
}

/// Writes the beginning of a log, all of it or nothing, once for each move. Gives the log's id. The inner error says that
/// the cluster does not answer.
pub(super) async fn begin(
    client: &Client,
    address: &Address,
    new: Beginning<'_>,
) -> Result<Answer<String>, OpenError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt(client, address, new).await {
            Ok(begun) => return begun.map(Ok),
            Err(error) => last = Some(error),
        }
    }
    Ok(Err(last.unwrap_or(CallError::Silent(client.timeout))))
}

async fn attempt(
    client: &Client,
    address: &Address,
    new: Beginning<'_>,
) -> Answer<Result<String, OpenError>> {
    let transaction = client.begin()?;
    let keys = &client.keys;
    match owner::stored(client, &*transaction).await? {
        Stored::Nothing => {}
        Stored::Other => {
            let address = address.clone();
            return Ok(Err(OpenError::NotALog { address }));
        }
        Stored::Log(record) if record.cluster != new.cluster_id => {
            return Ok(Err(OpenError::Foreign {
                address: address.clone(),
                owner: record.cluster,
                cluster_id: new.cluster_id.to_owned(),
            }));
        }
        Stored::Log(record) if record.left => {}
        Stored::Log(record) => {
            return Ok(match record.moved {
                Some((id, moves)) if moves == new.moves => Ok(id),
                _ => Err(OpenError::InUse {
                    address: address.clone(),
                }),
            });
        }
    }
    let Some(base) = new.base else {
        return Ok(Ok(new.id.to_owned()));
    };
    let (from, to) = keys.all();
    transaction.clear(&from, &to);
    let record = Record {
        cluster: new.cluster_id.to_owned(),
        moved: Some((new.id.to_owned(), new.moves)),
        left: false,
    };
    transaction.set(&keys.owner(), record.encode().as_bytes());
    transaction.set_stamped_value(&keys.base(), &Place::encode_unstamped(base));
    client.call(transaction.commit()).await?;
    Ok(Ok(new.id.to_owned()))
}

/// Marks the log of a cluster that is here as moved away, if it is older than the cluster's `moves`th: nobody can open it
/// any more, and another may begin in its place.
pub(super) async fn leave(client: &Client, cluster_id: &str, moves: u64) -> Answer<()> {
    let mut last = CallError::Silent(client.timeout);
    for _ in 0..ATTEMPTS {
        match mark_left(client, cluster_id, moves).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn mark_left(client: &Client, cluster_id: &str, moves: u64) -> Answer<()> {
    let transaction = client.begin()?;
    let Stored::Log(mut record) = owner::stored(client, &*transaction).await? else {
        return Ok(());
    };
    if record.left || record.cluster != cluster_id || record.moves() >= moves {
        return Ok(());
    }
    record.left = true;
    transaction.set(&client.keys.owner(), record.encode().as_bytes());
    client.call(transaction.commit()).await.map(|_| ())
}
