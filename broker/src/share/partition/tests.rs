//! The rules of KIP-932 case by case; random sequences of events are in [`random`].

use std::time::Duration;

use super::*;

mod random;

const LOCK: Duration = Duration::from_secs(30);

fn limits() -> Limits {
    Limits {
        records_max: 200,
        deliveries_max: 3,
        lock: LOCK,
        turn: Duration::from_secs(5),
    }
}

fn batch(first: i64, last: i64) -> ReadBatch {
    ReadBatch {
        first,
        last,
        is_shown: true,
    }
}

fn range(first: i64, last: i64, deliveries: u16) -> Acquired {
    Acquired {
        first,
        last,
        deliveries,
    }
}

fn available(first: i64, last: i64, deliveries: u16) -> SavedRun {
    SavedRun {
        first,
        last,
        state: SavedState::Available,
        deliveries,
    }
}

fn saved(first: i64, last: i64, state: SavedState, deliveries: u16) -> SavedRun {
    SavedRun {
        first,
        last,
        state,
        deliveries,
    }
}

/// A share-partition at a time.
struct Table {
    machine: SharePartition,
    now: Duration,
    tickets: u64,
    saves: Vec<(SaveId, Save)>,
    ready: usize,
}

impl Table {
    fn new() -> Self {
        Self::of(SharePartition::restore(limits(), 0, &[]))
    }

