use object_format::TopicId;
use uuid::Uuid;

use super::super::read::Records;
use super::*;

const EVICTION: Duration = Duration::from_secs(120);

fn sessions(slots: usize) -> Sessions {
    let options = SessionOptions {
        slots,
        ..SessionOptions::default()
    };
    Sessions::new(options, Rng::from_seed(3))
}

fn id(n: u128) -> TopicRef {
    TopicRef::Id(TopicId(Uuid::from_u128(n)))
}

fn fetch(partition: i32, fetch_offset: i64) -> PartitionFetch {
    PartitionFetch {
        topic: id(1),
        partition,
        fetch_offset,
        bytes_max: 100,
        current_leader_epoch: -1,
    }
}

fn request(session_id: i32, epoch: i32, partitions: &[PartitionFetch]) -> SessionRequest {
    SessionRequest {
        session_id,
        epoch,
        uses_ids: true,
        partitions: partitions.to_vec(),
        forgotten: vec![],
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a partition with this high watermark and as many bytes of records answers.
fn outcome(fetch: &PartitionFetch, high_watermark: i64, bytes: u64) -> PartitionOutcome {
    PartitionOutcome {
        topic: fetch.topic.clone(),
        partition: fetch.partition,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start_offset: 0,
        records: Records {
            chunks: vec![],
            bytes,
        },
        ..PartitionOutcome::default()
    }
}

/// Runs a request whose partitions answer with their high watermark at 10 and nothing to read;
/// gives the session id and the partitions in the response.
fn run(
    sessions: &mut Sessions,
    now: Duration,
    request: SessionRequest,
) -> Result<(i32, Vec<i32>), FetchError> {
    run_with(sessions, now, request, |fetch| outcome(fetch, 10, 0))
}

fn run_with(
    sessions: &mut Sessions,
    now: Duration,
    request: SessionRequest,
    answer: impl Fn(&PartitionFetch) -> PartitionOutcome,
) -> Result<(i32, Vec<i32>), FetchError> {
    let begun = sessions.begin(now, request)?;
    let answers = begun.wanted.iter().map(answer).collect();
    let (id, told) = sessions.finish(now, begun, answers)?;
    Ok((id, told.iter().map(|outcome| outcome.partition).collect()))
}

fn begin(sessions: &mut Sessions, now: Duration, partitions: i32) -> i32 {
    let wanted: Vec<_> = (0..partitions).map(|p| fetch(p, 0)).collect();
    let (id, told) = run(sessions, now, request(0, INITIAL_EPOCH, &wanted)).unwrap();
    assert_eq!(
        told,
        (0..partitions).collect::<Vec<_>>(),
        "a full response has all partitions"
    );
    id
}

#[test]
fn a_request_without_a_session_gets_none() {
    let mut sessions = sessions(10);
    let got = run(
        &mut sessions,
        at(0),
        request(0, FINAL_EPOCH, &[fetch(0, 0), fetch(1, 0)]),
    );
    assert_eq!(got, Ok((NO_SESSION, vec![0, 1])));
    assert_eq!(sessions.count(), 0);
}

#[test]
fn a_session_tells_only_news() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 3);
    assert!(id > 0);
    assert_eq!(
        run(&mut sessions, at(0), request(id, 1, &[])),
        Ok((id, vec![]))
    );
    let grown = |fetch: &PartitionFetch| outcome(fetch, 10 + i64::from(fetch.partition == 1), 0);
    assert_eq!(
        run_with(&mut sessions, at(0), request(id, 2, &[]), grown),
        Ok((id, vec![1]))
    );
    assert_eq!(
        run_with(&mut sessions, at(0), request(id, 3, &[]), grown),
        Ok((id, vec![]))
    );
    let started = |fetch: &PartitionFetch| PartitionOutcome {
        log_start_offset: i64::from(fetch.partition == 2),
        ..grown(fetch)
    };
    assert_eq!(
        run_with(&mut sessions, at(0), request(id, 4, &[]), started),
        Ok((id, vec![2]))
    );
    let decided = |fetch: &PartitionFetch| PartitionOutcome {
        last_stable_offset: 10 - i64::from(fetch.partition == 0),
        ..started(fetch)
    };
    let got = run_with(&mut sessions, at(0), request(id, 5, &[]), decided);
    assert_eq!(got, Ok((id, vec![0, 1])));
}

