//! Share groups over three agents, at the level of ShareFetch and ShareAcknowledge: whichever agent is asked, a record
//! is with one member at a time; acknowledgements outlive the agent that took them, acquisitions do not.

#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
};
use kafka_protocol::messages::share_fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, ShareAcknowledgeRequest, ShareFetchRequest,
    ShareFetchResponse, ShareGroupHeartbeatRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use runtime::SystemClock;
use tests::agents::{Agent, LogKind, Site, Trouble};
use tests::cluster::{metadata, until};
use tests::raw::{Batch, Raw};
use uuid::Uuid;

const TOPIC: &str = "jobs";
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
const TRY_AGAIN: [i16; 3] = [14, 15, 16];
const INVALID_REQUEST: i16 = 42;
const INVALID_RECORD_STATE: i16 = 121;
const SHARE_SESSION_NOT_FOUND: i16 = 122;
const INVALID_SHARE_SESSION_EPOCH: i16 = 123;

/// Session timeout of agents, and time for the others to notice and take over.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(25);

/// A member of the group, at one agent.
struct Member {
    raw: Raw,
    id: String,
    topic: Uuid,
    epoch: i32,
}

/// First and last offset, and the how-manieth delivery.
type Range = (i64, i64, i16);

impl Member {
    /// A member that has joined the group, and fetches from this agent.
    async fn at(agent: &Agent, id: &str, topic: Uuid) -> Self {
        join(agent, id).await;
        Self {
            raw: Raw::connect(&agent.address).await.unwrap(),
            id: id.to_owned(),
            topic,
            epoch: 0,
        }
    }

    fn id(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.id.clone()))
    }

    async fn ask(&mut self, records_max: i32, wait_ms: i32) -> ShareFetchResponse {
        let topic = FetchTopic::default()
            .with_topic_id(self.topic)
            .with_partitions(vec![FetchPartition::default()]);
        let request = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("g"))))
            .with_member_id(self.id())
            .with_share_session_epoch(self.epoch)
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(records_max)
            .with_batch_size(records_max)
            .with_topics(vec![topic]);
        let response = self.raw.call(1, &request).await.unwrap();
        if response.error_code == 0 {
            self.epoch += 1;
        }
        response
    }

    /// What it is given; none if there is nothing, or nobody leads the share-partition now.
    async fn fetch(&mut self, records_max: i32, wait_ms: i32) -> Vec<Range> {
        let response = self.ask(records_max, wait_ms).await;
        assert_eq!(response.error_code, 0);
        let partitions = response.responses.into_iter().flat_map(|t| t.partitions);
        let mut given = vec![];
        for partition in partitions {
            let error = partition.error_code;
            assert!(
                [0, NOT_LEADER_OR_FOLLOWER].contains(&error),
                "error {error}"
            );
            let acquired = partition.acquired_records.iter();
            given.extend(acquired.map(|a| (a.first_offset, a.last_offset, a.delivery_count)));
            if !partition.acquired_records.is_empty() {
                assert!(partition.records.is_some_and(|r| !r.is_empty()));
            }
        }
        given
    }

    /// Says the same of some ranges; the partition's error code.
    async fn say(&mut self, ranges: &[Range], what: i8) -> i16 {
        let batch = |&(first, last, _): &Range| {
            AcknowledgementBatch::default()
                .with_first_offset(first)
                .with_last_offset(last)
                .with_acknowledge_types(vec![what])
        };
        let partition = AcknowledgePartition::default()
            .with_acknowledgement_batches(ranges.iter().map(batch).collect());
        let topic = AcknowledgeTopic::default()
            .with_topic_id(self.topic)
            .with_partitions(vec![partition]);
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("g"))))
            .with_member_id(self.id())
            .with_share_session_epoch(self.epoch)
            .with_topics(vec![topic]);
        let response = self.raw.call(1, &request).await.unwrap();
        if response.error_code != 0 {
            return response.error_code;
        }
        self.epoch += 1;
        response.responses[0].partitions[0].error_code
    }

    /// Fetches until it is given something.
    async fn fetch_until_given(&mut self, records_max: i32) -> Vec<Range> {
        let begun = SystemClock::shared().monotonic();
        loop {
            let given = self.fetch(records_max, 500).await;
            if !given.is_empty() {
                return given;
            }
            assert!(
                since(begun) < TAKEN_OVER_WITHIN,
                "{} is given nothing",
                self.id
            );
        }
    }
}

