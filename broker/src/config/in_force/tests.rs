use super::*;

fn settings(flags: &[(&str, &str)]) -> Resolved {
    let flags = flags
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::resolve(&crate::config::settings(), None, [], flags).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

static NOTHING: BTreeMap<String, String> = BTreeMap::new();

fn for_all(all: &BTreeMap<String, String>) -> Dynamic<'_> {
    Dynamic { own: &NOTHING, all }
}

fn find<'a>(entries: &'a [InForce], name: &str) -> &'a InForce {
    entries.iter().find(|entry| entry.name == name).unwrap()
}

fn layers_of(entry: &InForce) -> Vec<(&str, &str, ConfigSource)> {
    let told = entry.synonyms.iter();
    told.map(|s| {
        (
            s.name.as_str(),
            s.value.as_deref().unwrap_or("(hidden)"),
            s.source,
        )
    })
    .collect()
}

#[test]
fn the_strongest_layer_wins_and_all_are_told() {
    use ConfigSource::{Brokers, Default, Static, Topic};
    let settings = settings(&[("message.max.bytes", "2MiB"), ("log.retention.ms", "1h")]);
    let dynamic = map(&[("message.max.bytes", "5000")]);
    let layers = BrokerLayers {
        dynamic: for_all(&dynamic),
        settings: &settings,
    };

    let all = layers.of_topic(&map(&[("max.message.bytes", "77")]));
    assert_eq!(all.len(), TOPIC_KEYS.len());
    let max = find(&all, "max.message.bytes");
    assert_eq!((max.value.as_deref(), max.source), (Some("77"), Topic));
    assert_eq!(
        layers_of(max),
        [
            ("max.message.bytes", "77", Topic),
            ("message.max.bytes", "5000", Brokers),
            ("message.max.bytes", "2097152", Static),
            ("message.max.bytes", "1048588", Default),
        ]
    );
    let retention = find(&all, "retention.ms");
    assert_eq!(
        (retention.value.as_deref(), retention.source),
        (Some("3600000"), Static)
    );
    let segment = find(&all, "segment.bytes");
    assert_eq!(
        layers_of(segment),
        [("log.segment.bytes", "1073741824", Default)]
    );
    assert_eq!(segment.source, Default);
    let throttled = find(&all, "leader.replication.throttled.replicas");
    assert_eq!(
        (throttled.value.as_deref(), throttled.synonyms.len()),
        (Some(""), 0)
    );

    let without_own = layers.of_topic(&map(&[]));
    assert_eq!(
        find(&without_own, "max.message.bytes").value.as_deref(),
        Some("5000")
    );
}

#[test]
fn brokers_tell_settings_in_plain_digits_and_no_secret() {
    let secret = crate::config::settings()
        .into_iter()
        .find(|s| s.secret)
        .unwrap()
        .name;
    let settings = settings(&[(secret, "hush"), ("linger.ms", "1s")]);
    let dynamic = map(&[("log.message.timestamp.type", "LogAppendTime")]);
    let layers = BrokerLayers {
        dynamic: for_all(&dynamic),
        settings: &settings,
    };
    let all = layers.of_broker(7);

    let linger = find(&all, "linger.ms");
    assert_eq!(
        (linger.value.as_deref(), linger.source),
        (Some("1000"), ConfigSource::Static)
    );
    assert_eq!((linger.kind, linger.is_read_only), (ConfigType::Long, true));
    let hidden = find(&all, secret);
    assert_eq!((hidden.value.as_deref(), hidden.is_secret), (None, true));
    assert_eq!(hidden.kind, ConfigType::Password);
    assert!(!format!("{all:?}").contains("hush"));
    let kind = find(&all, "log.message.timestamp.type");
    assert_eq!(
        (kind.value.as_deref(), kind.source),
        (Some("LogAppendTime"), ConfigSource::Brokers)
    );
    assert!(!kind.is_read_only);
    assert_eq!(find(&all, "node.id").value.as_deref(), Some("7"));
    for entry in &all {
        assert_ne!(entry.doc, "", "{}", entry.name);
    }

    let cluster = layers.of_all_brokers();
    assert_eq!(cluster.len(), 1);
    assert_eq!(layers_of(&cluster[0]).len(), 1);
}

#[test]
fn settings_of_kafka_have_its_types() {
    let settings = settings(&[]);
    let dynamic = map(&[]);
    let layers = BrokerLayers {
        dynamic: for_all(&dynamic),
        settings: &settings,
    };
    let all = layers.of_broker(0);
    for (name, kind) in [
        ("connections.max.idle.ms", ConfigType::Long),
        ("max.connections", ConfigType::Int),
        ("offsets.commit.timeout.ms", ConfigType::Int),
        ("queued.max.request.bytes", ConfigType::Long),
        ("socket.request.max.bytes", ConfigType::Int),
        (
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            ConfigType::Int,
        ),
        (
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            ConfigType::Int,
        ),
        ("transactional.id.expiration.ms", ConfigType::Int),
    ] {
        assert_eq!(find(&all, name).kind, kind, "{name}");
    }
}

