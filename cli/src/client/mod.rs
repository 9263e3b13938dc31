//! A small Kafka client on the wire messages of the kafka-protocol crate, for the tools and for
//! `millrace bench`: it speaks to any broker of the Kafka protocol.
//!
//! [`Client`] owns what is known of the cluster and the connections to it. [`Producer`] and
//! [`Fetcher`] are driven by their caller: they own no task, and hold no more than what the caller
//! handed them and one response per broker.

mod admin;
mod connection;
mod error;
mod fetcher;
mod metadata;
mod produce_frame;
mod producer;
pub mod records;
mod versions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use admin::{ConfigEntry, ListedOffset, NewTopic, OffsetQuery};
pub use connection::{Connection, ConnectionOptions};
pub use error::{ClientError, Result};
pub use fetcher::{FetchOptions, Fetched, Fetcher};
pub use metadata::{Cluster, Partition, Topic};
pub use producer::{
    Acknowledgement, Completion, IDEMPOTENT_IN_FLIGHT_MAX, Producer, ProducerOptions,
};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Mutex;

/// Shortest and longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a broker or a topic may be missing.
const ABSENCE_MAX: Duration = Duration::from_secs(4);

/// A cluster, reached through a few of its brokers.
pub struct Client {
    bootstrap: Vec<String>,
    options: ConnectionOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<String, Arc<Connection>>,
    brokers: HashMap<i32, String>,
}

impl Client {
    /// A client of the cluster at `bootstrap`: host:port, several separated by commas. Connects
    /// when first used.
    pub fn new(bootstrap: &str, options: ConnectionOptions) -> Arc<Self> {
        let bootstrap = bootstrap.split(',').map(|b| b.trim().to_owned()).collect();
        Arc::new(Self {
            bootstrap,
            options,
            state: Mutex::default(),
        })
    }

    /// A connection to whichever broker answers: an open one, or the first of the bootstrap list.
    pub async fn any(&self) -> Result<Arc<Connection>> {
        let mut state = self.state.lock().await;
        if let Some(open) = state.connections.values().find(|c| !c.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let mut last = None;
        let known: Vec<String> = state.brokers.values().cloned().collect();
        for broker in self.bootstrap.iter().chain(&known) {
            match self.open(&mut state, broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Unreachable(self.bootstrap.join(","))))
    }

    /// The connection to a broker of the metadata.
    pub async fn broker(&self, node: i32) -> Result<Arc<Connection>> {
        let mut state = self.state.lock().await;
        let unknown = || ClientError::Unreachable(format!("broker {node}, not in the metadata"));
        let broker = state.brokers.get(&node).cloned().ok_or_else(unknown)?;
        self.open(&mut state, &broker).await
    }

    async fn open(&self, state: &mut State, broker: &str) -> Result<Arc<Connection>> {
        if let Some(open) = state.connections.get(broker).filter(|c| !c.is_closed()) {
            return Ok(Arc::clone(open));
        }
        state.connections.remove(broker);
        let connection = Arc::new(Connection::open(broker, &self.options).await?);
        state
            .connections
            .insert(broker.to_owned(), Arc::clone(&connection));
        Ok(connection)
    }

    /// Asks for the cluster and for `topics` (all of them, if none are named).
    pub async fn metadata(&self, topics: Option<&[&str]>) -> Result<Cluster> {
        self.ask_metadata(topics, false).await
    }

    /// Mentions a topic, so that a broker with `auto.create.topics.enable` creates it.
    pub async fn mention(&self, topic: &str) -> Result<()> {
        let mut retry = self.retry();
        while let Err(error) = self.ask_metadata(Some(&[topic]), true).await {
            retry.after(error).await?;
        }
        Ok(())
    }

    async fn ask_metadata(&self, topics: Option<&[&str]>, create: bool) -> Result<Cluster> {
        let name = |name: &&str| {
            let name = TopicName(StrBytes::from_string((*name).to_owned()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(topics.map(|topics| topics.iter().map(name).collect()))
            .with_allow_auto_topic_creation(create);
        let response = self.any().await?.call(&request).await?;
        let cluster = Cluster::from_response(response);
        self.state.lock().await.brokers = cluster.brokers.iter().cloned().collect();
        Ok(cluster)
    }

    /// A topic whose partitions all have a leader, waiting for that up to the request timeout.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        let mut retry = self.retry();
        loop {
            match self.topic_now(name).await {
                Ok(topic) => return Ok(topic),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn topic_now(&self, name: &str) -> Result<Topic> {
        let cluster = self.metadata(Some(&[name])).await?;
        let missing = || ClientError::broker(format!("topic {name}"), 3, None);
        let topic = cluster
            .topics
            .into_iter()
            .find(|t| t.name == name)
            .ok_or_else(missing)?;
        topic.check()?;
        Ok(topic)
    }

    /// For a call that is repeated while it fails retriably: with growing pauses, for the request
    /// timeout.
    fn retry(&self) -> Retry {
        Retry {
            pause: BACKOFF.0,
            paused: Duration::ZERO,
            paused_max: self.options.request_timeout,
        }
    }

    /// The longest a single request may take.
    pub fn request_timeout(&self) -> Duration {
        self.options.request_timeout
    }
}

/// Pauses between the tries of a call.
struct Retry {
    pause: Duration,
    paused: Duration,
    paused_max: Duration,
}

impl Retry {
    /// Waits before the next try, or gives the error back if there should be none.
    async fn after(&mut self, error: ClientError) -> Result<()> {
        // A broker that refuses connections and a topic that was just created are there soon, or
        // not at all.
        let absent = matches!(error, ClientError::Io { .. })
            || error.code() == Some(ResponseError::UnknownTopicOrPartition);
        let paused_max = if absent { ABSENCE_MAX } else { self.paused_max };
        if !error.is_retriable() || self.paused > paused_max {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.paused += self.pause;
        self.pause = (self.pause * 2).min(BACKOFF.1);
        Ok(())
    }
}

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