/// Joins the group at its coordinator, which any agent knows.
async fn join(agent: &Agent, id: &str) {
    let mut raw = Raw::connect(&agent.address).await.unwrap();
    let group = StrBytes::from_static_str("g");
    let find = FindCoordinatorRequest::default().with_key(group.clone());
    let begun = SystemClock::shared().monotonic();
    loop {
        let found = raw.call(3, &find).await.unwrap();
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(group.clone()))
            .with_member_id(StrBytes::from_string(id.to_owned()))
            .with_subscribed_topic_names(Some(vec![TopicName(StrBytes::from_static_str(TOPIC))]));
        let address = format!("{}:{}", &*found.host, found.port);
        // Until it is expired, an agent that is gone coordinates.
        let joined = match Raw::connect(&address).await {
            Ok(mut raw) => raw.call(1, &request).await,
            Err(error) => Err(error),
        };
        match joined {
            Ok(joined) if joined.error_code == 0 => {
                let topics = joined.assignment.unwrap().topic_partitions;
                assert_eq!(topics[0].partitions, [0]);
                return;
            }
            Ok(joined) => assert!(TRY_AGAIN.contains(&joined.error_code), "{joined:?}"),
            Err(_) => {}
        }
        assert!(since(begun) < TAKEN_OVER_WITHIN, "{id} cannot join");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn since(begun: Duration) -> Duration {
    SystemClock::shared().monotonic() - begun
}

fn offsets(ranges: &[Range]) -> BTreeSet<i64> {
    ranges
        .iter()
        .flat_map(|&(first, last, _)| first..=last)
        .collect()
}

async fn produce(agent: &Agent, batches: usize) {
    let mut raw = Raw::connect(&agent.address).await.unwrap();
    for _ in 0..batches {
        let batch = Batch::of_values((0..10).map(|i| format!("job {i}")));
        assert_eq!(
            raw.produce(TOPIC, 0, batch.encode())
                .await
                .unwrap()
                .error_code,
            0
        );
    }
}

/// A topic that every agent knows.
async fn create_topic(agents: &[Agent]) -> Uuid {
    let mut raw = Raw::connect(&agents[0].address).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, 1).await.unwrap(), 0);
    let id = async |agent: &Agent| {
        let metadata = metadata(&agent.address, Some(TOPIC)).await.unwrap();
        metadata.topics[0].topic_id
    };
    let created = id(&agents[0]).await;
    for agent in agents {
        let known = || async { id(agent).await == created };
        until("every agent knows the topic", TAKEN_OVER_WITHIN, known).await;
    }
    created
}

async fn start_three(kind: LogKind, seed: u64) -> [Agent; 3] {
    let site = Site::new(kind, seed);
    let start = |name| site.start(name, Trouble::default(), &[]);
    [start("a").await, start("b").await, start("c").await]
}

