//! What members and committers get wrong: Kafka's errors, and nobody else's group is harmed. The same tests pass
//! against Apache Kafka (`TEST_BROKER`), but for the bound on what a member may say of itself, which is Millrace's.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use tests::broker::Broker;
use tests::raw::{Raw, topic_name};
use tokio::task::JoinSet;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const ILLEGAL_GENERATION: i16 = 22;
const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_SESSION_TIMEOUT: i16 = 26;
const INVALID_REQUEST: i16 = 42;
const MEMBER_ID_REQUIRED: i16 = 79;
const FENCED_INSTANCE_ID: i16 = 82;

const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const COMMIT: i16 = 7;
const FETCH: i16 = 5;

#[tokio::test]
async fn strangers_and_the_past_are_refused() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut member = Member::join(&broker, "strangers", None).await;
    assert_eq!(member.heartbeat().await, 0);

    let stranger = member.of_id("nobody");
    assert_eq!(beat(&mut member.raw, &stranger).await, UNKNOWN_MEMBER_ID);
    let stale = member.of_generation(member.place.generation - 1);
    assert_eq!(beat(&mut member.raw, &stale).await, ILLEGAL_GENERATION);
    let future = member.of_generation(member.place.generation + 1);
    assert_eq!(beat(&mut member.raw, &future).await, ILLEGAL_GENERATION);
    assert_eq!(
        sync(&mut member.raw, &stranger, vec![]).await.0,
        UNKNOWN_MEMBER_ID
    );
    assert_eq!(
        sync(&mut member.raw, &stale, vec![]).await.0,
        ILLEGAL_GENERATION
    );

    let topic = broker.topic(1).await.unwrap();
    for (place, error) in [
        (stranger.clone(), UNKNOWN_MEMBER_ID),
        (stale, ILLEGAL_GENERATION),
        (Place::alone("strangers"), UNKNOWN_MEMBER_ID),
        (member.place.clone(), 0),
    ] {
        let committed = commit(&mut member.raw, &place, &topic, &[(0, 7, "")]).await;
        assert_eq!(committed, [error], "{place:?}");
    }
    let nowhere = Place {
        group: "no such group".into(),
        ..stranger
    };
    assert_eq!(beat(&mut member.raw, &nowhere).await, UNKNOWN_MEMBER_ID);
    assert_eq!(leave(&mut member.raw, &nowhere).await, UNKNOWN_MEMBER_ID);
    assert_eq!(member.heartbeat().await, 0, "it is a member as before");
}

#[tokio::test]
async fn who_has_an_instance_id_no_longer_is_fenced() {
    let broker = Broker::start(&[]).await.unwrap();
    let mut first = Member::join(&broker, "instances", Some("one")).await;
    let second = Member::join(&broker, "instances", Some("one")).await;
    assert_ne!(first.place.member_id, second.place.member_id);
    assert_eq!(first.heartbeat().await, FENCED_INSTANCE_ID);
    let topic = broker.topic(1).await.unwrap();
    let place = first.place.clone();
    let committed = commit(&mut first.raw, &place, &topic, &[(0, 1, "")]).await;
    assert_eq!(committed, [FENCED_INSTANCE_ID]);
}

#[tokio::test]
async fn joins_that_make_no_sense_are_refused() {
    let broker = Broker::start(&["refused an overlarge JoinGroup"])
        .await
        .unwrap();
    let mut raw = coordinator(&broker, "senseless").await;
    let error = |group: &str, change: fn(JoinGroupRequest) -> JoinGroupRequest| {
        change(join_request(&Place::alone(group)))
    };
    for (request, expected) in [
        (error("", |r| r), INVALID_GROUP_ID),
        (
            error("senseless", |r| r.with_session_timeout_ms(1)),
            INVALID_SESSION_TIMEOUT,
        ),
        (
            error("senseless", |r| r.with_session_timeout_ms(i32::MAX)),
            INVALID_SESSION_TIMEOUT,
        ),
        (
            error("senseless", |r| r.with_session_timeout_ms(-5)),
            INVALID_SESSION_TIMEOUT,
        ),
        (
            error("senseless", |r| r.with_protocols(vec![])),
            INCONSISTENT_GROUP_PROTOCOL,
        ),
        (
            error("senseless", |r| r.with_protocol_type(StrBytes::default())),
            INCONSISTENT_GROUP_PROTOCOL,
        ),
        (
            error("senseless", |r| r.with_member_id("m".to_owned().into())),
            UNKNOWN_MEMBER_ID,
        ),
    ] {
        assert_eq!(
            raw.call(JOIN, &request).await.unwrap().error_code,
            expected,
            "{request:?}"
        );
    }
    if broker.process.is_some() {
        let lengthy = protocol(Bytes::from(vec![7; 1 << 20]));
        let request = error("senseless", |r| r).with_protocols(vec![lengthy]);
        assert_eq!(
            raw.call(JOIN, &request).await.unwrap().error_code,
            INVALID_REQUEST
        );
    }
    let lengthy = "g".repeat(i16::MAX as usize);
    let request = join_request(&Place::alone(&lengthy));
    // Kafka 4.1 lets any length in; what matters is that it is answered.
    raw.call(JOIN, &request).await.unwrap();
    broker.assert_serves().await;
}

