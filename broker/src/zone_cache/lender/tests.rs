use std::sync::Arc;
use std::time::Duration;

use control_plane::cluster::PeerSecret;
use runtime::{Rng, SystemClock};
use tokio::io::{DuplexStream, duplex};

use super::super::connection::{AskError, Connection};
use super::*;
use crate::fetch::FetchOptions;
use crate::fetch::fixture::{Agent, TestStore, batch, tp};
use crate::fetch::pool::PerPool;
use crate::peers::handshake;
use control_plane::log::memory::MemoryLog;
use object_format::object::SealedObject;

const ASKER: AgentEpoch = AgentEpoch(77);
const WITHIN: Duration = Duration::from_secs(10);

fn secret() -> PeerSecret {
    PeerSecret::new([3; 32])
}

/// An agent with objects that it does not have in memory, and what lends its blocks.
async fn agent(objects: usize, options: FetchOptions) -> (Agent, Arc<Lender>, Vec<SealedObject>) {
    let agent = Agent::start_with("a", MemoryLog::new(), TestStore::new(), options).await;
    let topic = agent.topic("t", 1).await;
    let mut written = vec![];
    for _ in 0..objects {
        written.push(agent.write(&[(tp(topic, 0), batch(3, 1_000))]).await);
    }
    let keys = Keys {
        own: agent.session.epoch(),
        secret: secret(),
        rng: Rng::from_seed(4),
    };
    let lender = Lender::new(agent.fetcher.clone(), keys, SystemClock::shared());
    (agent, Arc::new(lender), written)
}

fn key(object: &SealedObject) -> BlockKey {
    BlockKey {
        object: object.id,
        index: 0,
        object_bytes: object.len,
    }
}

/// A connection to a lender, known to it.
async fn known(lender: &Arc<Lender>) -> DuplexStream {
    let (mut near, far) = duplex(64 << 10);
    let (serving, own) = (lender.clone(), lender.keys.own);
    tokio::spawn(async move { serving.serve(far).await });
    handshake::ask(&mut near, &secret(), (ASKER, own), [1; 32])
        .await
        .unwrap();
    near
}

async fn connection(lender: &Arc<Lender>) -> Arc<Connection> {
    let stream = known(lender).await;
    Arc::new(Connection::open(async { Some(stream) }, 64 << 20))
}

#[tokio::test]
async fn many_who_ask_for_a_block_cost_one_get() {
    let (agent, lender, objects) = agent(1, FetchOptions::default()).await;
    let (one, other) = (connection(&lender).await, connection(&lender).await);
    agent.store.hold();
    let asks: Vec<_> = (0..50)
        .map(|n| {
            let asking = if n % 2 == 0 { &one } else { &other }.clone();
            let key = key(&objects[0]);
            tokio::spawn(async move { asking.ask(key, Pool::Tail).await })
        })
        .collect();
    agent.store.asked().await;
    agent.store.let_through(1);
    for ask in asks {
        let bytes = tokio::time::timeout(WITHIN, ask).await.unwrap().unwrap();
        assert_eq!(bytes.unwrap(), objects[0].to_bytes());
    }
    assert_eq!(agent.store.gets(), 1);
}

#[tokio::test]
async fn what_was_written_is_given_without_a_get() {
    let (agent, lender, objects) = agent(3, FetchOptions::default()).await;
    let asking = connection(&lender).await;
    for object in &objects {
        agent.fetcher.cache().insert_written(object);
        let bytes = asking.ask(key(object), Pool::Tail).await.unwrap();
        assert_eq!(bytes, object.to_bytes());
    }
    assert_eq!(agent.store.gets(), 0);
}

