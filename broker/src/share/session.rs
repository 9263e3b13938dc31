//! Share sessions (KIP-932), as Kafka 4.1 keeps them: which partitions a member of a share group fetches
//! from this agent. A pure machine over the requests' epochs; bounded.
//!
//! A session is its connection's: when that ends, the session does, and what its member holds is released.

use std::collections::HashMap;

use object_format::TopicPartition;
use tokio_util::sync::DropGuard;

use super::ShareError;

/// Epoch of a request that begins a session.
pub(super) const INITIAL_EPOCH: i32 = 0;

/// Epoch of a request that ends its session.
pub(super) const FINAL_EPOCH: i32 = -1;

/// Whose session it is: group and member.
pub(super) type Owner = (String, String);

/// The sessions of one agent.
#[derive(Debug)]
pub(super) struct ShareSessions {
    sessions_max: usize,
    partitions_max: usize,
    sessions: HashMap<Owner, Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    connection: u64,
    partitions: Vec<TopicPartition>,
    /// Which partition is fetched first next time.
    turn: usize,
    /// Dropped with the session, for who watches it.
    _watched: Option<DropGuard>,
}

/// What a request does to its session.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// What is to be fetched, in this order; nothing if the session ends.
    pub wanted: Vec<TopicPartition>,
    /// The partitions of an earlier session of the member, which has ended.
    pub ended: Vec<TopicPartition>,
    /// The session is new.
    pub is_new: bool,
}

impl ShareSessions {
    pub(super) fn new(sessions_max: usize, partitions_max: usize) -> Self {
        Self {
            sessions_max,
            partitions_max,
            sessions: HashMap::new(),
            partitions: 0,
        }
    }

    /// Takes a ShareFetch. A request of the final epoch leaves the session, for [`ShareSessions::end`].
    pub(super) fn fetch(
        &mut self,
        owner: &Owner,
        epoch: i32,
        connection: u64,
        added: &[TopicPartition],
        forgotten: &[TopicPartition],
        acknowledges: bool,
    ) -> Result<Begun, ShareError> {
        match epoch {
            FINAL_EPOCH if self.sessions.contains_key(owner) => Ok(Begun::default()),
            FINAL_EPOCH => Err(ShareError::SessionNotFound),
            INITIAL_EPOCH if acknowledges => Err(ShareError::InvalidSessionEpoch),
            INITIAL_EPOCH => self.create(owner, connection, added),
            epoch => self.go_on(owner, epoch, added, forgotten),
        }
    }

    /// Lets somebody know when a session is gone: `guard` is dropped then.
    pub(super) fn attach(&mut self, owner: &Owner, guard: DropGuard) {
        if let Some(session) = self.sessions.get_mut(owner) {
            session._watched = Some(guard);
        }
    }

    /// Takes a ShareAcknowledge.
    pub(super) fn acknowledge(&mut self, owner: &Owner, epoch: i32) -> Result<(), ShareError> {
        if epoch == INITIAL_EPOCH {
            return Err(ShareError::InvalidSessionEpoch);
        }
        let session = self.sessions.get_mut(owner);
        let session = session.ok_or(ShareError::SessionNotFound)?;
        if epoch != FINAL_EPOCH {
            session.advance(epoch)?;
        }
        Ok(())
    }

    /// Ends a session, if it is of this connection or none is given; gives its partitions.
    pub(super) fn end(&mut self, owner: &Owner, connection: Option<u64>) -> Vec<TopicPartition> {
        let session = self.sessions.get(owner);
        let is_its = session.is_some_and(|s| connection.is_none_or(|c| c == s.connection));
        if !is_its {
            return vec![];
        }
        let session = self.sessions.remove(owner);
        let partitions = session.map(|s| s.partitions).unwrap_or_default();
        self.partitions -= partitions.len();
        partitions
    }

    fn create(
        &mut self,
        owner: &Owner,
        connection: u64,
        added: &[TopicPartition],
    ) -> Result<Begun, ShareError> {
        let ended = self.end(owner, None);
        let partitions = distinct(added);
        let fits = self.sessions.len() < self.sessions_max
            && self.partitions + partitions.len() <= self.partitions_max;
        if !fits {
            return Err(ShareError::SessionLimitReached);
        }
        self.partitions += partitions.len();
        let session = Session {
            epoch: INITIAL_EPOCH + 1,
            connection,
            partitions: partitions.clone(),
            turn: 1,
            _watched: None,
        };
        self.sessions.insert(owner.clone(), session);
        Ok(Begun {
            wanted: partitions,
            ended,
            is_new: true,
        })
    }