    fn of(machine: SharePartition) -> Self {
        Self {
            machine,
            now: Duration::from_secs(1),
            tickets: 0,
            saves: vec![],
            ready: 0,
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = self.machine.step(self.now, event);
        self.ready += effects.iter().filter(|e| **e == Effect::Ready).count();
        effects.retain(|effect| match effect {
            Effect::Save(id, save) => {
                self.saves.push((*id, save.clone()));
                false
            }
            Effect::Ready => false,
            _ => true,
        });
        effects
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn turn(&mut self, visible_end: i64) -> Option<FetchTurn> {
        let ticket = self.ticket();
        let effects = self.step(Event::Fetch {
            ticket,
            visible_end,
        });
        match effects[..] {
            [Effect::Turn(t, turn)] if t == ticket => turn,
            _ => panic!("{effects:?}"),
        }
    }

    fn acquire_in(
        &mut self,
        turn: FetchTurn,
        member: &str,
        batches: &[ReadBatch],
        records_max: u32,
    ) -> Vec<Acquired> {
        let ticket = self.ticket();
        let request = AcquireRequest {
            turn: turn.turn,
            member: member.to_owned(),
            offset: turn.offset,
            batches: batches.to_vec(),
            records_max,
            batch_size: 100,
        };
        let effects = self.step(Event::Acquire(ticket, request));
        match &effects[..] {
            [Effect::Acquired(t, ranges)] if *t == ticket => ranges.clone(),
            _ => panic!("{effects:?}"),
        }
    }

    /// Reads batches of ten records to `end` and acquires what it may.
    fn acquire(&mut self, member: &str, end: i64, records_max: u32) -> Vec<Acquired> {
        let Some(turn) = self.turn(end) else {
            return vec![];
        };
        let batches: Vec<ReadBatch> = (turn.offset / 10..end / 10)
            .map(|i| batch((i * 10).max(turn.offset), i * 10 + 9))
            .collect();
        self.acquire_in(turn, member, &batches, records_max)
    }

    fn say(&mut self, member: &str, said: &[(i64, i64, Acknowledgement)]) -> Vec<Effect> {
        let ticket = self.ticket();
        self.step(Event::Acknowledge(ticket, member.to_owned(), said.to_vec()))
    }

    /// Acknowledges, has it saved, and gives the answer.
    fn acknowledge(
        &mut self,
        member: &str,
        said: &[(i64, i64, Acknowledgement)],
    ) -> Result<(), RecordsError> {
        let mut effects = self.say(member, said);
        effects.extend(self.settle());
        match effects[..] {
            [Effect::Acknowledged(_, answer)] => answer,
            _ => panic!("{effects:?}"),
        }
    }

    fn settle(&mut self) -> Vec<Effect> {
        let mut effects = vec![];
        while let Some((id, _)) = self.saves.last() {
            let id = *id;
            let known = self.saves.len();
            effects.extend(self.step(Event::Saved(id)));
            if self.saves.len() == known {
                break;
            }
        }
        effects
    }

    fn last_save(&self) -> &Save {
        &self.saves.last().unwrap().1
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let effects = self.step(Event::Tick);
        assert_eq!(effects, []);
    }
}

use Acknowledgement::{Accept, Gap, Reject, Release};

#[test]
fn members_are_given_different_records() {
    let mut t = Table::new();
    assert_eq!(t.acquire("a", 100, 10), [range(0, 9, 1)]);
    assert_eq!(t.acquire("b", 100, 15), [range(10, 29, 1)]);
    assert_eq!(t.acquire("a", 100, 500), [range(30, 99, 1)]);
    assert_eq!(t.acquire("b", 100, 500), []);
}

#[test]
fn a_batch_that_was_begun_is_given_whole_and_ranges_end_with_batches() {
    let mut t = Table::new();
    let turn = t.turn(1_000).unwrap();
    let read = [batch(0, 59), batch(60, 119), batch(120, 129)];
    assert_eq!(
        t.acquire_in(turn, "a", &read, 130),
        [range(0, 119, 1), range(120, 129, 1)]
    );
}

#[test]
fn one_reads_at_a_time_and_who_takes_too_long_loses_its_turn() {
    let mut t = Table::new();
    let first = t.turn(100).unwrap();
    assert_eq!(t.turn(100), None);
    t.pass(Duration::from_secs(5));
    assert_eq!(t.ready, 1);
    let second = t.turn(100).unwrap();
    assert_eq!(
        t.acquire_in(second, "b", &[batch(0, 9)], 100),
        [range(0, 9, 1)]
    );
    let late = t.acquire_in(first, "a", &[batch(0, 9), batch(10, 19)], 100);
    assert_eq!(late, [range(10, 19, 1)]);
}

#[test]
fn an_acknowledgement_is_answered_when_it_is_saved() {
    let mut t = Table::new();
    t.acquire("a", 20, 100);
    assert_eq!(t.say("a", &[(0, 9, Accept)]), []);
    assert_eq!(t.last_save().start, 10);
    assert_eq!(t.say("a", &[(10, 19, Accept)]), []);
    assert_eq!(t.saves.len(), 1);
    let id = t.saves[0].0;
    let effects = t.step(Event::Saved(id));
    assert!(matches!(effects[..], [Effect::Acknowledged(_, Ok(()))]));
    assert_eq!(t.saves.len(), 2);
    assert_eq!(t.last_save().start, 20);
    let effects = t.settle();
    assert!(matches!(effects[..], [Effect::Acknowledged(_, Ok(()))]));
}

#[test]
fn the_start_offset_moves_past_what_is_done_with() {
    let mut t = Table::new();
    t.acquire("a", 30, 100);
    assert_eq!(t.acknowledge("a", &[(10, 14, Accept)]), Ok(()));
    assert_eq!(t.machine.start_offset(), 0);
    assert_eq!(
        t.last_save().runs,
        [saved(10, 14, SavedState::Acknowledged, 1)]
    );
    assert_eq!(
        t.acknowledge("a", &[(0, 4, Accept), (5, 9, Reject)]),
        Ok(())
    );
    assert_eq!(t.machine.start_offset(), 15);
    assert_eq!(t.last_save().runs, []);
    assert_eq!(
        t.acknowledge("a", &[(15, 28, Gap), (29, 29, Accept)]),
        Ok(())
    );
    assert_eq!(t.machine.start_offset(), 30);
}

#[test]
fn released_records_are_given_again_until_the_limit() {
    let mut t = Table::new();
    t.acquire("a", 10, 100);
    assert_eq!(t.acknowledge("a", &[(3, 5, Release)]), Ok(()));
    assert_eq!(t.last_save().runs, [available(3, 5, 1)]);
    assert_eq!(t.acquire("b", 10, 100), [range(3, 5, 2)]);
    assert_eq!(t.acknowledge("b", &[(3, 5, Release)]), Ok(()));
    assert_eq!(t.acquire("b", 10, 100), [range(3, 5, 3)]);
    assert_eq!(t.acknowledge("b", &[(3, 5, Release)]), Ok(()));
    assert_eq!(t.last_save().runs, [saved(3, 5, SavedState::Archived, 3)]);
    assert_eq!(t.acquire("b", 10, 100), []);
    assert_eq!(
        t.acknowledge("a", &[(0, 2, Accept), (6, 9, Accept)]),
        Ok(())
    );
    assert_eq!(t.machine.start_offset(), 10);
}

#[test]
fn a_lock_that_times_out_counts_as_a_delivery() {
    let mut t = Table::new();
    t.acquire("a", 10, 100);
    assert_eq!(t.machine.next_deadline(), Some(t.now + LOCK));
    t.pass(LOCK - Duration::from_millis(1));
    assert_eq!(t.acquire("b", 10, 100), []);
    t.pass(Duration::from_millis(1));
    assert_eq!(t.last_save().runs, [available(0, 9, 1)]);
    assert_eq!(t.ready, 2);
    t.settle();
    let refused = Err(RecordsError::InvalidRecordState);
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), refused);
    assert_eq!(t.acquire("b", 10, 100), [range(0, 9, 2)]);
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), refused);
    assert_eq!(t.acknowledge("b", &[(0, 9, Accept)]), Ok(()));
}

#[test]
fn what_a_member_that_is_gone_has_not_seen_does_not_count() {
    let mut t = Table::new();
    t.acquire("a", 10, 100);
    t.acquire("b", 20, 100);
    assert_eq!(t.step(Event::Release("a".to_owned())), []);
    assert_eq!(t.saves.len(), 0);
    assert_eq!(t.acquire("c", 20, 100), [range(0, 9, 1)]);
    let refused = Err(RecordsError::InvalidRecordState);
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), refused);
}

