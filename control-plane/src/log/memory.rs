//! Owns the log held in this process's memory, for tests and `--metadata memory`. It is also the fault injector: seeded
//! failures, delays, and unknown outcomes of appends, per handle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use runtime::Rng;
use tokio::sync::watch;

use super::{AppendError, MetadataLog, Position, ReadError};

/// What goes wrong, and how often. Probabilities are between 0 and 1; those of an append are tried in the order given
/// here, each on its own. The default is that nothing goes wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// An append is not taken, and says so.
    pub append_rejected: f64,
    /// An append is not taken, and does not know.
    pub append_unknown_lost: f64,
    /// An append is taken, and does not know.
    pub append_unknown_kept: f64,
    /// An append does not know, and its entry lands up to `late_max` after it returned.
    pub append_unknown_late: f64,
    /// How late such an entry may land.
    pub late_max: Duration,
    /// A read, tail, wait or trim fails.
    pub read_failed: f64,
    /// Appends and reads take up to this long: an append half before its entry lands and half after.
    pub delay_max: Duration,
}

impl Faults {
    /// A log that cannot be reached: every call fails, nothing lands.
    pub fn unreachable() -> Self {
        Self {
            append_rejected: 1.0,
            read_failed: 1.0,
            ..Self::default()
        }
    }
}

/// A handle on a log in memory. Clones share the log and the faults; [`MemoryLog::with_faults`] shares the log only.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    faults: Arc<Mutex<Faults>>,
    rng: Rng,
    raced_for: bool,
}

#[derive(Debug)]
struct Shared {
    entries: Mutex<Entries>,
    tail: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct Entries {
    /// How many were trimmed; the first kept is at the position after.
    trimmed: u64,
    kept: VecDeque<Bytes>,
}

impl Entries {
    fn tail(&self) -> Position {
        Position(self.trimmed + self.kept.len() as u64)
    }
}

impl Shared {
    fn land(&self, entry: Bytes) -> Position {
        let mut entries = self.entries.lock();
        entries.kept.push_back(entry);
        let at = entries.tail();
        self.tail.send_replace(at);
        at
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log without faults.
    pub fn new() -> Self {
        let shared = Shared {
            entries: Mutex::new(Entries::default()),
            tail: watch::Sender::new(Position(0)),
        };
        Self {
            shared: Arc::new(shared),
            faults: Arc::default(),
            rng: Rng::from_seed(0),
            raced_for: false,
        }
    }

    /// A handle that passes for one on a log that writers race for.
    #[cfg(test)]
    pub(crate) fn raced_for(self) -> Self {
        Self {
            raced_for: true,
            ..self
        }
    }

    /// Another handle on the same log, with faults of its own: one agent's view of a bad network.
    #[must_use]
    pub fn with_faults(&self, rng: Rng, faults: Faults) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            faults: Arc::new(Mutex::new(faults)),
            rng,
            raced_for: self.raced_for,
        }
    }

    /// Changes what goes wrong from now on, in this handle and its clones.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    fn faults(&self) -> Faults {
        self.faults.lock().clone()
    }

    async fn pause(&self, longest: Duration) {
        if longest > Duration::ZERO {
            tokio::time::sleep(self.up_to(longest)).await;
        }
    }

    fn up_to(&self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.below(nanos))
    }

    async fn fail_read(&self) -> Result<(), ReadError> {
        let faults = self.faults();
        self.pause(faults.delay_max).await;
        if faults.read_failed > 0.0 && self.rng.chance(faults.read_failed) {
            return Err(ReadError::Unavailable("injected fault".into()));
        }
        Ok(())
    }

    fn land_late(&self, entry: Bytes, late: Duration) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            shared.land(entry);
        });
    }
}

#[async_trait]
impl MetadataLog for MemoryLog {
    async fn append(&self, entry: Bytes) -> Result<Position, AppendError> {
        let faults = self.faults();
        if faults == Faults::default() {
            return Ok(self.shared.land(entry));
        }
        self.pause(faults.delay_max / 2).await;
        if self.rng.chance(faults.append_rejected) {
            return Err(AppendError::Rejected("injected fault".into()));
        }
        if self.rng.chance(faults.append_unknown_lost) {
            return Err(AppendError::MaybeAppended("injected fault, lost".into()));
        }
        if self.rng.chance(faults.append_unknown_kept) {
            self.shared.land(entry);
            return Err(AppendError::MaybeAppended("injected fault, kept".into()));
        }
        if self.rng.chance(faults.append_unknown_late) {
            self.land_late(entry, self.up_to(faults.late_max));
            return Err(AppendError::MaybeAppended("injected fault, late".into()));
        }
        let at = self.shared.land(entry);
        self.pause(faults.delay_max / 2).await;
        Ok(at)
    }

    async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        self.fail_read().await?;
        let entries = self.shared.entries.lock();
        let Some(skipped) = after.0.checked_sub(entries.trimmed) else {
            return Err(ReadError::Trimmed {
                first_kept: Position(entries.trimmed + 1),
            });
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut bytes = 0usize;
        let mut found = Vec::new();
        for (at, entry) in (after.0 + 1..).zip(entries.kept.iter().skip(skipped)) {
            bytes = bytes.saturating_add(entry.len());
            if !found.is_empty() && bytes > bytes_max {
                break;
            }
            found.push((Position(at), entry.clone()));
        }
        Ok(found)
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.fail_read().await?;
        Ok(self.shared.entries.lock().tail())
    }