    fn go_on(
        &mut self,
        owner: &Owner,
        epoch: i32,
        added: &[TopicPartition],
        forgotten: &[TopicPartition],
    ) -> Result<Begun, ShareError> {
        let session = self.sessions.get_mut(owner);
        let session = session.ok_or(ShareError::SessionNotFound)?;
        let before = session.partitions.len();
        if self.partitions - before + before.max(added.len() + before) > self.partitions_max {
            return Err(ShareError::SessionLimitReached);
        }
        session.advance(epoch)?;
        let mut partitions = std::mem::take(&mut session.partitions);
        partitions.extend_from_slice(added);
        partitions.retain(|partition| !forgotten.contains(partition));
        session.partitions = distinct(&partitions);
        self.partitions = self.partitions - before + session.partitions.len();
        let mut wanted = session.partitions.clone();
        if !wanted.is_empty() {
            let turn = session.turn % wanted.len();
            wanted.rotate_left(turn);
            session.turn = turn + 1;
        }
        Ok(Begun {
            wanted,
            ..Begun::default()
        })
    }
}

impl Session {
    fn advance(&mut self, epoch: i32) -> Result<(), ShareError> {
        if self.epoch != epoch {
            return Err(ShareError::InvalidSessionEpoch);
        }
        self.epoch = match epoch {
            i32::MAX => 1,
            epoch => epoch + 1,
        };
        Ok(())
    }
}

/// The partitions, each once, where it was first.
fn distinct(partitions: &[TopicPartition]) -> Vec<TopicPartition> {
    let mut seen = std::collections::HashSet::new();
    let fresh = partitions.iter().filter(|&&p| seen.insert(p));
    fresh.copied().collect()
}

#[cfg(test)]
mod tests {
    use object_format::TopicId;

    use super::*;

    fn tp(partition: u32) -> TopicPartition {
        TopicPartition {
            topic: TopicId::default(),
            partition,
        }
    }

    fn owner(member: &str) -> Owner {
        ("g".to_owned(), member.to_owned())
    }

    #[test]
    fn a_session_goes_on_epoch_by_epoch_and_its_partitions_take_turns() {
        let mut sessions = ShareSessions::new(10, 100);
        let a = owner("a");
        let new = sessions
            .fetch(&a, 0, 1, &[tp(0), tp(1), tp(0)], &[], false)
            .unwrap();
        assert_eq!((new.wanted, new.is_new), (vec![tp(0), tp(1)], true));
        let next = sessions.fetch(&a, 1, 1, &[tp(2)], &[], false).unwrap();
        assert_eq!(next.wanted, [tp(1), tp(2), tp(0)]);
        assert_eq!(sessions.acknowledge(&a, 2), Ok(()));
        let next = sessions.fetch(&a, 3, 1, &[], &[tp(1)], true).unwrap();
        assert_eq!(next.wanted, [tp(0), tp(2)]);
        let late = sessions.fetch(&a, 3, 1, &[], &[], false).unwrap_err();
        assert_eq!(late, ShareError::InvalidSessionEpoch);
        let late = sessions.acknowledge(&a, 3);
        assert_eq!(late, Err(ShareError::InvalidSessionEpoch));
    }

    #[test]
    fn what_is_no_session_is_not_found_and_none_begins_with_acknowledgements() {
        let mut sessions = ShareSessions::new(10, 100);
        let a = owner("a");
        for epoch in [1, -1] {
            let refused = sessions.fetch(&a, epoch, 1, &[], &[], false).unwrap_err();
            assert_eq!(refused, ShareError::SessionNotFound);
            assert_eq!(
                sessions.acknowledge(&a, epoch),
                Err(ShareError::SessionNotFound)
            );
        }
        let refused = sessions.fetch(&a, 0, 1, &[tp(0)], &[], true).unwrap_err();
        assert_eq!(refused, ShareError::InvalidSessionEpoch);
        assert_eq!(
            sessions.acknowledge(&a, 0),
            Err(ShareError::InvalidSessionEpoch)
        );
    }

    #[test]
    fn a_session_ends_with_its_connection_and_only_with_that() {
        let mut sessions = ShareSessions::new(10, 100);
        let a = owner("a");
        sessions.fetch(&a, 0, 1, &[tp(0)], &[], false).unwrap();
        let again = sessions.fetch(&a, 0, 2, &[tp(1)], &[], false).unwrap();
        assert_eq!(again.ended, [tp(0)]);
        assert_eq!(sessions.end(&a, Some(1)), []);
        assert_eq!(sessions.end(&a, Some(2)), [tp(1)]);
        assert_eq!(sessions.partitions, 0);
    }

    #[test]
    fn there_are_no_more_sessions_than_may_be() {
        let mut sessions = ShareSessions::new(1, 3);
        sessions
            .fetch(&owner("a"), 0, 1, &[tp(0)], &[], false)
            .unwrap();
        let refused = sessions
            .fetch(&owner("b"), 0, 2, &[tp(0)], &[], false)
            .unwrap_err();
        assert_eq!(refused, ShareError::SessionLimitReached);
        let many: Vec<TopicPartition> = (1..5).map(tp).collect();
        let refused = sessions
            .fetch(&owner("a"), 1, 1, &many, &[], false)
            .unwrap_err();
        assert_eq!(refused, ShareError::SessionLimitReached);
        sessions
            .fetch(&owner("a"), 1, 1, &[tp(1)], &[], false)
            .unwrap();
    }
}
