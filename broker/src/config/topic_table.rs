//! The configs of topics: every one that Kafka 4.1 has, with Kafka's type, default and bounds. Some do nothing here, for
//! there are no segments, no replicas and no local disks; they are accepted so that topics can be created by tools that
//! set them, and their documentation says so.

use std::collections::BTreeMap;

use super::value::{Allowed, ConfigError, ConfigType, normalize};

/// A config of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicKey {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// Its value if neither the topic nor the brokers set it.
    pub default: &'static str,
    /// What it takes.
    pub allowed: Allowed,
    /// The setting of brokers that topics take it from which do not set it.
    pub synonym: Option<&'static str>,
    /// What it does here.
    pub doc: &'static str,
}

const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const LONG_MAX: &str = "9223372036854775807";

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    allowed: Allowed,
    synonym: Option<&'static str>,
    doc: &'static str,
) -> TopicKey {
    TopicKey {
        name,
        kind,
        default,
        allowed,
        synonym,
        doc,
    }
}

use Allowed::{Any, AtLeast, Between, BetweenOr, ThrottledReplicas, Words};
use ConfigType::{Boolean, Double, Int, List, Long};

/// Every config of topics, in order of name.
#[rustfmt::skip]
pub const TOPIC_KEYS: &[TopicKey] = &[
    key("cleanup.policy", List, "delete", Words(&["compact", "delete"]), Some("log.cleanup.policy"),
        "What becomes of old records: delete (by retention), compact (the last of each key stays), or both. Records without a key are refused where it says compact."),
    key("compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), Some("compression.gzip.level"),
        "No effect: brokers never compress."),
    key("compression.lz4.level", Int, "9", Between(1, 17), Some("compression.lz4.level"),
        "No effect: brokers never compress."),
    key("compression.type", ConfigType::String, "producer", Words(COMPRESSIONS), Some("compression.type"),
        "No effect: batches are kept as their producers compressed them, which Kafka calls `producer`."),
    key("compression.zstd.level", Int, "3", Between(-131_072, 22), Some("compression.zstd.level"),
        "No effect: brokers never compress."),
    key("delete.retention.ms", Long, "86400000", AtLeast(0), Some("log.cleaner.delete.retention.ms"),
        "How long tombstones of a compacted topic are kept at least.."),
    key("file.delete.delay.ms", Long, "60000", AtLeast(0), Some("log.segment.delete.delay.ms"),
        "No effect: there are no segment files."),
    key("flush.messages", Long, LONG_MAX, AtLeast(1), Some("log.flush.interval.messages"),
        "No effect: every record is in the bucket before it is acknowledged."),
    key("flush.ms", Long, LONG_MAX, AtLeast(0), Some("log.flush.interval.ms"),
        "No effect: every record is in the bucket before it is acknowledged."),
    key("follower.replication.throttled.replicas", List, "", ThrottledReplicas, None,
        "No effect: the bucket does the replicating."),
    key("index.interval.bytes", Int, "4096", AtLeast(0), Some("log.index.interval.bytes"),
        "No effect: there are no offset index files."),
    key("leader.replication.throttled.replicas", List, "", ThrottledReplicas, None,
        "No effect: the bucket does the replicating."),
    key("local.retention.bytes", Long, "-2", AtLeast(-2), Some("log.local.retention.bytes"),
        "No effect: nothing is kept locally."),
    key("local.retention.ms", Long, "-2", AtLeast(-2), Some("log.local.retention.ms"),
        "No effect: nothing is kept locally."),
    key("max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1), Some("log.cleaner.max.compaction.lag.ms"),
        "How long a record of a compacted topic may stay uncompacted.."),
    key("max.message.bytes", Int, "1048588", AtLeast(0), Some("message.max.bytes"),
        "Largest record batch, in bytes as the producer compressed it."),
    key("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Some("log.message.timestamp.after.max.ms"),
        "How far a record's time may lie after the broker's, with CreateTime."),
    key("message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0), Some("log.message.timestamp.before.max.ms"),
        "How far a record's time may lie before the broker's, with CreateTime."),
    key("message.timestamp.type", ConfigType::String, "CreateTime", Words(&["CreateTime", "LogAppendTime"]),
        Some("log.message.timestamp.type"),
        "Whether records keep their producer's time or get the broker's."),
    key("min.cleanable.dirty.ratio", Double, "0.5", Between(0, 1), Some("log.cleaner.min.cleanable.ratio"),
        "Which part of a compacted topic may be uncompacted before it is compacted again.."),
    key("min.compaction.lag.ms", Long, "0", AtLeast(0), Some("log.cleaner.min.compaction.lag.ms"),
        "How long a record of a compacted topic stays uncompacted at least.."),
    key("min.insync.replicas", Int, "1", AtLeast(1), Some("min.insync.replicas"),
        "No effect: the bucket does the replicating, and every acknowledged record is in it."),
    key("preallocate", Boolean, "false", Any, Some("log.preallocate"),
        "No effect: there are no segment files."),
    key("remote.log.copy.disable", Boolean, "false", Any, None,
        "No effect: everything is in the bucket."),
    key("remote.log.delete.on.disable", Boolean, "false", Any, None,
        "No effect: everything is in the bucket."),
    key("remote.storage.enable", Boolean, "false", Any, None,
        "Cannot be true: everything is in the bucket, without tiers."),
    key("retention.bytes", Long, "-1", Any, Some("log.retention.bytes"),
        "Largest size of a partition before its oldest records are deleted; -1 is without bound."),
    key("retention.ms", Long, "604800000", AtLeast(-1), Some("log.retention.ms"),
        "How long records are kept; -1 is without end."),
    key("segment.bytes", Int, "1073741824", AtLeast(1_048_576), Some("log.segment.bytes"),
        "No effect: there are no segment files; see the setting object.bytes.max."),
    key("segment.index.bytes", Int, "10485760", AtLeast(4), Some("log.index.size.max.bytes"),
        "No effect: there are no offset index files."),
    key("segment.jitter.ms", Long, "0", AtLeast(0), Some("log.roll.jitter.ms"),
        "No effect: there are no segment files."),
    key("segment.ms", Long, "604800000", AtLeast(1), Some("log.roll.ms"),
        "No effect: there are no segment files; see the setting linger.ms."),
    key("unclean.leader.election.enable", Boolean, "false", Any, Some("unclean.leader.election.enable"),
        "No effect: no election can lose what is in the bucket."),
];

