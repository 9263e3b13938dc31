//! What is to be saved, and who waits for it.
//!
//! One save is under way at a time. What changes meanwhile is saved together by the next.

use std::collections::BTreeMap;

use super::runs::{Run, RunState};
use super::{Effect, Save, SaveId, SavedRun, SavedState, SharePartition, Ticket};

/// Offsets whose saved state may not be what it is here: disjoint ranges, first to last.
#[derive(Clone, Debug)]
pub(super) struct Dirty {
    ranges: BTreeMap<i64, i64>,
    /// The start offset as it was saved last.
    start: i64,
}

impl Dirty {
    pub(super) fn new(start: i64) -> Self {
        Self {
            ranges: BTreeMap::new(),
            start,
        }
    }

    pub(super) fn add(&mut self, mut first: i64, mut last: i64) {
        // Ranges that touch become one.
        while let Some((&f, &l)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if l.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&f);
            first = first.min(f);
            last = last.max(l);
        }
        self.ranges.insert(first, last);
    }

    pub(super) fn drop_before(&mut self, offset: i64) {
        while let Some((&first, &last)) = self.ranges.first_key_value() {
            if first >= offset {
                break;
            }
            self.ranges.remove(&first);
            if last >= offset {
                self.ranges.insert(offset, last);
            }
        }
    }
}

/// The save under way, and who waits for it or for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Saving {
    running: Option<SaveId>,
    last: u64,
    answered_by_running: Vec<Ticket>,
    answered_by_next: Vec<Ticket>,
}

impl Saving {
    pub(super) fn answer_later(&mut self, ticket: Ticket) {
        self.answered_by_next.push(ticket);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none()
    }
}

impl SharePartition {
    /// Asks for a save if there is something to be saved and none is under way.
    pub(super) fn save(&mut self) {
        if self.saving.running.is_some() {
            return;
        }
        let tickets = std::mem::take(&mut self.saving.answered_by_next);
        if self.dirty.ranges.is_empty() && self.dirty.start == self.start {
            // Everything they say was saved before, or is below the start offset.
            let answers = tickets.into_iter();
            self.effects
                .extend(answers.map(|ticket| Effect::Acknowledged(ticket, Ok(()))));
            return;
        }
        self.saving.last += 1;
        let id = SaveId(self.saving.last);
        let runs = std::mem::take(&mut self.dirty.ranges)
            .into_iter()
            .flat_map(|(first, last)| self.runs.within(first, last));
        let runs = runs.map(|run| saved(&run)).collect();
        self.dirty.start = self.start;
        self.saving.running = Some(id);
        self.saving.answered_by_running = tickets;
        let start = self.start;
        self.effects.push(Effect::Save(id, Save { start, runs }));
    }

    pub(super) fn saved(&mut self, id: SaveId) {
        if self.saving.running == Some(id) {
            self.saving.running = None;
            let tickets = std::mem::take(&mut self.saving.answered_by_running);
            let answers = tickets.into_iter();
            self.effects
                .extend(answers.map(|ticket| Effect::Acknowledged(ticket, Ok(()))));
        }
    }
}

/// A run as it is saved: an acquisition is not, and the delivery under way does not count yet.
fn saved(run: &Run) -> SavedRun {
    let (state, deliveries) = match run.state {
        RunState::Available => (SavedState::Available, run.deliveries),
        RunState::Acquired { .. } => (SavedState::Available, run.deliveries.saturating_sub(1)),
        RunState::Acknowledged => (SavedState::Acknowledged, run.deliveries),
        RunState::Archived => (SavedState::Archived, run.deliveries),
    };
    SavedRun {
        first: run.first,
        last: run.last,
        state,
        deliveries,
    }
}
