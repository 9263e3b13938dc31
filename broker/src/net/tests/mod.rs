//! Connections over pipes, against services that a test scripts; and the order of their replies.

mod bounds;
mod listening;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use runtime::{Shutdown, SimClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
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