#[tokio::test]
async fn offsets_are_judged_one_by_one() {
    let broker = Broker::start(&[]).await.unwrap();
    let topic = broker.topic(2).await.unwrap();
    let place = Place::alone("committers");
    let mut raw = coordinator(&broker, "committers").await;
    let fits = "é".repeat(2048);
    let too_long = "x".repeat(4097);
    let committed = commit(
        &mut raw,
        &place,
        &topic,
        &[(0, 5, &fits), (1, 6, &too_long), (2, 7, ""), (-1, 8, "")],
    )
    .await;
    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(committed, [0, OFFSET_METADATA_TOO_LARGE, unknown, unknown]);
    let of_no_topic = commit(&mut raw, &place, "no-such-topic", &[(0, 1, "")]).await;
    assert_eq!(of_no_topic, [UNKNOWN_TOPIC_OR_PARTITION]);

    let topics = OffsetFetchRequestTopic::default()
        .with_name(topic_name(&topic))
        .with_partition_indexes(vec![0, 1, 2]);
    let request = OffsetFetchRequest::default()
        .with_group_id(group_id("committers"))
        .with_topics(Some(vec![topics]));
    let fetched = raw.call(FETCH, &request).await.unwrap();
    let partitions = fetched.topics[0].partitions.iter();
    let found: Vec<_> = partitions
        .map(|p| (p.committed_offset, p.metadata.clone().unwrap().to_string()))
        .collect();
    assert_eq!(found, [(5, fits), (-1, String::new()), (-1, String::new())]);
}

/// The coordinator does not read assignments, as in Kafka: a member is given what the leader said.
#[tokio::test]
async fn an_assignment_of_partitions_that_do_not_exist_is_passed_on() {
    let broker = Broker::start(&[]).await.unwrap();
    let member = Member::join(&broker, "assignments", None).await;
    assert_eq!(member.assignment, nonsense());
}

#[tokio::test]
async fn a_hundred_thousand_joins_in_a_burst_cost_bounded_memory() {
    const CONNECTIONS: usize = 50;
    const EACH: usize = 2_000;
    let broker = Broker::start(&[]).await.unwrap();
    let before = resident_mib(&broker);
    let mut bursts = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut raw = coordinator(&broker, "burst").await;
        bursts.spawn(async move {
            let mut answers = Vec::with_capacity(EACH);
            let mut sent = std::collections::VecDeque::new();
            for number in 0..EACH {
                // One in twenty opens a group of its own.
                let own = format!("burst-{connection}-{number}");
                let group = if number % 20 == 0 { &own } else { "burst" };
                let request = join_request(&Place::alone(group));
                sent.push_back(raw.send_request(JOIN, &request).await.unwrap());
                if sent.len() > 100 {
                    let id = sent.pop_front().unwrap();
                    answers.push(
                        raw.read_response::<JoinGroupRequest>(JOIN, id)
                            .await
                            .unwrap(),
                    );
                }
            }
            for id in sent {
                answers.push(
                    raw.read_response::<JoinGroupRequest>(JOIN, id)
                        .await
                        .unwrap(),
                );
            }
            answers
                .iter()
                .map(|answer| answer.error_code)
                .collect::<Vec<_>>()
        });
    }
    let errors = bursts.join_all().await.concat();
    assert_eq!(errors.len(), CONNECTIONS * EACH);
    for error in &errors {
        assert!(
            [MEMBER_ID_REQUIRED, COORDINATOR_LOAD_IN_PROGRESS].contains(error),
            "{error}"
        );
    }
    if let (Some(before), Some(after)) = (before, resident_mib(&broker)) {
        assert!(
            after - before < 256,
            "100,000 joins cost {} MiB",
            after - before
        );
    }
    let mut member = Member::join(&broker, "after the burst", None).await;
    assert_eq!(member.heartbeat().await, 0);
    broker.assert_serves().await;
}

fn resident_mib(broker: &Broker) -> Option<u64> {
    let (_, resident) = broker.process.as_ref()?.resident_kib()?;
    Some(resident / 1024)
}

/// Whom a request claims to come from.
#[derive(Clone, Debug)]
struct Place {
    group: String,
    member_id: StrBytes,
    generation: i32,
    instance_id: Option<StrBytes>,
}

