//! The tables and their pages in docs/ say the same.

use std::path::Path;

use runtime::Settings;

use super::group_table::{Fallback, GROUP_KEYS};
use super::topic_table::TOPIC_KEYS;
use super::value::{Allowed, ConfigType};

/// Set to anything, the pages are written anew instead of compared.
const REWRITE: &str = "REWRITE_DOCS";

fn check(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{file} is not what the table says; run {REWRITE}=1 cargo test -p broker docs_tests"
    );
}

fn render() -> String {
    let mut text = String::from(
        "| Config | Type | Default | Values | From the brokers' | What it does |\n|---|---|---|---|---|---|\n",
    );
    for key in TOPIC_KEYS {
        let code = |text: &str| match text {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        let cells = [
            code(key.name),
            key.kind.name().to_owned(),
            code(key.default),
            allowed(key.allowed, key.kind),
            code(key.synonym.unwrap_or_default()),
            key.doc.to_owned(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn allowed(allowed: Allowed, kind: ConfigType) -> String {
    match allowed {
        Allowed::Any if kind == ConfigType::Boolean => "true, false".to_owned(),
        Allowed::Any => String::new(),
        Allowed::AtLeast(min) => format!("at least {min}"),
        Allowed::Between(min, max) => format!("{min} to {max}"),
        Allowed::BetweenOr(min, max, or) => format!("{min} to {max}, or {or}"),
        Allowed::Words(words) => words.join(", "),
        Allowed::ShareReset => "earliest, latest, `by_duration:PnDTnHnMn.nS`".to_owned(),
        Allowed::ThrottledReplicas => "`*`, or `partition:broker,...`".to_owned(),
    }
}

#[test]
fn group_configs_are_documented() {
    let mut table = String::from(
        "| Config | Type | Default | Values | Bounds | What it does |\n|---|---|---|---|---|---|\n",
    );
    for key in GROUP_KEYS {
        let default = match key.fallback {
            Fallback::Setting(name) => format!("that of `{name}`"),
            Fallback::Value(value) => format!("`{value}`"),
        };
        let bounds = key
            .bounds
            .map(|(least, greatest)| format!("`{least}`, `{greatest}`"));
        let cells = [
            format!("`{}`", key.name),
            key.kind.name().to_owned(),
            default,
            allowed(key.allowed, key.kind),
            bounds.unwrap_or_default(),
            key.doc.to_owned(),
        ];
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    let page = format!(
        "# Configs of groups\n\n\
         The configs that groups have in Apache Kafka 4.1, but for those of streams groups. They may be set for a group \
         before it exists (`kafka-configs --entity-type groups --entity-name NAME --alter`), and are kept when it is \
         deleted. Defaults and bounds are settings of brokers ([SETTINGS.md](SETTINGS.md)). This page is generated from \
         broker/src/config/group_table.rs.\n\n{table}"
    );
    check("GROUP-CONFIGS.md", &page);
}

#[test]
fn topic_configs_are_documented() {
    let table = render();
    let page = format!(
        "# Configs of topics\n\n\
         Every config that topics have in Apache Kafka 4.1, with Kafka's types, defaults and bounds. A topic that does \
         not set one takes it from the brokers' setting of the name given, where there is such a setting \
         ([SETTINGS.md](SETTINGS.md)). These may be changed for all brokers at run time (`kafka-configs \
         --entity-type brokers --entity-default --alter`): {}. This page is generated from \
         broker/src/config/topic_table.rs.\n\n{table}",
        super::in_force::DYNAMIC
            .map(|name| format!("`{name}`"))
            .join(", ")
    );
    check("TOPIC-CONFIGS.md", &page);
}

#[test]
fn a_process_takes_part_in_every_version_its_build_knows_unless_told_otherwise() {
    let settings = Settings::resolve(&crate::settings(), None, [], vec![]).unwrap();
    let version = crate::metadata_version_max(&settings);
    assert_eq!(version, control_plane::state::METADATA_VERSION_MAX);
}
