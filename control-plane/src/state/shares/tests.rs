use object_format::TopicId;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::state::{AcquireGroup, CreateTopic, DeleteGroup, DeleteTopic, RegisterAgent};

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));

fn tp(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC,
        partition,
    }
}

/// A state with a topic of two partitions and two agents, the second of which coordinates group `g`.
fn cluster() -> (State, AgentEpoch, AgentEpoch) {
    let mut state = State::new();
    let agents = [1, 2].map(|i: u128| {
        let register = RegisterAgent {
            version_max: 1,
            ..RegisterAgent::new(Uuid::from_u128(i), format!("agent-{i}"))
        };
        let by = context(AgentEpoch::default());
        register.apply(&mut state, by, &mut vec![]).unwrap().epoch
    });
    let create = CreateTopic {
        name: "t".into(),
        id: TOPIC,
        partitions: 2,
        configs: BTreeMap::new(),
    };
    let by = context(agents[0]);
    create.apply(&mut state, by, &mut vec![]).unwrap();
    let group = AcquireGroup { group: "g".into() };
    group.apply(&mut state, context(agents[1]), &mut vec![]);
    (state, agents[0], agents[1])
}

fn context(writer: AgentEpoch) -> Context {
    Context {
        writer,
        now_ms: 1_000,
    }
}

fn acquire(state: &mut State, by: AgentEpoch) -> Result<ShareLease, ShareRejection> {
    let acquire = AcquireShare {
        group: "g".into(),
        partition: tp(0),
    };
    acquire.apply(state, context(by), &mut vec![])
}

fn save(
    state: &mut State,
    by: AgentEpoch,
    epoch: u64,
    start: i64,
    runs: &[ShareRun],
) -> Result<(), ShareRejection> {
    let save = SaveShare {
        group: "g".into(),
        partition: tp(0),
        epoch,
        start,
        runs: runs.to_vec(),
    };
    save.apply(state, context(by), &mut vec![])
}

fn run(first: i64, last: i64, state: ShareState, deliveries: u16) -> ShareRun {
    ShareRun {
        first,
        last,
        state,
        deliveries,
    }
}

fn runs(state: &State) -> Vec<ShareRun> {
    state
        .share("g", tp(0))
        .unwrap()
        .runs
        .values()
        .copied()
        .collect()
}

fn expire(state: &mut State, agent: AgentEpoch) {
    let entry_last_seen = state.agent(agent).unwrap().entry_last;
    let expire = crate::state::ExpireAgent {
        agent,
        entry_last_seen,
    };
    assert!(expire.apply(state, context(AgentEpoch(99)), &mut vec![]));
}

#[test]
fn one_agent_leads_until_it_is_gone_and_only_it_can_save() {
    let (mut state, a, b) = cluster();
    let lease = acquire(&mut state, a).unwrap();
    assert_eq!(lease.leader, a);
    assert_eq!(acquire(&mut state, b), Ok(lease));
    let refused = Err(ShareRejection::NotLeader);
    assert_eq!(save(&mut state, b, lease.epoch, 0, &[]), refused);
    assert_eq!(save(&mut state, a, lease.epoch, 5, &[]), Ok(()));
    assert_eq!(state.share_leader("g", tp(0)), Some(lease));
    expire(&mut state, a);
    assert_eq!(state.share_leader("g", tp(0)), None);
    let next = acquire(&mut state, b).unwrap();
    assert_eq!((next.leader, next.epoch), (b, lease.epoch + 1));
    assert_eq!(save(&mut state, a, lease.epoch, 9, &[]), refused);
    assert_eq!(state.share("g", tp(0)).unwrap().start, Some(5));
}

#[test]
fn a_lease_that_was_given_up_is_anothers_and_its_epoch_is_old() {
    let (mut state, a, b) = cluster();
    let epoch = acquire(&mut state, a).unwrap().epoch;
    let release = ReleaseShare {
        group: "g".into(),
        partition: tp(0),
        epoch,
    };
    assert!(!release.clone().apply(&mut state, context(b), &mut vec![]));
    assert!(release.apply(&mut state, context(a), &mut vec![]));
    let refused = Err(ShareRejection::NotLeader);
    assert_eq!(save(&mut state, a, epoch, 0, &[]), refused);
    assert_eq!(acquire(&mut state, b).unwrap().epoch, epoch + 1);
}

#[test]
fn saves_are_laid_over_what_there_is() {
    use ShareState::{Acknowledged, Archived, Available};
    let (mut state, a, _) = cluster();
    let epoch = acquire(&mut state, a).unwrap().epoch;
    let mut put = |start, changes: &[ShareRun]| {
        save(&mut state, a, epoch, start, changes).unwrap();
        runs(&state)
    };
    let whole = run(10, 29, Available, 1);
    assert_eq!(put(10, &[whole]), [whole]);
    let taken = [run(15, 19, Acknowledged, 2), run(20, 20, Archived, 2)];
    let parts = [
        run(10, 14, Available, 1),
        taken[0],
        taken[1],
        run(21, 29, Available, 1),
    ];
    assert_eq!(put(10, &taken), parts);
    // Runs that touch and are alike are one.
    assert_eq!(
        put(10, &[run(10, 14, Acknowledged, 2)])[0],
        run(10, 19, Acknowledged, 2)
    );
    assert_eq!(put(12, &[])[0], run(12, 19, Acknowledged, 2));
    // A record that was never given out needs no room, and the start offset does not go back.
    assert_eq!(put(3, &[run(12, 29, Available, 0)]), []);
    assert_eq!(state.share("g", tp(0)).unwrap().start, Some(12));
}

