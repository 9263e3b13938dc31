use std::time::Duration;

use super::*;

const TABLE: &[Setting] = &[
    Setting::new(
        "num.partitions",
        Kind::Int {
            min: 1,
            max: 10_000,
        },
        "1",
        "Partitions.",
    ),
    Setting::new(
        "linger.ms",
        Kind::DurationMs {
            min: 0,
            max: 10_000,
        },
        "250",
        "Wait.",
    ),
    Setting::new(
        "retention.ms",
        Kind::DurationMs {
            min: -1,
            max: i64::MAX,
        },
        "7d",
        "Age.",
    ),
    Setting::new(
        "object.bytes.max",
        Kind::Bytes {
            min: 1,
            max: 1 << 30,
        },
        "8MiB",
        "Size.",
    ),
    Setting::bool("auto.create", "true", "Create topics on first use."),
    Setting::text("store.url", "", "Where."),
    Setting::text("store.secret-key", "", "Key.").secret(),
    Setting::list("listeners", "PLAINTEXT://:9092", "Addresses."),
    Setting::new(
        "log.format",
        Kind::Choice(&["readable", "json"]),
        "readable",
        "How a | b.",
    ),
];

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn resolve(
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Resolved, SettingsError> {
    let file: toml::Table = file.parse().unwrap();
    Settings::resolve(TABLE, Some(&file), pairs(env), pairs(flags))
}

fn fault(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    resolve(file, env, flags).unwrap_err().to_string()
}

#[test]
fn the_defaults_hold_where_nothing_is_set() {
    let resolved = Settings::resolve(TABLE, None, [], vec![]).unwrap();
    assert_eq!(resolved.int("num.partitions"), 1);
    assert_eq!(resolved.duration_ms("linger.ms"), 250);
    assert_eq!(
        resolved.duration("retention.ms"),
        Duration::from_secs(7 * 24 * 3_600)
    );
    assert_eq!(resolved.bytes("object.bytes.max"), 8 << 20);
    assert!(resolved.bool("auto.create"));
    assert_eq!(resolved.opt_text("store.url"), None);
    assert_eq!(resolved.list("listeners"), ["PLAINTEXT://:9092"]);
    assert_eq!(resolved.text("log.format"), "readable");
    assert_eq!(resolved.source("linger.ms"), Source::Default);
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = "num.partitions = 2\nlinger.ms = \"5s\"\n[object.bytes]\nmax = 4096";
    let env = [
        ("MILLRACE_NUM_PARTITIONS", "3"),
        ("MILLRACE_LINGER_MS", "6s"),
        ("HOME", "/x"),
    ];
    let resolved = resolve(
        file,
        &env,
        &[("num.partitions", "4"), ("num.partitions", "5")],
    )
    .unwrap();
    let got = |name| (resolved.int(name), resolved.source(name));
    assert_eq!(got("num.partitions"), (5, Source::Flag));
    assert_eq!(got("linger.ms"), (6_000, Source::Env));
    assert_eq!(got("object.bytes.max"), (4_096, Source::File));
    assert_eq!(got("retention.ms").1, Source::Default);
}

#[test]
fn nested_and_dotted_names_in_the_file_are_the_same() {
    for file in [
        "num.partitions = 3",
        "\"num.partitions\" = 3",
        "[num]\npartitions = 3",
    ] {
        assert_eq!(
            resolve(file, &[], &[]).unwrap().int("num.partitions"),
            3,
            "{file}"
        );
    }
    let twice = fault("\"num.partitions\" = 3\n[num]\npartitions = 4", &[], &[]);
    assert_eq!(
        twice,
        "num.partitions is written twice in the settings file"
    );
}

#[test]
fn every_type_of_the_file_is_read() {
    let file = "auto.create = false\nlisteners = [\"A://:1\", \"B://:2\"]\nretention.ms = -1";
    let resolved = resolve(file, &[], &[]).unwrap();
    assert!(!resolved.bool("auto.create"));
    assert_eq!(resolved.list("listeners"), ["A://:1", "B://:2"]);
    assert_eq!(resolved.duration("retention.ms"), Duration::MAX);
}

#[test]
fn dashes_and_dots_are_underscores_in_the_environment() {
    let resolved = resolve("", &[("MILLRACE_STORE_SECRET_KEY", "x")], &[]).unwrap();
    assert_eq!(resolved.text("store.secret-key"), "x");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    for (said, error) in [
        (
            "unknown setting \"num.partition\" (in the settings file); did you mean \
             \"num.partitions\"?",
            fault("num.partition = 3", &[], &[]),
        ),
        (
            "unknown setting \"MILLRACE_LINGERMS\" (in the environment variable \
             MILLRACE_LINGERMS); did you mean \"MILLRACE_LINGER_MS\"?",
            fault("", &[("MILLRACE_LINGERMS", "3")], &[]),
        ),
        (
            "unknown setting \"quota\" (on the command line)",
            fault("", &[], &[("quota", "3")]),
        ),
    ] {
        assert_eq!(error, said);
    }
}

#[test]
fn a_bad_value_is_refused_with_what_is_allowed_and_where_it_was() {
    let error = fault("num.partitions = 0", &[], &[]);
    assert_eq!(
        error,
        "num.partitions cannot be \"0\" (in the settings file): allowed is a whole number, 1 to \
         10000"
    );
    let error = fault("", &[("MILLRACE_LINGER_MS", "11s")], &[]);
    assert!(
        error.contains("\"11s\" (in the environment variable MILLRACE_LINGER_MS)"),
        "{error}"
    );
    assert!(error.ends_with("0 to 10s"), "{error}");
    for file in [
        "num.partitions = 1.5",
        "num.partitions = [1, 2]",
        "auto.create = 1",
    ] {
        assert!(resolve(file, &[], &[]).is_err(), "{file}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let error = resolve("x = 1\nlog.format = \"xml\"", &[], &[("y", "2")]).unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn a_secret_is_never_shown() {
    let resolved = resolve("store.secret-key = \"hush\"", &[], &[]).unwrap();
    assert_eq!(resolved.text("store.secret-key"), "hush");
    assert!(!format!("{resolved:?}").contains("hush"));
    assert!(resolved.entries().all(|(_, shown, _)| shown != "hush"));
    assert_eq!(resolved.entries().count(), TABLE.len());

    let table = [Setting::new("pin", Kind::Int { min: 0, max: 9 }, "0", "A pin.").secret()];
    let error = Settings::resolve(&table, None, [], pairs(&[("pin", "4711")])).unwrap_err();
    assert!(!error.to_string().contains("4711"), "{error}");
}

#[test]
fn the_documentation_has_a_row_for_every_setting() {
    let text = render_markdown(TABLE);
    assert_eq!(text.lines().count(), 2 + TABLE.len());
    assert!(
        text.contains("| `num.partitions` | `1` | a whole number, 1 to 10000 |"),
        "{text}"
    );
    assert!(
        text.contains("`MILLRACE_NUM_PARTITIONS`") && text.contains("| (none) |"),
        "{text}"
    );
    assert!(text.contains("How a \\| b."), "{text}");
    let mut rows: Vec<&str> = text.lines().skip(2).collect();
    let written = rows.clone();
    rows.sort_unstable();
    assert_eq!(rows, written);
}

#[test]
#[should_panic(expected = "no setting is called linger")]
fn a_name_the_program_gets_wrong_panics() {
    resolve("", &[], &[]).unwrap().int("linger");
}
