//! The client against a broker that misbehaves on purpose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::records::{BatchEncoder, Compression};
use super::scripted::{Action, Scripted, TOPIC};
use super::*;

const NOT_LEADER: i16 = 6;
const MESSAGE_TOO_LARGE: i16 = 10;
const OFFSET_OUT_OF_RANGE: i16 = 1;
/// No script takes longer.
const WITHIN: Duration = Duration::from_secs(60);
/// Records in each batch.
const COUNT: i32 = 3;

fn client(broker: &Scripted) -> Arc<Client> {
    // Longer than any answer takes that comes at all.
    let request_timeout = Duration::from_secs(2);
    let options = ConnectionOptions {
        request_timeout,
        ..ConnectionOptions::default()
    };
    Client::new(&broker.address, options)
}

async fn producer(broker: &Scripted, acks: i16) -> Producer<i32> {
    let options = ProducerOptions {
        acks,
        idempotent: acks == -1,
        ..ProducerOptions::default()
    };
    Producer::open(client(broker), SystemClock::shared(), TOPIC, options)
        .await
        .unwrap()
}

fn batch(number: i32) -> bytes::BytesMut {
    let mut encoder = BatchEncoder::default();
    for record in 0..COUNT {
        encoder.push(0, None, Some(format!("{number}.{record}").as_bytes()), &[]);
    }
    encoder.finish(Compression::None).unwrap()
}

/// Sends `count` batches to partition 0, as pipelined as it goes, and gives what was acknowledged.
async fn send(producer: &mut Producer<i32>, count: i32) -> Result<Vec<Completion<i32>>> {
    let (mut queued, mut done) = (0, Vec::new());
    while done.len() < count as usize {
        while queued < count && producer.ready().is_some_and(|ready| ready.contains(&0)) {
            producer.queue(0, batch(queued), COUNT as usize, queued);
            producer.pump();
            queued += 1;
        }
        done.extend(producer.next().await?);
    }
    assert_eq!(producer.unacknowledged(), 0);
    Ok(done)
}

/// Every batch is stored once and in order, whatever happens on the way.
async fn survives(script: &[Action]) {
    let broker = Scripted::start(script).await;
    let mut producer = producer(&broker, -1).await;
    let sending = tokio::time::timeout(WITHIN, send(&mut producer, 20));
    let done = sending.await.expect("it goes on after trouble").unwrap();
    let tags: Vec<i32> = done.iter().map(|completion| completion.tag).collect();
    assert_eq!(tags, (0..20).collect::<Vec<_>>(), "{script:?}");
    for completion in &done {
        // A duplicate is acknowledged without its offset.
        let offset = completion.acknowledgement.base_offset;
        assert!(
            offset == i64::from(completion.tag * COUNT) || offset == -1,
            "{completion:?}"
        );
    }
    let retried = done
        .iter()
        .any(|completion| completion.acknowledgement.retries > 0);
    assert_eq!(retried, !script.is_empty());
    let expected: Vec<i32> = (0..20).map(|number| number * COUNT).collect();
    assert_eq!(broker.known.lock().stored[&0], expected, "{script:?}");
}

#[tokio::test]
async fn batches_are_stored_once_and_in_order_when_nothing_happens() {
    survives(&[]).await;
}

#[tokio::test]
async fn a_refused_batch_takes_those_behind_it_back_in_line() {
    survives(&[Action::Do, Action::Refuse(NOT_LEADER)]).await;
}

#[tokio::test]
async fn a_lost_connection_loses_nothing() {
    survives(&[Action::Do, Action::Do, Action::HangUp]).await;
}

