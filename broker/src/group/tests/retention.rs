//! Offsets that expire, under the agent that looks after them.

use control_plane::state::{AcquireGroup, OffsetToCommit};

use super::*;
use crate::group::retention::{RetentionOptions, sweep};

const RETENTION_MINUTES: u64 = 30;

fn options() -> GroupOptions {
    let retention = RetentionOptions {
        retention: Duration::from_secs(60 * RETENTION_MINUTES),
        ..RetentionOptions::default()
    };
    GroupOptions {
        retention,
        ..GroupOptions::default()
    }
}

impl Agent {
    /// Lets minutes pass for the log, and for nothing else.
    async fn pass(&self, minutes: i64) {
        self.clock.jump_wall(minutes * 60_000);
        let group = "unrelated".to_owned();
        self.session.submit(AcquireGroup { group }).await.unwrap();
    }

    /// Lets minutes pass and has the agent look; gives the offset that is committed for partition 0 then.
    async fn after(&self, minutes: i64, group: &str) -> Option<i64> {
        self.pass(minutes).await;
        sweep(&self.groups).await;
        self.committed(group).await
    }

    /// Commits for another topic, as a member or (generation -1) as nobody.
    async fn commit_elsewhere(&self, group: &str, member: &str, generation: i32) {
        let create = CreateTopic {
            name: "elsewhere".into(),
            id: ELSEWHERE,
            partitions: 1,
            configs: BTreeMap::new(),
        };
        self.session.submit(create).await.unwrap().unwrap();
        let who = Committer {
            member_id: member.into(),
            instance_id: None,
            knows_member_epochs: true,
            transaction: None,
            generation,
        };
        let partition = TopicPartition {
            topic: ELSEWHERE,
            partition: 0,
        };
        let offset = OffsetToCommit {
            partition,
            ..to_commit(1)
        };
        let absent = GroupError::GroupIdNotFound;
        let committed = self.groups.commit(group, who, vec![offset], absent).await;
        assert_eq!(committed, Ok(()));
    }

    fn offsets_of(&self, group: &str) -> usize {
        let count = |s: &control_plane::state::State| s.group(group).map_or(0, |g| g.offsets.len());
        self.session.replica().read(count)
    }
}

const ELSEWHERE: TopicId = TopicId(Uuid::from_u128(8));

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_are_kept_until_it_was_empty_for_long() {
    let a = alone(options()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.pass(50).await;
    a.leave("g", "m").await;
    assert_eq!(
        a.after(29, "g").await,
        Some(42),
        "it was not empty for long"
    );
    assert_eq!(a.after(1, "g").await, None);
    assert!(a.is_in_metadata("g"), "its task still has it");
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert!(!a.is_in_metadata("g"), "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_has_members_again_keeps_its_offsets() {
    let a = alone(options()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.leave("g", "m").await;
    a.pass(20).await;
    a.settle("g", "n").await;
    assert_eq!(a.after(50, "g").await, Some(42), "its members use it");
    a.leave("g", "n").await;
    assert_eq!(a.after(29, "g").await, Some(42), "it is empty anew");
    assert_eq!(a.after(1, "g").await, None);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_who_is_no_member_are_kept_after_the_commit() {
    let a = alone(options()).await;
    a.commit("g", "", -1, 1).await.unwrap();
    a.pass(20).await;
    a.commit("g", "", -1, 2).await.unwrap();
    assert_eq!(a.after(29, "g").await, Some(2));
    assert_eq!(a.after(1, "g").await, None);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_topics_that_no_member_wants_any_more_expire() {
    let a = alone(options()).await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.commit_elsewhere("g", "m", 1).await;
    a.after(29, "g").await;
    assert_eq!(a.offsets_of("g"), 2);
    assert_eq!(a.after(1, "g").await, Some(42), "members read it");
    assert_eq!(a.offsets_of("g"), 1, "nobody reads it");
    assert_eq!(a.heartbeat("g", "m", 1).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_commit_may_say_how_long_it_is_kept() {
    let a = alone(options()).await;
    let commit = |minutes: i64| {
        let offset = OffsetToCommit {
            retention_ms: Some(minutes * 60_000),
            ..to_commit(5)
        };
        let who = Committer {
            member_id: String::new(),
            instance_id: None,
            knows_member_epochs: true,
            transaction: None,
            generation: -1,
        };
        let absent = GroupError::GroupIdNotFound;
        a.groups.commit("g", who, vec![offset], absent)
    };
    commit(50).await.unwrap();
    assert_eq!(a.after(49, "g").await, Some(5), "longer than others");
    assert_eq!(a.after(1, "g").await, None);
    commit(2).await.unwrap();
    assert_eq!(a.after(2, "g").await, None, "shorter than others");
}

#[tokio::test(start_paused = true)]
async fn only_the_coordinator_looks_after_a_group_and_its_successor_goes_on() {
    let log = MemoryLog::new();
    let (a, b) = (
        agent(&log, "a", options()).await,
        agent(&log, "b", options()).await,
    );
    a.create_topic().await;
    a.settle("g", "m").await;
    a.commit("g", "m", 1, 42).await.unwrap();
    a.leave("g", "m").await;
    // It takes two clocks.
    b.pass(31).await;
    a.pass(31).await;
    b.catch_up().await;
    sweep(&b.groups).await;
    assert_eq!(b.committed("g").await, Some(42), "it is not b's");
    b.expire(&a).await;
    sweep(&b.groups).await;
    assert_eq!(b.committed("g").await, None);
}