#[test]
fn settings_that_topics_fall_back_on_have_their_defaults_and_types() {
    let settings = settings(&[]);
    let dynamic = map(&[]);
    let layers = BrokerLayers {
        dynamic: for_all(&dynamic),
        settings: &settings,
    };
    for entry in layers.of_topic(&map(&[])) {
        let key = topic_key(&entry.name).unwrap();
        assert_eq!(entry.value.as_deref(), Some(key.default), "{}", entry.name);
        assert_eq!(entry.source, ConfigSource::Default, "{}", entry.name);
    }
    for name in DYNAMIC {
        assert!(settings.contains(name), "{name}");
        assert!(
            TOPIC_KEYS.iter().any(|key| key.synonym == Some(name)),
            "{name}"
        );
    }
}

#[test]
fn only_what_takes_effect_is_dynamic() {
    let refused = |pairs: &[(&str, &str)]| normalize_dynamic(&map(pairs)).unwrap_err().to_string();
    assert_eq!(
        refused(&[
            ("num.partitions", "6"),
            ("log.retention.ms", "1"),
            ("message.max.bytes", "1")
        ]),
        "Cannot update these configs dynamically: Set(log.retention.ms, num.partitions)"
    );
    assert_eq!(
        refused(&[("message.max.bytes", "1MiB")]),
        "Invalid value 1MiB for configuration message.max.bytes: Not a number of type INT"
    );
    let kept = normalize_dynamic(&map(&[("log.cleanup.policy", "delete, compact")]));
    assert_eq!(kept, Ok(map(&[("log.cleanup.policy", "delete,compact")])));
}

#[test]
fn records_are_deleted_only_where_the_policy_says_delete() {
    let settings = settings(&[]);
    let (none, compact) = (map(&[]), map(&[("log.cleanup.policy", "compact")]));
    let by_default = BrokerLayers {
        dynamic: for_all(&none),
        settings: &settings,
    };
    let compacting = BrokerLayers {
        dynamic: for_all(&compact),
        settings: &settings,
    };
    let own = |policy| map(&[("cleanup.policy", policy)]);
    assert!(may_delete_records(&by_default, &none));
    assert!(may_delete_records(&by_default, &own("compact,delete")));
    assert!(!may_delete_records(&by_default, &own("compact")));
    assert!(!may_delete_records(&compacting, &none));
    assert!(may_delete_records(&compacting, &own("delete")));
}

#[test]
fn what_is_set_for_one_agent_wins_over_what_is_set_for_all() {
    use ConfigSource::{Agent, Brokers, Default};
    let settings = settings(&[]);
    let (own, all) = (
        map(&[("message.max.bytes", "7")]),
        map(&[
            ("message.max.bytes", "8"),
            ("log.cleanup.policy", "compact"),
        ]),
    );
    let layers = BrokerLayers {
        dynamic: Dynamic {
            own: &own,
            all: &all,
        },
        settings: &settings,
    };
    let expected = [
        ("message.max.bytes", "7", Agent),
        ("message.max.bytes", "8", Brokers),
        ("message.max.bytes", "1048588", Default),
    ];
    let of_broker = layers.of_broker(1);
    assert_eq!(layers_of(find(&of_broker, "message.max.bytes")), expected);
    let of_topic = layers.of_topic(&NOTHING);
    assert_eq!(layers_of(find(&of_topic, "max.message.bytes")), expected);
    assert_eq!(layers.setting_value("message.max.bytes"), "7");
    let told = layers.of_all_brokers();
    let told: Vec<_> = told
        .iter()
        .map(|e| (e.value.as_deref(), e.source))
        .collect();
    assert_eq!(
        told,
        [(Some("compact"), Brokers), (Some("8"), Brokers)],
        "what is set for all is told, not what this agent has"
    );
}

#[test]
fn a_group_has_its_own_value_or_the_brokers_setting() {
    let settings = settings(&[("group.consumer.heartbeat.interval.ms", "6s")]);
    let layers = BrokerLayers {
        dynamic: for_all(&NOTHING),
        settings: &settings,
    };
    let all = layers.of_group(&map(&[("consumer.session.timeout.ms", "50000")]));
    let told = |name: &str| {
        let entry = find(&all, name);
        (entry.value.clone().unwrap(), entry.source)
    };
    assert_eq!(
        told("consumer.session.timeout.ms"),
        ("50000".to_owned(), ConfigSource::Group)
    );
    assert_eq!(
        told("consumer.heartbeat.interval.ms"),
        ("6000".to_owned(), ConfigSource::Default)
    );
    assert_eq!(all.len(), GROUP_KEYS.len());
}
