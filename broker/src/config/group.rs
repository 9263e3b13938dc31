//! What the broker makes of a group's configs.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::settings::Resolved;

use super::group_table::GROUP_KEYS;
use super::share_reset::ShareReset;

/// The configs of one group, in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`.
    pub consumer_session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval: Duration,
    /// `share.session.timeout.ms`.
    pub share_session_timeout: Duration,
    /// `share.heartbeat.interval.ms`.
    pub share_heartbeat_interval: Duration,
    /// `share.record.lock.duration.ms`.
    pub share_record_lock_duration: Duration,
    /// `share.auto.offset.reset`.
    pub share_auto_offset_reset: ShareReset,
    /// `share.isolation.level` is `read_committed`.
    pub share_read_committed: bool,
}

/// What groups have that set nothing: the broker's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDefaults(pub GroupConfig);

impl Default for GroupDefaults {
    /// Kafka's.
    fn default() -> Self {
        Self(GroupConfig {
            consumer_session_timeout: Duration::from_secs(45),
            consumer_heartbeat_interval: Duration::from_secs(5),
            share_session_timeout: Duration::from_secs(45),
            share_heartbeat_interval: Duration::from_secs(5),
            share_record_lock_duration: Duration::from_secs(30),
            share_auto_offset_reset: ShareReset::Latest,
            share_read_committed: false,
        })
    }
}

impl GroupDefaults {
    /// The settings of this agent.
    pub fn new(settings: &Resolved) -> Self {
        let of_settings = GROUP_KEYS
            .iter()
            .map(|key| (key.name.to_owned(), key.default_value(settings)))
            .collect();
        Self(Self::default().of(&of_settings))
    }

    /// The configs in force for a group that sets `own` (see `State::group_configs`). Values were checked when they
    /// were set.
    pub fn of(&self, own: &BTreeMap<String, String>) -> GroupConfig {
        let default = self.0;
        let time = |name: &str, default: Duration| {
            let set = own.get(name).and_then(|value| value.parse().ok());
            set.map_or(default, Duration::from_millis)
        };
        let reset = own.get("share.auto.offset.reset");
        let isolation = own.get("share.isolation.level");
        GroupConfig {
            consumer_session_timeout: time(
                "consumer.session.timeout.ms",
                default.consumer_session_timeout,
            ),
            consumer_heartbeat_interval: time(
                "consumer.heartbeat.interval.ms",
                default.consumer_heartbeat_interval,
            ),
            share_session_timeout: time("share.session.timeout.ms", default.share_session_timeout),
            share_heartbeat_interval: time(
                "share.heartbeat.interval.ms",
                default.share_heartbeat_interval,
            ),
            share_record_lock_duration: time(
                "share.record.lock.duration.ms",
                default.share_record_lock_duration,
            ),
            share_auto_offset_reset: reset
                .and_then(|value| ShareReset::parse(value))
                .unwrap_or(default.share_auto_offset_reset),
            share_read_committed: isolation.map_or(default.share_read_committed, |level| {
                level == "read_committed"
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::settings::Settings;

    use super::*;

    #[test]
    fn a_group_wins_over_the_settings() {
        let flags = [("group.consumer.session.timeout.ms", "50s")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let resolve = |flags| Settings::resolve(&crate::config::settings(), None, [], flags);
        let plain = GroupDefaults::new(&resolve(vec![]).unwrap());
        assert_eq!(plain, GroupDefaults::default());
        let defaults = GroupDefaults::new(&resolve(flags.to_vec()).unwrap());
        let timeout = |own: &[(&str, &str)]| {
            let own = own
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            defaults.of(&own)
        };
        assert_eq!(timeout(&[]).consumer_session_timeout.as_secs(), 50);
        let own = timeout(&[
            ("consumer.session.timeout.ms", "55000"),
            ("consumer.heartbeat.interval.ms", "6000"),
            ("share.session.timeout.ms", "46000"),
            ("share.heartbeat.interval.ms", "7000"),
            ("share.record.lock.duration.ms", "20000"),
            ("share.auto.offset.reset", "earliest"),
            ("share.isolation.level", "read_committed"),
        ]);
        let expected = GroupConfig {
            consumer_session_timeout: Duration::from_secs(55),
            consumer_heartbeat_interval: Duration::from_secs(6),
            share_session_timeout: Duration::from_secs(46),
            share_heartbeat_interval: Duration::from_secs(7),
            share_record_lock_duration: Duration::from_secs(20),
            share_auto_offset_reset: ShareReset::Earliest,
            share_read_committed: true,
        };
        assert_eq!(own, expected);
    }
}
