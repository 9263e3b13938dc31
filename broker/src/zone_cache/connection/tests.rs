use std::time::Duration;

use object_format::{AgentEpoch, ObjectId};
use runtime::Rng;
use tokio::io::{DuplexStream, duplex};
use tokio::task::yield_now;

use super::*;

const BYTES: u64 = 3_000;

fn key(sequence: u64) -> BlockKey {
    let writer = AgentEpoch(1);
    BlockKey {
        object: ObjectId { writer, sequence },
        index: 0,
        object_bytes: BYTES,
    }
}

fn block(key: &BlockKey) -> Bytes {
    let fill = key.object.sequence as u8;
    vec![fill; key.len() as usize].into()
}

/// A connection, and the owner's side of it.
fn connected(bytes_max: u64) -> (Arc<Connection>, DuplexStream) {
    let (near, far) = duplex(64 << 10);
    let connection = Connection::open(async { Some(near) }, bytes_max);
    (Arc::new(connection), far)
}

/// Asks, in a task of its own.
fn asking(
    connection: &Arc<Connection>,
    sequence: u64,
) -> tokio::task::JoinHandle<Result<Bytes, AskError>> {
    let connection = connection.clone();
    tokio::spawn(async move { connection.ask(key(sequence), Pool::Tail).await })
}

async fn next_question(owner: &mut DuplexStream, buffer: &mut BytesMut) -> Question {
    loop {
        if let Some(question) = Question::take(buffer).unwrap() {
            return question;
        }
        assert_ne!(owner.read_buf(buffer).await.unwrap(), 0);
    }
}

async fn next_ask(owner: &mut DuplexStream, buffer: &mut BytesMut) -> (u32, BlockKey) {
    match next_question(owner, buffer).await {
        Question::Ask(id, key, Pool::Tail) => (id, key),
        other => panic!("{other:?}"),
    }
}

async fn lend(owner: &mut DuplexStream, id: u32, bytes: &Bytes) {
    let head = Head::of_block(id, std::slice::from_ref(bytes));
    owner.write_all(&head.encode()).await.unwrap();
    owner.write_all(bytes).await.unwrap();
}

async fn refuse(owner: &mut DuplexStream, id: u32, verdict: Verdict) {
    let head = Head::without_block(verdict, id);
    owner.write_all(&head.encode()).await.unwrap();
}

#[tokio::test]
async fn answers_come_in_any_order_and_reach_who_asked() {
    let (connection, mut owner) = connected(1 << 30);
    let asks: Vec<_> = (0..4)
        .map(|sequence| asking(&connection, sequence))
        .collect();
    let mut buffer = BytesMut::new();
    let mut asked = vec![];
    for _ in 0..4 {
        asked.push(next_ask(&mut owner, &mut buffer).await);
    }
    asked.sort_by_key(|(_, key)| std::cmp::Reverse(key.object.sequence));
    refuse(&mut owner, asked[0].0, Verdict::Busy).await;
    refuse(&mut owner, asked[1].0, Verdict::Failed).await;
    for (id, key) in &asked[2..] {
        lend(&mut owner, *id, &block(key)).await;
    }
    let mut got = vec![];
    for ask in asks {
        got.push(ask.await.unwrap());
    }
    assert_eq!(
        got,
        [
            Ok(block(&key(0))),
            Ok(block(&key(1))),
            Err(AskError::Failed),
            Err(AskError::Busy)
        ]
    );
    assert!(connection.is_open());
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    // A whole object of the largest size at once.
    let (connection, mut owner) = connected(0);
    let large = BlockKey {
        object_bytes: WHOLE_BYTES_MAX,
        ..key(1)
    };
    let first = tokio::spawn({
        let connection = connection.clone();
        async move { connection.ask(large, Pool::Tail).await }
    });
    let mut buffer = BytesMut::new();
    let (id, _) = next_ask(&mut owner, &mut buffer).await;
    let second = asking(&connection, 2);
    for _ in 0..100 {
        yield_now().await;
    }
    let more = tokio::time::timeout(Duration::from_millis(1), owner.read_u8()).await;
    assert!(more.is_err(), "it has asked for more than it may");
    refuse(&mut owner, id, Verdict::Busy).await;
    assert_eq!(first.await.unwrap(), Err(AskError::Busy));
    let (id, asked) = next_ask(&mut owner, &mut buffer).await;
    lend(&mut owner, id, &block(&asked)).await;
    assert_eq!(second.await.unwrap(), Ok(block(&asked)));
}

