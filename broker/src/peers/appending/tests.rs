use control_plane::checkpoint::CheckpointStore;
use control_plane::cluster::PeerSecret;
use control_plane::log::bucket::{BucketLog, BucketLogOptions};
use control_plane::replica::ReplicaParts;
use control_plane::state::{AgentRejection, Heartbeat, RegisterAgent};
use futures::FutureExt;
use object_store::memory::InMemory;
use runtime::{Rng, Shutdown, SimClock, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;

use super::*;
use crate::api::testing::{command_as, state_with};

fn registration(agent_id: &str, peer_address: &str) -> RegisterAgent {
    RegisterAgent {
        peer_address: peer_address.to_owned(),
        ..RegisterAgent::new(uuid::Uuid::from_u128(agent_id.len() as u128), agent_id)
    }
}

fn register(state: &mut State, agent_id: &str, address: &str) -> AgentEpoch {
    let registration = registration(agent_id, address);
    let registered: Result<_, AgentRejection> =
        command_as(state, AgentEpoch::default(), registration);
    registered.unwrap().epoch
}

#[test]
fn the_first_that_can_be_reached_and_stays_appends_for_all() {
    let mut state = state_with(&[]);
    let none = BTreeSet::new();
    assert_eq!(appender(&state, &none), None, "nobody can be reached");
    let first = register(&mut state, "first", "host:1");
    let second = register(&mut state, "the second", "host:2");
    let third = register(&mut state, "that is the third", "host:3");
    let chosen = |state: &State, doubtful: &[AgentEpoch]| {
        let doubtful = doubtful.iter().copied().collect();
        appender(state, &doubtful).map(|(epoch, _)| epoch)
    };
    assert_eq!(appender(&state, &none), Some((first, "host:1".into())));
    assert_eq!(chosen(&state, &[first]), Some(second));
    assert_eq!(chosen(&state, &[first, second]), Some(third));
    command_as(&mut state, first, Heartbeat { draining: true });
    assert_eq!(chosen(&state, &[]), Some(second));
}

/// A process on the log of a bucket that all share.
async fn replica(store: &Store, seed: u64, shutdown: &Shutdown) -> Replica {
    let clock: SharedClock = Arc::new(SimClock::new(1_700_000_000_000));
    let rng = Rng::from_seed(seed);
    let options = BucketLogOptions::default();
    let log = BucketLog::open(store.clone(), clock.clone(), rng.clone(), options).await;
    let parts = ReplicaParts {
        log: Arc::new(log.unwrap()),
        checkpoints: CheckpointStore::new(store.clone()),
        clock,
        rng,
    };
    Replica::open(parts, shutdown).await.unwrap()
}

#[tokio::test]
async fn an_entry_is_appended_and_its_place_and_bytes_come_back() {
    let (store, shutdown): (Store, _) = (Arc::new(InMemory::new()), Shutdown::default());
    let asked = replica(&store, 1, &shutdown).await;
    let founder = asked.join(registration("agent", ""), &shutdown).await;
    let other = replica(&store, 2, &shutdown).await;
    let (near, far) = duplex(1 << 10);
    let key = SessionKey::new([7; 32]);
    let serving = serve(far, &key, &asked);
    let asking = async {
        let mut link = Link::new(founder.unwrap().epoch(), near, &key);
        // No process's entry, but one to append: what it means is found where it is applied.
        let entry = Bytes::from_static(b"\x01\x00entry");
        let (at, appended) = link.ask(&entry).await.unwrap().unwrap();
        assert_eq!(at, Position(2));
        assert_eq!(appended, entry);
        other.told(at, appended);
        other.applied(at).await.unwrap();
        let odd = Bytes::from_static(b"\xff\x7fof no version that is known");
        assert_eq!(link.ask(&odd).await.unwrap(), None);
        assert_eq!(asked.log().tail().await.unwrap(), at);
    };
    let (ended, ()) = tokio::join!(serving, asking);
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_not_sealed_is_not_appended() {
    let (store, shutdown): (Store, _) = (Arc::new(InMemory::new()), Shutdown::default());
    let asked = replica(&store, 1, &shutdown).await;
    let frames: [&[u8]; 3] = [
        &[0, 0, 0, 4, 1, 0, 2, 3],
        &[&[0, 0, 0, 2][..], &[9; 32], &[1, 0]].concat(),
        &[0xff; 40],
    ];
    for frame in frames {
        let (mut near, far) = duplex(1 << 10);
        near.write_all(frame).await.unwrap();
        drop(near);
        let key = SessionKey::new([7; 32]);
        assert!(serve(far, &key, &asked).await.is_err());
    }
    assert_eq!(asked.log().tail().await.unwrap(), Position(0));
}

/// One that registers after `asked` and has it append.
async fn asker(store: &Store, shutdown: &Shutdown) -> AppendRelay {
    let replica = replica(store, 2, shutdown).await;
    let session = replica.join(registration("the asker", ""), shutdown).await;
    let session = session.unwrap();
    let clock: SharedClock = Arc::new(SimClock::new(0));
    let keys = keys(session.epoch(), 2);
    AppendRelay::new(session, keys, clock)
}

fn keys(own: AgentEpoch, seed: u64) -> Keys {
    Keys {
        own,
        secret: PeerSecret::new([7; 32]),
        rng: Rng::from_seed(seed),
    }
}

#[tokio::test]
async fn nobody_waits_for_a_connection_and_once_there_is_one_it_is_used() {
    let (store, shutdown): (Store, _) = (Arc::new(InMemory::new()), Shutdown::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = replica(&store, 1, &shutdown).await;
    let session = asked.join(registration("agent", &address), &shutdown).await;
    let own = session.unwrap().epoch();
    let relay = asker(&store, &shutdown).await;
    let entry = Bytes::from_static(b"\x01\x00entry");
    // Whoever listens has not even accepted.
    assert_eq!(relay.append(&entry).now_or_never(), Some(None));

    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read_u64().await.unwrap(), MAGIC);
        let (_, key) = keys(own, 1).answer(&mut stream).await.unwrap();
        serve(stream, &key, &asked).await
    });
    let landed = loop {
        if let Some(landed) = relay.append(&entry).await {
            break landed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(landed, (Position(3), entry.clone()));

    // Its end is noticed, and what is said meanwhile is left to the asker.
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(relay.append(&entry).await, None);
    assert_eq!(relay.append(&entry).now_or_never(), Some(None));
}
