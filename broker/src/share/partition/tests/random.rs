//! Random sequences of events, and what must hold after each of them.
//!
//! The driver stands for members that may do anything, for a log that grows and is trimmed, for saves
//! that take their time, and for takeovers that find only what was saved.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Append(i64),
    Fetch {
        who: usize,
        records_max: u32,
    },
    Read {
        which: usize,
    },
    Acknowledge {
        who: usize,
        skip: usize,
        take: usize,
        what: Acknowledgement,
    },
    Stray {
        who: usize,
        first: i64,
        len: i64,
    },
    Leave(usize),
    Pass(u64),
    Trim(i64),
    Saved,
    TakeOver,
}

fn op() -> impl Strategy<Value = Op> {
    let what =
        prop_oneof![3 => Just(Accept), 3 => Just(Release), 1 => Just(Reject), 1 => Just(Gap)];
    prop_oneof![
        4 => (1..30i64).prop_map(Op::Append),
        8 => (0..3usize, 1..40u32).prop_map(|(who, records_max)| Op::Fetch { who, records_max }),
        6 => (0..3usize).prop_map(|which| Op::Read { which }),
        10 => (0..3usize, 0..20usize, 1..20usize, what)
            .prop_map(|(who, skip, take, what)| Op::Acknowledge { who, skip, take, what }),
        2 => (0..3usize, 0..150i64, 1..20i64)
            .prop_map(|(who, first, len)| Op::Stray { who, first, len }),
        1 => (0..3usize).prop_map(Op::Leave),
        3 => (0..20_000u64).prop_map(Op::Pass),
        1 => (1..20i64).prop_map(Op::Trim),
        8 => Just(Op::Saved),
        1 => Just(Op::TakeOver),
    ]
}

const MEMBERS: [&str; 3] = ["a", "b", "c"];

struct Held {
    member: &'static str,
    until: Duration,
}

struct Driver {
    table: Table,
    log_start: i64,
    log_end: i64,
    /// What members hold as they know it.
    held: BTreeMap<i64, Held>,
    /// What was acknowledged for good, and the answer came.
    done: BTreeSet<i64>,
    /// How often each record was given out.
    deliveries: BTreeMap<i64, u32>,
    /// Acknowledged for good, not answered yet.
    waiting: BTreeMap<Ticket, Vec<i64>>,
    turns: Vec<(&'static str, FetchTurn, u32)>,
    durable: (i64, BTreeMap<i64, SavedRun>),
    saves_applied: usize,
}

impl Driver {
    fn new() -> Self {
        let mut limits = limits();
        limits.records_max = 50;
        let machine = SharePartition::restore(limits, 0, &[]);
        Self {
            table: Table::of(machine),
            log_start: 0,
            log_end: 0,
            held: BTreeMap::new(),
            done: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: vec![],
            durable: (0, BTreeMap::new()),
            saves_applied: 0,
        }
    }

    fn run(&mut self, op: Op) {
        let start = self.table.machine.start_offset();
        match op {
            Op::Append(records) => self.log_end += records,
            Op::Fetch { who, records_max } => {
                if let Some(turn) = self.table.turn(self.log_end) {
                    assert!(turn.offset < self.log_end);
                    self.turns.push((MEMBERS[who], turn, records_max));
                }
            }
            Op::Read { which } => {
                if !self.turns.is_empty() {
                    let turn = self.turns.remove(which % self.turns.len());
                    self.read(turn);
                }
            }
            Op::Acknowledge {
                who,
                skip,
                take,
                what,
            } => self.acknowledge(who, skip, take, what),
            Op::Stray { who, first, len } => {
                let said = [(first, first + len - 1, Release)];
                let knows = (first..first + len).all(|o| o < start || self.holds(o, MEMBERS[who]));
                let effects = self.table.say(MEMBERS[who], &said);
                let refused = effects
                    .iter()
                    .any(|e| matches!(e, Effect::Acknowledged(_, Err(_))));
                assert_eq!(refused, !knows, "{effects:?}");
                if knows {
                    self.held.retain(|o, _| !(first..first + len).contains(o));
                }
                self.take(effects);
            }
            Op::Leave(who) => {
                self.table.step(Event::Release(MEMBERS[who].to_owned()));
                self.held.retain(|_, held| held.member != MEMBERS[who]);
            }
            Op::Pass(ms) => {
                self.table.now += Duration::from_millis(ms);
                let effects = self.table.step(Event::Tick);
                self.take(effects);
            }
            Op::Trim(records) => {
                self.log_start = (self.log_start + records).min(self.log_end);
                let effects = self.table.step(Event::LogStart(self.log_start));
                self.take(effects);
            }
            Op::Saved => self.saved(),
            Op::TakeOver => return self.take_over(),
        }
        assert!(self.table.machine.start_offset() >= start);
        assert!(self.table.machine.start_offset() >= self.log_start);
        let in_flight = self.table.machine.end_offset() - self.table.machine.start_offset();
        assert!(in_flight <= 50, "{in_flight} in flight");
        assert!(self.table.saves.len() <= self.saves_applied + 1);
    }

