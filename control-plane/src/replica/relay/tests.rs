use std::time::Duration;

use runtime::Rng;

use super::*;
use crate::log::MetadataLog;
use crate::log::memory::{Faults, MemoryLog};
use crate::replica::Session;
use crate::replica::tests::site::{Site, faults, topic};
use crate::state::{METADATA_VERSION_MAX, State};

/// A relay that loses some of what is asked, and some of what is answered.
#[derive(Debug)]
struct Lossy {
    to: Replica,
    rng: Rng,
    lost: f64,
}

#[async_trait]
impl Relay for Lossy {
    async fn append(&self, entry: &Bytes) -> Option<(Position, Bytes)> {
        if self.rng.chance(self.lost) {
            return None;
        }
        let to = self.to.clone();
        let entry = entry.clone();
        // What was asked happens, whether or not its sender waits.
        let asked = tokio::spawn(async move { to.append_for(entry).await.ok() });
        if self.rng.chance(self.lost) {
            return None;
        }
        asked.await.ok().flatten()
    }
}

/// A site whose log passes for one that writers race for.
fn raced_for(seed: u64) -> Site {
    let mut site = Site::of_seed(seed);
    site.log = site.log.raced_for();
    site
}

/// How often something was appended.
async fn appends(site: &Site) -> u64 {
    site.log.tail().await.unwrap().0
}

/// Has each session create 20 topics, one after the other. A second effect would be refused: the name is taken.
async fn create_topics(sessions: &[Session], turn: usize) {
    let creating = sessions.iter().enumerate().map(|(writer, session)| {
        let session = session.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                let id = (turn * 10_000 + writer * 100 + number + 1) as u128;
                let name = format!("{turn}-{writer}-{number}");
                let created = session.submit(topic(&name, id)).await.unwrap();
                assert_eq!(
                    created,
                    Ok(()),
                    "turn {turn}, writer {writer}, topic {number}"
                );
            }
        })
    });
    for done in creating.collect::<Vec<_>>() {
        done.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_relayed_has_one_effect_whatever_is_lost() {
    for seed in 0..20 {
        let site = raced_for(seed);
        let handle = |n| {
            let rng = Rng::from_seed(seed * 10 + n);
            site.log.with_faults(rng, Faults::default())
        };
        let handles: Vec<MemoryLog> = (0..4).map(handle).collect();
        let mut sessions = Vec::new();
        for (n, log) in handles.iter().enumerate() {
            sessions.push(site.join_on(&format!("agent-{n}"), log.clone()).await);
        }
        for session in &sessions[1..] {
            session.replica().append_through(Arc::new(Lossy {
                to: sessions[0].replica().clone(),
                rng: site.rng.fork("relay"),
                lost: 0.1,
            }));
        }
        handles.iter().for_each(|h| h.set_faults(faults()));
        create_topics(&sessions, seed as usize).await;
        let late = site.open(site.log.clone()).await;
        assert_eq!(late.read(|s| s.topics().count()), 80, "seed {seed}");
        for session in &sessions {
            let replica = session.replica();
            replica.applied(late.position()).await.unwrap();
            if replica.position() == late.position() {
                let bytes = |r: &Replica| r.read(State::to_bytes);
                assert_eq!(bytes(replica), bytes(&late), "seed {seed}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_an_append_is_under_way_shares_the_next() {
    let site = raced_for(1);
    let slow = Faults {
        delay_max: Duration::from_millis(30),
        ..Faults::default()
    };
    let log = site.log.with_faults(Rng::from_seed(1), slow);
    let mut sessions = Vec::new();
    for n in 0..8 {
        sessions.push(site.join_on(&format!("agent-{n}"), log.clone()).await);
    }
    let before = appends(&site).await;
    create_topics(&sessions, 0).await;
    assert_eq!(appends(&site).await - before, 160, "each appends its own");

    for session in &sessions[1..] {
        session.replica().append_through(Arc::new(Lossy {
            to: sessions[0].replica().clone(),
            rng: site.rng.fork("relay"),
            lost: 0.0,
        }));
    }
    let before = appends(&site).await;
    create_topics(&sessions, 1).await;
    let appends = appends(&site).await - before;
    assert!(appends <= 60, "{appends} appends for 160 commands of eight");
}

#[tokio::test]
async fn what_no_process_knows_is_not_appended_for_another() {
    let site = raced_for(1);
    let session = site.join("agent").await;
    let before = appends(&site).await;
    let newer = (METADATA_VERSION_MAX + 1).to_le_bytes();
    for odd in [&newer[..], b"", b"\x01", b"\x00\x00", b"\x00\x80 several"] {
        let entry = Bytes::copy_from_slice(odd);
        let refused = session.replica().append_for(entry).await;
        assert!(matches!(refused, Err(AppendError::Rejected(_))), "{odd:?}");
    }
    assert_eq!(appends(&site).await, before);
}
