//! What the machines ask the task of a group to do, and the answers that wait for saves.

use std::collections::{BTreeSet, VecDeque};

use super::consumer::{HeartbeatAnswer, Refusal};
use super::machine::{GroupError, JoinRefused, Joined, LeftMember, Note, SaveId, Synced, Ticket};
use super::records::Change;

/// What the task of a group must do, in the order given.
#[derive(Debug)]
pub(super) enum Output {
    Respond(Ticket, Answer),
    /// As [`Effect::Save`](super::machine::Effect::Save).
    Save(SaveId, Change),
    Note(Note),
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    Leave(Result<Vec<LeftMember>, GroupError>),
    /// Of the consumer and of the share protocol.
    MemberHeartbeat(Result<HeartbeatAnswer, Refusal>),
}

impl Answer {
    /// The answer to the same request if `error` keeps it from being given.
    fn refused(self, error: GroupError) -> Self {
        match self {
            Answer::Join(answer) => {
                let member_id = match answer {
                    Ok(joined) => joined.member_id,
                    Err(refused) => refused.member_id,
                };
                Answer::Join(Err(JoinRefused { error, member_id }))
            }
            Answer::Sync(_) => Answer::Sync(Err(error)),
            Answer::Heartbeat(_) => Answer::Heartbeat(Err(error)),
            Answer::Leave(_) => Answer::Leave(Err(error)),
            Answer::MemberHeartbeat(_) => Answer::MemberHeartbeat(Err(error.into())),
        }
    }
}

/// Holds answers back until every save that was asked for before them is durable: an answer shows
/// what the machine knows, and nobody may learn what is not durable.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    under_way: BTreeSet<SaveId>,
    /// With the last save that each waits for.
    held: VecDeque<(SaveId, Ticket, Answer)>,
}

impl Outbox {
    /// Whether no save is under way.
    pub(super) fn is_clear(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Keeps the answers that must wait; gives the rest.
    pub(super) fn admit(&mut self, outputs: Vec<Output>) -> Vec<Output> {
        let mut passed = Vec::with_capacity(outputs.len());
        for output in outputs {
            match (output, self.under_way.last()) {
                (Output::Respond(ticket, answer), Some(&last)) => {
                    self.held.push_back((last, ticket, answer));
                }
                (Output::Save(id, change), _) => {
                    self.under_way.insert(id);
                    passed.push(Output::Save(id, change));
                }
                (other, _) => passed.push(other),
            }
        }
        passed
    }

    /// The save is durable; gives the answers that waited for it.
    pub(super) fn saved(&mut self, id: SaveId) -> Vec<Output> {
        self.under_way.remove(&id);
        let first = self.under_way.first().copied();
        let ready = |waits_for: SaveId| first.is_none_or(|first| waits_for < first);
        let count = self.held.iter().take_while(|(id, ..)| ready(*id)).count();
        let held = self.held.drain(..count);
        held.map(|(_, ticket, answer)| Output::Respond(ticket, answer))
            .collect()
    }

    /// A save has failed: nobody learns what was to be durable with it or after it.
    pub(super) fn failed(&mut self, error: GroupError) -> Vec<Output> {
        self.under_way.clear();
        let held = self.held.drain(..);
        held.map(|(_, ticket, answer)| Output::Respond(ticket, answer.refused(error)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(ticket: u64) -> Output {
        Output::Respond(Ticket(ticket), Answer::Heartbeat(Ok(())))
    }

    fn save(id: u64) -> Output {
        Output::Save(SaveId(id), Change::default())
    }

    fn shown(outputs: &[Output]) -> String {
        let word = |output: &Output| match output {
            Output::Respond(ticket, Answer::Heartbeat(Ok(()))) => format!("r{}", ticket.0),
            Output::Respond(ticket, _) => format!("e{}", ticket.0),
            Output::Save(id, _) => format!("s{}", id.0),
            Output::Note(_) => "n".to_owned(),
        };
        outputs.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn answers_wait_for_the_saves_before_them() {
        let mut outbox = Outbox::default();
        let outputs = vec![respond(1), save(1), respond(2), save(2), respond(3)];
        assert_eq!(shown(&outbox.admit(outputs)), "r1 s1 s2");
        // Out of order they come, in order they are applied: the second waits for the first.
        assert_eq!(shown(&outbox.saved(SaveId(2))), "");
        assert_eq!(shown(&outbox.saved(SaveId(1))), "r2 r3");
        assert!(outbox.is_clear());
        assert_eq!(shown(&outbox.admit(vec![respond(4)])), "r4");
    }

    #[test]
    fn nobody_learns_what_was_not_saved() {
        let mut outbox = Outbox::default();
        outbox.admit(vec![save(1), respond(1), save(2), respond(2)]);
        assert_eq!(shown(&outbox.saved(SaveId(1))), "r1");
        let failed = outbox.failed(GroupError::NotCoordinator);
        assert_eq!(shown(&failed), "e2");
        assert!(outbox.is_clear());
    }
}
