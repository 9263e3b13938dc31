//! Connections over pipes and sockets, against services that a test scripts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use runtime::{Shutdown, SimClock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::wire::{Request, ResponseBytes};

/// A service made of a function from a request to its reply.
struct Script<F>(F);

impl<F: Fn(&Request) -> Pending + Send + Sync + 'static> Service for Script<F> {
    fn call(&self, _: &Arc<ConnectionContext>, request: Request, _: &RequestPermit) -> Pending {
        (self.0)(&request)
    }
}

/// A response that is nothing but its header.
fn response(correlation_id: i32) -> Reply {
    response_of(correlation_id, [])
}

fn response_of(correlation_id: i32, chunks: impl IntoIterator<Item = Bytes>) -> Reply {
    let chunks: Vec<Bytes> = chunks.into_iter().collect();
    let mut head = BytesMut::new();
    head.put_i32(4 + chunks.iter().map(|chunk| chunk.len() as i32).sum::<i32>());
    head.put_i32(correlation_id);
    Reply::Response(ResponseBytes::from_chunks(
        [head.freeze()].into_iter().chain(chunks),
    ))
}

fn echo(request: &Request) -> Pending {
    Pending::Ready(response(request.correlation_id()))
}

/// ListGroups version 0, which has no fields.
fn request(correlation_id: i32) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(10);
    frame.put_i16(ApiKey::ListGroups as i16);
    frame.put_i16(0);
    frame.put_i32(correlation_id);
    frame.put_i16(-1);
    frame.freeze()
}

/// SaslAuthenticate version 0 with that many bytes of content.
fn large_request(correlation_id: i32, bytes: usize) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(14 + bytes as i32);
    frame.put_i16(ApiKey::SaslAuthenticate as i16);
    frame.put_i16(0);
    frame.put_i32(correlation_id);
    frame.put_i16(-1);
    frame.put_i32(bytes as i32);
    frame.put_bytes(7, bytes);
    frame.freeze()
}

/// The client's end of a connection that is served in a task.
struct Connection {
    client: DuplexStream,
    task: JoinHandle<()>,
    shutdown: Shutdown,
}

/// Connects through a pipe that holds `pipe_bytes` in each direction.
fn connect<S: Service>(server: &Arc<Server<S>>, pipe_bytes: usize) -> Connection {
    let (client, served) = duplex(pipe_bytes);
    let (reader, writer) = tokio::io::split(served);
    let address = "127.0.0.1:9092".parse().unwrap();
    let context = Arc::new(ConnectionContext::new(
        server.next_id(),
        address,
        address,
        "t".into(),
    ));
    let shutdown = Shutdown::default();
    let (server, begun) = (Arc::clone(server), shutdown.clone());
    let task = tokio::spawn(async move { server.serve(reader, writer, context, &begun).await });
    Connection {
        client,
        task,
        shutdown,
    }
}

fn server_with<F>(config: NetConfig, script: F) -> Arc<Server<Script<F>>>
where
    F: Fn(&Request) -> Pending + Send + Sync + 'static,
{
    Arc::new(Server::new(
        Script(script),
        config,
        Arc::new(SimClock::default()),
    ))
}

fn serve(script: impl Fn(&Request) -> Pending + Send + Sync + 'static) -> Connection {
    connect(&server_with(NetConfig::default(), script), 64 << 10)
}

impl Connection {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next response: its correlation id and what follows it.
    async fn receive(&mut self) -> (i32, Vec<u8>) {
        let length = self.client.read_i32().await.unwrap();
        let correlation_id = self.client.read_i32().await.unwrap();
        let mut rest = vec![0; length as usize - 4];
        self.client.read_exact(&mut rest).await.unwrap();
        (correlation_id, rest)
    }

    async fn receive_id(&mut self) -> i32 {
        self.receive().await.0
    }

    /// Waits until the broker has closed, having sent nothing more.
    async fn closed(mut self) {
        assert_eq!(self.client.read(&mut [0]).await.unwrap(), 0);
        self.task.await.unwrap();
    }
}

/// A gate for each request, opened by the test, and the calls in the order they were made.
fn gates<const N: usize>() -> ([Option<oneshot::Sender<()>>; N], [oneshot::Receiver<()>; N]) {
    let pairs = [(); N].map(|()| oneshot::channel());
    let mut senders = [const { None }; N];
    let mut index = 0;
    let receivers = pairs.map(|(sender, receiver)| {
        senders[index] = Some(sender);
        index += 1;
        receiver
    });
    (senders, receivers)
}

#[tokio::test]
async fn replies_are_written_in_the_order_of_the_requests_though_ready_in_another() {
    let (mut open, gates) = gates::<3>();
    let gates = parking_lot::Mutex::new(gates.map(Some));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let mut connection = serve(move |request| {
        let id = request.correlation_id();
        let gate = gates.lock()[id as usize].take().unwrap();
        let begun = begun.clone();
        Pending::concurrent(async move {
            begun.send(id).unwrap();
            gate.await.unwrap();
            begun.send(id + 10).unwrap();
            response(id)
        })
    });
    for id in 0..3 {
        connection.send(request(id)).await;
    }
    for id in 0..3 {
        assert_eq!(
            begins.recv().await,
            Some(id),
            "each is begun before any is done"
        );
    }
    for id in [2, 1, 0] {
        open[id].take().unwrap().send(()).unwrap();
        assert_eq!(begins.recv().await, Some(id as i32 + 10));
    }
    for id in 0..3 {
        assert_eq!(connection.receive_id().await, id);
    }
}

