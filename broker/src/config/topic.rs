//! What the broker makes of a topic's configs.

use control_plane::state::Topic;
use object_format::batch::TimestampType;

use super::in_force::Dynamic;
use super::value::items;

/// The configs of one topic that matter where records come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `max.message.bytes`: largest record batch in bytes.
    pub message_bytes_max: u64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`.
    pub is_compacted: bool,
}

/// What topics have that set nothing: the broker's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults(pub TopicConfig);

impl Default for TopicDefaults {
    fn default() -> Self {
        Self(TopicConfig {
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            is_compacted: false,
        })
    }
}

impl TopicDefaults {
    /// The configs in force for `topic`, `dynamic` being what is set for brokers at run time. Values were checked when
    /// they were set.
    pub fn of(&self, topic: &Topic, dynamic: Dynamic<'_>) -> TopicConfig {
        let set = |name: &str, synonym: &str| {
            let own = topic.configs.get(name);
            own.or_else(|| dynamic.get(synonym)).map(String::as_str)
        };
        let number = |name: &str, synonym: &str, default: i64| {
            set(name, synonym)
                .and_then(|value| value.parse::<i64>().ok())
                .unwrap_or(default)
        };
        let default = self.0;
        let bytes_max = i64::try_from(default.message_bytes_max).unwrap_or(i64::MAX);
        let (before, after) = (
            "message.timestamp.before.max.ms",
            "message.timestamp.after.max.ms",
        );
        TopicConfig {
            message_bytes_max: number("max.message.bytes", "message.max.bytes", bytes_max)
                .unsigned_abs(),
            timestamp_type: match set("message.timestamp.type", "log.message.timestamp.type") {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                Some(_) => TimestampType::CreateTime,
                None => default.timestamp_type,
            },
            timestamp_before_max_ms: number(
                before,
                "log.message.timestamp.before.max.ms",
                default.timestamp_before_max_ms,
            ),
            timestamp_after_max_ms: number(
                after,
                "log.message.timestamp.after.max.ms",
                default.timestamp_after_max_ms,
            ),
            is_compacted: set("cleanup.policy", "log.cleanup.policy")
                .map_or(default.is_compacted, |policy| {
                    items(policy).contains(&"compact")
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn of(own: &[(&str, &str)], dynamic: &[(&str, &str)]) -> TopicConfig {
        let configs = map(own);
        let topic = Topic {
            name: "t".into(),
            partitions: 1,
            configs,
            created_ms: 0,
        };
        let dynamic = Dynamic {
            own: &BTreeMap::new(),
            all: &map(dynamic),
        };
        TopicDefaults::default().of(&topic, dynamic)
    }

    #[test]
    fn a_topic_wins_over_all_brokers_and_these_over_the_settings() {
        assert_eq!(of(&[], &[]), TopicDefaults::default().0);
        let dynamic = [
            ("message.max.bytes", "500"),
            ("log.message.timestamp.type", "LogAppendTime"),
            ("log.message.timestamp.before.max.ms", "1"),
            ("log.message.timestamp.after.max.ms", "2"),
            ("log.cleanup.policy", "compact,delete"),
        ];
        let from_brokers = TopicConfig {
            message_bytes_max: 500,
            timestamp_type: TimestampType::LogAppendTime,
            timestamp_before_max_ms: 1,
            timestamp_after_max_ms: 2,
            is_compacted: true,
        };
        assert_eq!(of(&[], &dynamic), from_brokers);
        let own = [
            ("max.message.bytes", "7"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.before.max.ms", "8"),
            ("message.timestamp.after.max.ms", "9"),
            ("cleanup.policy", "delete"),
        ];
        let from_topic = TopicConfig {
            message_bytes_max: 7,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: 8,
            timestamp_after_max_ms: 9,
            is_compacted: false,
        };
        assert_eq!(of(&own, &dynamic), from_topic);
        assert!(
            super::super::in_force::DYNAMIC
                .iter()
                .all(|name| map(&dynamic).contains_key(*name))
        );
    }
}
