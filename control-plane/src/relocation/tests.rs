//! A log is moved back and forth, the mover dies after any step, and others write meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use object_format::TopicId;
use object_store::memory::InMemory;
use runtime::SimClock;
use uuid::Uuid;

use super::*;
use crate::log::bucket::{BucketLog, BucketLogOptions};
use crate::log::foundationdb::stand_in::StandIn;
use crate::replica::Session;
use crate::state::{CreateTopic, Entry, METADATA_VERSION_MAX, RaiseMetadataVersion, join};

const CLUSTER: &str = "c";

struct Site {
    store: Store,
    foundation: StandIn,
    clock: SharedClock,
    rng: Rng,
}

impl Site {
    fn new(seed: u64) -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            foundation: StandIn::new(seed, CLUSTER),
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            rng: Rng::from_seed(seed),
        }
    }

    fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.store.clone())
    }

    async fn bucket_after(&self, moves: u64) -> Arc<dyn MetadataLog> {
        let options = BucketLogOptions {
            poll_interval: Duration::from_millis(10),
            moves,
            ..BucketLogOptions::default()
        };
        let (store, rng) = (self.store.clone(), self.rng.fork("log"));
        let log = BucketLog::open(store, self.clock.clone(), rng, options).await;
        Arc::new(log.unwrap())
    }

    /// The log where it is.
    async fn log(&self) -> Arc<dyn MetadataLog> {
        match home::find(&self.store).await.unwrap() {
            Some(Home {
                place: Place::FoundationDb { log },
                ..
            }) => Arc::new(self.foundation.open(Some(log)).await.unwrap()),
            home => self.bucket_after(home.map_or(0, |home| home.moves)).await,
        }
    }

    async fn join(&self, name: &str, log: Arc<dyn MetadataLog>) -> Result<Session, String> {
        self.join_knowing(METADATA_VERSION_MAX, name, log).await
    }

    async fn join_knowing(
        &self,
        version_max: u16,
        name: &str,
        log: Arc<dyn MetadataLog>,
    ) -> Result<Session, String> {
        let parts = ReplicaParts {
            log,
            checkpoints: self.checkpoints(),
            clock: self.clock.clone(),
            rng: self.rng.fork(name),
        };
        let shutdown = Shutdown::default();
        let replica = Replica::open(parts, &shutdown).await;
        let registration = RegisterAgent {
            version_max,
            ..RegisterAgent::new(self.rng.uuid(), name)
        };
        let replica = replica.map_err(|error| error.to_string())?;
        let session = replica.join(registration, &shutdown).await;
        session.map_err(|error| error.to_string())
    }

    fn moving<'a>(
        &self,
        source: &Arc<dyn MetadataLog>,
        destination: &'a dyn Destination,
        fence: bool,
    ) -> Relocation<'a> {
        Relocation {
            store: self.store.clone(),
            checkpoints: self.checkpoints(),
            source: source.clone(),
            destination,
            to: "there".into(),
            fence,
            clock: self.clock.clone(),
            rng: self.rng.fork("mover"),
        }
    }

    /// The log to FoundationDB if it is in the bucket, and the other way round.
    async fn move_over(
        &self,
        stop_after: Option<usize>,
        fence: bool,
    ) -> Result<(), RelocationError> {
        let source = self.log().await;
        let to_bucket = matches!(
            home::find(&self.store).await.unwrap(),
            Some(Home {
                place: Place::FoundationDb { .. },
                ..
            })
        );
        let destination: &dyn Destination = match to_bucket {
            true => &ToBucket,
            false => &self.foundation,
        };
        let mut steps = 0;
        let done = |_: &Step| {
            steps += 1;
            Some(steps) != stop_after
        };
        self.moving(&source, destination, fence).run(done).await
    }
}

fn topic(name: &str, id: u128) -> CreateTopic {
    CreateTopic {
        name: name.into(),
        id: TopicId(Uuid::from_u128(id)),
        partitions: 1,
        configs: BTreeMap::new(),
    }
}

/// What users notice of a state.
fn names(state: &State) -> Vec<String> {
    state
        .topics()
        .map(|(_, topic)| topic.name.clone())
        .collect()
}

