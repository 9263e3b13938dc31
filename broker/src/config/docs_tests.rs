//! The tables and their pages in docs/ say the same.

use std::path::Path;

use super::topic_table::{TOPIC_KEYS, TopicKey};
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
            allowed(key),
            code(key.synonym.unwrap_or_default()),
            key.doc.to_owned(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn allowed(key: &TopicKey) -> String {
    match key.allowed {
        Allowed::Any if key.kind == ConfigType::Boolean => "true, false".to_owned(),
        Allowed::Any => String::new(),
        Allowed::AtLeast(min) => format!("at least {min}"),
        Allowed::Between(min, max) => format!("{min} to {max}"),
        Allowed::BetweenOr(min, max, or) => format!("{min} to {max}, or {or}"),
        Allowed::Words(words) => words.join(", "),
        Allowed::ThrottledReplicas => "`*`, or `partition:broker,...`".to_owned(),
    }
}

#[test]
fn settings_are_documented() {
    let table = runtime::settings::render_markdown(&super::settings());
    let page = format!(
        "# Settings\n\n\
         Of `millrace dev` and `millrace broker`. A value comes from the TOML file given with `--config`, from the \
         environment, or from the command line; the later wins. This page is generated from \
         broker/src/config/broker.rs.\n\n{table}"
    );
    check("SETTINGS.md", &page);
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
