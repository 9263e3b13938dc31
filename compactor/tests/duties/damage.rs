//! Objects that are not what was written, and a store that fails: the job gives up, says which object it is, touches
//! nothing, and the rest goes on.

use std::sync::Arc;
use std::time::Duration;

use compactor::{Parts, RewriteError, jobs, scrub};
use object_format::{ObjectId, path};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use runtime::store::decorators::{Fault, FaultPlan, FaultyStore};
use runtime::store::{Operation, Store};
use runtime::{Clock, SimClock};

use crate::world::{GRACE, World, config};

async fn a_few_objects(seed: u64) -> (World, Parts, Vec<ObjectId>) {
    let mut world = World::new(seed).await;
    for _ in 0..8 {
        world.produce().await;
    }
    let parts = world.compactor(0, false).await;
    let objects = parts
        .session
        .replica()
        .read(|s| s.objects().map(|(id, _)| id).collect());
    (world, parts, objects)
}

async fn bytes_of(world: &World, id: ObjectId) -> Vec<u8> {
    let key = Path::from(path::data(id));
    world
        .bucket
        .get(&key)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec()
}

async fn overwrite(world: &World, id: ObjectId, bytes: Vec<u8>) {
    let key = Path::from(path::data(id));
    world.bucket.put(&key, bytes.into()).await.unwrap();
}

fn known_damage(parts: &Parts) -> Vec<(ObjectId, String)> {
    let damaged = |s: &control_plane::state::State| {
        s.damaged()
            .map(|(id, damage)| (id, damage.what.clone()))
            .collect()
    };
    parts.session.replica().read(damaged)
}

#[tokio::test]
async fn a_damaged_object_is_named_and_the_rest_is_rewritten() {
    for seed in 0..20 {
        let (world, parts, objects) = a_few_objects(seed).await;
        let victim = objects[3];
        let mut bytes = bytes_of(&world, victim).await;
        let extents = parts.session.replica().read(|s| {
            let all = s
                .partitions()
                .flat_map(|(_, p)| p.extents.values().copied());
            all.filter(|extent| extent.object == victim)
                .collect::<Vec<_>>()
        });
        // Past the first 21 bytes, which no CRC of the batch covers.
        let at = extents[0].position + 21 + world.rng.below(extents[0].bytes - 21);
        bytes[at as usize] ^= 0x10;
        overwrite(&world, victim, bytes).await;

        let mut tools = parts.rewriting(&config());
        tools.limits.object_bytes = 1 << 20;
        let error = jobs::layout(&tools, true).await.unwrap_err();
        assert!(
            matches!(error, RewriteError::Damaged { object, .. } if object == victim),
            "{error}"
        );
        assert_eq!(known_damage(&parts).len(), 1);
        assert_eq!(
            parts.session.replica().read(|s| s.jobs().count()),
            0,
            "the job is given back"
        );
        assert_eq!(
            world.stored().await.len(),
            objects.len(),
            "nothing was written"
        );

        while jobs::layout(&tools, true).await.unwrap().is_some() {}
        let left: Vec<ObjectId> = parts.session.replica().read(|s| {
            let fresh = s.objects().filter(|(_, o)| !o.is_compacted);
            fresh.map(|(id, _)| id).collect()
        });
        assert_eq!(left, [victim], "only what is damaged is left as it was");
    }
}

