//! Whose prefix it is, and where the log's counting begins.

use super::client::Client;
use super::database::{Answer, CallError};
use super::keys::Place;
use super::scan;
use super::{Address, Claim, OpenError};
use crate::log::Position;

/// What the owner's value begins with.
const OWNER: &str = "millrace metadata log 1, cluster ";

/// How often a lost race for a new prefix is repeated.
const ATTEMPTS: usize = 5;

/// What is stored under a prefix.
enum Stored {
    Nothing,
    /// The log of the cluster with this id, counted up to here.
    Log(String, Place),
    Other,
}

/// Takes the prefix, or finds it taken by the same cluster. Gives the newest place that is known without counting. The
/// inner error says that the cluster does not answer.
pub(super) async fn enter(
    client: &Client,
    address: &Address,
    claim: Claim<'_>,
) -> Result<Answer<Place>, OpenError> {
    let (Claim::Join { cluster_id } | Claim::Look { cluster_id }) = claim;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let may_take = matches!(claim, Claim::Join { .. });
        match look(client, cluster_id, may_take).await {
            Ok(Stored::Log(owner, place)) if owner == cluster_id => return Ok(Ok(place)),
            Ok(Stored::Log(owner, _)) => {
                return Err(OpenError::Foreign {
                    address: address.clone(),
                    owner,
                    cluster_id: cluster_id.to_owned(),
                });
            }
            Ok(Stored::Nothing) => {
                return Err(OpenError::Absent {
                    address: address.clone(),
                });
            }
            Ok(Stored::Other) => {
                return Err(OpenError::NotALog {
                    address: address.clone(),
                });
            }
            Err(CallError::Nonsense(why)) => {
                return Err(OpenError::Unusable {
                    address: address.clone(),
                    why,
                });
            }
            Err(error) => last = Some(error),
        }
    }
    Ok(Err(last.unwrap_or(CallError::Silent(client.timeout))))
}

async fn look(client: &Client, cluster_id: &str, may_take: bool) -> Answer<Stored> {
    let transaction = client.begin()?;
    let key = client.keys.owner();
    let Some(owner) = client.call(transaction.get(&key, false)).await? else {
        let (from, to) = client.keys.all();
        let other = client.call(transaction.page(&from, &to, 1)).await?;
        if !other.rows.is_empty() {
            return Ok(Stored::Other);
        }
        if !may_take {
            return Ok(Stored::Nothing);
        }
        transaction.set(&key, format!("{OWNER}{cluster_id}").as_bytes());
        client.call(transaction.commit()).await?;
        return Ok(Stored::Log(cluster_id.to_owned(), Place::default()));
    };
    let owner = std::str::from_utf8(&owner).ok();
    let Some(owner) = owner.and_then(|owner| owner.strip_prefix(OWNER)) else {
        return Ok(Stored::Other);
    };
    let base = scan::base(client, &*transaction, true).await?;
    let newest = scan::anchor(client, &*transaction, base, Position(u64::MAX)).await?;
    let version = client.call(transaction.read_version()).await?;
    if version < newest.stamp.version() {
        return Err(super::younger(version, newest.stamp));
    }
    Ok(Stored::Log(owner.to_owned(), newest))
}
