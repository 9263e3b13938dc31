//! What members say of the records they hold: ShareAcknowledge, and what a ShareFetch carries of it.

use futures::StreamExt;
use futures::stream;
use object_format::TopicPartition;

use super::ShareError;
use super::call::{Answer, Call, ShareKey};
use super::partition::Acknowledgement;
use super::registry::Shares;
use super::session::{FINAL_EPOCH, Owner};

/// Partitions whose leaders are asked at once, for one request.
const AT_ONCE: usize = 64;

/// A batch of a request: first and last offset, and what is said of all of it or of each record.
pub(crate) type WireBatch = (i64, i64, Vec<i8>);

/// What a request says of one partition.
pub(crate) type Acknowledgements = (TopicPartition, Vec<WireBatch>);

/// Whether that was taken.
pub(crate) type PartitionAcknowledged = (TopicPartition, Result<(), ShareError>);

/// A ShareAcknowledge request.
#[derive(Debug)]
pub(crate) struct AcknowledgeParts {
    /// Group and member.
    pub owner: Owner,
    /// The session's epoch.
    pub epoch: i32,
    /// What it says.
    pub acknowledgements: Vec<Acknowledgements>,
}

impl Shares {
    /// Answers a ShareAcknowledge, when everything it says is saved.
    pub(crate) async fn acknowledge(
        &self,
        parts: AcknowledgeParts,
    ) -> Result<Vec<PartitionAcknowledged>, ShareError> {
        let AcknowledgeParts {
            owner,
            epoch,
            acknowledgements,
        } = parts;
        self.0.sessions.lock().acknowledge(&owner, epoch)?;
        let said = self.say(&owner, acknowledgements).await;
        if epoch == FINAL_EPOCH {
            self.end_session(&owner, None).await;
        }
        Ok(said)
    }

    /// Tells the leaders what a member says.
    pub(super) async fn say(
        &self,
        (group, member): &Owner,
        acknowledgements: Vec<Acknowledgements>,
    ) -> Vec<PartitionAcknowledged> {
        let said = acknowledgements.into_iter().map(|(partition, batches)| {
            let key = ShareKey {
                group: group.clone(),
                partition,
            };
            async move {
                let said = match ranges(&batches) {
                    Ok(ranges) => {
                        let call = Call::Acknowledge(member.clone(), ranges);
                        match self.ask(&key, call).await {
                            Ok(Answer::Acknowledged(said)) => said,
                            Ok(_) => Err(ShareError::NotLeader),
                            Err(error) => Err(error),
                        }
                    }
                    Err(error) => Err(error),
                };
                (partition, said)
            }
        });
        stream::iter(said).buffered(AT_ONCE).collect().await
    }

    /// Ends a session, if it is of this connection or none is given, and gives back what its member holds.
    pub(crate) async fn end_session(&self, owner: &Owner, connection: Option<u64>) {
        let partitions = self.0.sessions.lock().end(owner, connection);
        self.release(owner, partitions).await;
    }

    /// Gives back what a member holds of partitions.
    pub(super) async fn release(&self, (group, member): &Owner, partitions: Vec<TopicPartition>) {
        for partition in partitions {
            let key = ShareKey {
                group: group.clone(),
                partition,
            };
            if self.0.is_led(&key) {
                // If this is not heard, the locks time out.
                let _ = self.ask(&key, Call::Release(member.clone())).await;
            }
        }
    }
}

/// The batches of a partition as ranges with one acknowledgement each.
fn ranges(batches: &[WireBatch]) -> Result<Vec<(i64, i64, Acknowledgement)>, ShareError> {
    let mut ranges: Vec<(i64, i64, Acknowledgement)> = vec![];
    let mut next = 0;
    for (first, last, types) in batches {
        let count = last.checked_sub(*first).and_then(|n| n.checked_add(1));
        let count = count.filter(|n| *n > 0 && *first >= next && *last < i64::MAX);
        let count = count.ok_or(ShareError::InvalidRequest)?;
        next = last + 1;
        if let [one] = types[..] {
            ranges.push((*first, *last, acknowledgement(one)?));
            continue;
        }
        if usize::try_from(count) != Ok(types.len()) {
            return Err(ShareError::InvalidRequest);
        }
        for (offset, &one) in (*first..).zip(types) {
            let one = acknowledgement(one)?;
            match ranges.last_mut() {
                Some((_, last, same)) if *last + 1 == offset && *same == one => *last = offset,
                _ => ranges.push((offset, offset, one)),
            }
        }
    }
    Ok(ranges)
}

fn acknowledgement(kind: i8) -> Result<Acknowledgement, ShareError> {
    match kind {
        0 => Ok(Acknowledgement::Gap),
        1 => Ok(Acknowledgement::Accept),
        2 => Ok(Acknowledgement::Release),
        3 => Ok(Acknowledgement::Reject),
        _ => Err(ShareError::InvalidRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::Acknowledgement::{Accept, Gap, Reject, Release};
    use super::*;

    #[test]
    fn batches_become_ranges() {
        let batches = [
            (3, 9, vec![1]),
            (10, 15, vec![1, 1, 2, 2, 3, 0]),
            (20, 20, vec![3]),
        ];
        let expected = [
            (3, 9, Accept),
            (10, 11, Accept),
            (12, 13, Release),
            (14, 14, Reject),
            (15, 15, Gap),
            (20, 20, Reject),
        ];
        // A batch begins a range of its own only if it is said of as a whole.
        let expected = [vec![(3, 11, Accept)], expected[2..].to_vec()].concat();
        assert_eq!(ranges(&batches), Ok(expected));
    }

    #[test]
    fn batches_that_make_no_sense_are_refused() {
        for bad in [
            vec![(5, 4, vec![1])],
            vec![(0, 4, vec![])],
            vec![(0, 4, vec![1, 1])],
            vec![(0, 4, vec![4])],
            vec![(0, 4, vec![-1])],
            vec![(0, 4, vec![1]), (4, 5, vec![1])],
            vec![(-1, 4, vec![1])],
            vec![(i64::MIN, i64::MAX, vec![1])],
            vec![(0, i64::MAX, vec![1])],
        ] {
            assert_eq!(ranges(&bad), Err(ShareError::InvalidRequest), "{bad:?}");
        }
    }
}
