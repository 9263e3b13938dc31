//! Giving out records that were read.

use std::sync::Arc;

use super::runs::RunState;
use super::{AcquireRequest, Acquired, Effect, ReadBatch, SharePartition, Ticket};

impl SharePartition {
    /// Gives a member what of its reading is available. Kafka gives whole batches (`batch_optimized`);
    /// so does this, up to the most records that may be in flight.
    pub(super) fn acquire(&mut self, ticket: Ticket, request: &AcquireRequest) {
        let mut given = Given::new(request.batch_size);
        // Who took too long may have read what somebody else was given meanwhile; that is not available.
        self.take_turn(request.turn);
        let member = Arc::from(&*request.member);
        let mut next = request.offset;
        for batch in &request.batches {
            let wanted = given.records < u64::from(request.records_max);
            if batch.last < batch.first || batch.first < next || !wanted {
                break;
            }
            if batch.first > next {
                self.archive(next, batch.first - 1);
            }
            match batch.is_shown {
                true => self.acquire_batch(batch, &member, &mut given),
                false => self.archive(batch.first, batch.last),
            }
            next = batch.last + 1;
        }
        self.effects.push(Effect::Acquired(ticket, given.ranges));
    }

    fn acquire_batch(&mut self, batch: &ReadBatch, member: &Arc<str>, given: &mut Given) {
        given.batch_begins();
        let known = self.runs.within(batch.first, batch.last);
        let available = known.iter().filter(|r| r.state == RunState::Available);
        for run in available {
            let deliveries = run.deliveries.saturating_add(1);
            self.hold(run.first, run.last, member, deliveries);
            given.add(run.first, run.last, deliveries);
        }
        let (first, last) = self.fresh(batch.first, batch.last);
        if first <= last {
            self.hold(first, last, member, 1);
            given.add(first, last, 1);
        }
    }

    fn hold(&mut self, first: i64, last: i64, member: &Arc<str>, deliveries: u16) {
        let state = RunState::Acquired {
            member: member.clone(),
            until: self.now + self.limits.lock,
        };
        self.put(first, last, state, deliveries);
    }

    /// Archives what is in nobody's hands of offsets that hold nothing to be shown.
    fn archive(&mut self, first: i64, last: i64) {
        for run in self.runs.within(first, last) {
            if run.state == RunState::Available {
                self.put_dirty(run.first, run.last, RunState::Archived, run.deliveries);
            }
        }
        self.advance();
        if self.start == self.end && first <= self.end {
            // Nothing is in flight: however long the range is, it is passed over.
            self.log_start(last + 1);
            return;
        }
        let (first, last) = self.fresh(first, last);
        if first <= last {
            self.put_dirty(first, last, RunState::Archived, 0);
        }
    }

    /// What of a range is past the end offset, as far as it may be given out now. Empty if the range
    /// does not touch the end offset: what is before it must be read first.
    fn fresh(&self, first: i64, last: i64) -> (i64, i64) {
        match first <= self.end {
            true => (self.end, last.min(self.end + self.room() - 1)),
            false => (0, -1),
        }
    }
}

/// What a member is given, gathered into ranges.
struct Given {
    ranges: Vec<Acquired>,
    records: u64,
    batch_size: u64,
    /// A further batch begins a range of its own.
    is_range_full: bool,
}

impl Given {
    fn new(batch_size: u32) -> Self {
        Self {
            ranges: vec![],
            records: 0,
            batch_size: u64::from(batch_size.max(1)),
            is_range_full: true,
        }
    }

    fn batch_begins(&mut self) {
        let size = |range: &Acquired| (range.last - range.first + 1) as u64;
        self.is_range_full = self.ranges.last().map_or(0, size) >= self.batch_size;
    }

    fn add(&mut self, first: i64, last: i64, deliveries: u16) {
        self.records += (last - first + 1) as u64;
        match self.ranges.last_mut() {
            Some(range)
                if !self.is_range_full
                    && range.last + 1 == first
                    && range.deliveries == deliveries =>
            {
                range.last = last;
            }
            _ => self.ranges.push(Acquired {
                first,
                last,
                deliveries,
            }),
        }
    }
}