#[test]
fn records_and_errors_are_always_news_and_what_follows_an_error_too() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 2);
    let full = |fetch: &PartitionFetch| outcome(fetch, 10, 5);
    for epoch in [1, 2] {
        let got = run_with(&mut sessions, at(0), request(id, epoch, &[]), full);
        assert_eq!(got, Ok((id, vec![0, 1])));
    }
    let failed = |fetch: &PartitionFetch| PartitionOutcome {
        error: (fetch.partition == 0).then_some(FetchError::Storage),
        ..outcome(fetch, 10, 0)
    };
    for epoch in [3, 4] {
        let got = run_with(&mut sessions, at(0), request(id, epoch, &[]), failed);
        assert_eq!(got, Ok((id, vec![0])));
    }
    assert_eq!(
        run(&mut sessions, at(0), request(id, 5, &[])),
        Ok((id, vec![0]))
    );
    assert_eq!(
        run(&mut sessions, at(0), request(id, 6, &[])),
        Ok((id, vec![]))
    );
}

#[test]
fn partitions_that_gave_records_go_to_the_end() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 4);
    let some = |fetch: &PartitionFetch| outcome(fetch, 10, u64::from(fetch.partition < 2));
    run_with(&mut sessions, at(0), request(id, 1, &[]), some).unwrap();
    let begun = sessions.begin(at(0), request(id, 2, &[])).unwrap();
    let order: Vec<i32> = begun.wanted.iter().map(|fetch| fetch.partition).collect();
    assert_eq!(order, [2, 3, 0, 1]);
}

#[test]
fn requests_change_add_and_forget_partitions() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 3);
    let mut change = request(id, 1, &[fetch(1, 77), fetch(5, 0)]);
    change.forgotten = vec![(super::tests::id(1), 0), (super::tests::id(2), 2)];
    let begun = sessions.begin(at(0), change).unwrap();
    let wanted: Vec<(i32, i64)> = begun
        .wanted
        .iter()
        .map(|fetch| (fetch.partition, fetch.fetch_offset))
        .collect();
    assert_eq!(wanted, [(1, 77), (2, 0), (5, 0)]);
    let answers = begun
        .wanted
        .iter()
        .map(|fetch| outcome(fetch, 10, 0))
        .collect();
    let (_, told) = sessions.finish(at(0), begun, answers).unwrap();
    assert_eq!(told.len(), 1, "only the new partition");
    assert_eq!(told[0].partition, 5);
}

#[test]
fn a_session_without_partitions_ends() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 1);
    let mut last = request(id, 1, &[]);
    last.forgotten = vec![(super::tests::id(1), 0)];
    assert_eq!(run(&mut sessions, at(0), last), Ok((NO_SESSION, vec![])));
    assert_eq!(sessions.count(), 0);
}

#[test]
fn requests_out_of_turn_are_refused() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 1);
    let cases = [
        (request(id + 1, 1, &[]), FetchError::SessionIdNotFound),
        (request(0, 1, &[]), FetchError::SessionIdNotFound),
        (request(id, 2, &[]), FetchError::InvalidSessionEpoch),
        (request(id, -7, &[]), FetchError::InvalidSessionEpoch),
        (
            SessionRequest {
                uses_ids: false,
                ..request(id, 1, &[])
            },
            FetchError::SessionTopicId,
        ),
    ];
    for (request, error) in cases {
        assert_eq!(run(&mut sessions, at(0), request), Err(error));
    }
    assert_eq!(
        run(&mut sessions, at(0), request(id, 1, &[])),
        Ok((id, vec![]))
    );
    let repeated = run(&mut sessions, at(0), request(id, 1, &[]));
    assert_eq!(repeated, Err(FetchError::InvalidSessionEpoch));
}

