//! What keeps readers apart: those who keep up share one pool, those who are behind another, and
//! within a pool every client has its turn.

use std::sync::Arc;

use runtime::Duty;

/// Records whose object was committed so long ago, by the log's time, are no tail any more.
pub const TAIL_AGE_MS: i64 = 60_000;

/// Which resources a read is made with: store client, turns, memory, part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Pool {
    /// Of records written lately: consumers that keep up.
    #[default]
    Tail,
    /// Of older records, and of all that compaction has rewritten.
    CatchUp,
}

impl Pool {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tail, Self::CatchUp];

    /// The pool in which an object is read that was committed at `committed_ms`, at `now_ms`.
    pub fn of(committed_ms: i64, now_ms: i64, is_compacted: bool) -> Self {
        match !is_compacted && now_ms.saturating_sub(committed_ms) <= TAIL_AGE_MS {
            true => Self::Tail,
            false => Self::CatchUp,
        }
    }

    /// The value of the `pool` label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tail => Duty::Fetch.label(),
            Self::CatchUp => Duty::CatchUp.label(),
        }
    }
}

/// Something for each pool.
#[derive(Clone, Debug, Default)]
pub struct PerPool<T> {
    /// For those who keep up.
    pub tail: T,
    /// For those who are behind.
    pub catch_up: T,
}

impl<T> PerPool<T> {
    /// That of a pool.
    pub fn of(&self, pool: Pool) -> &T {
        match pool {
            Pool::Tail => &self.tail,
            Pool::CatchUp => &self.catch_up,
        }
    }

    /// Another thing for each pool, made from this.
    pub fn map<U>(self, mut make: impl FnMut(Pool, T) -> U) -> PerPool<U> {
        PerPool {
            tail: make(Pool::Tail, self.tail),
            catch_up: make(Pool::CatchUp, self.catch_up),
        }
    }
}

/// Who reads. All connections of one client of one machine are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(Arc<str>);

impl Client {
    /// The client of this id at this address.
    pub fn new(id: Option<&str>, address: std::net::IpAddr) -> Self {
        Self(format!("{}@{address}", id.unwrap_or_default()).into())
    }
}

impl Client {
    /// The members of a share group, together.
    pub fn group(name: &str) -> Self {
        Self(format!("group {name}").into())
    }
}

impl Client {
    /// Another agent, whose readers want what belongs to this one.
    pub(crate) fn neighbour(agent: object_format::AgentEpoch) -> Self {
        Self(format!("agent {agent}").into())
    }
}

impl Default for Client {
    /// The agent itself.
    fn default() -> Self {
        Self("".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_rewritten_is_no_tail() {
        assert_eq!(Pool::of(1_000, 61_000, false), Pool::Tail);
        assert_eq!(Pool::of(1_000, 61_001, false), Pool::CatchUp);
        assert_eq!(Pool::of(1_000, 1_000, true), Pool::CatchUp);
    }
}
