//! Three agents in three zones: clients are shown the agents of their zone, whichever way they say where they are, and
//! consumers that tell their rack are sent to it.

#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeTopicPartitionsRequest, FetchRequest, FetchResponse,
    FindCoordinatorRequest, MetadataRequest, MetadataResponse, OffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use tests::agents::{Agent, LogKind, Site, Trouble};
use tests::cluster::until;
use tests::raw::{Batch, Raw, fetch_request, topic_name};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 12;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// One agent in each zone, and a topic.
async fn start(site: &Site, settings: &[(&str, &str)]) -> Vec<Agent> {
    let agents = ZONES.map(|zone| async move {
        let settings: Vec<_> = [("zone", zone)].iter().chain(settings).copied().collect();
        site.start(zone, Trouble::default(), &settings).await
    });
    let agents = join_all(agents).await;
    let mut raw = Raw::connect(&agents[0].address).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    for agent in &agents {
        until("all agents are known", SEEN_WITHIN, || async {
            brokers(&metadata(&agent.address, "app").await).len() == 3
        })
        .await;
    }
    agents
}

async fn metadata(bootstrap: &str, client_id: &str) -> MetadataResponse {
    let mut raw = Raw::connect_as(bootstrap, client_id).await.unwrap();
    metadata_on(&mut raw).await
}

async fn metadata_on(raw: &mut Raw) -> MetadataResponse {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(TOPIC)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    raw.call(12, &request).await.unwrap()
}

fn brokers(metadata: &MetadataResponse) -> BTreeSet<i32> {
    metadata
        .brokers
        .iter()
        .map(|broker| broker.node_id.0)
        .collect()
}

fn of(agents: &[Agent]) -> BTreeSet<i32> {
    agents.iter().map(|agent| agent.session.node_id()).collect()
}

