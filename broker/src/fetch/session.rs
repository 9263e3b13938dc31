//! Incremental fetch sessions (KIP-227), as Kafka keeps them: a pure machine over the requests'
//! session ids and epochs, and a bounded cache of what each session's client has been told.
//!
//! A session remembers the partitions a client fetches, so that its next requests name only what
//! changes and their responses only what has news. Sessions are this agent's own: one that is not
//! found makes the client start another.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use runtime::Rng;

use super::FetchError;
use super::outcome::PartitionOutcome;
use super::partitions::Partitions;
use super::plan::{PartitionFetch, TopicRef};

/// Session id that means "none".
pub const NO_SESSION: i32 = 0;

/// Epoch of a request that begins a session.
pub const INITIAL_EPOCH: i32 = 0;

/// Epoch of a request that wants no session, and ends the one it names.
pub const FINAL_EPOCH: i32 = -1;

/// How many sessions are kept, and how long.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Kafka's `max.incremental.fetch.session.cache.slots`.
    pub slots: usize,
    /// Kafka's `min.incremental.fetch.session.eviction.ms`.
    pub eviction: Duration,
    /// Most partitions in all sessions together; past that no session is begun.
    pub partitions_max: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            slots: 1_000,
            eviction: Duration::from_secs(120),
            partitions_max: 1_000_000,
        }
    }
}

/// What a request says of its session.
#[derive(Clone, Debug, Default)]
pub struct SessionRequest {
    /// Which session, or [`NO_SESSION`].
    pub session_id: i32,
    /// The how-manieth request of it.
    pub epoch: i32,
    /// Whether topics are named by id (from version 13 on).
    pub uses_ids: bool,
    /// All partitions, or those new or changed in the session.
    pub partitions: Vec<PartitionFetch>,
    /// Partitions to take out of the session.
    pub forgotten: Vec<(TopicRef, i32)>,
}

/// A request whose session is known: what it fetches, and how it is to be answered.
#[derive(Debug)]
pub struct Begun {
    /// All partitions to fetch, in this order.
    pub wanted: Vec<PartitionFetch>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Sessionless,
    Full { uses_ids: bool },
    Incremental { session_id: i32, epoch: i32 },
}

/// The sessions of one agent.
#[derive(Debug)]
pub struct Sessions {
    options: SessionOptions,
    rng: Rng,
    sessions: HashMap<i32, Session>,
    /// By when they were last used.
    last_used: BTreeSet<(Duration, i32)>,
    /// Those old enough to be taken by a larger one, by their size.
    evictable: BTreeSet<(usize, i32)>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    uses_ids: bool,
    partitions: Partitions,
    created: Duration,
    /// As in `last_used`.
    used: Duration,
    /// As in `evictable`.
    size: usize,
}