async fn place(site: &Site) -> Option<Option<String>> {
    match home::find(&site.store).await.unwrap()?.place {
        Place::Bucket => None,
        Place::FoundationDb { log } => Some(log),
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_goes_there_and_back_whenever_the_mover_dies() {
    for seed in 0..40 {
        let site = Site::new(seed);
        let dice = Rng::from_seed(seed);
        let mut created = Vec::new();
        for round in 0..4u64 {
            let log = site.log().await;
            let before_place = place(&site).await;
            let name = format!("t{round}");
            let session = site.join("a", log.clone()).await.unwrap();
            session
                .submit(topic(&name, round.into()))
                .await
                .unwrap()
                .unwrap();
            created.push(name);
            let (at, digest) = session.replica().read(|s| (s.position(), s.digest()));
            let mut attempts = 0;
            while place(&site).await == before_place {
                let stop_after = Some(1 + dice.below(5) as usize).filter(|_| attempts < 3);
                attempts += 1;
                match site.move_over(stop_after, true).await {
                    Ok(()) | Err(RelocationError::Stopped) => {}
                    Err(error) => panic!("seed {seed}, round {round}: {error}"),
                }
                if attempts == 1 {
                    // Whoever is still there has stopped, and says why; and so does who comes.
                    let late = session.submit(topic("late", 99)).await.unwrap_err();
                    assert!(late.to_string().contains("--metadata there"), "{late}");
                    let (stopped_at, stopped_digest) =
                        session.replica().read(|s| (s.position(), s.digest()));
                    assert_eq!(stopped_at.0, at.0 + 2, "registration and closing entry");
                    assert_ne!(stopped_digest, digest);
                    let refused = site.join("b", log.clone()).await.unwrap_err();
                    assert!(refused.contains("--metadata there"), "{refused}");
                }
            }
            site.foundation.leave(round + 1).await;
            // What sleepers write behind the end of the old log is never seen.
            for _ in 0..dice.below(4) {
                log.append("void".into()).await.unwrap();
            }
            let after = site.join("c", site.log().await).await.unwrap();
            let seen = after.replica().read(names);
            assert_eq!(seen, created, "seed {seed}, round {round}");
            after.leave().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_is_the_same_at_the_end_of_one_log_and_the_beginning_of_the_next() {
    let site = Site::new(1);
    let log = site.log().await;
    let session = site.join("a", log.clone()).await.unwrap();
    session.submit(topic("t", 1)).await.unwrap().unwrap();
    let mut closed = None;
    let moving = site.moving(&log, &site.foundation, true);
    moving
        .run(|step| {
            if let Step::Closed { at, digest } = step {
                closed = Some((*at, *digest));
            }
            true
        })
        .await
        .unwrap();
    let old = session.replica().read(|s| (s.clone(), s.to_bytes()));
    let parts = ReplicaParts {
        log: site.log().await,
        checkpoints: site.checkpoints(),
        clock: site.clock.clone(),
        rng: site.rng.fork("new"),
    };
    let new = Replica::open(parts, &Shutdown::default()).await.unwrap();
    let new = new.read(|s| (s.clone(), s.to_bytes()));
    assert_eq!(Some((new.0.position(), new.0.digest())), closed);
    assert_eq!(new, old);
    let next = site.join("b", site.log().await).await.unwrap();
    let at = next.replica().read(State::position);
    assert_eq!(at.0, new.0.position().0 + 1, "positions go on");
}

#[tokio::test(start_paused = true)]
async fn entries_that_share_a_position_are_moved_over_too() {
    let site = Site::new(1);
    let log = site.log().await;
    let session = site.join("a", log.clone()).await.unwrap();
    let shared = [("x", 1), ("y", 2)].map(|(name, id)| {
        let entry = Entry {
            writer: session.epoch(),
            sequence: 100 + id as u64,
            time_ms: 0,
            commands: vec![topic(name, id).into()],
        };
        entry.encode(METADATA_VERSION_MAX)
    });
    log.append(join(&shared)).await.unwrap();
    site.move_over(None, true).await.unwrap();
    let moved = site.join("b", site.log().await).await.unwrap();
    assert_eq!(moved.replica().read(names), ["x", "y"]);
}

#[tokio::test(start_paused = true)]
async fn processes_that_take_part_are_not_stopped_unasked() {
    let site = Site::new(1);
    let session = site.join("a", site.log().await).await.unwrap();
    let refused = site.move_over(None, false).await.unwrap_err();
    assert!(refused.to_string().ends_with("stopped: a"), "{refused}");
    session.submit(topic("t", 1)).await.unwrap().unwrap();
    let agents = session.replica().read(|s| s.agents().count());
    assert_eq!(agents, 1, "the mover has left");
    session.leave().await.unwrap();
    site.move_over(None, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_version_knows_of_no_moves_stays_where_it_is() {
    let site = Site::new(1);
    let session = site.join_knowing(1, "a", site.log().await).await.unwrap();
    let refused = site.move_over(None, true).await.unwrap_err();
    assert!(refused.to_string().contains("version 1"), "{refused}");
    session.submit(topic("t", 1)).await.unwrap().unwrap();
    let new = site.join("b", site.log().await).await.unwrap();
    session.leave().await.unwrap();
    let raised = new.submit(RaiseMetadataVersion { to: 2 }).await.unwrap();
    assert_eq!(raised, Ok(2));
    site.move_over(None, true).await.unwrap();
    let moved = site.join("c", site.log().await).await.unwrap();
    assert_eq!(moved.replica().read(names), ["t"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_part_in_no_newer_version_keeps_it_from_being_raised() {
    let site = Site::new(1);
    let old = site.join_knowing(1, "old", site.log().await).await.unwrap();
    let new = site.join("new", site.log().await).await.unwrap();
    let raise = RaiseMetadataVersion { to: 2 };
    assert!(new.submit(raise.clone()).await.unwrap().is_err());
    old.leave().await.unwrap();
    assert_eq!(new.submit(raise).await.unwrap(), Ok(2));
    // Its replica goes on after it has left, until it meets the version.
    let failure = old.replica().failed().await;
    assert!(failure.to_string().contains("up to 1"), "{failure}");
    let late = site.join_knowing(1, "old", site.log().await).await;
    assert!(late.unwrap_err().contains("version 2"));
}

#[tokio::test(start_paused = true)]
async fn of_two_who_finish_a_move_differently_one_wins() {
    let site = Site::new(1);
    let source = site.log().await;
    site.join("a", source.clone()).await.unwrap();
    let elsewhere = StandIn::new(2, CLUSTER);
    let stopped = site.moving(&source, &elsewhere, true);
    let stopped = stopped.run(|step| *step != Step::Begun).await;
    assert!(matches!(stopped, Err(RelocationError::Stopped)));
    site.moving(&source, &site.foundation, true)
        .run(|_| true)
        .await
        .unwrap();
    let late = site.moving(&source, &elsewhere, true);
    let late = late.run(|_| true).await.unwrap_err();
    assert!(matches!(late, RelocationError::Elsewhere(_)), "{late}");
    let log = place(&site).await;
    let wrong = elsewhere.open(log.clone()).await.unwrap_err();
    assert!(wrong.to_string().contains("not its present one"), "{wrong}");
    site.foundation.open(log).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_taken_is_refused_before_anything_is_closed() {
    let site = Site::new(1);
    let source = site.log().await;
    let session = site.join("a", source.clone()).await.unwrap();
    let other = site.foundation.of("other");
    other.open(None).await.unwrap();
    let refused = site.move_over(None, true).await.unwrap_err();
    assert!(
        refused.to_string().contains("of cluster other"),
        "{refused}"
    );
    let own = StandIn::new(3, CLUSTER);
    own.open(None).await.unwrap();
    let refused = site.moving(&source, &own, true).run(|_| true).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("of this cluster already"), "{refused}");
    session.submit(topic("t", 1)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_looked_before_a_move_and_goes_on_after_it_does_not_follow_the_old_log() {
    let site = Site::new(1);
    let asleep = site.bucket_after(0).await;
    site.join("a", asleep.clone()).await.unwrap();
    site.move_over(None, true).await.unwrap();
    let new = site.join("b", site.log().await).await.unwrap();
    new.submit(topic("t", 1)).await.unwrap().unwrap();
    let replica = new.replica().clone();
    let (at, digest, version, bytes) =
        replica.read(|s| (s.position(), s.digest(), s.metadata_version(), s.to_bytes()));
    let checkpoints = site.checkpoints();
    checkpoints
        .write(at, bytes.into(), digest, version)
        .await
        .unwrap();
    let refused = site.join("c", asleep).await.unwrap_err();
    assert!(refused.contains("--metadata there"), "{refused}");
}
