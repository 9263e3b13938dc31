//! The topics of a run.

use std::collections::BTreeMap;

use crate::client::{Client, NewTopic, OffsetQuery, Topic};
use crate::tools::Result;
use crate::tools::bench::args::Args;

/// Creates the topic unless it is there.
pub async fn create(args: &Args, client: &Client, name: &str) -> Result<()> {
    // SUBTLE: asking for a topic by name may create it; the list of all topics does not.
    if client
        .metadata(None)
        .await?
        .topics
        .iter()
        .any(|topic| topic.name == name)
    {
        return Ok(());
    }
    let new = NewTopic {
        name: name.to_owned(),
        partitions: args.partitions,
        replication: -1,
        configs: args.configs.clone(),
        validate_only: false,
    };
    client.create_topic(&new).await?;
    Ok(())
}

/// An offset of each partition.
pub async fn offsets(
    client: &Client,
    topic: &Topic,
    query: OffsetQuery,
) -> Result<BTreeMap<i32, i64>> {
    let partitions: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let listed = client.offsets(&topic.name, &partitions, query).await?;
    Ok(listed
        .into_iter()
        .map(|(partition, listed)| (partition, listed.offset))
        .collect())
}