/// What each API names, which must be these brokers and no other.
async fn assert_named(bootstrap: &str, client_id: &str, expected: &BTreeSet<i32>) {
    let seen = metadata(bootstrap, client_id).await;
    assert_eq!(&brokers(&seen), expected, "{client_id:?} at {bootstrap}");
    assert!(expected.contains(&seen.controller_id.0));
    for partition in &seen.topics[0].partitions {
        let named = partition.replica_nodes.iter().chain(&partition.isr_nodes);
        assert!(
            named
                .chain([&partition.leader_id])
                .all(|id| expected.contains(&id.0))
        );
        assert_eq!(partition.replica_nodes[0], partition.leader_id);
        let replicas = if expected.len() == 1 {
            1
        } else {
            expected.len()
        };
        assert_eq!(partition.replica_nodes.len(), replicas);
    }
    let mut raw = Raw::connect_as(bootstrap, client_id).await.unwrap();
    let request = DescribeClusterRequest::default().with_endpoint_type(1);
    let cluster = raw.call(1, &request).await.unwrap();
    let described: BTreeSet<i32> = cluster.brokers.iter().map(|b| b.broker_id.0).collect();
    assert_eq!(&described, expected, "{client_id:?}");
    let topic = TopicRequest::default().with_name(topic_name(TOPIC));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic])
        .with_response_partition_limit(1000);
    let described = raw.call(0, &request).await.unwrap();
    let leaders = |id| {
        described.topics[0]
            .partitions
            .iter()
            .any(|p| p.leader_id.0 == id)
    };
    assert!(
        expected.iter().all(|&id| leaders(id)),
        "12 partitions, and one leads nothing"
    );
    assert!(
        described.topics[0]
            .partitions
            .iter()
            .all(|p| expected.contains(&p.leader_id.0))
    );
    for (key_type, key) in [(0, "fresh group"), (1, "transactional id")] {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_static_str(key))
            .with_key_type(key_type);
        let found = raw.call(3, &request).await.unwrap();
        assert!(
            expected.contains(&found.node_id.0),
            "{key} at {:?}",
            found.node_id
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_shown_their_zone_while_it_has_an_agent() {
    let site = Site::new(LogKind::Memory, 1);
    let mut agents = start(&site, &[]).await;
    let all = of(&agents);
    for agent in &agents {
        for (index, client_ids) in [
            [
                "app,ws_az=zone-a",
                "warpstream_az=zone-a-StreamThread-1-consumer",
            ],
            ["diskless_az=zone-b", "app;zone=zone-b"],
            ["automq_type=consumer&automq_az=zone%2Dc", "zone=zone-c,app"],
        ]
        .into_iter()
        .enumerate()
        {
            for client_id in client_ids {
                assert_named(&agent.address, client_id, &of(&agents[index..=index])).await;
            }
        }
        for client_id in ["app", "zone=nowhere", "zone="] {
            assert_named(&agent.address, client_id, &all).await;
        }
    }
    let left = agents.remove(1);
    left.stop().await.unwrap();
    for agent in &agents {
        until(
            "the zone without agents is shown the others",
            SEEN_WITHIN,
            || async { brokers(&metadata(&agent.address, "zone=zone-b").await) == of(&agents) },
        )
        .await;
        assert_named(&agent.address, "zone=zone-b", &of(&agents)).await;
        assert_named(&agent.address, "zone=zone-a", &of(&agents[..1])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_in_another_zone_is_among_the_brokers_of_who_is_told_of_it() {
    let site = Site::new(LogKind::Memory, 2);
    let agents = start(&site, &[]).await;
    let find = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("shared"));
    let mut near = Raw::connect_as(&agents[0].address, "zone=zone-a")
        .await
        .unwrap();
    let coordinator = near.call(3, &find).await.unwrap().node_id.0;
    assert_eq!(coordinator, agents[0].session.node_id());
    // Whoever commits makes it the coordinator.
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(0);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(StrBytes::from_static_str("shared").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let committed = near.call(7, &commit).await.unwrap();
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    let mut far = Raw::connect_as(&agents[1].address, "zone=zone-b")
        .await
        .unwrap();
    let found = far.call(3, &find).await.unwrap().node_id.0;
    assert_eq!(found, coordinator, "there is one");
    let seen = metadata_on(&mut far).await;
    assert!(
        brokers(&seen).contains(&found),
        "{found} is not among {:?}",
        brokers(&seen)
    );
    let own = agents[1].session.node_id();
    assert!(
        seen.topics[0]
            .partitions
            .iter()
            .all(|p| p.leader_id.0 == own)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_tell_the_zone_of_clients_that_do_not() {
    let site = Site::new(LogKind::Memory, 3);
    let blocks = "127.0.0.0/8=zone-a,127.0.0.1/32=zone-b,::1/128=zone-b";
    let agents = start_alone(&site, ("client.zone.cidrs", blocks)).await;
    assert_named(&agents[0].address, "app", &of(&agents[1..2])).await;
    assert_named(&agents[0].address, "zone=zone-c", &of(&agents[2..])).await;
}

/// As [`start`], where nobody is shown all agents.
async fn start_alone(site: &Site, setting: (&str, &str)) -> Vec<Agent> {
    let mut agents = Vec::new();
    for zone in ZONES {
        let settings = [("zone", zone), setting];
        agents.push(site.start(zone, Trouble::default(), &settings).await);
    }
    let mut raw = Raw::connect(&agents[0].address).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
    for agent in &agents {
        until("all agents are known", SEEN_WITHIN, || async {
            brokers(&metadata(&agent.address, "zone=nowhere").await).len() == 3
        })
        .await;
    }
    agents
}

async fn fetch(raw: &mut Raw, rack: &str, offset: i64) -> FetchResponse {
    let request: FetchRequest =
        fetch_request(TOPIC, 0, offset).with_rack_id(StrBytes::from_string(rack.to_owned()));
    raw.call(12, &request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_tells_its_rack_is_sent_to_its_zone() {
    let site = Site::new(LogKind::Memory, 4);
    let agents = start(&site, &[]).await;
    let mut raws = Vec::new();
    for agent in &agents {
        raws.push(Raw::connect(&agent.address).await.unwrap());
    }
    let batch = Batch::of_values(["one", "two"]).encode();
    let produced = raws[0].produce(TOPIC, 0, batch).await.unwrap();
    assert_eq!(produced.error_code, 0, "the batch is stored");

    let sent = fetch(&mut raws[0], "zone-b", 0).await;
    let partition = &sent.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (0, 2));
    assert_eq!(
        partition.preferred_read_replica.0,
        agents[1].session.node_id()
    );
    assert!(
        partition
            .records
            .as_ref()
            .is_none_or(|records| records.is_empty())
    );
    // It is among the partition's replicas, where clients look for it.
    let seen = metadata(&agents[0].address, "app").await;
    let shown = seen.topics[0]
        .partitions
        .iter()
        .find(|p| p.partition_index == 0);
    assert!(
        shown
            .unwrap()
            .replica_nodes
            .contains(&partition.preferred_read_replica)
    );

    for (at, rack) in [(1, "zone-b"), (0, "nowhere"), (0, "")] {
        let read = fetch(&mut raws[at], rack, 0).await;
        let partition = &read.responses[0].partitions[0];
        assert_eq!(partition.preferred_read_replica.0, -1, "{rack:?} at {at}");
        let records = Batch::decode_all(partition.records.clone().unwrap());
        assert_eq!(records[0].1.len(), 2, "{rack:?} at {at}");
    }
    // Only of the leader do clients believe that an offset is out of range.
    let beyond = fetch(&mut raws[0], "zone-b", 99).await;
    let partition = &beyond.responses[0].partitions[0];
    assert_eq!(partition.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(partition.preferred_read_replica.0, -1);
    // From then on the connection's client is known to be in that zone.
    assert_eq!(brokers(&metadata_on(&mut raws[0]).await), of(&agents[1..2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_does_not_go_where_it_is_sent_is_served_after_all() {
    let site = Site::new(LogKind::Memory, 5);
    let agents = start(&site, &[]).await;
    let mut raw = Raw::connect(&agents[0].address).await.unwrap();
    let batch = Batch::of_values(["one"]).encode();
    assert_eq!(raw.produce(TOPIC, 0, batch).await.unwrap().error_code, 0);
    let mut sent = 0;
    while fetch(&mut raw, "zone-c", 0).await.responses[0].partitions[0]
        .preferred_read_replica
        .0
        >= 0
    {
        sent += 1;
        assert!(sent < 20, "sent away {sent} times");
    }
    assert!(sent > 2, "{sent}");
}
