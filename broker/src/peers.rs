//! Agents wake each other: whoever appended to the metadata log tells the others its position, so that they need not
//! poll for it. Only a hint: eight bytes, the position, big endian. A false one costs its reader a look at the log.

use std::collections::HashMap;
use std::time::Duration;

use control_plane::log::Position;
use control_plane::replica::Session;
use runtime::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Peers that may be connected at once.
const CONNECTIONS_MAX: usize = 1024;

/// Pause before another try to reach a peer.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Longest time to reach a peer or to have it take a hint.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes hints from other agents until `shutdown` begins.
pub(crate) async fn listen(listener: TcpListener, session: Session, shutdown: Shutdown) {
    let slots = std::sync::Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some(accepted) = shutdown.unless_begun(listener.accept()).await else {
            return;
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(RECONNECT_PAUSE).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            continue;
        };
        let (session, shutdown) = (session.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _slot = slot;
            shutdown.unless_begun(take_hints(stream, session)).await;
        });
    }
}

async fn take_hints(mut stream: TcpStream, session: Session) {
    while let Ok(position) = stream.read_u64().await {
        session.replica().log().hint(Position(position));
    }
}

/// Tells every other agent of this one's appends until `shutdown` begins.
pub(crate) async fn notify(session: Session, shutdown: Shutdown) {
    let mut told: HashMap<String, AbortHandle> = HashMap::new();
    let mut positions = session.replica().positions();
    let mut known: Option<Vec<String>> = None;
    loop {
        let peers = others(&session);
        if known.as_ref() != Some(&peers) {
            told.retain(|peer, task| {
                let stays = peers.contains(peer);
                if !stays {
                    task.abort();
                }
                stays
            });
            for peer in &peers {
                told.entry(peer.clone()).or_insert_with(|| {
                    tokio::spawn(tell(peer.clone(), session.clone())).abort_handle()
                });
            }
            known = Some(peers);
        }
        if shutdown
            .unless_begun(positions.changed())
            .await
            .is_none_or(|changed| changed.is_err())
        {
            break;
        }
    }
    told.values().for_each(AbortHandle::abort);
}

fn others(session: &Session) -> Vec<String> {
    session.replica().read(|state| {
        let others = state
            .agents()
            .filter(|(epoch, _)| *epoch != session.epoch());
        let addresses = others.map(|(_, agent)| agent.registration.peer_address.clone());
        addresses.filter(|address| !address.is_empty()).collect()
    })
}

/// Keeps a connection to one peer and sends it the newest position whenever there is a newer one.
async fn tell(peer: String, session: Session) {
    let mut appended = session.appended();
    loop {
        let connected = tokio::time::timeout(PEER_TIMEOUT, TcpStream::connect(&peer)).await;
        if let Ok(Ok(mut stream)) = connected {
            let _ = stream.set_nodelay(true);
            // Also what was appended while there was no connection.
            loop {
                let newest = appended.borrow_and_update().0;
                let sent = tokio::time::timeout(PEER_TIMEOUT, stream.write_u64(newest)).await;
                if !matches!(sent, Ok(Ok(()))) || appended.changed().await.is_err() {
                    break;
                }
            }
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}
