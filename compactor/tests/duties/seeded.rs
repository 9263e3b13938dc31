//! Producing, transactions, rewriting, deletion and its undoing, and garbage collection in random order, with a store and a log that fail
//! and compactors that are stopped anywhere: what was acknowledged and is retained is there, unchanged, at its offset,
//! and in the end the bucket holds just what the metadata names.

use std::time::Duration;

use compactor::Parts;
use object_format::object::verify_object;
use object_format::{ObjectId, TopicId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::world::{GRACE, World, config};

/// One pass of some duty, stopped after a number of steps if it is not over by then; false if it was.
pub async fn work(parts: &Parts, duty: u64, steps: Option<u64>) -> bool {
    let config = config();
    let tools = parts.rewriting(&config);
    let duty = async {
        // Failures are those of the store and the log; what they leave behind is what is looked at.
        match duty {
            0 | 1 => drop(compactor::jobs::layout(&tools, duty == 1).await),
            2 => drop(compactor::jobs::merge(&tools).await),
            3 => drop(compactor::cleaning::clean(&tools, &parts.cleaning(&config)).await),
            4 => {
                drop(compactor::purge::pass(&parts.session, parts.clock.wall_ms()).await);
                drop(compactor::collect_garbage(&config, parts).await);
            }
            _ => {
                let scrubbing = parts.scrubbing(&config);
                drop(compactor::scrub::pass(&scrubbing, config.scrub_period).await);
            }
        }
    };
    let stop = async {
        let Some(steps) = steps else {
            return std::future::pending().await;
        };
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = duty => true,
        () = stop => false,
    }
}

/// After how many steps a compactor is stopped, if it is.
pub fn some_steps(world: &World) -> Option<u64> {
    world.rng.chance(0.3).then(|| world.rng.below(200))
}

/// What goes on meanwhile.
async fn change(world: &mut World) {
    for _ in 0..world.rng.below(6) {
        match world.rng.below(13) {
            0..8 => world.produce().await,
            8..10 => world.end_transaction().await,
            10 => world.delete_something().await,
            11 => world.undelete_something().await,
            _ => {
                let time = world.rng.below(2 * GRACE.as_millis() as u64);
                world.pass(Duration::from_millis(time)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(world.rng.below(200))).await;
    }
}

async fn run(seed: u64) {
    let mut world = World::new(seed).await;
    let mut compactors = [
        world.compactor(0, true).await,
        world.compactor(1, true).await,
    ];
    for _ in 0..60 {
        let [first, second] = &compactors;
        let (duties, stops) = (
            world.rng.below(36),
            [some_steps(&world), some_steps(&world)],
        );
        let (over, other_over, ()) = tokio::join!(
            work(first, duties % 6, stops[0]),
            work(second, duties / 6, stops[1]),
            change(&mut world),
        );
        for (n, over) in [over, other_over].into_iter().enumerate() {
            if !over {
                compactors[n] = world.compactor(n as u64, true).await;
            }
        }
        world.check().await;
    }
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    let deleted: Vec<TopicId> = world.deleted.keys().copied().collect();
    for (n, id) in deleted.into_iter().enumerate() {
        if n % 2 == 0 {
            world.undelete(id).await;
        }
    }
    world.check().await;
    settle(&world).await;
}

/// Without further faults everything is tidied up.
async fn settle(world: &World) {
    for n in 0..2 {
        let fenced = world.compactor(n, false).await;
        fenced.session.leave().await.unwrap();
    }
    let last = world.compactor(2, false).await;
    // Longer than any deleted topic is kept, and its objects then.
    for _ in 0..2 {
        world.pass(5 * GRACE).await;
        last.session.replica().barrier().await.unwrap();
        let drained = compactor::drain(&config(), &last).await.unwrap();
        assert_eq!(drained.scrubbed.damaged, 0);
    }
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    let replica = last.session.replica();
    assert_eq!(
        replica.read(|s| s.garbage().count() + s.departed().count()),
        0
    );
    assert_eq!(replica.read(|s| s.deleted_topics().count()), 0);
    let named: Vec<ObjectId> = replica.read(|s| s.objects().map(|(id, _)| id).collect());
    let expected = named.iter().copied().collect();
    assert_eq!(
        world.stored().await,
        expected,
        "the bucket holds just what is named"
    );
    for id in named {
        let key = Path::from(path::data(id));
        let bytes = world.bucket.get(&key).await.unwrap().bytes().await.unwrap();
        verify_object(&bytes).unwrap();
    }
    let limits = config().limits;
    let fresh = replica.read(|s| s.objects().filter(|(_, o)| limits.is_fresh(o)).count());
    assert!(fresh < 2, "{fresh} small objects are left");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_whatever_happens_in_which_order() {
    let seeds = std::env::var("MILLRACE_TEST_SEEDS").ok();
    for seed in 0..seeds.map_or(40, |n| n.parse().unwrap()) {
        println!("seed {seed}");
        run(seed).await;
    }
}
