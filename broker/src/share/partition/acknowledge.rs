//! What members say of the records they hold.

use super::runs::{Run, RunState};
use super::{Acknowledgement, Effect, RecordsError, SharePartition, Ticket};

type Said = (i64, i64, Acknowledgement);

impl SharePartition {
    /// Takes all that is said, or nothing of it if the member does not hold some of the records. What
    /// is below the start offset is passed over, as in Kafka.
    pub(super) fn acknowledge(&mut self, ticket: Ticket, member: &str, said: &[Said]) {
        match self.check(member, said) {
            Err(error) => self.effects.push(Effect::Acknowledged(ticket, Err(error))),
            Ok(changes) => {
                for (run, acknowledgement) in changes {
                    self.apply(&run, acknowledgement);
                }
                self.saving.answer_later(ticket);
            }
        }
    }

    fn apply(&mut self, run: &Run, acknowledgement: Acknowledgement) {
        let state = match acknowledgement {
            Acknowledgement::Accept => RunState::Acknowledged,
            Acknowledgement::Reject | Acknowledgement::Gap => RunState::Archived,
            Acknowledgement::Release => return self.give_back(run),
        };
        self.put_dirty(run.first, run.last, state, run.deliveries);
    }

    fn check(
        &self,
        member: &str,
        said: &[Said],
    ) -> Result<Vec<(Run, Acknowledgement)>, RecordsError> {
        let mut changes = vec![];
        let mut next = i64::MIN;
        for &(first, last, acknowledgement) in said {
            if first > last || first < next {
                return Err(RecordsError::InvalidRecordState);
            }
            next = last.saturating_add(1);
            if last < self.start {
                continue;
            }
            if last >= self.end {
                return Err(RecordsError::NotGivenOut);
            }
            for run in self.runs.within(first.max(self.start), last) {
                let holds =
                    matches!(&run.state, RunState::Acquired { member: m, .. } if **m == *member);
                if !holds {
                    return Err(RecordsError::InvalidRecordState);
                }
                changes.push((run, acknowledgement));
            }
        }
        Ok(changes)
    }
}
