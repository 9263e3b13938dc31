//! What clients and operators see of agents: who is there, which topics, whether ready; and waiting until they see it.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeClusterRequest, MetadataRequest, MetadataResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::Process;
use crate::raw::{Raw, topic_name};

const METADATA_VERSION: i16 = 12;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the agent at `bootstrap` says of a topic, without creating it, and of all agents.
pub async fn metadata(bootstrap: &str, topic: Option<&str>) -> io::Result<MetadataResponse> {
    let wanted =
        topic.map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request = MetadataRequest::default()
        .with_topics(Some(wanted.into_iter().collect()))
        .with_allow_auto_topic_creation(false);
    Raw::connect(bootstrap)
        .await?
        .call(METADATA_VERSION, &request)
        .await
}

/// The agents that the one at `bootstrap` tells clients of, as `HOST:PORT`.
pub async fn agents(bootstrap: &str) -> io::Result<BTreeSet<String>> {
    let response = metadata(bootstrap, None).await?;
    let address = |broker: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
        format!("{}:{}", broker.host, broker.port)
    };
    Ok(response.brokers.iter().map(address).collect())
}

/// Where clients connect to these.
pub fn addresses(processes: &[Process]) -> Vec<&str> {
    processes
        .iter()
        .map(|process| process.bootstrap.as_str())
        .collect()
}

/// Waits until each of these tells clients of all of them and of no other.
///
/// # Panics
/// One does not within `within`.
pub async fn until_all_list(processes: &[Process], within: Duration) {
    let all: BTreeSet<String> = processes.iter().map(|p| p.bootstrap.clone()).collect();
    for process in processes {
        let what = format!("{} lists {all:?}", process.bootstrap);
        until(&what, within, || async {
            agents(&process.bootstrap)
                .await
                .is_ok_and(|shown| shown == all)
        })
        .await;
    }
}

/// The agents that clients are steered away from, according to the one at `bootstrap`, as `HOST:PORT`.
pub async fn fenced(bootstrap: &str) -> BTreeSet<String> {
    let known = known(bootstrap).await.into_iter();
    let fenced = known.filter(|(_, is_fenced)| *is_fenced);
    fenced.map(|(address, _)| address).collect()
}

/// All agents that are registered, as [`fenced`]; empty if the one at `bootstrap` does not answer.
pub async fn registered(bootstrap: &str) -> BTreeSet<String> {
    let known = known(bootstrap).await.into_iter();
    known.map(|(address, _)| address).collect()
}

async fn known(bootstrap: &str) -> Vec<(String, bool)> {
    let request = DescribeClusterRequest::default()
        .with_endpoint_type(1)
        .with_include_fenced_brokers(true);
    let described = async { Raw::connect(bootstrap).await?.call(2, &request).await };
    let described = described.await.ok();
    let brokers = described
        .into_iter()
        .flat_map(|described| described.brokers);
    brokers
        .map(|b| (format!("{}:{}", b.host, b.port), b.is_fenced))
        .collect()
}

/// Looks again and again until `seen` says so.
///
/// # Panics
/// It does not within `within`.
pub async fn until<F>(what: &str, within: Duration, mut seen: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let looking = async {
        while !seen().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    assert!(
        timeout(within, looking).await.is_ok(),
        "not within {within:?}: {what}"
    );
}

/// The value of a metric, the sum over all its labels; 0 if there is none.
///
/// # Panics
/// The process has no admin server, or that does not answer.
pub async fn metric(process: &Process, name: &str) -> f64 {
    let admin = process.admin.as_deref().expect("an admin server");
    let page = admin_get(admin, "/metrics").await;
    let (status, text) = page.expect("an answer to /metrics");
    assert_eq!(status, 200);
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = rest.rsplit(' ').next()?;
        rest.starts_with([' ', '{'])
            .then(|| value.parse::<f64>().ok())?
    };
    text.lines().filter_map(of).sum::<f64>()
}

/// Status and body of a GET at the admin server, whose base URL is `http://HOST:PORT`.
pub async fn admin_get(base: &str, path: &str) -> io::Result<(u16, String)> {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    timeout(
        Duration::from_secs(10),
        stream.read_to_string(&mut response),
    )
    .await??;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no HTTP response: {head}")))?;
    Ok((status, body.to_owned()))
}
