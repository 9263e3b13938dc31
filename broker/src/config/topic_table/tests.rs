//! What Apache Kafka 4.1.1 says to the same values.

use super::*;

fn check(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    let raw = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    normalize_topic(&raw).map_err(|error| error.to_string())
}

#[test]
fn the_table_is_sorted_and_its_defaults_are_what_it_allows() {
    assert_eq!(TOPIC_KEYS.len(), 33);
    for pair in TOPIC_KEYS.windows(2) {
        assert!(
            pair[0].name < pair[1].name,
            "{} {}",
            pair[0].name,
            pair[1].name
        );
    }
    for key in TOPIC_KEYS {
        assert_eq!(
            key.normalize(key.default).as_deref(),
            Ok(key.default),
            "{}",
            key.name
        );
        assert!(key.doc.ends_with('.'), "{}", key.name);
    }
}

#[test]
fn values_are_kept_in_the_form_kafka_shows() {
    for (name, raw, kept) in [
        ("retention.ms", " 5 ", "5"),
        ("retention.ms", "+5", "5"),
        ("retention.ms", " -1", "-1"),
        ("retention.bytes", "-5", "-5"),
        ("preallocate", "TRUE", "true"),
        ("preallocate", " true", "true"),
        ("cleanup.policy", "", ""),
        ("cleanup.policy", " ", ""),
        ("cleanup.policy", " delete , compact", "delete,compact"),
        ("cleanup.policy", "delete,delete", "delete,delete"),
        ("compression.type", " zstd ", "zstd"),
        ("compression.gzip.level", "-1", "-1"),
        ("compression.zstd.level", "0", "0"),
        ("min.cleanable.dirty.ratio", "5e-1", "0.5"),
        ("min.cleanable.dirty.ratio", ".5", "0.5"),
        ("min.cleanable.dirty.ratio", "1", "1.0"),
        (
            "leader.replication.throttled.replicas",
            "1:2, 3:4",
            "1:2,3:4",
        ),
        ("leader.replication.throttled.replicas", "*", "*"),
        ("follower.replication.throttled.replicas", "", ""),
        ("min.insync.replicas", "99", "99"),
        ("local.retention.ms", "700000000", "700000000"),
        ("remote.log.copy.disable", "true", "true"),
    ] {
        assert_eq!(
            topic_key(name).unwrap().normalize(raw).as_deref(),
            Ok(kept),
            "{name}={raw}"
        );
    }
}

#[test]
fn refusals_have_kafkas_words() {
    for (name, value, why) in [
        ("retention.ms", "abc", "Not a number of type LONG"),
        ("retention.ms", "", "Not a number of type LONG"),
        ("retention.ms", "1.5", "Not a number of type LONG"),
        ("retention.ms", "7d", "Not a number of type LONG"),
        (
            "retention.ms",
            "9223372036854775808",
            "Not a number of type LONG",
        ),
        ("retention.ms", "--5", "Not a number of type LONG"),
        ("retention.ms", "-2", "Value must be at least -1"),
        ("segment.bytes", "2147483648", "Not a number of type INT"),
        ("segment.bytes", "14", "Value must be at least 1048576"),
        ("max.message.bytes", "-1", "Value must be at least 0"),
        ("max.message.bytes", "1MiB", "Not a number of type INT"),
        (
            "cleanup.policy",
            "foo",
            "String must be one of: compact, delete",
        ),
        (
            "cleanup.policy",
            "Delete",
            "String must be one of: compact, delete",
        ),
        (
            "cleanup.policy",
            "delete;compact",
            "String must be one of: compact, delete",
        ),
        (
            "compression.type",
            "",
            "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "compression.type",
            "ZSTD",
            "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "compression.gzip.level",
            "0",
            "Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.gzip.level",
            "10",
            "Value must be between 1 and 9 or equal to -1",
        ),
        ("compression.lz4.level", "0", "Value must be at least 1"),
        (
            "compression.lz4.level",
            "18",
            "Value must be no more than 17",
        ),
        (
            "compression.zstd.level",
            "23",
            "Value must be no more than 22",
        ),
        (
            "preallocate",
            "yes",
            "Expected value to be either true or false",
        ),
        (
            "unclean.leader.election.enable",
            "",
            "Expected value to be either true or false",
        ),
        (
            "min.cleanable.dirty.ratio",
            "x",
            "Not a number of type DOUBLE",
        ),
        (
            "min.cleanable.dirty.ratio",
            "1.1",
            "Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "-0.5",
            "Value must be at least 0",
        ),
        (
            "message.timestamp.type",
            "foo",
            "String must be one of: CreateTime, LogAppendTime",
        ),
        (
            "message.timestamp.before.max.ms",
            "-1",
            "Value must be at least 0",
        ),
        ("max.compaction.lag.ms", "0", "Value must be at least 1"),
        ("min.insync.replicas", "0", "Value must be at least 1"),
        ("flush.messages", "0", "Value must be at least 1"),
        ("local.retention.ms", "-3", "Value must be at least -2"),
    ] {
        let expected = format!("Invalid value {value} for configuration {name}: {why}");
        assert_eq!(check(&[(name, value)]), Err(expected));
    }
    let replicas = "leader.replication.throttled.replicas";
    let expected = format!(
        "Invalid value [*, 1:2] for configuration {replicas}: {replicas} must be the literal '*' or a list of replicas \
         in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    assert_eq!(check(&[(replicas, "*,1:2")]), Err(expected));
    let empty =
        "Invalid value  for configuration cleanup.policy: String must be one of: compact, delete";
    assert_eq!(
        check(&[("cleanup.policy", "delete,")]),
        Err(empty.to_owned())
    );
}

#[test]
fn configs_are_also_judged_together() {
    let unknown = Err("Unknown topic config name: foo".to_owned());
    assert_eq!(check(&[("foo", "1")]), unknown);
    assert_eq!(
        check(&[("cleanup.policy", "bad"), ("foo", "1")]),
        unknown,
        "names come first"
    );
    for gone in [
        "message.format.version",
        "message.downconversion.enable",
        "Retention.ms",
        "",
    ] {
        assert_eq!(
            check(&[(gone, "1")]),
            Err(format!("Unknown topic config name: {gone}"))
        );
    }
    let conflict =
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)";
    let lags = [
        ("min.compaction.lag.ms", "10"),
        ("max.compaction.lag.ms", "5"),
    ];
    assert_eq!(check(&lags), Err(conflict.to_owned()));
    assert!(check(&lags[..1]).is_ok());
    assert!(
        check(&[("remote.storage.enable", "true")])
            .unwrap_err()
            .starts_with("Tiered Storage")
    );
    assert!(check(&[("remote.storage.enable", "false")]).is_ok());
}