#[test]
fn an_acknowledgement_is_taken_whole_or_not_at_all() {
    let mut t = Table::new();
    t.acquire("a", 10, 100);
    t.acquire("b", 20, 100);
    let refused = Err(RecordsError::InvalidRecordState);
    assert_eq!(
        t.acknowledge("a", &[(0, 4, Accept), (8, 12, Accept)]),
        refused
    );
    assert_eq!(
        t.acknowledge("a", &[(0, 4, Accept), (3, 5, Accept)]),
        refused
    );
    assert_eq!(t.acknowledge("a", &[(4, 0, Accept)]), refused);
    assert_eq!(
        t.acknowledge("a", &[(0, 25, Accept)]),
        Err(RecordsError::NotGivenOut)
    );
    assert_eq!(t.saves.len(), 0);
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), Ok(()));
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), Ok(()));
}

#[test]
fn no_more_records_are_in_flight_than_may_be() {
    let mut t = Table::new();
    let turn = t.turn(1_000).unwrap();
    let given = t.acquire_in(turn, "a", &[batch(0, 149), batch(150, 499)], 500);
    assert_eq!(given, [range(0, 149, 1), range(150, 199, 1)]);
    assert_eq!(t.turn(1_000), None);
    let ready = t.ready;
    assert_eq!(t.acknowledge("a", &[(10, 19, Accept)]), Ok(()));
    assert_eq!(t.turn(1_000), None);
    assert_eq!(t.acknowledge("a", &[(0, 9, Accept)]), Ok(()));
    assert!(t.ready > ready);
    assert_eq!(t.turn(1_000).map(|t| t.offset), Some(200));
}

#[test]
fn what_the_log_does_not_have_any_more_is_passed_over() {
    let mut t = Table::new();
    t.acquire("a", 20, 100);
    t.step(Event::LogStart(15));
    assert_eq!(t.machine.start_offset(), 15);
    assert_eq!(t.last_save().start, 15);
    t.settle();
    assert_eq!(t.acknowledge("a", &[(0, 14, Accept)]), Ok(()));
    assert_eq!(t.acknowledge("a", &[(10, 19, Accept)]), Ok(()));
    t.step(Event::LogStart(1_000));
    assert_eq!(t.turn(1_000), None);
    assert_eq!(t.turn(1_001).map(|t| t.offset), Some(1_000));
    t.step(Event::LogStart(3));
    assert_eq!(t.machine.start_offset(), 1_000);
}

#[test]
fn control_batches_and_gaps_are_archived() {
    let mut t = Table::new();
    let turn = t.turn(1_000).unwrap();
    let control = ReadBatch {
        is_shown: false,
        ..batch(5, 9)
    };
    let read = [batch(0, 4), control, batch(20, 29)];
    assert_eq!(
        t.acquire_in(turn, "a", &read, 100),
        [range(0, 4, 1), range(20, 29, 1)]
    );
    assert_eq!(t.last_save().runs, [saved(5, 19, SavedState::Archived, 0)]);
    t.settle();
    assert_eq!(t.acknowledge("a", &[(0, 4, Accept)]), Ok(()));
    assert_eq!(t.machine.start_offset(), 20);
    assert_eq!(t.acknowledge("a", &[(20, 29, Accept)]), Ok(()));
    // A gap of any length is passed at once if nothing is in flight.
    let turn = t.turn(2_000_000).unwrap();
    let given = t.acquire_in(turn, "a", &[batch(1_000_000, 1_000_009)], 100);
    assert_eq!(given, [range(1_000_000, 1_000_009, 1)]);
    assert_eq!(t.machine.start_offset(), 1_000_000);
}

#[test]
fn a_takeover_finds_what_was_saved_and_what_was_held_is_available() {
    let runs = [
        available(12, 14, 2),
        saved(15, 19, SavedState::Acknowledged, 1),
        available(25, 29, 1),
    ];
    let mut t = Table::of(SharePartition::restore(limits(), 10, &runs));
    assert_eq!((t.machine.start_offset(), t.machine.end_offset()), (10, 30));
    let turn = t.turn(40).unwrap();
    assert_eq!(turn.offset, 10);
    assert_eq!(
        t.acquire_in(turn, "a", &[batch(10, 39)], 100),
        [
            range(10, 11, 1),
            range(12, 14, 3),
            range(20, 24, 1),
            range(25, 29, 2),
            range(30, 39, 1)
        ]
    );
    let done = [saved(0, 9, SavedState::Archived, 1)];
    let restored = SharePartition::restore(limits(), 0, &done);
    assert_eq!(restored.start_offset(), 10);
}

#[test]
fn a_save_holds_the_delivery_count_from_before_an_acquisition() {
    let mut t = Table::new();
    t.acquire("a", 10, 100);
    t.say("a", &[(0, 0, Accept)]);
    // While that is saved the rest is released and given out again.
    t.say("a", &[(1, 9, Release)]);
    assert_eq!(t.acquire("b", 10, 100), [range(1, 9, 2)]);
    t.settle();
    assert_eq!(t.last_save().runs, [available(1, 9, 1)]);
}
