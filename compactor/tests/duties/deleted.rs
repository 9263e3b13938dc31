//! Deleted topics: they come back as they were whatever was rewritten meanwhile, and when their time is over the bucket
//! holds nothing of them.

use std::time::Duration;

use control_plane::state::{State, UndeleteRejection, UndeleteTopic};
use object_format::TopicId;

use crate::seeded::work;
use crate::world::{GRACE, World, config};

const WINDOW: Duration = Duration::from_secs(7200);

/// A topic, written to together with another one, is deleted.
async fn deleted() -> (World, TopicId) {
    let mut world = World::new(3).await;
    for _ in 0..30 {
        world.produce().await;
        world.end_transaction().await;
    }
    let id = *world.topics.keys().next().unwrap();
    world.delete_topic(id, WINDOW.as_millis() as i64).await;
    (world, id)
}

#[tokio::test(start_paused = true)]
async fn what_it_has_in_small_objects_is_rewritten_with_the_rest() {
    let (mut world, id) = deleted().await;
    let compactor = world.compactor(0, false).await;
    let limits = config().limits;
    let fresh = |state: &State| state.objects().filter(|(_, o)| limits.is_fresh(o)).count();
    assert!(compactor.session.replica().read(fresh) > 20);
    for _ in 0..10 {
        assert!(work(&compactor, 1, None).await);
    }
    let left = compactor.session.replica().read(fresh);
    assert!(
        left < 2,
        "{left} are left, and would be rewritten again and again"
    );
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    // Garbage goes meanwhile, and it does not.
    world.pass(2 * GRACE).await;
    compactor.session.replica().barrier().await.unwrap();
    compactor::drain(&config(), &compactor).await.unwrap();
    world.check().await;
    world.undelete(id).await;
    assert!(world.topics.contains_key(&id));
    world.check().await;
    world.produce().await;
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn when_its_time_is_over_the_bucket_holds_nothing_of_it() {
    let (world, id) = deleted().await;
    let compactor = world.compactor(0, false).await;
    let named = |state: &State| state.objects().map(|(id, _)| id).collect();
    world.pass(WINDOW - GRACE).await;
    compactor.session.replica().barrier().await.unwrap();
    let drained = compactor::drain(&config(), &compactor).await.unwrap();
    assert_eq!(drained.purged, 0);
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    world.pass(GRACE).await;
    compactor.session.replica().barrier().await.unwrap();
    let undelete = UndeleteTopic { id, name: None };
    let refused = world.agent.submit(undelete.clone()).await.unwrap();
    assert_eq!(refused, Err(UndeleteRejection::TooLate));
    let drained = compactor::drain(&config(), &compactor).await.unwrap();
    assert_eq!(drained.purged, 1);
    let refused = world.agent.submit(undelete).await.unwrap();
    assert_eq!(refused, Err(UndeleteRejection::Unknown));
    world.pass(GRACE).await;
    compactor.session.replica().barrier().await.unwrap();
    compactor::drain(&config(), &compactor).await.unwrap();
    assert_eq!(
        world.stored().await,
        compactor.session.replica().read(named)
    );
    world.agent.replica().barrier().await.unwrap();
    world.check().await;
    let others = world.agent.replica().read(|s| s.partitions().count());
    assert_eq!(others, 3, "of the other topic");
}
