//! DescribeLogDirs (API key 35), versions 1 to 4: KIP-113, KIP-827.
//!
//! There are no log directories; there is the bucket, which is told as the one directory of every agent. It holds each
//! partition once, so each agent tells of those that its client is shown on it: the sizes told by all agents together
//! are what is stored. How large the bucket is and how much of it is free is unknown.

use std::collections::{BTreeMap, BTreeSet};

use control_plane::state::State;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use object_format::TopicPartition;

use super::{Answer, Api, Call, Handler};

pub(super) const API: Api = Api {
    key: ApiKey::DescribeLogDirs,
    versions: 1..=4,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Stands for a size that is not known (KIP-827).
const UNKNOWN_BYTES: i64 = -1;

async fn handle(call: Call) -> Answer {
    let body: DescribeLogDirsRequest = call.request.decode()?;
    let broker = &call.broker;
    if broker.replica().barrier().await.is_err() {
        // What it is told without it may be behind, and this answer's reader cannot tell.
        let error_code = ResponseError::CoordinatorNotAvailable.code();
        let response = DescribeLogDirsResponse::default().with_error_code(error_code);
        return call.request.respond(&response);
    }
    let own = broker.session().node_id();
    let topics = call.look(|state, view| {
        let is_here = |partition| view.leader(partition) == own;
        topics(state, body.topics.as_deref(), is_here)
    });
    let url = broker.config().resolved.text("store.url");
    let dir = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(without_secrets(url)))
        .with_topics(topics)
        .with_total_bytes(UNKNOWN_BYTES)
        .with_usable_bytes(UNKNOWN_BYTES);
    call.request
        .respond(&DescribeLogDirsResponse::default().with_results(vec![dir]))
}

/// A store's URL as it may be shown to anybody: without user, password and query.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// Partitions that are asked for, each once and if it exists; `None` asks for all.
fn topics(
    state: &State,
    asked: Option<&[DescribableLogDirTopic]>,
    is_here: impl Fn(TopicPartition) -> bool,
) -> Vec<DescribeLogDirsTopic> {
    let mut wanted: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for topic in asked.unwrap_or_default() {
        let partitions = topic.partitions.iter();
        let partitions = partitions.filter_map(|&index| u32::try_from(index).ok());
        wanted
            .entry(topic.topic.as_str())
            .or_default()
            .extend(partitions);
    }
    let all = state.topics().filter_map(|(id, topic)| {
        let partitions = (0..topic.partitions).filter(|partition| match asked {
            None => true,
            Some(_) => wanted
                .get(topic.name.as_str())
                .is_some_and(|wanted| wanted.contains(partition)),
        });
        let here = partitions
            .map(|partition| TopicPartition {
                topic: id,
                partition,
            })
            .filter(|&partition| is_here(partition));
        let told: Vec<_> = here
            .filter_map(|of| Some(describe(of, state.partition(of)?.bytes())))
            .collect();
        let name = TopicName(StrBytes::from_string(topic.name.clone()));
        (!told.is_empty()).then(|| {
            DescribeLogDirsTopic::default()
                .with_name(name)
                .with_partitions(told)
        })
    });
    all.collect()
}

fn describe(of: TopicPartition, bytes: u64) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(i32::try_from(of.partition).unwrap_or(i32::MAX))
        .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, state_with};
    use super::*;

    fn told(topics: &[DescribeLogDirsTopic]) -> Vec<(String, i32, i64)> {
        let of_topic = |topic: &DescribeLogDirsTopic| {
            let name = topic.name.to_string();
            let one = move |p: &DescribeLogDirsPartition| {
                (name.clone(), p.partition_index, p.partition_size)
            };
            topic.partitions.iter().map(one).collect::<Vec<_>>()
        };
        topics.iter().flat_map(of_topic).collect()
    }

    #[test]
    fn partitions_are_told_once_with_what_they_take() {
        let mut state = state_with(&[("t", 2), ("u", 1)]);
        testing::store(&mut state, "t", 1, 700);
        let ask = |topic: &'static str, partitions: &[i32]| {
            DescribableLogDirTopic::default()
                .with_topic(TopicName(StrBytes::from_static_str(topic)))
                .with_partitions(partitions.to_vec())
        };
        let entry = |topic: &str, partition, bytes| (topic.to_owned(), partition, bytes);
        assert_eq!(
            told(&topics(&state, None, |_| true)),
            [entry("t", 0, 0), entry("t", 1, 700), entry("u", 0, 0)]
        );
        let asked = [ask("t", &[1, 1, 5, -1]), ask("t", &[1]), ask("zzz", &[0])];
        assert_eq!(
            told(&topics(&state, Some(&asked), |_| true)),
            [entry("t", 1, 700)]
        );
        assert!(topics(&state, Some(&[]), |_| true).is_empty());
        assert_eq!(
            told(&topics(&state, None, |of| of.partition == 1)),
            [entry("t", 1, 700)],
            "those that are shown elsewhere are told elsewhere"
        );
    }

    #[test]
    fn the_directory_is_the_store_without_its_secrets() {
        for (url, shown) in [
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("s3://key:secret@bucket/p@q?x=hush#y", "s3://bucket/p@q"),
            ("file:///var/data", "file:///var/data"),
            ("./millrace-data", "./millrace-data"),
            ("memory://", "memory://"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