    fn holds(&self, offset: i64, member: &str) -> bool {
        let held = self.held.get(&offset);
        held.is_some_and(|h| h.member == member && h.until > self.table.now)
    }

    fn read(&mut self, (member, turn, records_max): (&'static str, FetchTurn, u32)) {
        let from = turn.offset.max(self.log_start);
        let batches: Vec<ReadBatch> = (from / 7..=self.log_end / 7)
            .map(|i| batch((i * 7).max(from), (i * 7 + 6).min(self.log_end - 1)))
            .filter(|b| b.first <= b.last)
            .collect();
        let given = self.table.acquire_in(turn, member, &batches, records_max);
        for range in given {
            for offset in range.first..=range.last {
                self.given(offset, member, range.deliveries);
            }
        }
    }

    fn given(&mut self, offset: i64, member: &'static str, deliveries: u16) {
        let now = self.table.now;
        assert!(!self.done.contains(&offset), "{offset} was acknowledged");
        assert!(self.log_start <= offset && offset < self.log_end);
        assert!(deliveries <= limits().deliveries_max);
        if let Some(held) = self.held.get(&offset) {
            assert!(held.until <= now, "{offset} is held by {}", held.member);
        }
        let until = now + LOCK;
        self.held.insert(offset, Held { member, until });
        *self.deliveries.entry(offset).or_default() += 1;
    }

    fn acknowledge(&mut self, who: usize, skip: usize, take: usize, what: Acknowledgement) {
        let now = self.table.now;
        let held = self.held.iter();
        let own = held.filter(|(_, h)| h.member == MEMBERS[who] && h.until > now);
        let offsets: Vec<i64> = own.map(|(&o, _)| o).skip(skip).take(take).collect();
        if offsets.is_empty() {
            return;
        }
        let said: Vec<_> = offsets.iter().map(|&o| (o, o, what)).collect();
        let effects = self.table.say(MEMBERS[who], &said);
        for offset in &offsets {
            self.held.remove(offset);
        }
        if what != Release {
            let ticket = Ticket(self.table.tickets);
            self.waiting.insert(ticket, offsets);
        }
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Acknowledged(ticket, Ok(())) => {
                    self.done
                        .extend(self.waiting.remove(&ticket).unwrap_or_default());
                }
                Effect::Acknowledged(ticket, Err(error)) => {
                    assert!(!self.waiting.contains_key(&ticket), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn saved(&mut self) {
        if self.saves_applied == self.table.saves.len() {
            return;
        }
        let (id, save) = self.table.saves[self.saves_applied].clone();
        self.saves_applied += 1;
        let (start, runs) = &mut self.durable;
        *start = save.start;
        for run in save.runs {
            for offset in run.first..=run.last {
                let one = SavedRun {
                    first: offset,
                    last: offset,
                    ..run
                };
                runs.insert(offset, one);
            }
        }
        *runs = runs.split_off(start);
        let effects = self.table.step(Event::Saved(id));
        self.take(effects);
    }

    /// Another agent leads: what was not saved is lost.
    fn take_over(&mut self) {
        let runs: Vec<SavedRun> = self.durable.1.values().copied().collect();
        let limits = self.table.machine.limits;
        self.table.machine = SharePartition::restore(limits, self.durable.0, &runs);
        self.table.saves.clear();
        self.saves_applied = 0;
        self.held.clear();
        self.waiting.clear();
        self.turns.clear();
        let effects = self.table.step(Event::LogStart(self.log_start));
        self.take(effects);
    }

    /// When everybody has gone, somebody new is given everything that nobody was done with.
    fn settle(&mut self) {
        while self.saves_applied < self.table.saves.len() {
            self.saved();
        }
        self.table.now += LOCK;
        let effects = self.table.step(Event::Tick);
        self.take(effects);
        let known = self.deliveries.clone();
        let mut got = BTreeSet::new();
        while let Some(turn) = self.table.turn(self.log_end) {
            let before = self.deliveries.clone();
            self.read((MEMBERS[0], turn, 1_000));
            let given = self
                .held
                .iter()
                .filter(|(o, _)| before.get(o) != self.deliveries.get(o));
            let given: Vec<i64> = given.map(|(&o, _)| o).collect();
            got.extend(given.iter().copied());
            let said: Vec<_> = given.iter().map(|&o| (o, o, Accept)).collect();
            let effects = self.table.say(MEMBERS[0], &said);
            self.held.retain(|o, _| !given.contains(o));
            self.take(effects);
            while self.saves_applied < self.table.saves.len() {
                self.saved();
            }
        }
        for offset in self.log_start..self.log_end {
            let often = known.get(&offset).copied().unwrap_or(0);
            let is_limited = often >= u32::from(limits().deliveries_max);
            let is_done = self.done.contains(&offset) || got.contains(&offset) || is_limited;
            assert!(is_done, "{offset} was lost, given {often} times");
        }
        assert_eq!(self.table.machine.start_offset(), self.log_end);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(ops in prop::collection::vec(op(), 1..150)) {
        let mut driver = Driver::new();
        for op in ops {
            driver.run(op);
        }
        driver.settle();
    }
}
