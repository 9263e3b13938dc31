//! What a topic's configs say about its old records. A topic's own value wins over what is set for all brokers at run
//! time, and that over this process's settings.

use control_plane::state::{State, Topic};
use object_format::TopicId;
use runtime::settings::Resolved;

/// What topics have that set nothing themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `log.retention.ms`.
    pub retention_ms: i64,
    /// `log.retention.bytes`.
    pub retention_bytes: i64,
    /// `log.cleanup.policy`.
    pub cleanup_policy: String,
}

impl Defaults {
    /// From a process's settings.
    pub fn new(resolved: &Resolved) -> Self {
        Self {
            retention_ms: resolved.int("log.retention.ms"),
            retention_bytes: resolved.int("log.retention.bytes"),
            cleanup_policy: resolved.list("log.cleanup.policy").join(","),
        }
    }
}

impl Default for Defaults {
    /// Kafka's.
    fn default() -> Self {
        Self {
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            cleanup_policy: "delete".to_owned(),
        }
    }
}

/// What becomes of a topic's old records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// `cleanup.policy` has `delete`: by age, in milliseconds; without end if there is none.
    pub retention_ms: Option<u64>,
    /// `cleanup.policy` has `delete`: by bytes of each partition.
    pub retention_bytes: Option<u64>,
    /// `cleanup.policy` has `compact`.
    pub compact: Option<CompactPolicy>,
}

/// When and how a topic is compacted by key; the configs of these names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactPolicy {
    /// How long tombstones stay, in milliseconds.
    pub delete_retention_ms: i64,
    /// Records younger than this are not compacted.
    pub min_lag_ms: i64,
    /// Records older than this are compacted, whatever the ratio.
    pub max_lag_ms: i64,
    /// From which share of bytes on that were never compacted a partition is.
    pub min_dirty_ratio: f64,
}

impl Policy {
    /// The policy of a topic.
    pub fn of(state: &State, topic: &Topic, defaults: &Defaults) -> Self {
        let configs = Layers { state, topic };
        let policy = configs.get("cleanup.policy", "log.cleanup.policy");
        let policy = policy.unwrap_or(&defaults.cleanup_policy);
        let has = |word| policy.split(',').any(|w| w.trim() == word);
        let (ms, bytes) = (defaults.retention_ms, defaults.retention_bytes);
        let ms = configs.number("retention.ms", "log.retention.ms", ms);
        let bytes = configs.number("retention.bytes", "log.retention.bytes", bytes);
        let delete = has("delete");
        Self {
            retention_ms: u64::try_from(ms).ok().filter(|_| delete),
            retention_bytes: u64::try_from(bytes).ok().filter(|_| delete),
            compact: has("compact").then(|| CompactPolicy::of(&configs)),
        }
    }
}

impl CompactPolicy {
    fn of(configs: &Layers<'_>) -> Self {
        let ratio = configs.get(
            "min.cleanable.dirty.ratio",
            "log.cleaner.min.cleanable.ratio",
        );
        Self {
            delete_retention_ms: configs.number(
                "delete.retention.ms",
                "log.cleaner.delete.retention.ms",
                24 * 60 * 60 * 1000,
            ),
            min_lag_ms: configs.number(
                "min.compaction.lag.ms",
                "log.cleaner.min.compaction.lag.ms",
                0,
            ),
            max_lag_ms: configs.number(
                "max.compaction.lag.ms",
                "log.cleaner.max.compaction.lag.ms",
                i64::MAX,
            ),
            min_dirty_ratio: ratio.and_then(|v| v.parse().ok()).unwrap_or(0.5),
        }
    }
}

/// The policies of topics that are asked for partition by partition: each is looked up once.
#[derive(Debug)]
pub struct Policies<'a> {
    defaults: &'a Defaults,
    last: Option<(TopicId, Option<Policy>)>,
}

impl<'a> Policies<'a> {
    /// None yet.
    pub fn new(defaults: &'a Defaults) -> Self {
        Self {
            defaults,
            last: None,
        }
    }

