//! Owns precedence: default < file < environment < command line, and where each value came from.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kind::{Kind, Value, duration};
use super::problem::{Origin, Problem, SettingsError};
use super::{ENV_PREFIX, Setting};

/// Which of the four places a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nothing set it.
    Default,
    /// The settings file.
    File,
    /// An environment variable.
    Env,
    /// The command line.
    Flag,
}

/// Every setting of a table with a value that is known to be good, and where it came from.
#[derive(Clone)]
pub struct Resolved(BTreeMap<&'static str, Entry>);

#[derive(Clone)]
struct Entry {
    setting: Setting,
    text: String,
    value: Value,
    source: Source,
}

/// A name and a value as written somewhere.
struct Written {
    name: String,
    text: String,
    origin: Origin,
}

pub(super) fn resolve(
    table: &[Setting],
    file: Option<&toml::Table>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
) -> Result<Resolved, SettingsError> {
    let mut problems = Vec::new();
    let mut resolved = BTreeMap::new();
    for setting in table {
        let text = setting.default.to_string();
        let at = Written {
            name: setting.name.to_string(),
            text,
            origin: Origin::Default,
        };
        set(&mut resolved, setting, at, &mut problems);
    }
    let mut written = Vec::new();
    if let Some(file) = file {
        flatten("", file, &mut written);
        twice(&written, &mut problems);
    }
    written.extend(from_env(table, env, &mut problems));
    written.extend(flags.into_iter().map(|(name, text)| Written {
        name,
        text,
        origin: Origin::Flag,
    }));
    for at in written {
        match table.iter().find(|setting| setting.name == at.name) {
            Some(setting) => set(&mut resolved, setting, at, &mut problems),
            None => problems.push(Problem::Unknown {
                nearest: nearest(
                    &at.name,
                    table.iter().map(|setting| setting.name.to_string()),
                ),
                name: at.name,
                origin: at.origin,
            }),
        }
    }
    if problems.is_empty() {
        Ok(Resolved(resolved))
    } else {
        Err(SettingsError { problems })
    }
}

fn set(
    resolved: &mut BTreeMap<&'static str, Entry>,
    setting: &Setting,
    at: Written,
    problems: &mut Vec<Problem>,
) {
    let source = match at.origin {
        Origin::Default => Source::Default,
        Origin::File => Source::File,
        Origin::Env(_) => Source::Env,
        Origin::Flag => Source::Flag,
    };
    match setting.kind.parse(&at.text) {
        Ok(value) => {
            let entry = Entry {
                setting: setting.clone(),
                text: at.text,
                value,
                source,
            };
            resolved.insert(setting.name, entry);
        }
        Err(allowed) => problems.push(Problem::Invalid {
            name: at.name,
            value: if setting.secret {
                HIDDEN.to_string()
            } else {
                at.text
            },
            allowed,
            origin: at.origin,
        }),
    }
}

/// Shown in place of a secret.
const HIDDEN: &str = "(hidden)";

fn flatten(prefix: &str, table: &toml::Table, written: &mut Vec<Written>) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(nested) => flatten(&name, nested, written),
            value => written.push(Written {
                name,
                text: plain(value),
                origin: Origin::File,
            }),
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn twice(written: &[Written], problems: &mut Vec<Problem>) {
    let mut names: Vec<&str> = written.iter().map(|at| at.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        problems.push(Problem::Twice {
            name: pair[0].to_string(),
        });
    }
}

fn from_env(
    table: &[Setting],
    env: Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> Vec<Written> {
    let mut written = Vec::new();
    for (variable, text) in env
        .into_iter()
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
    {
        match table.iter().find(|setting| setting.env_name() == variable) {
            Some(setting) => written.push(Written {
                name: setting.name.to_string(),
                text,
                origin: Origin::Env(variable),
            }),
            None => problems.push(Problem::Unknown {
                nearest: nearest(&variable, table.iter().map(Setting::env_name)),
                name: variable.clone(),
                origin: Origin::Env(variable),
            }),
        }
    }
    written
}

/// The candidate most like `name`, if any is like it at all.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, &candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The getters panic on a name that is not in the table or is of another kind: that is a mistake
/// in the program, found by the first test that runs it, never by what a user sets.
impl Resolved {
    /// The value of a [`Kind::Bool`].
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Bool(value) => *value,
            other => mismatch(name, "a bool", other),
        }
    }

    /// The value of a [`Kind::Int`], or the plain number of a [`Kind::Bytes`] or
    /// [`Kind::DurationMs`].
    pub fn int(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Int(value) => *value,
            other => mismatch(name, "a number", other),
        }
    }

    /// The value of a [`Kind::Decimal`].
    pub fn decimal(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Decimal(billionths) => *billionths as f64 / 1e9,
            other => mismatch(name, "a decimal number", other),
        }
    }

    /// The value of a [`Kind::Bytes`]; negative, which stands for no bound, becomes the greatest.
    pub fn bytes(&self, name: &str) -> u64 {
        u64::try_from(self.int(name)).unwrap_or(u64::MAX)
    }

    /// The value of a [`Kind::DurationMs`] in milliseconds; negative stands for no bound.
    pub fn duration_ms(&self, name: &str) -> i64 {
        self.int(name)
    }

    /// The value of a [`Kind::DurationMs`]; negative, which stands for no bound, becomes the
    /// greatest.
    pub fn duration(&self, name: &str) -> Duration {
        duration(self.int(name))
    }

    /// The value of a [`Kind::Text`] or [`Kind::Choice`].
    pub fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Text(value) => value,
            other => mismatch(name, "a text", other),
        }
    }

    /// As [`Resolved::text`], with the empty text as not set.
    pub fn opt_text(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The value of a [`Kind::List`].
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Value::List(value) => value,
            other => mismatch(name, "a list", other),
        }
    }

    /// Where the value came from.
    pub fn source(&self, name: &str) -> Source {
        self.entry(name).source
    }

    /// Whether the table has a setting of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every setting in order of name with its value as written, `(hidden)` if secret, and where
    /// that came from.
    pub fn entries(&self) -> impl Iterator<Item = (&Setting, &str, Source)> {
        self.0.values().map(|entry| {
            let shown = if entry.setting.secret {
                HIDDEN
            } else {
                entry.text.as_str()
            };
            (&entry.setting, shown, entry.source)
        })
    }

    fn value(&self, name: &str) -> &Value {
        &self.entry(name).value
    }

    fn entry(&self, name: &str) -> &Entry {
        match self.0.get(name) {
            Some(entry) => entry,
            None => panic!("no setting is called {name}"),
        }
    }
}

impl std::fmt::Debug for Resolved {
    /// Shows no secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(
                self.entries()
                    .map(|(setting, shown, source)| (setting.name, (shown, source))),
            )
            .finish()
    }
}

fn mismatch(name: &str, wanted: &str, found: &Value) -> ! {
    let found = match found {
        Value::Bool(_) => Kind::Bool.allowed(),
        Value::Decimal(_) => Kind::Decimal.allowed(),
        Value::Int(_) => "a number".to_string(),
        Value::Text(_) => Kind::Text.allowed(),
        Value::List(_) => Kind::List.allowed(),
    };
    panic!("the setting {name} is {found}, not {wanted}")
}