    async fn wait(&self, after: Position) -> Result<(), ReadError> {
        self.fail_read().await?;
        let mut tail = self.shared.tail.subscribe();
        // The sender lives as long as `self`, so this can only end by the tail moving.
        let moved = tail.wait_for(|tail| *tail > after).await;
        moved
            .map(|_| ())
            .map_err(|closed| ReadError::Unavailable(closed.to_string()))
    }

    fn hint(&self, _at: Position) {}

    fn is_raced_for(&self) -> bool {
        self.raced_for
    }

    async fn trim(&self, through: Position) -> Result<u64, ReadError> {
        self.fail_read().await?;
        let mut entries = self.shared.entries.lock();
        // The newest stays, as in every backend.
        let last = through.0.min(entries.tail().0.saturating_sub(1));
        let count = last.saturating_sub(entries.trimmed);
        entries.kept.drain(..usize::try_from(count).unwrap_or(0));
        entries.trimmed += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::conformance::{Handle, Site, conformance};

    struct MemorySite(MemoryLog, Rng);

    impl MemorySite {
        fn new() -> Self {
            Self(MemoryLog::new(), Rng::from_seed(1))
        }
    }

    #[async_trait]
    impl Site for MemorySite {
        async fn open(&self) -> Handle {
            Arc::new(self.0.clone())
        }

        async fn open_faulty(&self) -> Handle {
            let faults = Faults {
                append_rejected: 0.2,
                append_unknown_lost: 0.2,
                append_unknown_kept: 0.2,
                append_unknown_late: 0.2,
                late_max: Duration::from_secs(20),
                read_failed: 0.2,
                delay_max: Duration::from_millis(50),
            };
            Arc::new(self.0.with_faults(self.1.fork("handle"), faults))
        }

        async fn age(&self) {}

        async fn checkpoint(&self, _at: Position) {}
    }

    conformance!(MemorySite::new());

    async fn contents(log: &MemoryLog) -> Vec<Bytes> {
        let read = log.read(Position(0), usize::MAX).await.unwrap();
        read.into_iter().map(|(_, entry)| entry).collect()
    }

    async fn outcome(faults: Faults) -> (MemoryLog, Result<Position, AppendError>) {
        let log = MemoryLog::new();
        let result = log
            .with_faults(Rng::from_seed(1), faults)
            .append("a".into())
            .await;
        (log, result)
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says() {
        let (log, result) = outcome(Faults::unreachable()).await;
        assert!(
            matches!(result, Err(AppendError::Rejected(_))),
            "{result:?}"
        );
        assert_eq!(contents(&log).await, Vec::<Bytes>::new());

        let (log, result) = outcome(Faults {
            append_unknown_lost: 1.0,
            ..Faults::default()
        })
        .await;
        assert!(
            matches!(result, Err(AppendError::MaybeAppended(_))),
            "{result:?}"
        );
        assert_eq!(contents(&log).await, Vec::<Bytes>::new());

        let (log, result) = outcome(Faults {
            append_unknown_kept: 1.0,
            ..Faults::default()
        })
        .await;
        assert!(
            matches!(result, Err(AppendError::MaybeAppended(_))),
            "{result:?}"
        );
        assert_eq!(contents(&log).await, ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_entry_lands_after_what_was_appended_meanwhile() {
        let late_max = Duration::from_secs(5);
        let (log, result) = outcome(Faults {
            append_unknown_late: 1.0,
            late_max,
            ..Faults::default()
        })
        .await;
        assert!(
            matches!(result, Err(AppendError::MaybeAppended(_))),
            "{result:?}"
        );
        log.append("b".into()).await.unwrap();
        log.wait(Position(1)).await.unwrap();
        assert_eq!(contents(&log).await, ["b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_of_the_handle_and_can_be_lifted() {
        let log = MemoryLog::new();
        let cut_off = log.with_faults(Rng::from_seed(1), Faults::unreachable());
        assert!(cut_off.tail().await.is_err());
        assert!(cut_off.read(Position(0), 1).await.is_err());
        assert_eq!(log.append("a".into()).await.unwrap(), Position(1));
        cut_off.set_faults(Faults::default());
        assert_eq!(cut_off.tail().await.unwrap(), Position(1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_seed_gives_one_run() {
        async fn run(seed: u64) -> String {
            let faults = Faults {
                append_rejected: 0.3,
                append_unknown_kept: 0.3,
                delay_max: Duration::from_millis(10),
                ..Faults::default()
            };
            let log = MemoryLog::new().with_faults(Rng::from_seed(seed), faults);
            let mut results = String::new();
            for _ in 0..50 {
                results.push_str(&format!("{:?};", log.append("x".into()).await));
            }
            results
        }
        assert_eq!(run(3).await, run(3).await);
        assert_ne!(run(3).await, run(4).await);
    }
}