impl Sessions {
    /// No session yet.
    pub fn new(options: SessionOptions, rng: Rng) -> Self {
        Self {
            options,
            rng,
            sessions: HashMap::new(),
            last_used: BTreeSet::new(),
            evictable: BTreeSet::new(),
            partitions: 0,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    /// How many partitions all of them have together.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Takes a request at the time `now`.
    ///
    /// # Errors
    /// [`FetchError::SessionIdNotFound`], [`FetchError::InvalidSessionEpoch`] and
    /// [`FetchError::SessionTopicId`].
    pub fn begin(&mut self, now: Duration, request: SessionRequest) -> Result<Begun, FetchError> {
        let SessionRequest {
            session_id,
            epoch,
            uses_ids,
            partitions,
            forgotten,
        } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            self.remove(session_id);
            let answer = match epoch {
                FINAL_EPOCH => Answer::Sessionless,
                _ => Answer::Full { uses_ids },
            };
            return Ok(Begun {
                wanted: partitions,
                answer,
            });
        }
        let session = self
            .sessions
            .get_mut(&session_id)
            .ok_or(FetchError::SessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(FetchError::InvalidSessionEpoch);
        }
        if session.uses_ids != uses_ids {
            return Err(FetchError::SessionTopicId);
        }
        for fetch in partitions {
            session.partitions.set(fetch);
        }
        for (topic, partition) in forgotten {
            session.partitions.remove(&topic, partition);
        }
        if session.partitions.is_empty() {
            self.remove(session_id);
            return Ok(Begun {
                wanted: vec![],
                answer: Answer::Sessionless,
            });
        }
        session.epoch = next_epoch(epoch);
        let answer = Answer::Incremental {
            session_id,
            epoch: session.epoch,
        };
        let wanted = session.partitions.wanted();
        self.touch(session_id, now);
        Ok(Begun { wanted, answer })
    }

    /// Says which session a response belongs to, beginning one if the request wants it, and leaves
    /// out the partitions without news. `answered` is what [`Begun::wanted`] asked, in its order.
    ///
    /// # Errors
    /// [`FetchError::InvalidSessionEpoch`] if another request of the session came meanwhile.
    pub fn finish(
        &mut self,
        now: Duration,
        begun: Begun,
        answered: Vec<PartitionOutcome>,
    ) -> Result<(i32, Vec<PartitionOutcome>), FetchError> {
        match begun.answer {
            Answer::Sessionless => Ok((NO_SESSION, answered)),
            Answer::Full { uses_ids } => {
                let id = self.create(now, uses_ids, begun.wanted, &answered);
                Ok((id, answered))
            }
            Answer::Incremental { session_id, epoch } => {
                let session = self.sessions.get_mut(&session_id);
                let session = session
                    .filter(|session| session.epoch == epoch)
                    .ok_or(FetchError::InvalidSessionEpoch)?;
                let mut news = answered;
                news.retain(|outcome| session.partitions.tell(outcome));
                Ok((session_id, news))
            }
        }
    }

    /// Begins a session if there is, or can be made, room for it.
    fn create(
        &mut self,
        now: Duration,
        uses_ids: bool,
        wanted: Vec<PartitionFetch>,
        answered: &[PartitionOutcome],
    ) -> i32 {
        let size = wanted.len();
        let has_room = |this: &Self| this.sessions.len() < this.options.slots;
        let fits = |this: &Self| this.partitions + size <= this.options.partitions_max;
        if !(has_room(self) || self.evict(size, now)) || !fits(self) {
            return NO_SESSION;
        }
        let mut partitions = Partitions::default();
        wanted.into_iter().for_each(|fetch| partitions.set(fetch));
        for outcome in answered {
            partitions.tell(outcome);
        }
        let id = self.new_id();
        let size = partitions.len();
        let epoch = next_epoch(INITIAL_EPOCH);
        let session = Session {
            epoch,
            uses_ids,
            partitions,
            created: now,
            used: now,
            size,
        };
        self.sessions.insert(id, session);
        self.partitions += size;
        self.touch(id, now);
        id
    }

    /// Takes the place of a session that has not been used for long, or else of one that is old
    /// enough and smaller.
    fn evict(&mut self, size: usize, now: Duration) -> bool {
        let Some(&(used, stale)) = self.last_used.first() else {
            return false;
        };
        if now.saturating_sub(used) > self.options.eviction {
            self.remove(stale);
            return true;
        }
        match self.evictable.first() {
            Some(&(smallest, id)) if smallest < size => {
                self.remove(id);
                true
            }
            _ => false,
        }
    }

    /// Notes the use of a session, and its size.
    fn touch(&mut self, id: i32, now: Duration) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        self.last_used.remove(&(session.used, id));
        self.evictable.remove(&(session.size, id));
        self.partitions = self.partitions - session.size + session.partitions.len();
        session.used = now;
        session.size = session.partitions.len();
        self.last_used.insert((now, id));
        if now.saturating_sub(session.created) > self.options.eviction {
            self.evictable.insert((session.size, id));
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.last_used.remove(&(session.used, id));
            self.evictable.remove(&(session.size, id));
            self.partitions -= session.size;
        }
    }

    /// An id that cannot be guessed and is not in use.
    fn new_id(&self) -> i32 {
        loop {
            let id = 1 + self.rng.below(i32::MAX as u64 - 1) as i32;
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

/// Epochs go round to 1: 0 would begin a session.
fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        i32::MAX => 1,
        epoch => epoch + 1,
    }
}

#[cfg(test)]
mod tests;