#[test]
fn what_makes_no_sense_or_is_too_much_is_refused() {
    let (mut state, a, _) = cluster();
    let epoch = acquire(&mut state, a).unwrap().epoch;
    let refused = Err(ShareRejection::BadRuns);
    let bad = |first, last| run(first, last, ShareState::Archived, 1);
    assert_eq!(save(&mut state, a, epoch, 0, &[bad(5, 4)]), refused);
    assert_eq!(save(&mut state, a, epoch, 0, &[bad(-1, 4)]), refused);
    assert_eq!(save(&mut state, a, epoch, 0, &[bad(0, i64::MAX)]), refused);
    assert_eq!(save(&mut state, a, epoch, -1, &[]), refused);
    let many: Vec<ShareRun> = (0..=SHARE_RUNS_MAX as i64)
        .map(|i| bad(2 * i, 2 * i))
        .collect();
    assert_eq!(save(&mut state, a, epoch, 0, &many), refused);
    let unknown = AcquireShare {
        group: "g".into(),
        partition: tp(9),
    };
    let outcome = unknown.apply(&mut state, context(a), &mut vec![]);
    assert_eq!(outcome, Err(ShareRejection::UnknownPartition));
}

#[test]
fn who_coordinates_the_group_sets_the_start_offset_and_the_leader_is_fenced() {
    let (mut state, a, b) = cluster();
    let group_epoch = AcquireGroup { group: "g".into() }
        .apply(&mut state, context(b), &mut vec![])
        .epoch;
    let epoch = acquire(&mut state, a).unwrap().epoch;
    let archived = run(0, 4, ShareState::Archived, 1);
    save(&mut state, a, epoch, 0, &[archived]).unwrap();
    let mut reset = |by, start| {
        let reset = ResetShare {
            group: "g".into(),
            group_epoch,
            partition: tp(0),
            start,
        };
        let outcome = reset.apply(&mut state, context(by), &mut vec![]);
        (outcome, state.share("g", tp(0)).cloned())
    };
    assert_eq!(reset(a, Some(0)).0, Err(ShareRejection::NotCoordinator));
    assert_eq!(reset(b, Some(-1)).0, Err(ShareRejection::BadRuns));
    let (outcome, share) = reset(b, Some(3));
    assert_eq!(outcome, Ok(()));
    let share = share.unwrap();
    assert_eq!(
        (share.start, share.state_epoch, share.runs.len()),
        (Some(3), 1, 0)
    );
    assert_eq!(reset(b, None), (Ok(()), None));
    let refused = Err(ShareRejection::NotLeader);
    assert_eq!(save(&mut state, a, epoch, 0, &[]), refused);
}

#[test]
fn share_partitions_go_with_their_group_and_their_topic() {
    let (mut state, a, b) = cluster();
    acquire(&mut state, a).unwrap();
    let coordinate = |state: &mut State| {
        let acquire = AcquireGroup { group: "g".into() };
        acquire.apply(state, context(b), &mut vec![]).epoch
    };
    let delete = DeleteGroup {
        group: "g".into(),
        epoch: coordinate(&mut state),
    };
    delete.apply(&mut state, context(b), &mut vec![]).unwrap();
    assert_eq!(state.shares_of("g").count(), 0);
    // Nor do they come again before the group does.
    assert_eq!(acquire(&mut state, a), Err(ShareRejection::UnknownGroup));
    assert_eq!(state.shares_of("g").count(), 0);
    coordinate(&mut state);
    acquire(&mut state, a).unwrap();
    assert_eq!(state.shares_of("g").count(), 1);
    let delete = DeleteTopic {
        id: TOPIC,
        window_ms: 0,
    };
    delete.apply(&mut state, context(a), &mut vec![]).unwrap();
    assert!(state.shares.is_empty());
}

fn saved_run() -> impl Strategy<Value = ShareRun> {
    let state = prop_oneof![
        Just(ShareState::Available),
        Just(ShareState::Acknowledged),
        Just(ShareState::Archived)
    ];
    (0..60i64, 0..20i64, state, 0..3u16)
        .prop_map(|(first, len, state, deliveries)| run(first, first + len, state, deliveries))
}

proptest! {
    /// Runs are disjoint, from the start offset on, and say of each record what was saved of it last.
    #[test]
    fn saves_say_what_was_said_last(
        saves in prop::collection::vec((0..30i64, prop::collection::vec(saved_run(), 0..4)), 1..20)
    ) {
        let (mut state, a, _) = cluster();
        let epoch = acquire(&mut state, a).unwrap().epoch;
        let mut model: BTreeMap<i64, (ShareState, u16)> = BTreeMap::new();
        let mut model_start = 0;
        for (start, changes) in saves {
            save(&mut state, a, epoch, start, &changes).unwrap();
            model_start = model_start.max(start);
            for change in changes {
                for offset in change.first..=change.last {
                    model.insert(offset, (change.state, change.deliveries));
                }
            }
            model = model.split_off(&model_start);
            let mut said = BTreeMap::new();
            let mut next = model_start;
            for run in runs(&state) {
                prop_assert!(run.first >= next);
                next = run.last + 1;
                for offset in run.first..=run.last {
                    said.insert(offset, (run.state, run.deliveries));
                }
            }
            model.retain(|_, said| *said != (ShareState::Available, 0));
            prop_assert_eq!(&said, &model);
        }
    }
}
