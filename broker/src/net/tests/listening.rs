//! Listeners over real sockets.

use runtime::SystemClock;
use tokio::net::TcpStream;

use super::*;

/// A listener on a free port, running in a task.
async fn listen(config: NetConfig) -> (std::net::SocketAddr, Shutdown, JoinHandle<()>) {
    listen_with(config, echo).await
}

async fn listen_with<F>(
    config: NetConfig,
    script: F,
) -> (std::net::SocketAddr, Shutdown, JoinHandle<()>)
where
    F: Fn(&Request) -> Pending + Send + Sync + 'static,
{
    let listener = Listener::bind("plain", "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let server = Arc::new(Server::new(Script(script), config, SystemClock::shared()));
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

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let (address, _shutdown, _running) = listen_with(NetConfig::default(), |request| {
        assert_ne!(request.correlation_id(), 13, "a panic on purpose");
        echo(request)
    })
    .await;
    let mut one = TcpStream::connect(address).await.unwrap();
    let mut other = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask(&mut one, 1).await.unwrap(), 1);
    assert_eq!(ask(&mut other, 2).await.unwrap(), 2);
    assert!(ask(&mut one, 13).await.is_err());
    assert_eq!(ask(&mut other, 3).await.unwrap(), 3);
}
