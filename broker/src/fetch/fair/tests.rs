use futures::poll;

use super::*;

fn client(name: &str) -> Client {
    Client::group(name)
}

/// Grants all that can be granted; who got something, in order.
fn granted(turns: &mut Turns) -> Vec<Client> {
    std::iter::from_fn(|| turns.grant().map(|(_, client, _)| client)).collect()
}

#[test]
fn who_holds_least_is_next_however_much_others_ask_for() {
    let (greedy, modest) = (client("greedy"), client("modest"));
    let mut turns = Turns::new(4, 4);
    for _ in 0..100 {
        turns.ask(&greedy, 1);
    }
    assert_eq!(granted(&mut turns), vec![greedy.clone(); 4]);
    turns.ask(&modest, 1);
    turns.ask(&modest, 1);
    for _ in 0..2 {
        turns.release(&greedy, 1);
        assert_eq!(granted(&mut turns), vec![modest.clone()]);
    }
    turns.release(&greedy, 1);
    assert_eq!(
        granted(&mut turns),
        vec![greedy.clone()],
        "nobody else waits"
    );
}

#[test]
fn clients_that_hold_nothing_take_turns() {
    let clients = ["a", "b", "c"].map(client);
    let mut turns = Turns::new(1, 1);
    for _ in 0..3 {
        clients.iter().for_each(|client| {
            turns.ask(client, 1);
        });
    }
    let mut order = vec![];
    while let Some((_, client, amount)) = turns.grant() {
        turns.release(&client, amount);
        order.push(client);
    }
    let rounds: Vec<_> = order.chunks(3).map(<[Client]>::to_vec).collect();
    assert_eq!(rounds, vec![clients.to_vec(); 3]);
    assert!(turns.clients.is_empty(), "who has nothing is forgotten");
}

#[test]
fn a_client_has_its_share_and_no_more_and_others_are_not_held_up() {
    let (stuck, other) = (client("stuck"), client("other"));
    let mut turns = Turns::new(10, 5);
    turns.ask(&stuck, 4);
    turns.ask(&stuck, 4);
    turns.ask(&other, 5);
    assert_eq!(granted(&mut turns), [stuck.clone(), other]);
    turns.release(&stuck, 4);
    assert_eq!(granted(&mut turns), [stuck]);
}

#[test]
fn a_large_request_is_not_passed_by_for_ever() {
    let (large, small) = (client("large"), client("small"));
    let mut turns = Turns::new(10, 10);
    turns.ask(&small, 3);
    turns.ask(&small, 3);
    assert_eq!(granted(&mut turns).len(), 2);
    turns.ask(&large, 10);
    turns.ask(&small, 3);
    assert!(granted(&mut turns).is_empty(), "the large one is next");
    turns.release(&small, 3);
    assert!(granted(&mut turns).is_empty());
    turns.release(&small, 3);
    assert_eq!(granted(&mut turns), [large]);
}

#[tokio::test]
async fn who_goes_away_is_forgotten_and_what_was_granted_goes_on() {
    let permits = FairPermits::new(10, 10);
    let (a, b, c) = (client("a"), client("b"), client("c"));
    let first = permits.acquire(&a, 10).await;
    let mut second = Box::pin(permits.acquire(&b, 10));
    let mut third = Box::pin(permits.acquire(&c, 4));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    drop(second);
    let first = first.keep(6);
    let third = third.await;
    assert_eq!((first.amount(), third.amount(), permits.free()), (6, 4, 0));

    // Granted, and given up before it was taken.
    let mut fourth = Box::pin(permits.acquire(&b, 3));
    assert!(poll!(&mut fourth).is_pending());
    drop(third);
    drop(fourth);
    assert_eq!(permits.free(), 4);
    drop(first);
    assert_eq!(permits.free(), 10);
    assert!(permits.desk.lock().asking.is_empty());
}

#[tokio::test]
async fn more_than_there_is_counts_as_all_one_may_have() {
    let permits = FairPermits::new(10, 5);
    let held = permits.acquire(&client("a"), 1_000).await;
    assert_eq!((held.amount(), permits.free()), (5, 5));
}

#[tokio::test]
async fn what_is_taken_at_once_is_never_what_somebody_waits_for() {
    let permits = FairPermits::new(10, 8);
    let (waiting, hasty) = (client("waiting"), client("hasty"));
    let held = permits.acquire(&client("other"), 6).await;
    assert!(permits.try_acquire(&hasty, 5).is_none(), "there are 4");
    let taken = permits.try_acquire(&hasty, 2).unwrap();
    assert_eq!(permits.free(), 2);
    let mut asked = Box::pin(permits.acquire(&waiting, 7));
    assert!(poll!(&mut asked).is_pending());
    assert!(permits.try_acquire(&hasty, 1).is_none());
    drop(taken);
    assert!(permits.try_acquire(&hasty, 1).is_none());
    drop(held);
    assert_eq!(asked.await.amount(), 7);
    assert!(permits.try_acquire(&hasty, 3).is_some());
    let share = FairPermits::new(10, 8);
    assert!(
        share.try_acquire(&hasty, 9).is_none(),
        "more than its share"
    );
}
