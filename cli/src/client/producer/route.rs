//! Where batches go, and under which identity.

use std::sync::Arc;

use kafka_protocol::messages::InitProducerIdRequest;

use super::super::connection::Connection;
use super::super::error::{ClientError, Result};
use super::super::records::ProducerIdentity;
use super::super::{Client, Topic};

/// Connections by the broker id of the leader.
pub type Links = Vec<(i32, Arc<Connection>)>;

/// Looks up a topic and connects to the leaders of its partitions.
pub async fn route(client: &Client, topic: &str) -> Result<(Topic, Links)> {
    let topic = client.topic(topic).await?;
    let mut links = Vec::new();
    for leader in topic.by_leader().into_keys() {
        links.push((leader, client.broker(leader).await?));
    }
    Ok((topic, links))
}

/// Asks for a producer id (KIP-98).
pub async fn init_producer_id(client: &Client) -> Result<ProducerIdentity> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    let mut retry = client.retry();
    loop {
        let response = client.call_any(&request).await?;
        if response.error_code == 0 {
            let (id, epoch) = (response.producer_id.0, response.producer_epoch);
            return Ok(ProducerIdentity { id, epoch });
        }
        let error = ClientError::broker("InitProducerId", response.error_code, None);
        retry.after(error).await?;
    }
}
