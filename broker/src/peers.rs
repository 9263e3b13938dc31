//! Agents wake each other: whoever appended to the metadata log tells the others, so that they need not poll for it.
//! Where one agent appends for all ([`appending`]) they are told what was appended as well ([`telling`]). Else it is only a
//! hint: eight bytes, the position, big endian. A false one costs its reader a look at the log.
//!
//! The connections also tell who has ended: whoever could be reached, and whose address refuses connections now. Who
//! is frozen or cut off is not refused but silent, and gets its whole session timeout.
//!
//! The same port takes calls of share-partitions, see [`crate::share`], and asks for blocks, see [`crate::zone_cache`]:
//! those connections begin with a number of their own. But for hints, both sides show first that they are of one cluster
//! ([`Keys`]).

mod appending;
pub(crate) mod handshake;
mod keys;
mod sealed;
mod telling;

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use control_plane::cluster::PeerSecret;
use control_plane::log::Position;
use control_plane::replica::Session;
use object_format::AgentEpoch;
use runtime::{Rng, SharedClock, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::share::{PEER_MAGIC, Shares};
use crate::zone_cache::{Lender, MAGIC as BLOCKS_MAGIC};

pub(crate) use keys::Keys;
pub(crate) use sealed::Sealed;

/// Peers that may be connected at once.
const CONNECTIONS_MAX: usize = 1024;

/// Tries to reach a peer begin at least this long after each other.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Longest time to reach a peer or to have it take a hint.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// Another agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    agent: AgentEpoch,
    address: String,
}

/// What other agents may want of this one, besides hints.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    /// Calls of share-partitions.
    pub shares: Shares,
    /// Blocks, unless this agent gives none.
    pub lender: Option<Arc<Lender>>,
    /// By which others are known, if there is a secret. Without it nothing is appended for them, nor believed of them.
    pub keys: Option<Keys>,
}

/// From now on the agent that appends for all is asked to append what the process of `session` has to say. Gives by what
/// others know the process.
pub fn relay_appends(
    session: &Session,
    secret: PeerSecret,
    clock: &SharedClock,
    rng: &Rng,
) -> Keys {
    let keys = Keys {
        own: session.epoch(),
        secret,
        rng: rng.fork("peers"),
    };
    let relay = appending::AppendRelay::new(session.clone(), keys.clone(), clock.clone());
    session.replica().append_through(Arc::new(relay));
    keys
}

/// Takes hints from other agents, and serves them, until `shutdown` begins.
pub(crate) async fn listen(
    listener: TcpListener,
    session: Session,
    services: Services,
    shutdown: Shutdown,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
        let (session, services, shutdown) = (session.clone(), services.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _slot = slot;
            shutdown
                .unless_begun(serve(stream, session, services))
                .await;
        });
    }
}

async fn serve(mut stream: TcpStream, session: Session, services: Services) {
    while let Ok(position) = stream.read_u64().await {
        match position {
            BLOCKS_MAGIC => {
                let _ = stream.set_nodelay(true);
                if let Some(lender) = services.lender {
                    lender.serve(stream).await;
                }
                return;
            }
            PEER_MAGIC | appending::MAGIC | telling::MAGIC => {
                if let Err(error) = serve_known(position, stream, &session, services).await {
                    tracing::debug!(%error, "the connection of another process ended");
                }
                return;
            }
            _ => {}
        }
        session.replica().log().hint(Position(position));
    }
}

/// Serves who can show that it is of this cluster.
async fn serve_known(
    magic: u64,
    mut stream: TcpStream,
    session: &Session,
    services: Services,
) -> Result<(), Error> {
    let keys = services.keys.ok_or(ErrorKind::Unsupported)?;
    stream.set_nodelay(true)?;
    let (_, key) = keys.answer(&mut stream).await?;
    match magic {
        PEER_MAGIC => {
            services
                .shares
                .serve_peer(Sealed::asked(stream, &key))
                .await
        }
        appending::MAGIC => appending::serve(stream, &key, session.replica()).await,
        _ => telling::listen(&mut stream, &key, session.replica()).await,
    }
}

/// Tells every other agent of this one's appends until `shutdown` begins.
pub(crate) async fn notify(session: Session, keys: Option<Keys>, shutdown: Shutdown) {
    let mut told: HashMap<Peer, AbortHandle> = HashMap::new();
    let mut positions = session.replica().positions();
    let mut known: Option<Vec<Peer>> = None;
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
                    tokio::spawn(tell(peer.clone(), session.clone(), keys.clone())).abort_handle()
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

fn others(session: &Session) -> Vec<Peer> {
    session.replica().read(|state| {
        let others = state
            .agents()
            .filter(|(epoch, _)| *epoch != session.epoch());
        let peers = others.map(|(agent, other)| Peer {
            agent,
            address: other.registration.peer_address.clone(),
        });
        peers.filter(|peer| !peer.address.is_empty()).collect()
    })
}

/// Keeps a connection to one peer and tells it whatever this process appends.
async fn tell(peer: Peer, session: Session, keys: Option<Keys>) {
    let mut was_reached = false;
    loop {
        // Runs while the connection lasts: when that ends, whether its agent has is asked at once, since clients are sent
        // there until it is known.
        let pause = std::pin::pin!(tokio::time::sleep(RECONNECT_PAUSE));
        let connected = tokio::time::timeout(PEER_TIMEOUT, TcpStream::connect(&peer.address)).await;
        match connected {
            Ok(Ok(stream)) => {
                was_reached = true;
                session.note_gone(peer.agent, false);
                let keys = keys
                    .as_ref()
                    .filter(|_| session.replica().appends_together());
                let told = match keys {
                    Some(keys) => tell_known(stream, peer.agent, &session, keys).await,
                    None => {
                        send_hints(stream, session.appended()).await;
                        Ok(())
                    }
                };
                if let Err(error) = told {
                    tracing::debug!(%error, agent = %peer.agent, "cannot tell another agent");
                }
            }
            // SUBTLE: only if it could be reached before. Else the address may be one that nobody can use.
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                session.note_gone(peer.agent, was_reached);
            }
            _ => {}
        }
        pause.await;
    }
}

async fn tell_known(
    mut stream: TcpStream,
    agent: AgentEpoch,
    session: &Session,
    keys: &Keys,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let key = keys.ask(&mut stream, agent, telling::MAGIC).await?;
    telling::tell(stream, &key, session).await
}

/// Sends positions until the connection ends or this process does not append any more.
async fn send_hints(mut stream: TcpStream, mut appended: watch::Receiver<Position>) {
    let _ = stream.set_nodelay(true);
    let (mut from_peer, mut to_peer) = stream.split();
    // A peer sends nothing: this ends when the connection does, and that is noticed at once.
    let ended = from_peer.read_u8();
    tokio::pin!(ended);
    // The first also tells what was appended while there was no connection.
    loop {
        let newest = appended.borrow_and_update().0;
        let sent = tokio::time::timeout(PEER_TIMEOUT, to_peer.write_u64(newest)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
        tokio::select! {
            changed = appended.changed() => if changed.is_err() {
                return;
            },
            _ = &mut ended => return,
        }
    }
}

/// What `work` gives, unless it takes longer than `limit`.
pub(crate) async fn in_time<T, E: From<Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(Error::from(ErrorKind::TimedOut).into()))
}
