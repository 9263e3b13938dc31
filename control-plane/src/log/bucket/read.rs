//! Owns reading: single probes of the next position, fetching many when behind, the linearizable tail, waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;

use super::envelope::Envelope;
use super::{Inner, Position, ReadError, keys, next};

/// Entries found one by one before several are looked for at once.
const PROBES_MAX: u32 = 8;
/// Positions looked for at once while going after the end of the log; if all of them are there, it is listed.
const CHASE_MAX: u64 = 64;
/// Bytes of entries taken at once while going after the end.
const CHASE_BYTES_MAX: usize = 4 << 20;
/// Entries in one answer.
const ENTRIES_MAX: u64 = 4_096;

/// Shares one look at the end of the log between those who ask at the same time.
#[derive(Debug, Default)]
pub(super) struct TailProbe {
    asked: AtomicU64,
    turn: tokio::sync::Mutex<Option<Probed>>,
}

/// What the last probe of the tail found.
#[derive(Debug)]
struct Probed {
    /// Who had asked before it began; it answers them and nobody later.
    asked_before: u64,
    result: Result<Position, String>,
}

impl Inner {
    pub(super) async fn read(
        &self,
        after: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let first = next(after);
        let cached = self.cache.lock().run(first, bytes_max);
        if !cached.is_empty() {
            return Ok(cached);
        }
        if after > self.tail() {
            // From a checkpoint newer than what this handle has seen.
            self.find_tail().await?;
            if after > self.tail() {
                let why = format!(
                    "position {after} is past the end of the log, {}",
                    self.tail()
                );
                return Err(ReadError::Unavailable(why));
            }
        }
        if self.tail() > first {
            let found = self.fetch_run(first, bytes_max).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let Some(entry) = self.probe(first).await? else {
            self.found_in_turn.store(0, Ordering::Relaxed);
            return Ok(Vec::new());
        };
        if self.found_in_turn.fetch_add(1, Ordering::Relaxed) + 1 == PROBES_MAX {
            self.found_in_turn.store(0, Ordering::Relaxed);
            self.chase().await?;
        }
        Ok(vec![(first, entry)])
    }

    /// The stored entry at `at`, not yet known to be the log's.
    pub(super) async fn fetch(&self, at: Position) -> Result<Option<Envelope>, ReadError> {
        let Some(bytes) = self.requests.get(at).await? else {
            return Ok(None);
        };
        let damaged = |why| ReadError::Unavailable(format!("{} is {why}", keys::entry(at)));
        Envelope::decode(at, &bytes).map(Some).map_err(damaged)
    }

    /// The entry at `at`, out of memory if it is there.
    async fn known_or_fetched(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let known = self.cache.lock().get(at);
        match known {
            Some(entry) => Ok(Some(entry)),
            None => Ok(self.fetch(at).await?.map(|envelope| envelope.entry)),
        }
    }

    /// Several entries from `first` to the known tail, fetched in parallel; none if the first is not there.
    async fn fetch_run(
        &self,
        first: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let last = self.tail().0.min(first.0 + ENTRIES_MAX - 1);
        self.fetch_range(first, Position(last), bytes_max).await
    }

    /// Goes after the end of a log that others write meanwhile: the next positions are looked for at once, twice as
    /// many each time, until one is not there.
    ///
    /// SUBTLE: a listing takes long where there are many entries, and a busy log has moved on when it ends. Whoever
    /// lists whenever it is behind never arrives.
    pub(super) async fn chase(&self) -> Result<(), ReadError> {
        let mut width = 2;
        while width <= CHASE_MAX {
            let first = next(self.tail());
            let last = Position(first.0 + width - 1);
            let found = self.fetch_range(first, last, CHASE_BYTES_MAX).await?;
            let arrived = (found.len() as u64) < width;
            for (at, entry) in found {
                self.learn(at, entry);
            }
            if arrived {
                return Ok(());
            }
            width *= 2;
        }
        self.look_ahead(next(self.tail())).await
    }

    /// The entries from `first` to `last`, fetched in parallel, up to the first that is not there.
    async fn fetch_range(
        &self,
        first: Position,
        last: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let mut fetches = futures::stream::iter(first.0..=last.0)
            .map(|at| async move { (Position(at), self.known_or_fetched(Position(at)).await) })
            .buffered(self.options.parallel_reads);
        let mut bytes = 0usize;
        let mut found = Vec::new();
        while let Some((at, fetched)) = fetches.next().await {
            let entry = match fetched {
                Ok(Some(entry)) => entry,
                Err(error) if found.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            };
            bytes = bytes.saturating_add(entry.len());
            if !found.is_empty() && bytes > bytes_max {
                break;
            }
            found.push((at, entry));
        }
        if !found.is_empty() {
            self.verify(first).await?;
        }
        Ok(found)
    }

    /// Looks for the entry at `at`; `None` proves, at the tail, that it was not there when this began.
    pub(super) async fn probe(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        if let Some(entry) = self.cache.lock().get(at) {
            return Ok(Some(entry));
        }
        let known = at <= self.tail();
        let began = self.clock.monotonic();
        if let Some(envelope) = self.fetch(at).await? {
            self.verify(at).await?;
            self.learn(at, envelope.entry.clone());
            return Ok(Some(envelope.entry));
        }
        if known || !self.covered(at) {
            self.check_unwritten(at).await?;
        }
        if known {
            let why = format!("{} was written and cannot be found", keys::entry(at));
            return Err(ReadError::Unavailable(why));
        }
        if at == next(self.tail()) {
            self.proofs.lock().record(at, began);
        }
        Ok(None)
    }

    /// Makes sure that an entry that was not found was not trimmed.
    async fn check_unwritten(&self, at: Position) -> Result<(), ReadError> {
        let checkpoint = self.requests.newest_checkpoint().await?;
        let from = if checkpoint >= at { next(at) } else { at };
        match self.first_kept(from).await? {
            Some(first_kept) if first_kept > at => Err(ReadError::Trimmed { first_kept }),
            None if checkpoint >= at => Err(ReadError::Trimmed {
                first_kept: next(checkpoint),
            }),
            // Written meanwhile, or not at all.
            _ => Ok(()),
        }
    }

    /// The newest position, as of some moment after this was called.
    pub(super) async fn probe_tail(&self) -> Result<Position, ReadError> {
        let ticket = self.tail_probe.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = self.tail_probe.turn.lock().await;
        if let Some(probed) = last.as_ref().filter(|probed| ticket < probed.asked_before) {
            return probed.result.clone().map_err(ReadError::Unavailable);
        }
        let asked_before = self.tail_probe.asked.load(Ordering::SeqCst);
        let mut result = self.advance().await;
        if let Err(ReadError::Trimmed { .. }) = result {
            result = self.find_tail().await.map(|()| self.tail());
        }
        let shared = result.as_ref().copied().map_err(ToString::to_string);
        *last = Some(Probed {
            asked_before,
            result: shared,
        });
        result
    }

    /// Follows the log from the known tail to its end.
    pub(super) async fn advance(&self) -> Result<Position, ReadError> {
        for probes in 1u32.. {
            let first = next(self.tail());
            if self.probe(first).await?.is_none() {
                break;
            }
            if probes % PROBES_MAX == 0 {
                self.chase().await?;
            }
        }
        Ok(self.tail())
    }

    pub(super) async fn wait(&self, after: Position) -> Result<(), ReadError> {
        let mut tail = self.tail.subscribe();
        let mut hinted = self.hinted.subscribe();
        let first = next(after);
        loop {
            let pause = self.rng.jitter(self.options.poll_interval);
            tokio::select! {
                _ = tail.wait_for(|tail| *tail > after) => return Ok(()),
                _ = hinted.wait_for(|hinted| *hinted > after) => {}
                () = tokio::time::sleep(pause) => {}
            }
            // A hint is used up by looking, so that a wrong one costs one look.
            let hint = *hinted.borrow_and_update();
            if self.probe(first).await?.is_some() {
                return Ok(());
            }
            self.hinted.send_if_modified(|hinted| {
                if *hinted == hint {
                    *hinted = Position(0);
                }
                false
            });
        }
    }
}
