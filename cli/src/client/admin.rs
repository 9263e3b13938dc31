//! Changes and questions about topics: create, delete, configs, offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, ListOffsetsRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::error::{ClientError, Result};
use super::{Client, Topic};

const RESOURCE_TOPIC: i8 = 2;
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions; -1 for the broker's default.
    pub partitions: i32,
    /// Copies of each partition; -1 for the broker's default.
    pub replication: i16,
    /// Topic configs.
    pub configs: Vec<(String, String)>,
    /// Only check whether it could be created.
    pub validate_only: bool,
}

/// One topic config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; none if it is sensitive.
    pub value: Option<String>,
    /// Whether the topic itself sets it, rather than the broker or a default.
    pub on_topic: bool,
    /// Whether it is the built-in default.
    pub is_default: bool,
}

/// Which offset is asked for (ListOffsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first one there is.
    Beginning,
    /// The one after the last.
    End,
    /// The first record at or after a time, in milliseconds since the epoch.
    Timestamp(i64),
}

/// The answer for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; -1 if no record is that young.
    pub offset: i64,
    /// Timestamp of the record; -1 if not asked by time.
    pub timestamp: i64,
}

fn name(name: &str) -> TopicName {
    TopicName(string(name))
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Client {
    /// Sends a change of topics to the controller.
    async fn call_controller<R: Request>(&self, request: &R) -> Result<R::Response> {
        let mut retry = self.retry();
        loop {
            match self.call_controller_once(request).await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn call_controller_once<R: Request>(&self, request: &R) -> Result<R::Response> {
        let controller = self.metadata(Some(&[])).await?.controller;
        let connection = match self.broker(controller).await {
            Ok(connection) => connection,
            Err(ClientError::Unreachable(_)) => self.any().await?,
            Err(error) => return Err(error),
        };
        connection.call(request).await
    }

    /// Sends a request to any broker.
    pub(super) async fn call_any<R: Request>(&self, request: &R) -> Result<R::Response> {
        let mut retry = self.retry();
        loop {
            let answer = match self.any().await {
                Ok(connection) => connection.call(request).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Creates a topic; returns its id and number of partitions as the broker gives them.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(uuid::Uuid, i32)> {
        let config = |(key, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(string(key))
                .with_value(Some(string(value)))
        };
        let creatable = CreatableTopic::default()
            .with_name(name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication)
            .with_configs(topic.configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![creatable])
            .with_timeout_ms(TOPIC_TIMEOUT.as_millis() as i32)
            .with_validate_only(topic.validate_only);
        let response = self.call_controller(&request).await?;
        let context = format!("create topic {}", topic.name);
        let none = || ClientError::Protocol(format!("{context}: no result"));
        let result = response.topics.first().ok_or_else(none)?;
        let message = result.error_message.as_ref().map(StrBytes::as_str);
        check(&context, result.error_code, message)?;
        Ok((result.topic_id, result.num_partitions))
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, topic: &str) -> Result<()> {
        // Version 6 names topics in `topics`, those before it in `topic_names`.
        let state = DeleteTopicState::default().with_name(Some(name(topic)));
        let timeout_ms = TOPIC_TIMEOUT.as_millis() as i32;
        let modern = DeleteTopicsRequest::default()
            .with_topics(vec![state])
            .with_timeout_ms(timeout_ms);
        let older = DeleteTopicsRequest::default()
            .with_topic_names(vec![name(topic)])
            .with_timeout_ms(timeout_ms);
        let version = self.any().await?.version::<DeleteTopicsRequest>()?;
        let request = if version >= 6 { modern } else { older };
        let response = self.call_controller(&request).await?;
        let context = format!("delete topic {topic}");
        let none = || ClientError::Protocol(format!("{context}: no result"));
        let result = response.responses.first().ok_or_else(none)?;
        let message = result.error_message.as_ref().map(StrBytes::as_str);
        check(&context, result.error_code, message)
    }

    /// The configs of a topic, sorted by name.
    pub async fn topic_configs(&self, topic: &str) -> Result<Vec<ConfigEntry>> {
        const FROM_TOPIC: i8 = 1;
        const FROM_DEFAULT: i8 = 5;
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(string(topic))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let response = self.call_any(&request).await?;
        let mut entries = Vec::new();
        for result in response.results {
            let message = result.error_message.as_ref().map(StrBytes::as_str);
            check(&format!("configs of {topic}"), result.error_code, message)?;
            entries.extend(result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.map(|value| value.to_string()),
                on_topic: config.config_source == FROM_TOPIC,
                is_default: config.config_source == FROM_DEFAULT,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Asks for an offset of each of `partitions`, from their leaders.
    pub async fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        query: OffsetQuery,
    ) -> Result<BTreeMap<i32, ListedOffset>> {
        let mut retry = self.retry();
        loop {
            match self.offsets_now(topic, partitions, query).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn offsets_now(
        &self,
        topic: &str,
        partitions: &[i32],
        query: OffsetQuery,
    ) -> Result<BTreeMap<i32, ListedOffset>> {
        let known = self.topic(topic).await?;
        let mut offsets = BTreeMap::new();
        for (leader, led) in known.by_leader() {
            let asked: Vec<i32> = led
                .into_iter()
                .filter(|index| partitions.contains(index))
                .collect();
            if !asked.is_empty() {
                self.offsets_of_leader(&known, leader, &asked, query, &mut offsets)
                    .await?;
            }
        }
        Ok(offsets)
    }

    async fn offsets_of_leader(
        &self,
        topic: &Topic,
        leader: i32,
        partitions: &[i32],
        query: OffsetQuery,
        offsets: &mut BTreeMap<i32, ListedOffset>,
    ) -> Result<()> {
        let timestamp = match query {
            OffsetQuery::Beginning => -2,
            OffsetQuery::End => -1,
            OffsetQuery::Timestamp(timestamp) => timestamp,
        };
        let partition = |&index: &i32| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_timestamp(timestamp)
        };
        let asked = ListOffsetsTopic::default()
            .with_name(name(&topic.name))
            .with_partitions(partitions.iter().map(partition).collect());
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let response = self.broker(leader).await?.call(&request).await?;
        for partition in response
            .topics
            .into_iter()
            .flat_map(|topic| topic.partitions)
        {
            let context = format!("offsets of {}-{}", topic.name, partition.partition_index);
            check(&context, partition.error_code, None)?;
            let listed = ListedOffset {
                offset: partition.offset,
                timestamp: partition.timestamp,
            };
            offsets.insert(partition.partition_index, listed);
        }
        Ok(())
    }
}

fn check(context: &str, code: i16, message: Option<&str>) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(ClientError::broker(context, code, message)),
    }
}
