use super::*;
use crate::log::memory::Faults;
use crate::state::{
    Entry, ExpireAgent, Heartbeat, METADATA_VERSION_MAX, ReportCheckpoint, TopicRejection,
};
use site::{Site, faults, topic};

pub(super) mod site;

async fn expire(by: &Session, other: &Session) {
    let agent = other.epoch();
    by.replica().barrier().await.unwrap();
    let seen = by.replica().read(|s| s.agent(agent).map(|a| a.entry_last));
    let entry_last_seen = seen.unwrap();
    let expiry = ExpireAgent {
        agent,
        entry_last_seen,
    };
    assert!(by.submit(expiry).await.unwrap());
}

#[tokio::test]
async fn what_one_process_changed_another_sees_after_a_barrier() {
    let site = Site::new();
    let (a, b) = (site.join("a").await, site.join("b").await);
    a.submit(topic("t", 1)).await.unwrap().unwrap();
    b.replica().barrier().await.unwrap();
    assert!(b.replica().read(|s| s.topic_named("t").is_some()));
    let taken = b.submit(topic("t", 2)).await.unwrap();
    assert_eq!(taken, Err(TopicRejection::NameTaken));
}

#[tokio::test(start_paused = true)]
async fn a_barrier_waits_for_a_log_that_hangs_no_longer_than_clients_do() {
    let site = Site::new();
    let log = site.log.with_faults(Rng::from_seed(1), Faults::default());
    let replica = site.open(log.clone()).await;
    log.set_faults(Faults {
        delay_max: Duration::from_secs(100_000),
        ..Faults::default()
    });
    let barrier = tokio::time::timeout(Duration::from_secs(30), replica.barrier()).await;
    let told = barrier.expect("it is told in time").unwrap_err();
    assert!(matches!(told, ReadError::Unavailable(_)), "{told}");
    log.set_faults(Faults::default());
    replica.barrier().await.unwrap();
}

#[tokio::test]
async fn a_fenced_process_stops_and_nothing_it_says_afterwards_counts() {
    let site = Site::new();
    let (a, b) = (site.join("a").await, site.join("b").await);
    expire(&b, &a).await;
    let failure = a.replica().failed().await;
    assert_eq!(failure, Failure::Fenced { epoch: a.epoch() });
    let late = a.submit(topic("late", 1)).await;
    assert!(matches!(
        late,
        Err(SubmitError::Failed(Failure::Fenced { .. }))
    ));
    b.replica().barrier().await.unwrap();
    assert!(b.replica().read(|s| s.topic_named("late").is_none()));
}

#[tokio::test]
async fn without_a_readable_checkpoint_only_a_whole_log_will_do() {
    let site = Site::new();
    let session = site.join("a").await;
    session.submit(topic("t", 1)).await.unwrap().unwrap();
    let damaged = object_format::path::checkpoint_file(1, "manifest");
    let damaged = object_store::path::Path::from(damaged);
    let put = object_store::ObjectStoreExt::put(&site.store, &damaged, "not one".into());
    put.await.unwrap();
    let replica = site.open(site.log.clone()).await;
    assert!(replica.read(|s| s.topic_named("t").is_some()), "replayed");
    site.log.trim(Position(1)).await.unwrap();
    let opened = Replica::open(site.parts(site.log.clone()), &site.shutdown).await;
    let refused = opened.unwrap_err().to_string();
    assert!(refused.contains("no checkpoint can be read"), "{refused}");
}

#[tokio::test]
async fn a_log_that_holds_an_entry_of_a_newer_version_is_refused() {
    let site = Site::new();
    site.join("a")
        .await
        .submit(topic("t", 1))
        .await
        .unwrap()
        .unwrap();
    let entry = Entry {
        writer: AgentEpoch(1),
        sequence: 9,
        time_ms: 0,
        commands: vec![],
    };
    let newer = entry.encode(METADATA_VERSION_MAX + 1);
    site.log.append(newer).await.unwrap();
    let opened = Replica::open(site.parts(site.log.clone()), &site.shutdown).await;
    let refused = opened.unwrap_err().to_string();
    assert!(refused.contains("upgrade this process"), "{refused}");
}

