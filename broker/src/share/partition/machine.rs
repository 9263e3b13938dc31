//! The state of a share-partition and its primitives: turns, locks, the start offset.

use std::time::Duration;

use super::runs::{Run, RunState, Runs};
use super::save::{Dirty, Saving};
use super::{Effect, Event, FetchTurn, Limits, SavedRun, SavedState, Ticket, Turn};

/// A share-partition, as the agent that leads it has it in memory.
#[derive(Clone, Debug)]
pub struct SharePartition {
    pub(super) limits: Limits,
    pub(super) now: Duration,
    /// Everything before it is done with.
    pub(super) start: i64,
    /// Nothing from here on was ever given out.
    pub(super) end: i64,
    pub(super) runs: Runs,
    pub(super) dirty: Dirty,
    pub(super) saving: Saving,
    pub(super) effects: Vec<Effect>,
    /// Who reads now, and until when it may.
    turn: Option<(Turn, Duration)>,
    turn_last: u64,
    /// There may be something to read that was not there before.
    is_ready: bool,
}

impl SharePartition {
    /// A share-partition of which this was saved. What is not named from `start` on is available.
    pub fn restore(limits: Limits, start: i64, saved: &[SavedRun]) -> Self {
        let mut machine = Self {
            limits,
            now: Duration::ZERO,
            start,
            end: start,
            runs: Runs::default(),
            dirty: Dirty::new(start),
            saving: Saving::default(),
            effects: vec![],
            turn: None,
            turn_last: 0,
            is_ready: false,
        };
        for run in saved {
            machine.restore_run(*run);
        }
        machine.advance();
        machine
    }

    fn restore_run(&mut self, saved: SavedRun) {
        let first = saved.first.max(self.end);
        if first > saved.last {
            return;
        }
        if first > self.end {
            self.put(self.end, first - 1, RunState::Available, 0);
        }
        let state = match saved.state {
            SavedState::Available => RunState::Available,
            SavedState::Acknowledged => RunState::Acknowledged,
            SavedState::Archived => RunState::Archived,
        };
        self.put(first, saved.last, state, saved.deliveries);
    }

    /// Takes an event at the time `now` of the monotonic clock.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.expire();
        match event {
            Event::Fetch {
                ticket,
                visible_end,
            } => self.fetch(ticket, visible_end),
            Event::Acquire(ticket, request) => self.acquire(ticket, &request),
            Event::Abandon(turn) => {
                self.take_turn(turn);
            }
            Event::Acknowledge(ticket, member, said) => self.acknowledge(ticket, &member, &said),
            Event::Release(member) => self.release(&member),
            Event::LogStart(offset) => self.log_start(offset),
            Event::Tick => {}
            Event::Saved(id) => self.saved(id),
        }
        self.advance();
        self.save();
        if std::mem::take(&mut self.is_ready) {
            self.effects.push(Effect::Ready);
        }
        std::mem::take(&mut self.effects)
    }

    /// Changes what bounds it, for what is given out from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The start offset: every record before it is done with.
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The offset after the last that was given out.
    pub fn end_offset(&self) -> i64 {
        self.end
    }

    /// Whether nobody holds records, reads, or waits for a save.
    pub fn is_idle(&self) -> bool {
        self.turn.is_none() && self.saving.is_idle() && self.next_deadline().is_none()
    }

    /// When it wants to be told the time.
    pub fn next_deadline(&self) -> Option<Duration> {
        let locks = self.runs.iter().filter_map(|run| match &run.state {
            RunState::Acquired { until, .. } => Some(*until),
            _ => None,
        });
        locks.chain(self.turn.map(|(_, until)| until)).min()
    }

    /// Gives the turn if nobody has it and there is something to read.
    fn fetch(&mut self, ticket: Ticket, visible_end: i64) {
        let offset = self.next_fetch_offset();
        let turn = offset
            .filter(|&offset| self.turn.is_none() && offset < visible_end)
            .map(|offset| {
                self.turn_last += 1;
                let turn = Turn(self.turn_last);
                self.turn = Some((turn, self.now + self.limits.turn));
                FetchTurn { turn, offset }
            });
        self.effects.push(Effect::Turn(ticket, turn));
    }

    /// The first offset that may be given out; none while the members hold as many as they may.
    fn next_fetch_offset(&self) -> Option<i64> {
        let available = self.runs.iter().find(|r| r.state == RunState::Available);
        let fresh = (self.room() > 0).then_some(self.end);
        available.map(|run| run.first).or(fresh)
    }

    /// How many records past the end offset may be given out.
    pub(super) fn room(&self) -> i64 {
        (i64::from(self.limits.records_max) - (self.end - self.start)).max(0)
    }

    /// Ends a turn; says whether it was still running.
    pub(super) fn take_turn(&mut self, turn: Turn) -> bool {
        let is_its = self.turn.is_some_and(|(running, _)| running == turn);
        if is_its {
            self.turn = None;
            self.is_ready = true;
        }
        is_its
    }

    /// Ends the locks and the turn whose time is over.
    fn expire(&mut self) {
        let now = self.now;
        if let Some((turn, until)) = self.turn
            && until <= now
        {
            self.take_turn(turn);
        }
        let is_due =
            |run: &&Run| matches!(&run.state, RunState::Acquired { until, .. } if *until <= now);
        let due: Vec<Run> = self.runs.iter().filter(is_due).cloned().collect();
        for run in due {
            self.give_back(&run);
        }
    }

    /// Makes records available that were given out, or archives them if that was the last time.
    pub(super) fn give_back(&mut self, run: &Run) {
        let state = match run.deliveries >= self.limits.deliveries_max {
            true => RunState::Archived,
            false => RunState::Available,
        };
        self.is_ready |= state == RunState::Available;
        self.put_dirty(run.first, run.last, state, run.deliveries);
    }

    /// A member is gone. It has not seen the records, so that the delivery does not count, as in Kafka;
    /// what is saved of them is right as it is.
    fn release(&mut self, member: &str) {
        let held = |run: &&Run| matches!(&run.state, RunState::Acquired { member: m, .. } if **m == *member);
        let held: Vec<Run> = self.runs.iter().filter(held).cloned().collect();
        self.is_ready |= !held.is_empty();
        for run in held {
            let deliveries = run.deliveries.saturating_sub(1);
            self.put(run.first, run.last, RunState::Available, deliveries);
        }
    }

    /// Forgets what the partition does not have any more, whoever holds it.
    pub(super) fn log_start(&mut self, offset: i64) {
        if offset > self.start {
            self.runs.drop_before(offset);
            self.start = offset;
            self.end = self.end.max(offset);
            self.is_ready = true;
        }
    }

    /// Moves the start offset past what is done with.
    pub(super) fn advance(&mut self) {
        let was_full = self.room() == 0;
        while self.runs.first().is_some_and(Run::is_over) {
            if let Some(run) = self.runs.pop_first() {
                self.start = run.last + 1;
            }
        }
        self.is_ready |= was_full && self.room() > 0;
        self.dirty.drop_before(self.start);
    }

    pub(super) fn put(&mut self, first: i64, last: i64, state: RunState, deliveries: u16) {
        self.end = self.end.max(last + 1);
        self.runs.put(Run {
            first,
            last,
            state,
            deliveries,
        });
    }

    pub(super) fn put_dirty(&mut self, first: i64, last: i64, state: RunState, deliveries: u16) {
        self.put(first, last, state, deliveries);
        self.dirty.add(first, last);
    }
}
