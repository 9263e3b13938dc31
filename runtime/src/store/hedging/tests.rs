use super::*;
use crate::rng::Rng;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn class() -> RequestClass {
    RequestClass::new(Operation::Put, Some(1_000)).unwrap()
}

#[test]
fn the_estimate_follows_what_requests_take() {
    let mut hedging = Hedging::new(5);
    let rng = Rng::from_seed(3);
    for n in 0..40 {
        assert_eq!(hedging.begin(class()), None, "after {n} requests");
        hedging.took(class(), millis(1 + rng.below(100)));
    }
    for _ in 0..3_000 {
        hedging.took(class(), millis(1 + rng.below(100)));
    }
    let estimate = hedging.begin(class()).unwrap();
    assert!(
        (millis(90)..millis(101)).contains(&estimate),
        "{estimate:?}"
    );
    for _ in 0..3_000 {
        hedging.took(class(), millis(401 + rng.below(100)));
    }
    let estimate = hedging.begin(class()).unwrap();
    assert!(
        (millis(480)..millis(510)).contains(&estimate),
        "{estimate:?}"
    );
    let other = RequestClass::new(Operation::Get, Some(1_000)).unwrap();
    assert_eq!(hedging.begin(other), None, "each class has its own");
}

#[test]
fn times_that_are_only_known_to_be_longer_do_not_shift_the_estimate() {
    let rng = Rng::from_seed(3);
    let (mut whole, mut cut) = (Hedging::new(100), Hedging::new(100));
    for _ in 0..20_000 {
        let time = millis(1 + rng.below(1_000));
        whole.took(class(), time);
        let after = cut.begin(class());
        let seen = after.map_or(time, |after| time.min(after + millis(2)));
        cut.took(class(), seen);
    }
    let (whole, cut) = (whole.begin(class()).unwrap(), cut.begin(class()).unwrap());
    let ratio = cut.as_secs_f64() / whole.as_secs_f64();
    assert!((0.9..1.1).contains(&ratio), "{cut:?} {whole:?}");
}

#[test]
fn no_more_than_a_few_of_a_hundred_are_sent_twice() {
    let mut hedging = Hedging::new(3);
    let mut sent = 0;
    for _ in 0..10_000 {
        hedging.begin(class());
        sent += usize::from(hedging.spend());
    }
    assert!((295..=301).contains(&sent), "{sent}");
    for _ in 0..10_000 {
        hedging.begin(class());
    }
    let burst = std::iter::repeat_with(|| hedging.spend()).take_while(|may| *may);
    assert_eq!(burst.count(), 10);
    for _ in 0..100 {
        hedging.begin(class());
    }
    hedging.throttled();
    assert!(!hedging.spend(), "a throttling store is not asked twice");
}

#[test]
fn sizes_have_their_classes() {
    let of = |bytes| RequestClass::new(Operation::Get, bytes).unwrap().size;
    let sizes = [
        Some(0),
        Some(64 << 10),
        Some((64 << 10) + 1),
        Some(4 << 20),
        Some(8 << 20),
        None,
    ];
    assert_eq!(sizes.map(of), [0, 0, 1, 2, 3, 4]);
    assert_eq!(RequestClass::new(Operation::Delete, None), None);
}