#[tokio::test]
async fn who_goes_away_takes_the_ask_back_and_a_late_answer_hurts_nobody() {
    let (connection, mut owner) = connected(1 << 30);
    let ask = asking(&connection, 1);
    let mut buffer = BytesMut::new();
    let (first, asked) = next_ask(&mut owner, &mut buffer).await;
    ask.abort();
    let _ = ask.await;
    assert_eq!(
        next_question(&mut owner, &mut buffer).await,
        Question::Cancel(first)
    );
    let other = asking(&connection, 2);
    let (second, wanted) = next_ask(&mut owner, &mut buffer).await;
    lend(&mut owner, first, &block(&asked)).await;
    lend(&mut owner, second, &block(&wanted)).await;
    assert_eq!(other.await.unwrap(), Ok(block(&wanted)));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_and_idleness_does_not() {
    let (connection, mut owner) = connected(1 << 30);
    tokio::time::sleep(SILENCE * 10).await;
    assert!(connection.is_open());
    let ask = asking(&connection, 1);
    let mut buffer = BytesMut::new();
    let (id, asked) = next_ask(&mut owner, &mut buffer).await;
    tokio::time::sleep(SILENCE / 4).await;
    lend(&mut owner, id, &block(&asked)).await;
    assert!(ask.await.unwrap().is_ok());
    let ask = asking(&connection, 2);
    assert_eq!(ask.await.unwrap(), Err(AskError::Broken));
    assert!(!connection.is_open());
    assert_eq!(
        connection.ask(key(3), Pool::Tail).await,
        Err(AskError::Broken)
    );
}

#[tokio::test]
async fn one_that_cannot_be_reached_is_no_connection() {
    let connection = Connection::open(async { None::<DuplexStream> }, 1 << 30);
    let asked = connection.ask(key(1), Pool::Tail).await;
    assert_eq!(asked, Err(AskError::Broken));
    assert!(!connection.is_open());
}

/// What a lying or dying owner says to two asks.
async fn lie(owner: &mut DuplexStream, asked: &[(u32, BlockKey)], rng: &Rng) {
    let (id, key) = asked[rng.below(2) as usize];
    let good = block(&key);
    let mut said = Head::of_block(id, std::slice::from_ref(&good))
        .encode()
        .to_vec();
    said.extend(&good);
    match rng.below(6) {
        // A bit is flipped: in the head, or in the block.
        0 => said[rng.below(ANSWER_BYTES as u64) as usize] ^= 1 << rng.below(8),
        1 => {
            let at = ANSWER_BYTES as u64 + rng.below(BYTES);
            said[at as usize] ^= 1 << rng.below(8);
        }
        // It dies in the midst of it.
        2 => said.truncate(rng.below(said.len() as u64) as usize),
        // It is longer, or shorter, than what was asked for.
        3 => said[5..9].copy_from_slice(&(rng.u64() as u32 | 1 << 20).to_be_bytes()),
        4 => said[5..9].copy_from_slice(&(rng.below(BYTES) as u32).to_be_bytes()),
        // It answers what nobody has asked.
        _ => said[1..5].copy_from_slice(&(1_000 + rng.below(1_000) as u32).to_be_bytes()),
    }
    let _ = owner.write_all(&said).await;
    let _ = owner.shutdown().await;
}

#[tokio::test]
async fn whatever_an_owner_says_only_the_block_is_taken_for_the_block() {
    let rng = Rng::from_seed(23);
    for round in 0..400 {
        let (connection, mut owner) = connected(1 << 30);
        let asks = [asking(&connection, 1), asking(&connection, 2)];
        let mut buffer = BytesMut::new();
        let mut asked = vec![];
        for _ in 0..2 {
            asked.push(next_ask(&mut owner, &mut buffer).await);
        }
        lie(&mut owner, &asked, &rng).await;
        drop(owner);
        for (sequence, ask) in (1..).zip(asks) {
            let got = tokio::time::timeout(Duration::from_secs(10), ask).await;
            match got.unwrap().unwrap() {
                Ok(bytes) => assert_eq!(bytes, block(&key(sequence)), "round {round}"),
                Err(error) => assert!(matches!(
                    error,
                    AskError::Broken | AskError::Busy | AskError::Failed
                )),
            }
        }
    }
}
