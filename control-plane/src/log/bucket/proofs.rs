//! Owns what this process can prove about the end of the log, and for how long.
//!
//! A proof says: at that time, this position had never been written. Entries from it on are therefore younger than
//! the proof, and trimming leaves young entries alone. So for the trust window after a proof, whatever is created or
//! found at its position or later is the log's own. Beyond it a position may have been written, trimmed, and be free
//! again, which looks the same as never written.

use std::collections::VecDeque;
use std::time::Duration;

use crate::log::Position;

#[derive(Clone, Copy, Debug)]
struct Proof {
    unwritten: Position,
    at: Duration,
}

/// How many proofs are kept beside the latest, so that a reader some way behind still finds one below it.
const KEPT: u32 = 16;

/// The proofs of the last trust window. Times are those of the monotonic clock, which counts suspension.
#[derive(Debug)]
pub(super) struct TailProofs {
    window: Duration,
    latest: Option<Proof>,
    spaced: VecDeque<Proof>,
}

impl TailProofs {
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            latest: None,
            spaced: VecDeque::new(),
        }
    }

    /// Notes that `unwritten` was not yet written at `at`, the time at which the request that shows it began.
    pub fn record(&mut self, unwritten: Position, at: Duration) {
        if self.latest.is_some_and(|latest| latest.at >= at) {
            return;
        }
        self.latest = Some(Proof { unwritten, at });
        let spacing = self.window / KEPT;
        if self
            .spaced
            .back()
            .is_none_or(|last| last.at + spacing <= at)
        {
            self.spaced.push_back(Proof { unwritten, at });
        }
        while self
            .spaced
            .front()
            .is_some_and(|first| first.at + self.window < at)
        {
            self.spaced.pop_front();
        }
    }

    /// Whether what a request that ended at `ended` found or made at `position` is surely the log's.
    pub fn cover(&self, position: Position, ended: Duration) -> bool {
        let covers = |proof: &Proof| {
            proof.unwritten <= position && ended.saturating_sub(proof.at) <= self.window
        };
        self.latest.as_ref().is_some_and(covers) || self.spaced.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_proof_covers_what_is_later_in_the_log_and_not_too_late() {
        let mut proofs = TailProofs::new(secs(60));
        assert!(!proofs.cover(Position(5), secs(0)));
        proofs.record(Position(5), secs(100));
        assert!(!proofs.cover(Position(4), secs(100)));
        assert!(proofs.cover(Position(5), secs(160)));
        assert!(!proofs.cover(Position(5), secs(161)));
    }

    #[test]
    fn a_reader_behind_is_covered_by_an_older_proof_while_it_lasts() {
        let mut proofs = TailProofs::new(secs(60));
        for second in 100..150 {
            proofs.record(Position(second), secs(second));
        }
        assert!(proofs.cover(Position(101), secs(150)));
        assert!(!proofs.cover(Position(101), secs(161)));
        assert!(proofs.cover(Position(149), secs(209)));
        assert!(!proofs.cover(Position(149), secs(210)));
    }

    #[test]
    fn holds_few_however_many_are_recorded() {
        let mut proofs = TailProofs::new(secs(60));
        for milli in 0..1_000_000 {
            proofs.record(Position(milli), Duration::from_millis(milli));
        }
        assert!(
            proofs.spaced.len() <= KEPT as usize + 1,
            "{}",
            proofs.spaced.len()
        );
    }
}
