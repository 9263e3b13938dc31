//! The broker that a test talks to: `millrace dev` on a directory of its own, or, with
//! `TEST_BROKER=HOST:PORT` in the environment, any other, such as Apache Kafka. Tests that are
//! about Kafka's behaviour can so be held against Kafka itself.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Launch, Process};
use crate::raw::Raw;

/// How long the partitions of a new topic may take to have leaders.
const LED_WITHIN: Duration = Duration::from_secs(60);

static TOPICS: AtomicU32 = AtomicU32::new(0);

/// A running broker.
pub struct Broker {
    /// Where Kafka clients connect, `HOST:PORT`.
    pub bootstrap: String,
    /// Its process, unless it is somebody else's.
    pub process: Option<Process>,
    _directory: Option<TempDir>,
}

impl Broker {
    /// Starts one, or finds the one that the environment names. `allowed` are parts of the WARN
    /// and ERROR lines that the test provokes.
    pub async fn start(allowed: &[&str]) -> io::Result<Self> {
        if let Ok(bootstrap) = std::env::var("TEST_BROKER") {
            return Ok(Self {
                bootstrap,
                process: None,
                _directory: None,
            });
        }
        let directory = TempDir::new()?;
        let store = format!("file://{}", directory.path().join("data").display());
        let launch = allowed
            .iter()
            .fold(Launch::dev(&store), |launch, text| launch.allow(text));
        let process = launch.start().await?;
        let bootstrap = process.bootstrap.clone();
        Ok(Self {
            bootstrap,
            process: Some(process),
            _directory: Some(directory),
        })
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Raw> {
        Raw::connect(&self.bootstrap).await
    }

    /// A new topic with a name that no other test has.
    pub async fn topic(&self, partitions: i32) -> io::Result<String> {
        self.topic_with(partitions, &[]).await
    }

    /// The same with these configs.
    pub async fn topic_with(
        &self,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) -> io::Result<String> {
        let number = TOPICS.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        let mut raw = self.connect().await?;
        let error = raw.create_topic_with(&name, partitions, configs).await?;
        if error != 0 {
            return Err(io::Error::other(format!("creating {name}: error {error}")));
        }
        // Apache Kafka answers before every partition has its leader.
        let led = async {
            for partition in 0..partitions {
                while raw.list_offset(&name, partition, -1).await?.0 != 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            io::Result::Ok(())
        };
        tokio::time::timeout(LED_WITHIN, led).await??;
        Ok(name)
    }

    /// Asserts that it serves: produces a record to a new topic and reads it back.
    ///
    /// # Panics
    /// It does not.
    pub async fn assert_serves(&self) {
        let topic = self.topic(1).await.expect("a topic");
        let mut raw = self.connect().await.expect("a connection");
        let batch = crate::raw::Batch::of_values(["alive"]).encode();
        let produced = raw
            .produce(&topic, 0, batch)
            .await
            .expect("an answer to Produce");
        assert_eq!((produced.error_code, produced.base_offset), (0, 0));
        let (error, high_watermark, _) = raw.fetch(&topic, 0, 0).await.expect("an answer to Fetch");
        assert_eq!((error, high_watermark), (0, 1));
    }
}