#[tokio::test]
async fn a_process_whose_state_differs_from_a_checkpoint_stops() {
    let site = Site::new();
    let (a, b) = (site.join("a").await, site.join("b").await);
    a.submit(topic("t", 1)).await.unwrap().unwrap();
    b.replica().barrier().await.unwrap();
    let (position, digest) = a.replica().read(|s| (s.position(), s.digest()));
    let agreed = ReportCheckpoint {
        position,
        digest,
        bytes: 1,
    };
    a.submit(agreed).await.unwrap();
    b.replica().barrier().await.unwrap();
    assert_eq!(b.replica().failure(), None, "they agree so far");

    let position = a.replica().position();
    let digest = a.replica().read(State::digest) ^ 1;
    let _ = a
        .submit(ReportCheckpoint {
            position,
            digest,
            bytes: 1,
        })
        .await;
    let failure = b.replica().failed().await;
    assert_eq!(failure, Failure::Diverged { at: position });
}

#[tokio::test]
async fn a_new_process_starts_from_the_checkpoint_and_the_log_after_it() {
    let site = Site::new();
    let a = site.join("a").await;
    let options = CheckpointOptions {
        entries: 1,
        ..CheckpointOptions::default()
    };
    let mut duty = CheckpointDuty::new(a.clone(), options);
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        a.submit(topic(name, number as u128))
            .await
            .unwrap()
            .unwrap();
        assert!(duty.step().await.unwrap().is_some());
    }
    a.submit(topic("four", 4)).await.unwrap().unwrap();
    assert!(
        matches!(
            site.log.read(Position(0), 1 << 20).await,
            Err(ReadError::Trimmed { .. })
        ),
        "the log before the last but one checkpoint is gone"
    );
    let late = site.open(site.log.clone()).await;
    let bytes = |replica: &Replica| replica.read(State::to_bytes);
    a.replica().barrier().await.unwrap();
    assert_eq!(bytes(&late), bytes(a.replica()));
}

#[tokio::test]
async fn a_follower_that_was_overtaken_by_trimming_starts_again_from_a_checkpoint() {
    let site = Site::new();
    let a = site.join("a").await;
    let cut_off = site.log.with_faults(Rng::from_seed(1), Faults::default());
    let b = site.open(cut_off.clone()).await;
    cut_off.set_faults(Faults::unreachable());
    let options = CheckpointOptions {
        entries: 1,
        ..CheckpointOptions::default()
    };
    let mut duty = CheckpointDuty::new(a.clone(), options);
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        a.submit(topic(name, number as u128))
            .await
            .unwrap()
            .unwrap();
        duty.step().await.unwrap();
    }
    cut_off.set_faults(Faults::default());
    b.applied(a.replica().position()).await.unwrap();
    assert!(b.read(|s| s.topic_named("three").is_some()));
}

#[tokio::test(start_paused = true)]
async fn unknown_outcomes_neither_lose_nor_double_a_command() {
    for seed in 0..20 {
        let site = Site::new();
        let faulty = site
            .log
            .with_faults(Rng::from_seed(seed), Faults::default());
        let a = site.join_on("a", faulty.clone()).await;
        faulty.set_faults(faults());
        for number in 0..20 {
            let created = a
                .submit(topic(&format!("t{number}"), number))
                .await
                .unwrap();
            assert_eq!(
                created,
                Ok(()),
                "seed {seed}: a second effect would say it is there"
            );
            a.submit(Heartbeat { draining: false }).await.unwrap();
        }
        let late = site.open(site.log.clone()).await;
        assert_eq!(late.read(|s| s.topics().count()), 20, "seed {seed}");
    }
}