#[tokio::test]
async fn a_lost_answer_stores_nothing_twice() {
    survives(&[Action::Do, Action::DoAndHangUp]).await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for() {
    survives(&[Action::Do, Action::Forget]).await;
}

#[tokio::test]
async fn trouble_may_follow_trouble() {
    use Action::{Do, DoAndHangUp, HangUp, Refuse};
    survives(&[Refuse(NOT_LEADER), DoAndHangUp, Do, HangUp]).await;
}

#[tokio::test]
async fn what_a_retry_does_not_cure_ends_the_producer() {
    let broker = Scripted::start(&[Action::Do, Action::Refuse(MESSAGE_TOO_LARGE)]).await;
    let mut producer = producer(&broker, -1).await;
    let error = send(&mut producer, 5).await.unwrap_err();
    assert_eq!(
        error.code().map(|code| code.code()),
        Some(MESSAGE_TOO_LARGE)
    );
}

#[tokio::test]
async fn an_answer_to_another_request_is_not_believed() {
    let broker = Scripted::start(&[Action::Confuse]).await;
    let mut producer = producer(&broker, -1).await;
    let error = send(&mut producer, 1).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
}

#[tokio::test]
async fn several_partitions_share_a_request() {
    let broker = Scripted::start(&[]).await;
    let mut producer = producer(&broker, -1).await;
    for partition in [0, 1, 0, 1] {
        producer.queue(partition, batch(partition), COUNT as usize, partition);
    }
    producer.pump();
    let mut done = Vec::new();
    while done.len() < 4 {
        done.extend(producer.next().await.unwrap());
    }
    assert_eq!(
        broker.known.lock().stored,
        [(0, vec![0, 3]), (1, vec![0, 3])].into()
    );
    assert!(
        producer.next().await.unwrap().is_none(),
        "nothing is under way"
    );
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_version_0() {
    let broker = Scripted::start(&[]).await;
    broker.known.lock().api_versions_max = 0;
    let topic = client(&broker).topic(TOPIC).await.unwrap();
    assert_eq!(topic.partitions.len(), 2);
}

#[tokio::test]
async fn a_server_of_another_protocol_is_recognised() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 1024]).await;
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let client = Client::new(&address, ConnectionOptions::default());
    let error = client.any().await.err().unwrap();
    assert!(
        error.to_string().contains("is this a Kafka broker?"),
        "{error}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let request_timeout = Duration::from_millis(50);
    let options = ConnectionOptions {
        request_timeout,
        ..ConnectionOptions::default()
    };
    let error = Client::new(&address, options).any().await.err().unwrap();
    assert!(matches!(error, ClientError::TimedOut(..)), "{error}");
}

async fn fetcher(broker: &Scripted, from: i64) -> Fetcher {
    let client = client(broker);
    let topic = client.topic(TOPIC).await.unwrap();
    let positions: BTreeMap<i32, i64> = [(0, from)].into();
    Fetcher::new(client, topic, positions, FetchOptions::default())
}

#[tokio::test]
async fn a_fetcher_follows_the_leader_and_keeps_its_place() {
    let broker = Scripted::start(&[]).await;
    send(&mut producer(&broker, -1).await, 4).await.unwrap();
    let script = [
        Action::Refuse(NOT_LEADER),
        Action::HangUp,
        Action::Refuse(NOT_LEADER),
    ];
    broker.known.lock().script = script.to_vec();
    let mut fetcher = fetcher(&broker, 4).await;
    let fetched = fetcher.next().await.unwrap().remove(0);
    // The batch in which the offset is comes whole.
    let offsets: Vec<i64> = fetched
        .batches
        .iter()
        .map(|batch| batch.base_offset())
        .collect();
    assert_eq!(
        (fetched.from, fetched.next, offsets),
        (4, 12, vec![3, 6, 9])
    );
    assert_eq!(fetcher.positions(), &[(0, 12)].into());
}

#[tokio::test]
async fn an_offset_out_of_range_is_an_error() {
    let broker = Scripted::start(&[Action::Refuse(OFFSET_OUT_OF_RANGE)]).await;
    let error = fetcher(&broker, 99).await.next().await.unwrap_err();
    assert_eq!(
        error.code().map(|code| code.code()),
        Some(OFFSET_OUT_OF_RANGE)
    );
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced() {
    let broker = Scripted::start(&[Action::HangUp]).await;
    send(&mut producer(&broker, -1).await, 3).await.unwrap();
    assert_eq!(broker.known.lock().connections, 2);
}
