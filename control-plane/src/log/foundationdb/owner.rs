//! Whose prefix it is, which log of its cluster that is, and where the log's counting begins.

use super::client::Client;
use super::database::{Answer, CallError, Transaction};
use super::keys::Place;
use super::scan;
use super::{Address, Claim, OpenError};
use crate::log::Position;

/// What the owner's value begins with.
const OWNER: &str = "millrace metadata log 1, cluster ";
/// What stands between the parts of a log that was moved here.
const LOG: &str = ", log ";
const AFTER: &str = ", after moves ";
/// What the value of a log that has been moved away ends with.
const LEFT: &str = ", left";

/// How often a lost race for a new prefix is repeated.
pub(super) const ATTEMPTS: usize = 5;

/// What the owner's key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub cluster: String,
    /// Of a log that was moved here: its id, and how often the cluster's log had been moved with that.
    pub moved: Option<(String, u64)>,
    /// It has been moved away.
    pub left: bool,
}

impl Record {
    pub fn encode(&self) -> String {
        let mut text = format!("{OWNER}{}", self.cluster);
        if let Some((log, moves)) = &self.moved {
            text.push_str(&format!("{LOG}{log}{AFTER}{moves}"));
        }
        if self.left {
            text.push_str(LEFT);
        }
        text
    }

    pub fn decode(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.strip_prefix(OWNER)?;
        let (text, left) = match text.strip_suffix(LEFT) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (cluster, moved) = match text.split_once(LOG) {
            None => (text, None),
            Some((cluster, rest)) => {
                let (log, moves) = rest.split_once(AFTER)?;
                (cluster, Some((log.to_owned(), moves.parse().ok()?)))
            }
        };
        Some(Self {
            cluster: cluster.to_owned(),
            moved,
            left,
        })
    }

    pub fn moves(&self) -> u64 {
        self.moved.as_ref().map_or(0, |(_, moves)| *moves)
    }
}

/// What is stored under a prefix.
pub(super) enum Stored {
    Nothing,
    Log(Record),
    Other,
}

/// Takes the prefix, or finds it taken by the same log. Gives the newest place that is known without counting, and how
/// often the cluster's log had been moved when this one began. The inner error says that the cluster does not answer.
pub(super) async fn enter(
    client: &Client,
    address: &Address,
    claim: Claim<'_>,
) -> Result<Answer<(Place, u64)>, OpenError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match look(client, claim).await {
            Ok((stored, place)) => {
                let record = judge(stored, address, claim)?;
                return Ok(Ok((place, record.moves())));
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

fn judge(stored: Stored, address: &Address, claim: Claim<'_>) -> Result<Record, OpenError> {
    let address = address.clone();
    let record = match stored {
        Stored::Log(record) => record,
        Stored::Nothing => return Err(OpenError::Absent { address }),
        Stored::Other => return Err(OpenError::NotALog { address }),
    };
    let cluster_id = claim.cluster_id();
    if record.cluster != cluster_id {
        return Err(OpenError::Foreign {
            address,
            owner: record.cluster,
            cluster_id: cluster_id.to_owned(),
        });
    }
    let log = record.moved.as_ref().map(|(log, _)| log.as_str());
    if record.left || log != claim.log() {
        return Err(OpenError::Superseded { address });
    }
    Ok(record)
}

/// What is under the prefix, as `transaction` sees it; its commit fails if that changes meanwhile.
pub(super) async fn stored(client: &Client, transaction: &dyn Transaction) -> Answer<Stored> {
    let key = client.keys.owner();
    if let Some(owner) = client.call(transaction.get(&key, false)).await? {
        return Ok(Record::decode(&owner).map_or(Stored::Other, Stored::Log));
    }
    let (from, to) = client.keys.all();
    let other = client.call(transaction.page(&from, &to, 1)).await?;
    match other.rows.is_empty() {
        true => Ok(Stored::Nothing),
        false => Ok(Stored::Other),
    }
}

async fn look(client: &Client, claim: Claim<'_>) -> Answer<(Stored, Place)> {
    let transaction = client.begin()?;
    match (stored(client, &*transaction).await?, claim) {
        (Stored::Nothing, Claim::Join { cluster_id }) => {
            let record = Record {
                cluster: cluster_id.to_owned(),
                moved: None,
                left: false,
            };
            transaction.set(&client.keys.owner(), record.encode().as_bytes());
            client.call(transaction.commit()).await?;
            Ok((Stored::Log(record), Place::default()))
        }
        (Stored::Log(record), _) => {
            let base = scan::base(client, &*transaction, true).await?;
            let newest = scan::anchor(client, &*transaction, base, Position(u64::MAX)).await?;
            let version = client.call(transaction.read_version()).await?;
            if version < newest.stamp.version() {
                return Err(super::younger(version, newest.stamp));
            }
            Ok((Stored::Log(record), newest))
        }
        (other, _) => Ok((other, Place::default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_back() {
        for moved in [None, Some(("id".to_owned(), 3))] {
            for left in [false, true] {
                let record = Record {
                    cluster: "c-1".into(),
                    moved: moved.clone(),
                    left,
                };
                assert_eq!(Record::decode(record.encode().as_bytes()), Some(record));
            }
        }
        let first = Record::decode(b"millrace metadata log 1, cluster c-1").unwrap();
        assert_eq!(
            (first.moves(), first.left),
            (0, false),
            "as they always were"
        );
        for other in ["", "x", "millrace metadata log 1, cluster c, log a"] {
            assert_eq!(Record::decode(other.as_bytes()), None, "{other}");
        }
    }
}
