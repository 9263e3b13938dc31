//! Runs of records that are in the same state, side by side without a gap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the records of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// To be given out.
    Available,
    /// Held by a member until a time on the monotonic clock.
    Acquired { member: Arc<str>, until: Duration },
    /// Processed.
    Acknowledged,
    /// Not to be given out again.
    Archived,
}

/// A run of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub first: i64,
    pub last: i64,
    pub state: RunState,
    /// How often they were given out.
    pub deliveries: u16,
}

/// Runs by their first offset. They touch, and none overlaps another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(BTreeMap<i64, Run>);

impl Run {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, RunState::Acknowledged | RunState::Archived)
    }

    fn continues(&self, before: &Run) -> bool {
        let same_count = self.deliveries == before.deliveries || self.is_over();
        before.last + 1 == self.first && before.state == self.state && same_count
    }
}

impl Runs {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.0.values()
    }

    pub(super) fn first(&self) -> Option<&Run> {
        self.0.values().next()
    }

    pub(super) fn pop_first(&mut self) -> Option<Run> {
        self.0.pop_first().map(|(_, run)| run)
    }

    /// The runs that have offsets from `first` to `last`, cut to them.
    pub(super) fn within(&self, first: i64, last: i64) -> Vec<Run> {
        let from = self
            .0
            .range(..=first)
            .next_back()
            .map_or(first, |(&f, _)| f);
        let overlapping = self.0.range(from..).map(|(_, run)| run);
        overlapping
            .take_while(|run| run.first <= last)
            .filter(|run| run.last >= first)
            .map(|run| Run {
                first: run.first.max(first),
                last: run.last.min(last),
                ..run.clone()
            })
            .collect()
    }

    /// Puts a run where others were, or after the last; what is left of those it covers stays.
    pub(super) fn put(&mut self, run: Run) {
        self.split_at(run.first);
        self.split_at(run.last + 1);
        let covered: Vec<i64> = self
            .0
            .range(run.first..=run.last)
            .map(|(&f, _)| f)
            .collect();
        for first in covered {
            self.0.remove(&first);
        }
        let (first, next) = (run.first, run.last + 1);
        self.0.insert(first, run);
        self.join(next);
        self.join(first);
    }

    /// Drops every offset before `offset`.
    pub(super) fn drop_before(&mut self, offset: i64) {
        self.split_at(offset);
        self.0 = self.0.split_off(&offset);
    }

    fn split_at(&mut self, offset: i64) {
        let Some((_, run)) = self.0.range_mut(..offset).next_back() else {
            return;
        };
        if run.last >= offset {
            let mut rest = run.clone();
            run.last = offset - 1;
            rest.first = offset;
            self.0.insert(offset, rest);
        }
    }

    /// Makes one of the run that begins at `offset` and the one before it, if they are alike.
    fn join(&mut self, offset: i64) {
        let Some(after) = self.0.get(&offset) else {
            return;
        };
        let last = after.last;
        let Some((_, before)) = self.0.range(..offset).next_back() else {
            return;
        };
        if after.continues(before) {
            let first = before.first;
            self.0.remove(&offset);
            if let Some(before) = self.0.get_mut(&first) {
                before.last = last;
            }
        }
    }
}