#[tokio::test]
async fn acknowledgements_outlive_the_leader_and_acquisitions_do_not() {
    let agents = start_three(LogKind::Bucket, 11).await;
    let topic = create_topic(&agents).await;
    let [a, b, c] = agents;
    // The group begins at the end of the log, which is empty; the first agent asked leads.
    let mut first = Member::at(&a, "first", topic).await;
    assert_eq!(first.fetch(10, 0).await, []);
    produce(&b, 10).await;

    let mut second = Member::at(&b, "second", topic).await;
    let mut third = Member::at(&c, "third", topic).await;
    let to_first = first.fetch_until_given(20).await;
    let to_second = second.fetch_until_given(30).await;
    let to_third = third.fetch_until_given(500).await;
    let mut everybody = offsets(&to_first);
    everybody.extend(offsets(&to_second));
    everybody.extend(offsets(&to_third));
    assert_eq!(everybody, (0..100).collect());
    let sum = offsets(&to_first).len() + offsets(&to_second).len() + offsets(&to_third).len();
    assert_eq!(sum, 100, "somebody was given what another holds");

    // Another's records are not to be acknowledged, one's own are, at whichever agent.
    assert_eq!(third.say(&to_second, ACCEPT).await, INVALID_RECORD_STATE);
    assert_eq!(second.say(&to_second, ACCEPT).await, 0);
    a.kill();

    let again = third.fetch_until_given(500).await;
    let mut lost = offsets(&to_first);
    lost.extend(offsets(&to_third));
    assert_eq!(
        offsets(&again),
        lost,
        "all that was held and nothing that was acknowledged"
    );
    // What the dead leader had given out does not count, and is not to be acknowledged by who had it.
    assert!(
        again.iter().all(|(_, _, deliveries)| *deliveries == 1),
        "{again:?}"
    );
    let mut other = Member::at(&b, "first", topic).await;
    assert_eq!(other.fetch(500, 0).await, []);
    assert_eq!(other.say(&to_first, ACCEPT).await, INVALID_RECORD_STATE);
    assert_eq!(third.say(&again, ACCEPT).await, 0);
    assert_eq!(other.fetch(500, 300).await, []);
}

#[tokio::test]
async fn what_was_accepted_is_not_given_again_however_many_agents_die() {
    let site = Site::new(LogKind::Bucket, 14);
    let start = |name| site.start(name, Trouble::default(), &[]);
    let mut agents = vec![start("a").await, start("b").await, start("c").await];
    let topic = create_topic(&agents).await;
    assert_eq!(
        Member::at(&agents[0], "begins", topic)
            .await
            .fetch(10, 0)
            .await,
        []
    );
    produce(&agents[2], 20).await;
    let mut accepted = BTreeSet::new();
    for round in 0..3 {
        // Somebody accepts what it is given, somebody else keeps it; the leader dies with all that.
        let mut holder = Member::at(&agents[2], &format!("holder {round}"), topic).await;
        let held = holder.fetch_until_given(20).await;
        let mut worker = Member::at(&agents[1], &format!("worker {round}"), topic).await;
        let given = worker.fetch_until_given(20).await;
        for ranges in [&held, &given] {
            assert!(offsets(ranges).is_disjoint(&accepted), "given again");
        }
        assert!(offsets(&given).is_disjoint(&offsets(&held)), "given twice");
        assert_eq!(worker.say(&given, ACCEPT).await, 0);
        accepted.extend(offsets(&given));
        agents.remove(0).kill();
        agents.push(start(["d", "e", "f"][round]).await);
    }
    let begun = SystemClock::shared().monotonic();
    let mut last = Member::at(&agents[0], "last", topic).await;
    while accepted.len() < 200 {
        assert!(since(begun) < TAKEN_OVER_WITHIN, "{accepted:?}");
        let given = last.fetch(500, 500).await;
        assert!(offsets(&given).is_disjoint(&accepted), "given again");
        if !given.is_empty() {
            assert_eq!(last.say(&given, ACCEPT).await, 0);
            accepted.extend(offsets(&given));
        }
    }
    assert_eq!(accepted, (0..200).collect());
    assert_eq!(last.fetch(500, 300).await, []);
}

