//! Connections over real sockets and in-memory pipes, against a service of the tests' own.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::wire::{Request, ResponseBytes};

/// Answers every request with its own correlation id, at once.
struct Echo;

impl Service for Echo {
    fn call(&self, _: &Arc<ConnectionContext>, request: Request, _: &RequestPermit) -> Pending {
        Pending::Ready(Reply::Response(response(request.correlation_id())))
    }
}

fn response(correlation_id: i32) -> ResponseBytes {
    let mut frame = BytesMut::new();
    frame.put_i32(4);
    frame.put_i32(correlation_id);
    ResponseBytes::from_chunks([frame.freeze()])
}

/// A Heartbeat-like request without content: ListGroups version 0 has an empty body.
fn request(correlation_id: i32) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(10);
    frame.put_i16(ApiKey::ListGroups as i16);
    frame.put_i16(0);
    frame.put_i32(correlation_id);
    frame.put_i16(-1);
    frame.freeze()
}

#[tokio::test]
async fn a_listener_answers_and_stops() {
    let listener = Listener::bind("plain", "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = Arc::new(Server::new(Echo, NetConfig::default()));
    let running = tokio::spawn(listener.run(server, shutdown.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&request(7)).await.unwrap();
    assert_eq!(client.read_i32().await.unwrap(), 4);
    assert_eq!(client.read_i32().await.unwrap(), 7);
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the broker closes");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "and listens no more"
    );
}