#[test]
fn a_request_overtaken_by_the_next_is_refused_when_it_ends() {
    let mut sessions = sessions(10);
    let id = begin(&mut sessions, at(0), 1);
    let slow = sessions.begin(at(0), request(id, 1, &[])).unwrap();
    run(&mut sessions, at(0), request(id, 2, &[])).unwrap();
    let late = sessions.finish(at(0), slow, vec![]);
    assert_eq!(late.unwrap_err(), FetchError::InvalidSessionEpoch);
}

#[test]
fn a_full_request_ends_the_session_it_names() {
    let mut sessions = sessions(10);
    let first = begin(&mut sessions, at(0), 1);
    let (second, _) = run(&mut sessions, at(0), request(first, 0, &[fetch(0, 0)])).unwrap();
    assert_ne!(first, second);
    assert_eq!(sessions.count(), 1);
    let got = run(
        &mut sessions,
        at(0),
        request(second, FINAL_EPOCH, &[fetch(0, 0)]),
    );
    assert_eq!(got, Ok((NO_SESSION, vec![0])));
    assert_eq!(sessions.count(), 0);
}

#[test]
fn epochs_go_round_past_the_greatest() {
    assert_eq!(
        [next_epoch(0), next_epoch(7), next_epoch(i32::MAX)],
        [1, 8, 1]
    );
}

#[test]
fn a_full_cache_keeps_young_sessions_and_gives_up_unused_ones() {
    let mut sessions = sessions(2);
    let first = begin(&mut sessions, at(0), 1);
    let second = begin(&mut sessions, at(60), 1);
    assert_eq!(
        begin(&mut sessions, at(100), 5),
        NO_SESSION,
        "both are young"
    );
    run(&mut sessions, at(100), request(first, 1, &[])).unwrap();
    let third = begin(&mut sessions, at(60) + EVICTION + at(1), 1);
    assert!(third > 0);
    let lost = run(&mut sessions, at(182), request(second, 1, &[]));
    assert_eq!(
        lost,
        Err(FetchError::SessionIdNotFound),
        "it was not used for longest"
    );
    assert!(run(&mut sessions, at(182), request(first, 2, &[])).is_ok());
}

#[test]
fn a_larger_session_takes_the_place_of_an_old_small_one() {
    let mut sessions = sessions(2);
    let small = begin(&mut sessions, at(0), 2);
    let large = begin(&mut sessions, at(0), 9);
    for (now, epoch) in [(100, 1), (200, 2)] {
        for id in [small, large] {
            run(&mut sessions, at(now), request(id, epoch, &[])).unwrap();
        }
    }
    assert_eq!(
        begin(&mut sessions, at(210), 2),
        NO_SESSION,
        "not larger than the smallest"
    );
    let larger = begin(&mut sessions, at(210), 3);
    assert!(larger > 0);
    let lost = run(&mut sessions, at(210), request(small, 3, &[]));
    assert_eq!(lost, Err(FetchError::SessionIdNotFound));
    assert!(run(&mut sessions, at(210), request(large, 3, &[])).is_ok());
}

#[test]
fn partitions_of_all_sessions_are_bounded() {
    let options = SessionOptions {
        partitions_max: 10,
        ..SessionOptions::default()
    };
    let mut sessions = Sessions::new(options, Rng::from_seed(3));
    let first = begin(&mut sessions, at(0), 6);
    assert_eq!(begin(&mut sessions, at(0), 5), NO_SESSION);
    assert!(begin(&mut sessions, at(0), 4) > 0);
    run(&mut sessions, at(0), request(first, FINAL_EPOCH, &[])).unwrap();
    assert!(
        begin(&mut sessions, at(0), 6) > 0,
        "what ended counts no more"
    );
}
