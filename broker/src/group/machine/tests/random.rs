//! Random sequences of events, and what must hold after each of them.
//!
//! The driver stands for clients that may do anything: use ids of others, of the past, of nobody;
//! repeat themselves; stay silent. It also stands for the log, which may answer late, out of order
//! or not as hoped, and for a takeover by another agent.

mod driver;

use driver::Driver;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Join {
        who: usize,
        how: How,
        protocols: usize,
    },
    Sync {
        who: usize,
        behind: i32,
        with_instance: bool,
    },
    Heartbeat {
        who: usize,
        behind: i32,
    },
    Commit {
        who: usize,
        behind: i32,
        transactional: bool,
    },
    Leave {
        who: Vec<usize>,
        by_instance: bool,
    },
    Report {
        which: usize,
        failure: Option<SaveFailure>,
    },
    Pass {
        ms: u64,
    },
    Stabilize,
    TakeOver,
    Unload,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Known,
    KnownStatic,
    NewTold,
    New,
    NewStatic { instance: usize, skips: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        6 => Just(How::Known),
        1 => Just(How::KnownStatic),
        2 => Just(How::NewTold),
        2 => Just(How::New),
        2 => (0..3usize, any::<bool>())
            .prop_map(|(instance, skips)| How::NewStatic { instance, skips }),
    ];
    let failure = prop_oneof![
        20 => Just(None),
        4 => Just(Some(SaveFailure::Unknown)),
        2 => Just(Some(SaveFailure::TooLarge)),
        1 => Just(Some(SaveFailure::Fenced)),
    ];
    let behind = prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(-1)];
    prop_oneof![
        12 => (0..8usize, how, 0..4usize)
            .prop_map(|(who, how, protocols)| Op::Join { who, how, protocols }),
        12 => (0..8usize, behind.clone(), any::<bool>())
            .prop_map(|(who, behind, with_instance)| Op::Sync { who, behind, with_instance }),
        4 => (0..8usize, behind.clone()).prop_map(|(who, behind)| Op::Heartbeat { who, behind }),
        2 => (0..8usize, behind, any::<bool>())
            .prop_map(|(who, behind, transactional)| Op::Commit { who, behind, transactional }),
        3 => (prop::collection::vec(0..8usize, 1..3), any::<bool>())
            .prop_map(|(who, by_instance)| Op::Leave { who, by_instance }),
        10 => (0..4usize, failure).prop_map(|(which, failure)| Op::Report { which, failure }),
        8 => prop_oneof![0..4_000u64, 0..70_000u64].prop_map(|ms| Op::Pass { ms }),
        3 => Just(Op::Stabilize),
        1 => Just(Op::TakeOver),
        1 => Just(Op::Unload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(ops in prop::collection::vec(op(), 1..120)) {
        let mut driver = Driver::new();
        for op in ops {
            driver.run(op);
        }
        driver.settle();
    }
}
