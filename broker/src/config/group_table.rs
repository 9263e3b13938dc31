//! The configs of groups (KIP-848, KIP-932): those of Kafka 4.1 that mean something here, with Kafka's types and bounds.
//! What a group does not set it takes from the settings of brokers. Those of streams groups are missing, as such groups
//! are.

use std::collections::BTreeMap;

use runtime::settings::Resolved;

use super::value::{Allowed, ConfigError, ConfigType, normalize};

/// A config of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// What it takes.
    pub allowed: Allowed,
    /// Its value if the group does not set it.
    pub fallback: Fallback,
    /// The settings of brokers with its least and its greatest value.
    pub bounds: Option<(&'static str, &'static str)>,
    /// What it does.
    pub doc: &'static str,
}

/// Where the value of a config comes from that a group does not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// A setting of brokers.
    Setting(&'static str),
    /// Fixed.
    Value(&'static str),
}

use Fallback::{Setting, Value};

/// Every config of groups, in order of name.
#[rustfmt::skip]
pub const GROUP_KEYS: &[GroupKey] = &[
    time("consumer.heartbeat.interval.ms", 1, "group.consumer.heartbeat.interval.ms",
        ("group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
        "How often members of a consumer group (KIP-848) are told to heartbeat."),
    time("consumer.session.timeout.ms", 1, "group.consumer.session.timeout.ms",
        ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
        "A member of a consumer group (KIP-848) that was silent for this long is removed."),
    GroupKey { name: "share.auto.offset.reset", kind: ConfigType::String, allowed: Allowed::ShareReset,
        fallback: Value("latest"), bounds: None,
        doc: "Where a share group begins to read a partition: earliest, latest, or by_duration and an ISO 8601 duration." },
    time("share.heartbeat.interval.ms", 1, "group.share.heartbeat.interval.ms",
        ("group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"),
        "How often members of a share group (KIP-932) are told to heartbeat."),
    GroupKey { name: "share.isolation.level", kind: ConfigType::String,
        allowed: Allowed::Words(&["read_committed", "read_uncommitted"]),
        fallback: Value("read_uncommitted"), bounds: None,
        doc: "Whether a share group reads records of transactions that are not committed." },
    time("share.record.lock.duration.ms", 1000, "group.share.record.lock.duration.ms",
        ("group.share.min.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"),
        "How long a record belongs to the member of a share group that fetched it, unless it is acknowledged."),
    time("share.session.timeout.ms", 1, "group.share.session.timeout.ms",
        ("group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
        "A member of a share group (KIP-932) that was silent for this long is removed."),
];

const fn time(
    name: &'static str,
    min: i64,
    setting: &'static str,
    bounds: (&'static str, &'static str),
    doc: &'static str,
) -> GroupKey {
    GroupKey {
        name,
        kind: ConfigType::Int,
        allowed: Allowed::AtLeast(min),
        fallback: Setting(setting),
        bounds: Some(bounds),
        doc,
    }
}

/// Which times must be shorter than which; Kafka looks at heartbeats before sessions, and at consumers first.
const SHORTER: [(&str, &str); 2] = [
    (
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
    ),
    ("share.heartbeat.interval.ms", "share.session.timeout.ms"),
];

/// The config of groups called `name`.
pub fn group_key(name: &str) -> Option<&'static GroupKey> {
    GROUP_KEYS.iter().find(|key| key.name == name)
}

impl GroupKey {
    /// The value it has in a group that does not set it.
    pub fn default_value(&self, settings: &Resolved) -> String {
        match self.fallback {
            Setting(name) => settings.int(name).to_string(),
            Value(value) => value.to_owned(),
        }
    }
}

/// Checks everything a group sets, each by itself, against the brokers' bounds, and together; gives the form it is kept
/// in.
pub fn normalize_group(
    raw: &BTreeMap<String, String>,
    settings: &Resolved,
) -> Result<BTreeMap<String, String>, ConfigError> {
    if let Some(name) = raw.keys().find(|name| group_key(name).is_none()) {
        return Err(ConfigError::UnknownOfGroup(name.clone()));
    }
    let known = raw
        .iter()
        .filter_map(|(name, value)| Some((group_key(name)?, value)));
    let configs: BTreeMap<String, String> = known
        .map(|(key, value)| {
            let value = normalize(key.name, key.kind, key.allowed, value)?;
            Ok((key.name.to_owned(), value))
        })
        .collect::<Result<_, ConfigError>>()?;
    for key in GROUP_KEYS {
        if let Some(value) = configs.get(key.name) {
            in_bounds(key, value, settings)?;
        }
    }
    let number = |name: &str| {
        let set = configs.get(name).cloned();
        let value = set.or_else(|| Some(group_key(name)?.default_value(settings)));
        value.and_then(|value| value.parse::<i64>().ok())
    };
    for (shorter, longer) in SHORTER {
        if number(longer) <= number(shorter) {
            let (name, bound) = (longer.to_owned(), shorter.to_owned());
            let relation = "greater than";
            return Err(ConfigError::OutOfBounds {
                name,
                relation,
                bound,
            });
        }
    }
    Ok(configs)
}

fn in_bounds(key: &GroupKey, value: &str, settings: &Resolved) -> Result<(), ConfigError> {
    let (Some((least, greatest)), Ok(value)) = (key.bounds, value.parse::<i64>()) else {
        return Ok(());
    };
    let (relation, bound) = if value < settings.int(least) {
        ("greater than or equal to", least)
    } else if value > settings.int(greatest) {
        ("less than or equal to", greatest)
    } else {
        return Ok(());
    };
    Err(ConfigError::OutOfBounds {
        name: key.name.to_owned(),
        relation,
        bound: bound.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use runtime::settings::Settings;

    use super::*;

    fn normalized(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let settings = Settings::resolve(&crate::config::settings(), None, [], vec![]).unwrap();
        let raw = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        normalize_group(&raw, &settings).map_err(|error| error.to_string())
    }

    #[test]
    fn values_keep_to_kafkas_bounds_and_are_refused_in_kafkas_words() {
        for (name, value, why) in [
            ("foo", "1", "Unknown group config name: foo"),
            (
                "consumer.session.timeout.ms",
                "1",
                "consumer.session.timeout.ms must be greater than or equal to \
                 group.consumer.min.session.timeout.ms",
            ),
            (
                "consumer.session.timeout.ms",
                "60001",
                "consumer.session.timeout.ms must be less than or equal to \
                 group.consumer.max.session.timeout.ms",
            ),
            (
                "consumer.session.timeout.ms",
                "0",
                "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
            ),
            (
                "consumer.heartbeat.interval.ms",
                "x",
                "Invalid value x for configuration consumer.heartbeat.interval.ms: Not a number of type INT",
            ),
            (
                "share.record.lock.duration.ms",
                "14999",
                "share.record.lock.duration.ms must be greater than or equal to \
                 group.share.min.record.lock.duration.ms",
            ),
            (
                "share.isolation.level",
                "READ_COMMITTED",
                "Invalid value READ_COMMITTED for configuration share.isolation.level: \
                 String must be one of: read_committed, read_uncommitted",
            ),
            (
                "share.auto.offset.reset",
                "by_duration:xx",
                "Invalid value by_duration:xx for configuration share.auto.offset.reset: \
                 Invalid value `by_duration:xx` for configuration share.auto.offset.reset. The value must be \
                 either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
            ),
        ] {
            assert_eq!(normalized(&[(name, value)]), Err(why.to_owned()));
        }
        let kept = normalized(&[
            ("consumer.session.timeout.ms", " 60000 "),
            ("share.auto.offset.reset", "by_duration:PT1H"),
        ]);
        assert_eq!(kept.unwrap()["consumer.session.timeout.ms"], "60000");
    }

    #[test]
    fn a_heartbeat_is_shorter_than_a_session() {
        let flags = vec![(
            "group.consumer.max.heartbeat.interval.ms".to_owned(),
            "50000".to_owned(),
        )];
        let settings = Settings::resolve(&crate::config::settings(), None, [], flags).unwrap();
        let raw = |value: &str| {
            BTreeMap::from([(
                "consumer.heartbeat.interval.ms".to_owned(),
                value.to_owned(),
            )])
        };
        assert_eq!(
            normalize_group(&raw("45000"), &settings)
                .unwrap_err()
                .to_string(),
            "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"
        );
        assert!(normalize_group(&raw("44999"), &settings).is_ok());
    }

    #[test]
    fn the_table_is_in_order_and_names_settings_that_are_there() {
        let settings = Settings::resolve(&crate::config::settings(), None, [], vec![]).unwrap();
        assert!(GROUP_KEYS.is_sorted_by_key(|key| key.name));
        let defaults = GROUP_KEYS
            .iter()
            .map(|key| (key.name.to_owned(), key.default_value(&settings)))
            .collect();
        assert_eq!(normalize_group(&defaults, &settings), Ok(defaults.clone()));
    }
}
