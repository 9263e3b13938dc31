//! What a client may not do, and how long things may take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// What `work` results in, which must be within so many (paused) seconds.
async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .expect("in time")
}

#[tokio::test]
async fn a_request_that_makes_no_sense_closes_the_connection_after_the_earlier_responses() {
    for nonsense in [
        &b"\x00\x00\x00\x0a\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff"[..], // no such API
        b"\x00\x00\x00\x0a\x00\x10\x00\x7f\x00\x00\x00\x01\xff\xff",      // no such version
        b"\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff", // a lie
        b"\x00\x00\x00\x00",                                              // an empty frame
        b"\xff\xff\xff\xff",                                              // a negative length
        b"\x7f\xff\xff\xff",                                              // 2 GiB
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    ] {
        let mut connection = serve(echo);
        connection.send([&request(1)[..], nonsense].concat()).await;
        assert_eq!(connection.receive_id().await, 1);
        connection.closed().await;
    }
}

#[tokio::test]
async fn a_client_that_closes_within_a_request_is_let_go() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut connection = serve(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        echo(request)
    });
    connection.send(&large_request(1, 100_000)[..50_000]).await;
    connection.client.shutdown().await.unwrap();
    connection.closed().await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_half_still_gets_its_responses() {
    let mut connection = serve(|request| {
        let id = request.correlation_id();
        Pending::sequential(async move {
            tokio::task::yield_now().await;
            response(id)
        })
    });
    connection.send([request(1), request(2)].concat()).await;
    connection.client.shutdown().await.unwrap();
    assert_eq!(connection.receive_id().await, 1);
    assert_eq!(connection.receive_id().await, 2);
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_read_and_then_cut_off() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let config = NetConfig {
        in_flight_max: 5,
        ..NetConfig::default()
    };
    let server = server_with(config, move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        Pending::Ready(response_of(
            request.correlation_id(),
            [Bytes::from(vec![0; 1_000])],
        ))
    });
    let mut connection = connect(&server, 100);
    let requests: Vec<u8> = (0..1_000).flat_map(request).collect();
    let sent = within(61, connection.client.write_all(&requests)).await;
    assert!(
        sent.is_err(),
        "the broker closes, having read no more than it may"
    );
    connection.task.await.unwrap();
    assert!(
        calls.load(Ordering::SeqCst) <= 6,
        "{calls:?} requests were taken"
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_but_not_one_that_waits_for_its_response() {
    let mut connection = serve(|request| {
        let id = request.correlation_id();
        Pending::sequential(async move {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            response(id)
        })
    });
    connection.send(request(1)).await;
    assert_eq!(connection.receive_id().await, 1, "an hour later");
    within(601, connection.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_rest_does_not_come_closes_the_connection() {
    let server = server_with(NetConfig::default(), echo);
    for begun in [&[0u8, 0][..], &large_request(1, 100_000)[..1_000]] {
        let mut connection = connect(&server, 64 << 10);
        connection.send(begun).await;
        within(32, connection.closed()).await;
    }
    assert_eq!(server.budget().available(), server.budget().bytes_max());
}

#[tokio::test]
async fn requests_of_all_connections_share_one_budget() {
    let (open, gate) = oneshot::channel();
    let gate = parking_lot::Mutex::new(Some(gate));
    let (called, mut calls) = mpsc::unbounded_channel();
    let config = NetConfig {
        requests_bytes_max: 1 << 20,
        ..NetConfig::default()
    };
    let server = server_with(config, move |request| {
        let id = request.correlation_id();
        called.send(id).unwrap();
        match gate.lock().take() {
            None => Pending::Ready(response(id)),
            Some(gate) => Pending::concurrent(async move {
                gate.await.unwrap();
                response(id)
            }),
        }
    });
    let mut first = connect(&server, 1 << 20);
    let mut second = connect(&server, 1 << 20);
    first.send(large_request(1, (1 << 20) - 14)).await;
    assert_eq!(calls.recv().await, Some(1));
    second.send(large_request(2, 800 << 10)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(
        calls.try_recv().is_err(),
        "there is no memory for a second request"
    );
    let mut small = connect(&server, 1 << 20);
    small.send([request(3), request(4)].concat()).await;
    assert_eq!(small.receive_id().await, 3, "small ones are let through");
    assert_eq!(small.receive_id().await, 4);
    assert_eq!((calls.recv().await, calls.recv().await), (Some(3), Some(4)));
    open.send(()).unwrap();
    assert_eq!(first.receive_id().await, 1);
    assert_eq!(second.receive_id().await, 2);
    drop((first, second));
    let mut too_large = connect(&server, 1 << 20);
    too_large.send((1i32 << 20 | 1).to_be_bytes()).await;
    too_large.closed().await;
}

#[tokio::test]
async fn a_shutdown_lets_what_was_read_be_answered() {
    let (open, gate) = oneshot::channel();
    let gate = parking_lot::Mutex::new(Some(gate));
    let (called, mut calls) = mpsc::unbounded_channel();
    let mut connection = serve(move |request| {
        let id = request.correlation_id();
        called.send(id).unwrap();
        let gate = gate.lock().take().unwrap();
        Pending::sequential(async move {
            gate.await.unwrap();
            response(id)
        })
    });
    connection.send(request(1)).await;
    assert_eq!(calls.recv().await, Some(1));
    connection.shutdown.begin();
    connection.send(request(2)).await;
    open.send(()).unwrap();
    assert_eq!(connection.receive_id().await, 1);
    connection.closed().await;
    assert!(calls.try_recv().is_err(), "no request is taken any more");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let mut connection = serve(|_| Pending::sequential(std::future::pending()));
    connection.send(request(1)).await;
    tokio::task::yield_now().await;
    connection.shutdown.begin();
    within(11, connection.closed()).await;
}

/// DeleteTopics version 1 with that many names, all empty: small as a frame, large when decoded.
fn request_of_many_elements(correlation_id: i32, names: usize) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(10 + 8 + 2 * names as i32);
    frame.put_i16(ApiKey::DeleteTopics as i16);
    frame.put_i16(1);
    frame.put_i32(correlation_id);
    frame.put_i16(-1);
    frame.put_i32(names as i32);
    frame.put_bytes(0, 2 * names);
    frame.put_i32(1_000);
    frame.freeze()
}

#[tokio::test]
async fn what_a_request_decodes_into_counts_too() {
    let server = server_with(NetConfig::default(), |_| {
        Pending::sequential(std::future::pending())
    });
    let mut connection = connect(&server, 64 << 10);
    connection.send(request_of_many_elements(1, 100_000)).await;
    connection.send(request(2)).await;
    let taken = || server.budget().bytes_max() - server.budget().available();
    while taken() < 210_000 {
        tokio::task::yield_now().await;
    }
    assert!(taken() > 1_000_000, "{} bytes are held", taken());
}

/// Bytes that are noticed when they go.
struct Noticed {
    bytes: Vec<u8>,
    _notice: Arc<()>,
}

impl AsRef<[u8]> for Noticed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn a_response_is_let_go_when_it_is_written() {
    let notice = Arc::new(());
    let holding = Arc::downgrade(&notice);
    let notice = parking_lot::Mutex::new(Some(notice));
    let server = server_with(NetConfig::default(), move |request| {
        let bytes = Bytes::from_owner(Noticed {
            bytes: vec![0; 10_000],
            _notice: notice.lock().take().unwrap(),
        });
        Pending::Ready(response_of(request.correlation_id(), [bytes]))
    });
    let mut connection = connect(&server, 100);
    connection.send(request(1)).await;
    assert_eq!(connection.client.read_i32().await.unwrap(), 10_004);
    assert!(holding.upgrade().is_some(), "there is more to write");
    connection
        .client
        .read_exact(&mut [0; 10_004])
        .await
        .unwrap();
    while holding.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

/// What is left of a response is copied, so that the blocks it was a part of are not kept for a client that is slow; its
/// share of the memory for responses is kept.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_read_slowly_keeps_no_more_than_itself() {
    let (block, share) = (Arc::new(()), Arc::new(()));
    let (block_kept, share_kept) = (Arc::downgrade(&block), Arc::downgrade(&share));
    let bytes: Vec<u8> = (0..3_000_000).map(|at| (at % 251) as u8).collect();
    let sent = bytes[1_000..2_500_000].to_vec();
    let whole = Bytes::from_owner(Noticed {
        bytes,
        _notice: block,
    });
    let response = parking_lot::Mutex::new(Some((whole.slice(1_000..2_500_000), share)));
    drop(whole);
    let server = server_with(NetConfig::default(), move |request| {
        let (slice, share) = response.lock().take().unwrap();
        let (front, back) = (slice.slice(..70_000), slice.slice(70_000..));
        match response_of(request.correlation_id(), [front, back]) {
            Reply::Response(bytes) => Pending::Ready(Reply::Response(bytes.holding(share))),
            other => Pending::Ready(other),
        }
    });
    let mut connection = connect(&server, 100_000);
    connection.send(request(1)).await;
    let mut head = [0; 8];
    connection.client.read_exact(&mut head).await.unwrap();
    let mut begun = vec![0; 400_000];
    connection.client.read_exact(&mut begun).await.unwrap();
    assert!(block_kept.upgrade().is_some(), "it is not late yet");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(block_kept.upgrade().is_none(), "the block is kept");
    assert!(share_kept.upgrade().is_some(), "there is more to write");
    let mut rest = vec![0; sent.len() - begun.len()];
    connection.client.read_exact(&mut rest).await.unwrap();
    assert!([begun, rest].concat() == sent);
    while share_kept.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