    /// The policy of a topic; none if it does not exist, or is deleted.
    pub fn of(&mut self, state: &State, topic: TopicId) -> Option<Policy> {
        match self.last {
            Some((last, policy)) if last == topic => policy,
            _ => {
                let found = state.topic(topic);
                let policy = found.map(|found| Policy::of(state, found, self.defaults));
                self.last = Some((topic, policy));
                policy
            }
        }
    }
}

/// What is set for a topic, and for all brokers at run time.
struct Layers<'a> {
    state: &'a State,
    topic: &'a Topic,
}

impl<'a> Layers<'a> {
    fn get(&self, name: &str, broker_name: &str) -> Option<&'a str> {
        let own = self.topic.configs.get(name);
        let set = own.or_else(|| self.state.broker_configs().get(broker_name));
        set.map(String::as_str)
    }

    fn number(&self, name: &str, broker_name: &str, default: i64) -> i64 {
        let set = self.get(name, broker_name);
        set.and_then(|v| v.parse().ok()).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use control_plane::log::Position;
    use control_plane::state::{Command, CreateTopic, DeleteTopic, Entry, RegisterAgent, Topic};
    use object_format::AgentEpoch;
    use uuid::Uuid;

    use super::*;

    fn topic(configs: &[(&str, &str)]) -> Topic {
        let configs = configs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Topic {
            name: "t".to_owned(),
            partitions: 1,
            configs: configs.collect(),
            created_ms: 0,
        }
    }

    fn policy(configs: &[(&str, &str)]) -> Policy {
        Policy::of(&State::new(), &topic(configs), &Defaults::default())
    }

    #[test]
    fn each_topic_has_its_own_policy_and_a_deleted_one_none() {
        let id = |n| TopicId(Uuid::from_u128(n));
        let registration = RegisterAgent {
            version_max: 1,
            ..RegisterAgent::new(Uuid::from_u128(9), "a")
        };
        let create = |n: u128| CreateTopic {
            name: format!("t{n}"),
            id: id(n),
            partitions: 1,
            configs: [("retention.ms".to_owned(), n.to_string())].into(),
        };
        let delete = DeleteTopic {
            id: id(3),
            window_ms: 1000,
        };
        let commands: [Command; 5] = [
            registration.into(),
            create(1).into(),
            create(2).into(),
            create(3).into(),
            delete.into(),
        ];
        let mut state = State::new();
        for (n, command) in commands.into_iter().enumerate() {
            let entry = Entry {
                writer: AgentEpoch(u64::from(n > 0)),
                sequence: n as u64,
                time_ms: 1,
                commands: vec![command],
            };
            state
                .apply(Position(n as u64 + 1), &entry.encode(1))
                .unwrap();
        }
        let defaults = Defaults::default();
        let mut policies = Policies::new(&defaults);
        let found = [1, 1, 2, 3, 1, 4].map(|n| policies.of(&state, id(n)));
        let retention = found.map(|policy| policy.map(|p| p.retention_ms));
        let (one, two) = (Some(Some(1)), Some(Some(2)));
        assert_eq!(retention, [one, one, two, None, one, None]);
    }

    #[test]
    fn nothing_set_is_a_week() {
        let policy = policy(&[]);
        assert_eq!(policy.retention_ms, Some(604_800_000));
        assert_eq!((policy.retention_bytes, policy.compact), (None, None));
    }

    #[test]
    fn minus_one_is_without_end() {
        assert_eq!(policy(&[("retention.ms", "-1")]).retention_ms, None);
        assert_eq!(policy(&[("retention.bytes", "0")]).retention_bytes, Some(0));
    }

    #[test]
    fn what_is_only_compacted_is_not_deleted_by_age() {
        let compacted = policy(&[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        assert_eq!(compacted.retention_ms, None);
        let compact = compacted.compact.unwrap();
        assert_eq!(
            (compact.min_dirty_ratio, compact.delete_retention_ms),
            (0.5, 86_400_000)
        );
        let both = policy(&[("cleanup.policy", "compact,delete"), ("retention.ms", "1")]);
        assert_eq!(both.retention_ms, Some(1));
        assert!(both.compact.is_some());
    }
}