#[tokio::test]
async fn a_sequential_request_begins_when_the_earlier_responses_are_written() {
    let (open, gate) = oneshot::channel();
    let gate = parking_lot::Mutex::new(Some(gate));
    let (told, mut tells) = mpsc::unbounded_channel();
    let mut connection = serve(move |request| {
        let (id, told) = (request.correlation_id(), told.clone());
        told.send(format!("called {id}")).unwrap();
        if id == 0 {
            let gate = gate.lock().take().unwrap();
            return Pending::concurrent(async move {
                gate.await.unwrap();
                told.send("first is done".to_string()).unwrap();
                response(0)
            });
        }
        Pending::sequential(async move {
            told.send(format!("begun {id}")).unwrap();
            response(id)
        })
    });
    for id in 0..3 {
        connection.send(request(id)).await;
        assert_eq!(tells.recv().await.unwrap(), format!("called {id}"));
    }
    open.send(()).unwrap();
    for id in 0..3 {
        assert_eq!(connection.receive_id().await, id);
    }
    for told in ["first is done", "begun 1", "begun 2"] {
        assert_eq!(tells.recv().await.unwrap(), told);
    }
}

#[tokio::test]
async fn a_request_without_a_response_leaves_no_gap() {
    let mut connection = serve(|request| match request.correlation_id() {
        1 => Pending::Ready(Reply::None),
        2 => Pending::concurrent(async { Reply::None }),
        id => Pending::sequential(async move { response(id) }),
    });
    for id in 0..5 {
        connection.send(request(id)).await;
    }
    for id in [0, 3, 4] {
        assert_eq!(connection.receive_id().await, id);
    }
}

#[tokio::test]
async fn a_handler_closes_the_connection_after_the_earlier_responses() {
    let mut connection = serve(|request| match request.correlation_id() {
        0 => Pending::sequential(async { response(0) }),
        1 => Pending::close("enough"),
        id => Pending::Ready(response(id)),
    });
    let requests: Vec<u8> = (0..3).flat_map(request).collect();
    connection.send(requests).await;
    assert_eq!(connection.receive_id().await, 0);
    connection.closed().await;
}

#[tokio::test]
async fn a_response_of_many_chunks_arrives_whole_through_a_narrow_pipe() {
    let chunks: Vec<Bytes> = (0..1_000usize)
        .map(|size| Bytes::from(vec![size as u8; size % 37]))
        .collect();
    let expected = chunks.concat();
    let server = server_with(NetConfig::default(), move |request| {
        Pending::Ready(response_of(request.correlation_id(), chunks.clone()))
    });
    let mut connection = connect(&server, 7);
    connection.send(request(5)).await;
    assert_eq!(connection.receive().await, (5, expected));
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
    let sent = connection.client.write_all(&requests).await;
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
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_rest_does_not_come_closes_the_connection() {
    let server = server_with(NetConfig::default(), echo);
    for begun in [&[0u8, 0][..], &large_request(1, 100_000)[..1_000]] {
        let mut connection = connect(&server, 64 << 10);
        connection.send(begun).await;
        connection.closed().await;
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
    first.send(large_request(1, 800 << 10)).await;
    assert_eq!(calls.recv().await, Some(1));
    second.send(large_request(2, 800 << 10)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(
        calls.try_recv().is_err(),
        "there is no memory for a second request"
    );
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
    connection.closed().await;
}

/// A listener on a free port, running in a task.
async fn listen(config: NetConfig) -> (std::net::SocketAddr, Shutdown, JoinHandle<()>) {
    let listener = Listener::bind("plain", "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let server = Arc::new(Server::new(Script(echo), config, SystemClock::shared()));
    (
        address,
        shutdown.clone(),
        tokio::spawn(listener.run(server, shutdown)),
    )
}

async fn ask(client: &mut TcpStream, correlation_id: i32) -> std::io::Result<i32> {
    client.write_all(&request(correlation_id)).await?;
    client.read_i32().await?;
    client.read_i32().await
}

#[tokio::test]
async fn a_listener_answers_and_stops() {
    let (address, shutdown, running) = listen(NetConfig::default()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask(&mut client, 7).await.unwrap(), 7);
    shutdown.begin();
    running.await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the broker closes");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "and listens no more"
    );
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_until_one_ends() {
    let config = NetConfig {
        connections_max: 2,
        ..NetConfig::default()
    };
    let (address, _shutdown, _running) = listen(config).await;
    let mut open = Vec::new();
    for id in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut client, id).await.unwrap(), id);
        open.push(client);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut third, 3).await.is_err());
    open.pop();
    loop {
        let mut client = TcpStream::connect(address).await.unwrap();
        if ask(&mut client, 4).await.is_ok() {
            break;
        }
    }
    assert_eq!(
        ask(&mut open[0], 5).await.unwrap(),
        5,
        "the first is still served"
    );
}

#[tokio::test]
async fn many_idle_connections_do_not_hinder_a_busy_one() {
    let (address, shutdown, running) = listen(NetConfig::default()).await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut busy = TcpStream::connect(address).await.unwrap();
    for id in 0..1_000 {
        assert_eq!(ask(&mut busy, id).await.unwrap(), id);
    }
    for (id, client) in idle.iter_mut().enumerate() {
        assert_eq!(ask(client, id as i32).await.unwrap(), id as i32);
    }
    shutdown.begin();
    running.await.unwrap();
    for client in &mut idle {
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