/// The config of topics called `name`.
pub fn topic_key(name: &str) -> Option<&'static TopicKey> {
    let at = TOPIC_KEYS
        .binary_search_by_key(&name, |key| key.name)
        .ok()?;
    TOPIC_KEYS.get(at)
}

impl TopicKey {
    /// Checks a value; gives the form it is kept in.
    pub fn normalize(&self, raw: &str) -> Result<String, ConfigError> {
        normalize(self.name, self.kind, self.allowed, raw)
    }
}

/// Checks everything a topic sets, each by itself and together; gives the form it is kept in. As in Kafka, names are
/// looked at before values.
pub fn normalize_topic(
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let unknown = raw.keys().find(|name| topic_key(name).is_none());
    if let Some(name) = unknown {
        return Err(ConfigError::Unknown(name.clone()));
    }
    let known = raw
        .iter()
        .filter_map(|(name, value)| Some((topic_key(name)?, value)));
    let configs: BTreeMap<String, String> = known
        .map(|(key, value)| Ok((key.name.to_owned(), key.normalize(value)?)))
        .collect::<Result<_, ConfigError>>()?;
    let number = |name: &str| {
        configs
            .get(name)
            .and_then(|value| value.parse::<i64>().ok())
    };
    let min = number("min.compaction.lag.ms").unwrap_or(0);
    let max = number("max.compaction.lag.ms").unwrap_or(i64::MAX);
    if min > max {
        return Err(ConfigError::CompactionLag { min, max });
    }
    if configs
        .get("remote.storage.enable")
        .is_some_and(|value| value == "true")
    {
        return Err(ConfigError::RemoteStorage);
    }
    Ok(configs)
}

#[cfg(test)]
#[path = "topic_table/tests.rs"]
mod tests;