#[tokio::test]
async fn who_waits_at_another_agent_hears_of_what_is_released() {
    let agents = start_three(LogKind::Memory, 12).await;
    let topic = create_topic(&agents).await;
    let [a, b, c] = agents;
    let mut holder = Member::at(&a, "holder", topic).await;
    assert_eq!(holder.fetch(10, 0).await, []);
    produce(&a, 1).await;
    let held = holder.fetch_until_given(10).await;
    assert_eq!(held, [(0, 9, 1)]);

    // In both cases the other asks first, and is given time to be waiting. Nothing tells when it is; if it came late, it
    // would be given the records at once, and the test would pass.
    let waits = Duration::from_millis(300);
    // Released by an acknowledgement.
    let mut waiting = Member::at(&b, "waiting", topic).await;
    let begun = SystemClock::shared().monotonic();
    let (given, said) = tokio::join!(waiting.fetch(10, 20_000), async {
        tokio::time::sleep(waits).await;
        holder.say(&[(3, 5, 1)], RELEASE).await
    });
    assert_eq!(said, 0);
    assert_eq!(given, [(3, 5, 2)]);
    assert!(since(begun) < Duration::from_secs(10), "{:?}", since(begun));

    // Released because the connection ended. The member never said that it saw them: no delivery.
    let mut next = Member::at(&c, "next", topic).await;
    let begun = SystemClock::shared().monotonic();
    let (given, ()) = tokio::join!(next.fetch(10, 20_000), async {
        tokio::time::sleep(waits).await;
        drop(waiting);
    });
    assert_eq!(given, [(3, 5, 2)]);
    assert!(since(begun) < Duration::from_secs(10), "{:?}", since(begun));
}

#[tokio::test]
async fn any_agent_tells_who_leads_a_share_partition() {
    let agents = start_three(LogKind::Memory, 15).await;
    let topic = create_topic(&agents).await;
    let mut member = Member::at(&agents[1], "member", topic).await;
    assert_eq!(member.fetch(10, 0).await, []);
    let topic = URL_SAFE_NO_PAD.encode(topic);
    let keys = [format!("g:{topic}:0"), format!("g:{topic}")];
    let request = |key: &str| {
        FindCoordinatorRequest::default()
            .with_key_type(2)
            .with_coordinator_keys(vec![StrBytes::from_string(key.to_owned())])
    };
    let mut told = BTreeSet::new();
    for agent in &agents {
        let mut raw = Raw::connect(&agent.address).await.unwrap();
        let good = raw.call(6, &request(&keys[0])).await.unwrap();
        assert_eq!(good.coordinators[0].error_code, 0);
        told.insert(good.coordinators[0].port);
        let bad = raw.call(6, &request(&keys[1])).await.unwrap();
        assert_eq!(bad.coordinators[0].error_code, INVALID_REQUEST);
        let older = raw.call(5, &request(&keys[0])).await.unwrap();
        assert_eq!(older.coordinators[0].error_code, INVALID_REQUEST);
    }
    let leader = agents[1].address.rsplit(':').next().unwrap();
    assert_eq!(
        told,
        [leader.parse().unwrap()].into(),
        "who fetched first leads"
    );
}

#[tokio::test]
async fn sessions_are_kafkas() {
    let agents = start_three(LogKind::Memory, 13).await;
    let topic = create_topic(&agents).await;
    let [a, ..] = agents;
    let mut member = Member::at(&a, "m", topic).await;
    assert_eq!(
        member.say(&[(0, 0, 1)], ACCEPT).await,
        INVALID_SHARE_SESSION_EPOCH
    );
    member.epoch = 1;
    assert_eq!(member.ask(10, 0).await.error_code, SHARE_SESSION_NOT_FOUND);
    assert_eq!(
        member.say(&[(0, 0, 1)], ACCEPT).await,
        SHARE_SESSION_NOT_FOUND
    );
    member.epoch = 0;
    let opened = member.ask(10, 0).await;
    assert_eq!(
        (opened.error_code, opened.acquisition_lock_timeout_ms),
        (0, 30_000)
    );
    assert_eq!(member.ask(10, 0).await.error_code, 0);
    member.epoch = 1;
    assert_eq!(
        member.ask(10, 0).await.error_code,
        INVALID_SHARE_SESSION_EPOCH
    );
    member.epoch = -1;
    assert_eq!(member.ask(10, 0).await.error_code, 0);
    member.epoch = 2;
    assert_eq!(member.ask(10, 0).await.error_code, SHARE_SESSION_NOT_FOUND);
}