#[tokio::test]
async fn with_its_memory_taken_it_says_so_at_once() {
    let options = FetchOptions {
        memory_bytes: PerPool {
            tail: 20_000,
            catch_up: 20_000,
        },
        lent_percent: 25,
        ..FetchOptions::default()
    };
    let (agent, lender, objects) = agent(3, options).await;
    let asking = connection(&lender).await;
    agent.store.hold();
    let first = tokio::spawn({
        let (asking, key) = (asking.clone(), key(&objects[0]));
        async move { asking.ask(key, Pool::Tail).await }
    });
    agent.store.asked().await;
    // A block takes more than half of what may be lent.
    assert!((2_501..5_000).contains(&objects[0].len));
    let busy = tokio::time::timeout(WITHIN, asking.ask(key(&objects[1]), Pool::Tail)).await;
    assert_eq!(busy.unwrap(), Err(AskError::Busy));
    agent.store.let_through(10);
    assert!(first.await.unwrap().is_ok());
    let again = tokio::time::timeout(WITHIN, async {
        // The memory is given back once the answer is written.
        while asking.ask(key(&objects[1]), Pool::Tail).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    again.await.unwrap();
}

#[tokio::test]
async fn an_object_that_is_not_there_is_no_answer_and_no_end() {
    let (agent, lender, objects) = agent(2, FetchOptions::default()).await;
    agent.store.lose(objects[0].id).await;
    let asking = connection(&lender).await;
    let lost = asking.ask(key(&objects[0]), Pool::Tail).await;
    assert_eq!(lost, Err(AskError::Failed));
    assert!(asking.ask(key(&objects[1]), Pool::Tail).await.is_ok());
    assert!(asking.is_open());
}

#[tokio::test]
async fn an_ask_that_is_taken_back_is_given_up() {
    let (agent, lender, objects) = agent(1, FetchOptions::default()).await;
    let asking = connection(&lender).await;
    agent.store.hold();
    let ask = tokio::spawn({
        let (asking, key) = (asking.clone(), key(&objects[0]));
        async move { asking.ask(key, Pool::Tail).await }
    });
    while agent.fetcher.cache().under_way() == 0 {
        tokio::task::yield_now().await;
    }
    ask.abort();
    let given_up = tokio::time::timeout(WITHIN, async {
        while agent.fetcher.cache().under_way() > 0 {
            tokio::task::yield_now().await;
        }
    });
    given_up.await.unwrap();
}

#[tokio::test]
async fn who_is_not_of_the_cluster_gets_nothing() {
    let (agent, lender, objects) = agent(1, FetchOptions::default()).await;
    let (mut near, far) = duplex(64 << 10);
    let (serving, own) = (lender.clone(), lender.keys.own);
    let served = tokio::spawn(async move { serving.serve(far).await });
    let other = PeerSecret::new([4; 32]);
    let known = handshake::ask(&mut near, &other, (ASKER, own), [1; 32]).await;
    assert!(matches!(known, Err(HandshakeError::Refused)));
    let mut question = vec![];
    Question::Ask(1, key(&objects[0]), Pool::Tail).encode(&mut question);
    let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &question).await;
    tokio::time::timeout(WITHIN, served).await.unwrap().unwrap();
    assert_eq!(agent.store.gets(), 0);
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_nothing_else() {
    let (agent, lender, objects) = agent(1, FetchOptions::default()).await;
    let rng = Rng::from_seed(9);
    for _ in 0..100 {
        let mut stream = known(&lender).await;
        let mut said = vec![];
        Question::Ask(1, key(&objects[0]), Pool::Tail).encode(&mut said);
        let at = rng.below(said.len() as u64) as usize;
        said[at] ^= 1 << rng.below(8);
        said.truncate(1 + rng.below(said.len() as u64) as usize);
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &said).await;
        drop(stream);
    }
    let asking = connection(&lender).await;
    let bytes = asking.ask(key(&objects[0]), Pool::Tail).await.unwrap();
    assert_eq!(bytes, objects[0].to_bytes());
    assert_eq!(agent.fetcher.cache().under_way(), 0);
}

#[tokio::test]
async fn the_largest_blocks_come_whole_out_of_many_pieces() {
    let (agent, lender, _) = agent(0, FetchOptions::default()).await;
    let topic = agent.topic("large", 1).await;
    let batches: Vec<_> = (0..90).map(|_| (tp(topic, 0), batch(1, 100_000))).collect();
    let written = agent.write(&batches).await;
    agent.fetcher.cache().insert_written(&written);
    let read = agent.write(&batches).await;
    let asking = connection(&lender).await;
    for object in [&written, &read] {
        let bytes = asking.ask(key(object), Pool::CatchUp).await.unwrap();
        assert!(bytes == object.to_bytes(), "of {} bytes", object.len);
    }
    assert_eq!(agent.store.gets(), 1);
}
