//! What the broker makes of a topic's configs.

use control_plane::state::Topic;
use object_format::batch::TimestampType;

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
    /// The configs in force for `topic`. Values were checked when they were set.
    pub fn of(&self, topic: &Topic) -> TopicConfig {
        let set = |name: &str| topic.configs.get(name).map(String::as_str);
        let number = |name: &str| set(name).and_then(|value| value.parse::<i64>().ok());
        let default = self.0;
        TopicConfig {
            message_bytes_max: number("max.message.bytes")
                .map_or(default.message_bytes_max, |n| n.unsigned_abs()),
            timestamp_type: match set("message.timestamp.type") {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                Some(_) => TimestampType::CreateTime,
                None => default.timestamp_type,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms")
                .unwrap_or(default.timestamp_before_max_ms),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms")
                .unwrap_or(default.timestamp_after_max_ms),
            is_compacted: set("cleanup.policy").map_or(default.is_compacted, |policy| {
                policy.split(',').any(|word| word.trim() == "compact")
            }),
        }
    }
}
