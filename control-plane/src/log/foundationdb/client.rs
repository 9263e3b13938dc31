//! Calls to the database: each with a time-out, each counted for the health of the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::SharedClock;

use super::database::{Answer, CallError, Database, Transaction};
use super::keys::Keys;

/// How much longer than FoundationDB's own time-out a call may take, should its thread hang.
const GRACE: Duration = Duration::from_secs(1);

/// The part of a database that belongs to one Millrace cluster.
pub(super) struct Client {
    database: Box<dyn Database>,
    pub keys: Keys,
    pub timeout: Duration,
    clock: SharedClock,
    /// When a call last succeeded, in milliseconds of the monotonic clock.
    answered_ms: AtomicU64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of `database`, of which nothing is asked yet.
    pub fn new(
        database: impl Database + 'static,
        prefix: &str,
        timeout: Duration,
        clock: SharedClock,
    ) -> Self {
        let client = Self {
            database: Box::new(database),
            keys: Keys::new(prefix),
            timeout,
            answered_ms: AtomicU64::new(0),
            clock,
        };
        client.answered();
        client
    }

    /// A new transaction, without asking anybody.
    pub fn begin(&self) -> Answer<Box<dyn Transaction>> {
        self.database.begin()
    }

    /// Awaits one answer.
    pub async fn call<T>(&self, answer: impl Future<Output = Answer<T>>) -> Answer<T> {
        let answer = tokio::time::timeout(self.timeout + GRACE, answer).await;
        let answer = answer.map_err(|_| CallError::Silent(self.timeout))??;
        self.answered();
        Ok(answer)
    }

    /// How long ago a call last succeeded.
    pub fn answer_age(&self) -> Duration {
        let answered = Duration::from_millis(self.answered_ms.load(Ordering::Relaxed));
        self.clock.monotonic().saturating_sub(answered)
    }

    fn answered(&self) {
        let now = self.clock.monotonic().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.answered_ms.fetch_max(now, Ordering::Relaxed);
    }
}