impl Place {
    /// No member: a new one, or a committer without a group protocol.
    fn alone(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            member_id: StrBytes::default(),
            generation: -1,
            instance_id: None,
        }
    }
}

/// A member that leads its group of one.
struct Member {
    raw: Raw,
    place: Place,
    assignment: Bytes,
}

impl Member {
    async fn join(broker: &Broker, group: &str, instance_id: Option<&'static str>) -> Self {
        let mut raw = coordinator(broker, group).await;
        let mut place = Place::alone(group);
        place.instance_id = instance_id.map(StrBytes::from_static_str);
        let joined = loop {
            let joined: JoinGroupResponse = raw.call(JOIN, &join_request(&place)).await.unwrap();
            place.member_id = joined.member_id.clone();
            match joined.error_code {
                MEMBER_ID_REQUIRED => {}
                error => {
                    assert_eq!(error, 0);
                    break joined;
                }
            }
        };
        place.generation = joined.generation_id;
        let own = SyncGroupRequestAssignment::default()
            .with_member_id(place.member_id.clone())
            .with_assignment(nonsense());
        let leads = joined.leader == place.member_id;
        let assignments = if leads { vec![own] } else { vec![] };
        let (error, assignment) = sync(&mut raw, &place, assignments).await;
        assert_eq!(error, 0);
        Self {
            raw,
            place,
            assignment,
        }
    }

    fn of_id(&self, member_id: &'static str) -> Place {
        let member_id = StrBytes::from_static_str(member_id);
        Place {
            member_id,
            ..self.place.clone()
        }
    }

    fn of_generation(&self, generation: i32) -> Place {
        Place {
            generation,
            ..self.place.clone()
        }
    }

    async fn heartbeat(&mut self) -> i16 {
        beat(&mut self.raw, &self.place).await
    }
}

fn nonsense() -> Bytes {
    Bytes::from_static(b"\x00\x00 partition 4711 of a topic that nobody made")
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn protocol(metadata: Bytes) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(metadata)
}

fn join_request(place: &Place) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group_id(&place.group))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(place.member_id.clone())
        .with_group_instance_id(place.instance_id.clone())
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol(Bytes::from_static(b"\x00\x00"))])
}

/// A connection to who coordinates the group.
async fn coordinator(broker: &Broker, group: &str) -> Raw {
    let mut raw = broker.connect().await.unwrap();
    let request = FindCoordinatorRequest::default().with_key(group_id(group).0);
    let looking = async {
        loop {
            let found = raw.call(3, &request).await.unwrap();
            // Apache Kafka first makes the topic of its offsets.
            if found.error_code == 0 {
                let address = format!("{}:{}", &*found.host, found.port);
                let mut raw = Raw::connect(&address).await.unwrap();
                if beat(&mut raw, &Place::alone(group)).await == UNKNOWN_MEMBER_ID {
                    return raw;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(60), looking).await;
    found.expect("a coordinator")
}

async fn beat(raw: &mut Raw, place: &Place) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(&place.group))
        .with_generation_id(place.generation)
        .with_member_id(place.member_id.clone())
        .with_group_instance_id(place.instance_id.clone());
    raw.call(HEARTBEAT, &request).await.unwrap().error_code
}

async fn sync(
    raw: &mut Raw,
    place: &Place,
    assignments: Vec<SyncGroupRequestAssignment>,
) -> (i16, Bytes) {
    let request = SyncGroupRequest::default()
        .with_group_id(group_id(&place.group))
        .with_generation_id(place.generation)
        .with_member_id(place.member_id.clone())
        .with_group_instance_id(place.instance_id.clone())
        .with_assignments(assignments);
    let synced = raw.call(SYNC, &request).await.unwrap();
    (synced.error_code, synced.assignment)
}

async fn leave(raw: &mut Raw, place: &Place) -> i16 {
    let member = MemberIdentity::default().with_member_id(place.member_id.clone());
    let request = LeaveGroupRequest::default()
        .with_group_id(group_id(&place.group))
        .with_members(vec![member]);
    let left = raw.call(3, &request).await.unwrap();
    left.members
        .first()
        .map_or(left.error_code, |member| member.error_code)
}

/// Commits (partition, offset, metadata); gives an error code for each.
async fn commit(
    raw: &mut Raw,
    place: &Place,
    topic: &str,
    offsets: &[(i32, i64, &str)],
) -> Vec<i16> {
    let partition = |&(index, offset, metadata): &(i32, i64, &str)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(StrBytes::from_string(metadata.to_owned())))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(offsets.iter().map(partition).collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id(&place.group))
        .with_generation_id_or_member_epoch(place.generation)
        .with_member_id(place.member_id.clone())
        .with_group_instance_id(place.instance_id.clone())
        .with_topics(vec![topic]);
    let committed = raw.call(COMMIT, &request).await.unwrap();
    let partitions = committed.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}