#[tokio::test]
async fn a_missing_object_is_named() {
    let (world, parts, objects) = a_few_objects(1).await;
    let key = Path::from(path::data(objects[0]));
    world.bucket.delete(&key).await.unwrap();
    let error = jobs::layout(&parts.rewriting(&config()), true)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it is missing"), "{error}");
    assert_eq!(
        known_damage(&parts),
        [(objects[0], "it is missing".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_half_of_all_calls_costs_time_only() {
    let mut injected = 0;
    for seed in 10..20 {
        let (world, mut parts, objects) = a_few_objects(seed).await;
        let faulty = FaultyStore::new(world.bucket.clone(), world.rng.fork("faults"));
        let faults = faulty.faults().clone();
        faults.set(FaultPlan {
            before: 0.2,
            after: 0.15,
            throttle: 0.15,
            ..FaultPlan::default()
        });
        let store: Store = Arc::new(faulty);
        parts.stores.compaction = store.clone();
        parts.stores.garbage = store.clone();
        parts.stores.scrub = store;
        world.pass(2 * GRACE).await;
        parts.session.replica().barrier().await.unwrap();
        // What cannot be deleted in one pass is found again by the next.
        while compactor::drain(&config(), &parts).await.is_err() {}
        world.check().await;
        let fresh = |s: &control_plane::state::State| {
            let fresh = s.objects().filter(|(_, o)| !o.is_compacted);
            (fresh.count(), s.damaged().count())
        };
        assert_eq!(
            parts.session.replica().read(fresh),
            (0, 0),
            "of {objects:?}"
        );
        injected += faults.injected();
    }
    assert!(injected > 50, "{injected}");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_deletes_nothing() {
    let (world, sane, objects) = a_few_objects(4).await;
    // The small objects are garbage now, which readers may still be reading.
    let tools = sane.rewriting(&config());
    while jobs::layout(&tools, true).await.unwrap().is_some() {}
    let before = world.stored().await;
    assert!(before.is_superset(&objects.into_iter().collect()));

    let clock = Arc::new(SimClock::new(world.clock.wall_ms()));
    let mad = world.compactor_at(1, false, &clock).await;
    for _ in 0..20 {
        let century = 100 * 365 * 24 * 3_600_000;
        clock.jump_wall(century);
        compactor::drain(&config(), &mad).await.unwrap();
        assert_eq!(known_damage(&mad), []);
    }
    assert_eq!(world.stored().await, before);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_leaves_nothing_behind_while_its_process_lives() {
    let (world, mut parts, _) = a_few_objects(2).await;
    let faulty = FaultyStore::new(world.bucket.clone(), world.rng.fork("faults"));
    // It has happened, and the compactor cannot learn it for as long as it tries.
    faulty.faults().next(Operation::Put, Fault::After);
    for _ in 0..100 {
        faulty.faults().next(Operation::Put, Fault::Before);
    }
    let faults = faulty.faults().clone();
    let store: Store = Arc::new(faulty);
    parts.stores.compaction = store;
    let error = jobs::layout(&parts.rewriting(&config()), true)
        .await
        .unwrap_err();
    assert!(matches!(error, RewriteError::Store { .. }), "{error}");
    faults.clear();
    while jobs::layout(&parts.rewriting(&config()), true)
        .await
        .unwrap()
        .is_some()
    {}
    world.pass(2 * GRACE).await;
    parts.session.replica().barrier().await.unwrap();
    compactor::collect_garbage(&config(), &parts).await.unwrap();
    let named = parts
        .session
        .replica()
        .read(|s| s.objects().map(|(id, _)| id).collect());
    assert_eq!(world.stored().await, named);
}

#[tokio::test]
async fn every_byte_is_verified_within_the_period() {
    let (world, parts, objects) = a_few_objects(3).await;
    let period = Duration::from_secs(1000);
    let scrubbing = parts.scrubbing(&config());
    let at_once = scrub::pass(&scrubbing, period).await.unwrap();
    assert_eq!(
        (at_once.good, at_once.damaged),
        (0, 0),
        "all was written just now"
    );

    // Each kind of damage: a byte of a run, of the header's version, of the footer; an end that is gone.
    for (n, id) in objects[..3].iter().enumerate() {
        let mut bytes = bytes_of(&world, *id).await;
        let at = [60, 11, bytes.len() - 20][n];
        bytes[at] ^= 0x40;
        overwrite(&world, *id, bytes).await;
    }
    let mut cut = bytes_of(&world, objects[3]).await;
    cut.truncate(cut.len() - 1);
    overwrite(&world, objects[3], cut).await;

    world.pass(period / 2).await;
    parts.session.replica().barrier().await.unwrap();
    let pass = scrub::pass(&scrubbing, period).await.unwrap();
    assert_eq!((pass.good, pass.damaged), (objects.len() - 4, 4));
    let damage = known_damage(&parts);
    let found: Vec<ObjectId> = damage.iter().map(|(id, _)| *id).collect();
    assert_eq!(found, objects[..4], "each is named");
    assert!(damage[1].1.contains("version"), "{damage:?}");
    let again = scrub::pass(&scrubbing, period).await.unwrap();
    assert_eq!(
        (again.good, again.damaged),
        (0, 0),
        "nothing is read so soon again"
    );
}
